"""The three things a supervisor asks of Linux that ``os`` does not offer. Imported by the warden before it forks."""

import ctypes

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36

# Bound once, in the warden: a look-up after each fork would cost more than the call.
_call = ctypes.CDLL(None, use_errno=True).prctl
_call.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)


def become_subreaper() -> None:
    """Whatever descends from this process and loses its parent becomes our child, so nothing of a job escapes us."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(signum: int) -> None:
    """Have the kernel send us ``signum`` when our parent dies. A change of uid clears it, an exec does not."""
    _prctl(_PR_SET_PDEATHSIG, signum)


def name_process(name: str) -> None:
    """The name that ``ps`` and ``top`` show; Linux keeps 15 bytes of it."""
    text = ctypes.create_string_buffer(name.encode()[:15])
    _prctl(_PR_SET_NAME, ctypes.addressof(text))


def _prctl(option: int, value: int) -> None:
    if _call(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option} was refused")
