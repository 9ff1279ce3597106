"""Durations, sizes and amounts as people write them, and as integers inside.

Time is integer milliseconds, memory integer bytes, money integer micro-SU. Floats never enter.
"""

import re

from domain.errors import Invalid

SECOND_MS = 1_000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

MICRO = 1_000_000  # micro-SU in one SU
MILLI = 1_000  # thousandths in one GPU

_UNIT_MS = {"d": DAY_MS, "h": HOUR_MS, "m": MINUTE_MS, "s": SECOND_MS}
_DURATION = re.compile(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?")
_CLOCK = re.compile(r"(?:(\d{1,5})-)?(\d{1,5}):([0-5]\d):([0-5]\d)")
_BYTES = re.compile(r"(\d{1,15})(Ki|Mi|Gi|Ti|K|M|G|T)?B?")
_BYTE_UNITS = {
    "": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
AMOUNT = "not below 0, at most 15 digits and six decimals"
_DECIMAL = re.compile(r"(\d{1,15})(?:\.(\d{1,6}))?")


def parse_duration(text: str, field: str) -> int:
    """``8h``, ``1d12h``, ``90m``, ``45s``, ``02:30:00`` or Slurm's ``1-12:00:00``, as milliseconds."""
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return days * DAY_MS + hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise Invalid(f"{text[:40]!r} is no duration", field, fix="write a duration such as 8h, 90m, 1d12h or 02:30:00")
    return sum(int(part or 0) * unit for part, unit in zip(match.groups(), _UNIT_MS.values(), strict=True))


def format_duration(ms: int) -> str:
    """The shortest exact writing that ``parse_duration`` reads back; parts of a second are dropped."""
    parts = []
    for letter, unit in _UNIT_MS.items():
        count, ms = divmod(ms, unit)
        if count:
            parts.append(f"{count}{letter}")
    return "".join(parts) or "0s"


def parse_bytes(text: str, field: str) -> int:
    """``256Gi``, ``512M`` or a bare number of bytes, as bytes."""
    match = _BYTES.fullmatch(text)
    if match is None:
        raise Invalid(f"{text[:40]!r} is no size", field, fix="write a size such as 512Mi or 256Gi")
    return int(match[1]) * _BYTE_UNITS[match[2] or ""]


def format_bytes(count: int) -> str:
    """The largest binary unit that divides ``count`` exactly."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if count and count % _BYTE_UNITS[unit] == 0:
            return f"{count // _BYTE_UNITS[unit]}{unit}"
    return str(count)


def parse_su(text: str, field: str) -> int:
    """Service units such as ``1500`` or ``0.25``, as micro-SU. Six decimals at the most."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise Invalid(
            f"{text[:40]!r} is no amount of SU", field, fix=f'write service units such as "1500" or "0.25": {AMOUNT}'
        )
    return int(match[1]) * MICRO + int((match[2] or "").ljust(6, "0"))


def format_su(micro_su: int) -> str:
    """Micro-SU as a decimal text, exact, without trailing zeros."""
    sign, whole, part = "-" if micro_su < 0 else "", *divmod(abs(micro_su), MICRO)
    return f"{sign}{whole}.{part:06d}".rstrip("0").rstrip(".") if part else f"{sign}{whole}"
