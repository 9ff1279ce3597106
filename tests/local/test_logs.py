"""Logs: all of a job's output, bounded, without its secrets, and never a reason to fail."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Unavailable
from domain.ids import AttemptId
from domain.jobs import AttemptState
from local.forked.masking import Masker
from tests.contracts.driver_contract import launch, log, settled, until
from tests.local.rig import LocalRig

ONE = AttemptId(1, None, 1)


def test_output_beyond_the_bound_is_cut_and_the_job_goes_on(tmp_path: Path) -> None:
    rig = LocalRig(tmp_path / "local", log_limit_bytes=100_000)
    rig.driver.start(launch(ONE, run="yes abcdefghi | head -c 3000000; exit 7"))
    assert settled(rig.driver, ONE).exit_code == 7
    text = log(rig.driver, ONE)
    assert text.startswith(b"abcdefghi\n" * 10_000)
    assert text[100_000:] == b"\n[baray] The output is longer than 97.66 KiB: it is cut here, and the job goes on.\n"
    rig.close()


def test_secrets_are_masked_in_the_log_even_when_written_in_pieces(rig: LocalRig) -> None:
    script = 'echo "all: $TOKEN"; printf "%s" "${TOKEN:0:3}"; sleep 0.2; echo "${TOKEN:3} $SHORT"; env | grep -c TOKEN'
    rig.driver.start(launch(ONE, run=script, secrets={"TOKEN": "hunter2-ខ្មែរ\n", "SHORT": "abc"}))
    settled(rig.driver, ONE)
    assert log(rig.driver, ONE) == b"all: ***\n\n***\n abc\n1\n"


def test_secrets_never_touch_the_disk(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, run="echo $TOKEN > here; sleep 300", secrets={"TOKEN": "hunter2"}))
    until(lambda: rig.place(ONE).work.joinpath("here").exists())
    holding = [path for path in rig.root.rglob("*") if path.is_file() and b"hunter2" in path.read_bytes()]
    assert holding == [rig.place(ONE).work / "here"]  # the job's own doing
    assert b"hunter2" not in Path(f"/proc/{rig.supervisor(ONE)}/cmdline").read_bytes()


def test_what_only_looks_like_the_start_of_a_secret_is_shown_in_the_end(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, run="printf hunt", secrets={"TOKEN": "hunter2"}))
    settled(rig.driver, ONE)
    assert log(rig.driver, ONE) == b"hunt"


PIECES = st.lists(st.binary(max_size=8).map(lambda raw: bytes(b"abc"[byte % 3] for byte in raw)), max_size=30)
SECRETS = st.lists(st.text("abc", min_size=4, max_size=9).map(str.encode), max_size=4)


@given(SECRETS, PIECES)
def test_masking_does_not_depend_on_where_the_stream_is_cut(secrets: list[bytes], pieces: list[bytes]) -> None:
    whole, cut = Masker(secrets), Masker(secrets)
    expected = whole.feed(b"".join(pieces)) + whole.flush()
    shown = b"".join(map(cut.feed, pieces)) + cut.flush()
    assert shown == expected
    assert not any(secret in shown for secret in secrets)


@given(SECRETS, PIECES)
def test_masking_hides_exactly_the_bytes_of_secrets(secrets: list[bytes], pieces: list[bytes]) -> None:
    text = b"".join(pieces)
    hidden = {
        at + step
        for secret in secrets
        for at in range(len(text))
        if text.startswith(secret, at)
        for step in range(len(secret))
    }
    masker = Masker(secrets)
    assert (masker.feed(text) + masker.flush()).replace(b"*", b"") == bytes(
        byte for at, byte in enumerate(text) if at not in hidden
    )


def test_masking_holds_back_no_more_than_it_must() -> None:
    masker = Masker([b"hunter2"])
    assert masker.feed(b"a line\n") == b"a line\n"
    assert masker.feed(b"hunt") == b""
    assert masker.feed(b"ing\n") == b"hunting\n"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    mount = tmp_path / "small"
    mount.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(mount), b"tmpfs", 0, b"size=2m") != 0:
        pytest.skip(f"no small disk may be mounted here: {os.strerror(ctypes.get_errno())}")
    yield mount
    subprocess.run(["umount", "--lazy", mount], check=True)


def test_on_a_full_disk_nothing_is_started(small_disk: Path) -> None:
    rig = LocalRig(small_disk / "local")
    rig.driver.observe()
    filling = small_disk / "filling"
    with suppress(OSError), filling.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    with pytest.raises(Unavailable, match="No space"):
        rig.driver.start(launch(ONE))
    assert rig.driver.observe().observations == ()
    filling.unlink()
    rig.driver.start(launch(ONE))
    assert settled(rig.driver, ONE).state is AttemptState.SUCCEEDED
    rig.close()


def test_a_full_disk_neither_ends_the_job_nor_loses_its_result(small_disk: Path) -> None:
    rig = LocalRig(small_disk / "local")
    rig.driver.start(launch(ONE, run="yes | head -c 4000000; rm /dev/null/x; sleep 0.2; exit 7"))
    full = until(lambda: small_disk.stat() and os.statvfs(small_disk).f_bavail == 0)
    assert full
    until(lambda: rig.processes(ONE) == [])
    (rig.root / "attempts/0/1.1/log.0").write_bytes(b"")  # somebody makes room
    end = settled(rig.driver, ONE)
    assert (end.state, end.exit_code) == (AttemptState.FAILED, 7)
    assert end.detail == "The log is incomplete: No space left on device."
    rig.close()
