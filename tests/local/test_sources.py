"""A job's source directory: unpacked where it runs, and refused with a sentence where that cannot be."""

import io
import os
import tarfile
from pathlib import Path

from domain.ids import AttemptId
from domain.jobs import AttemptState, Observation
from tests.contracts.driver_contract import launch, log, seen, settled, until
from tests.local.rig import LocalRig

ONE = AttemptId(1, None, 1)
SHA = "0" * 64


def archive(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for info, data in members:
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def member(name: str, data: bytes = b"", **attributes: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    for attribute, value in attributes.items():
        setattr(info, attribute, value)
    return info, data


def run(tmp_path: Path, source: Path, script: str = "true") -> tuple[LocalRig, Observation]:
    rig = LocalRig(tmp_path / "local", sources=lambda _sha: source)
    rig.driver.start(launch(ONE, run=script, source=SHA))
    end = settled(rig.driver, ONE)
    rig.close()
    return rig, end


def test_it_is_unpacked_into_the_working_directory(tmp_path: Path) -> None:
    source = archive(
        tmp_path / "s.tar.gz",
        member("train.sh", b"echo training with $(cat conf/lr)", mode=0o755),
        member("conf/lr", b"3e-4"),
        member("link", type=tarfile.SYMTYPE, linkname="conf/lr"),
    )
    rig, end = run(tmp_path, source, "./train.sh; cat link; test -O train.sh && echo mine")
    assert end.state is AttemptState.SUCCEEDED
    assert log(rig.driver, ONE) == b"training with 3e-4\n3e-4mine\n"


def test_what_leads_out_of_the_working_directory_is_refused(tmp_path: Path) -> None:
    for number, bad in enumerate(
        (
            member("../escape", b"x"),
            member("link", type=tarfile.SYMTYPE, linkname="/etc"),
            member("device", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        )
    ):
        place = tmp_path / str(number)
        place.mkdir()
        _, end = run(place, archive(place / "s.tar.gz", bad), "echo ran")
        assert (end.state, end.exit_code, end.started_ms) == (AttemptState.FAILED, None, None)
        assert end.detail.startswith("The source could not be unpacked: ")
        assert not list(tmp_path.rglob("escape"))


def test_a_broken_archive_is_a_failed_attempt(tmp_path: Path) -> None:
    for number, data in enumerate(
        (b"", b"no archive", archive(tmp_path / "x", member("a", b"y" * 99)).read_bytes()[:60])
    ):
        place = tmp_path / str(number)
        place.mkdir()
        source = place / "s.tar.gz"
        source.write_bytes(data)
        _, end = run(place, source)
        assert end.state is AttemptState.FAILED
        assert end.detail.startswith("The source could not be unpacked: ")
        assert len(end.detail) > len("The source could not be unpacked: .")


def test_an_endless_archive_is_stopped_like_a_job(tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    os.mkfifo(endless)
    rig = LocalRig(tmp_path / "local", sources=lambda _sha: endless)
    rig.driver.start(launch(ONE, source=SHA))
    writer = os.open(endless, os.O_RDWR)
    until(lambda: rig.supervisor(ONE))
    assert seen(rig.driver, ONE).state is AttemptState.STARTING
    rig.driver.stop(ONE, 60_000)
    end = settled(rig.driver, ONE)
    assert (end.state, end.detail, end.signal) == (AttemptState.CANCELLED, "", None)
    os.close(writer)
    rig.close()


def test_the_walltime_holds_for_unpacking_too(tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    os.mkfifo(endless)
    rig = LocalRig(tmp_path / "local", sources=lambda _sha: endless)
    writer = os.open(endless, os.O_RDWR)
    rig.driver.start(launch(ONE, source=SHA, walltime_ms=200))
    assert settled(rig.driver, ONE).state is AttemptState.TIMED_OUT
    os.close(writer)
    rig.close()


def test_a_source_that_is_gone_is_the_centres_failure(tmp_path: Path) -> None:
    _, end = run(tmp_path, tmp_path / "gone.tar.gz")
    assert end.state is AttemptState.NODE_FAILED
    assert end.detail == "The source could not be read: No such file or directory."


def test_a_source_that_was_never_kept_is_a_failed_attempt(rig: LocalRig) -> None:
    rig.driver.start(launch(ONE, source=SHA))
    end = settled(rig.driver, ONE)
    assert end.state is AttemptState.FAILED
    assert SHA in end.detail
