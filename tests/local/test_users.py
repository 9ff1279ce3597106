"""As root, each project's jobs run as a user of its own, kept from each other and from the centre."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from domain.ids import AttemptId
from domain.jobs import AttemptState, Launch
from tests.contracts.driver_contract import launch, log, running, settled, until
from tests.local.rig import LocalRig
from tests.local.test_sources import SHA, archive, member

UID_BASE = 3_000_000
ONE, TWO = AttemptId(1, None, 1), AttemptId(2, None, 1)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="users of their own need root")


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A directory that other users may pass through; pytest's own are closed to them."""
    root = Path(tempfile.mkdtemp(prefix="baray-test-"))
    root.chmod(0o711)
    yield root
    shutil.rmtree(root)


@pytest.fixture
def rig(open_root: Path) -> Iterator[LocalRig]:
    made = LocalRig(open_root / "local", uid_base=UID_BASE)
    yield made
    made.close()


def of_project(number: int, job: Launch) -> Launch:
    return replace(job, project_id=number)


@as_root
def test_a_job_is_its_projects_user_and_nothing_more(rig: LocalRig) -> None:
    rig.driver.start(of_project(5, launch(ONE, run="id -u; id -g; id -G; touch ~/mine && echo home; stat -c %u .")))
    assert settled(rig.driver, ONE).state is AttemptState.SUCCEEDED
    assert log(rig.driver, ONE) == b"3000005\n3000005\n3000005\nhome\n3000005\n"
    assert not any("All jobs run as" in note for note in rig.driver.inventory().notes)


@as_root
def test_projects_cannot_read_each_other_nor_what_the_centre_keeps(rig: LocalRig) -> None:
    rig.driver.start(of_project(5, launch(ONE, run="echo private > data; chmod 666 data; echo said; sleep 300")))
    running(rig.driver, ONE)
    until(lambda: log(rig.driver, ONE))
    place, other = rig.place(ONE), rig.place(TWO)
    tries = [
        f"cat {place.work}/data",
        f"cat {place.path}/log.0",
        f"cat {place.script}",
        f"cat {place.spec}",
        f"ls {place.path}",
        f"ls {rig.root}/live",
        f"touch {place.stop}",
        f"echo x >> {other.path}/log.0",
        f"echo x >> {other.script}",
        f"echo '{{}}' > {other.result}",
        f"rm -f {other.claim}",
        f"kill -9 {rig.supervisor(ONE)}",
        f"cat /proc/{rig.processes(ONE)[0]}/environ",
    ]
    script = "\n".join(f"({attempt}) 2>/dev/null && echo 'could: {attempt}'" for attempt in tries)
    rig.driver.start(of_project(6, launch(TWO, run=f"{script}\ntrue")))
    assert settled(rig.driver, TWO).state is AttemptState.SUCCEEDED
    assert log(rig.driver, TWO) == b""


@as_root
def test_two_jobs_of_one_project_share_its_user(rig: LocalRig) -> None:
    rig.driver.start(of_project(5, launch(ONE, run="echo shared > data; sleep 300")))
    data = rig.place(ONE).work / "data"
    until(data.exists)
    rig.driver.start(of_project(5, launch(TWO, run=f"cat {data}")))
    settled(rig.driver, TWO)
    assert log(rig.driver, TWO) == b"shared\n"


@as_root
def test_a_source_is_unpacked_as_the_projects_user(open_root: Path) -> None:
    source = archive(open_root / "s.tar.gz", member("a/b", b"x", uid=0, gid=0, mode=0o4755))
    source.chmod(0o600)
    rig = LocalRig(open_root / "local", uid_base=UID_BASE, sources=lambda _sha: source)
    rig.driver.start(launch(ONE, run="stat -c '%u %g %a' a a/b", source=SHA))
    settled(rig.driver, ONE)
    assert log(rig.driver, ONE) == b"3000007 3000007 755\n3000007 3000007 755\n"
    rig.close()


@as_root
def test_outputs_are_only_what_belongs_to_the_project(rig: LocalRig) -> None:
    """A hard link to somebody else's file is no output, though the supervisor could read it."""
    secret = rig.root / "secret"
    rig.root.mkdir(parents=True, exist_ok=True)
    secret.write_text("of the centre")
    rig.driver.start(
        launch(ONE, run="echo mine > mine; touch ready; while ! [ -e theirs ]; do sleep 0.01; done", outputs=("*",))
    )
    work = rig.place(ONE).work
    until((work / "ready").exists)
    (work / "theirs").hardlink_to(secret)
    end = settled(rig.driver, ONE)
    assert [output.path for output in end.outputs] == ["mine", "ready"]
    assert end.detail == "Not kept as output, not owned by the project: theirs."


@as_root
def test_where_the_way_is_closed_jobs_run_elsewhere(tmp_path: Path) -> None:
    """As with a data directory below /root, or pytest's own."""
    tmp_path.chmod(0o700)
    rig = LocalRig(tmp_path / "local", uid_base=UID_BASE)
    work = rig.place(ONE).work
    assert work.is_relative_to("/var/lib")
    assert any("may not pass through" in note for note in rig.driver.inventory().notes)
    rig.driver.start(launch(ONE, run="echo x > ~/file; cat $HOME/file; pwd", outputs=("file",)))
    end = settled(rig.driver, ONE)
    assert log(rig.driver, ONE) == f"x\n{work}\n".encode()
    assert [output.path for output in end.outputs] == ["file"]
    rig.driver.forget(ONE)
    until(lambda: not work.parent.exists())
    rig.close()
    assert not rig.place(ONE).front.parent.parent.exists()
