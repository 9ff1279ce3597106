"""The controller seals as it goes, gathered; a tree that was tampered with holds up nothing else."""

from pathlib import Path

from domain.jobs import JobState
from lifecycle.seal import Sealer
from runtime.controller import Controller
from store.append_only import protect, unprotect
from tests.runtime.test_controller import LEASE_MS, controller, said
from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.sealing import Sealed


def leading(sealed: Sealed) -> Controller:
    one = controller(sealed.centre, "sealer")
    one.sealer = Sealer(sealed.centre.database.store(), sealed.signer)
    sealed.centre.clock.advance(LEASE_MS)
    return one


def size(centre: Centre) -> int:
    with centre.store.read() as uow:
        return uow.seals.size()


def test_rows_are_sealed_once_a_second_when_nothing_else_is_to_do(centre: Centre, tmp_path: Path) -> None:
    sealed = Sealed.on(centre, tmp_path)
    one = leading(sealed)
    for _ in range(2):
        assert one.cycle()
    first = size(centre)
    assert first > 0
    sealed.note("soon after")
    assert one.cycle()
    assert size(centre) == first
    centre.clock.advance(seconds=1)
    assert one.cycle()
    assert size(centre) == first + 2  # the first head, and the entry
    assert sealed.wrong() is None


def test_a_broken_tree_is_told_of_and_jobs_go_on(centre: Centre, tmp_path: Path) -> None:
    sealed = Sealed.on(centre, tmp_path)
    sealed.seal()
    with centre.database.connect(writes=True) as connection:
        unprotect(connection)
        connection.exec_driver_sql("UPDATE leaf SET hash = (SELECT hash FROM leaf WHERE idx = 1) WHERE idx = 0")
        protect(connection)
    sealed.note("later")
    job = centre.submit(spec(command="run 1h")).id
    one = leading(sealed)
    for _ in range(3):
        assert one.cycle(), "no other step waits because of it"
        centre.clock.advance(seconds=6)
    assert said(one, "baray_controller_errors_total", step="seal") == 1, (
        "it is looked at again in a minute, not at every beat"
    )
    assert centre.job(job).state in {JobState.STARTING, JobState.RUNNING}
