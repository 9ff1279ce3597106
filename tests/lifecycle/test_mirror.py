"""The leader's mirror is always what the database says, however it came to be; and readers see what the leader sees."""

import random
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from domain.errors import BarayError, StaleLeader
from domain.jobs import Array
from lifecycle import allocations
from lifecycle.lookout import FRESH_MS, Lookout
from lifecycle.mirror import Mirror
from lifecycle.schedule import NOTES_KEPT, schedule
from lifecycle.snapshot import snapshot
from scheduler.cycle import plan
from tests.lifecycle.test_histories import Act, do, histories
from tests.support.centre import Centre
from tests.support.databases import POSTGRESQL, SQLITE
from tests.support.factories import resources, spec


def contents(mirror: Mirror) -> tuple[Any, ...]:
    """How the queue orders them shows in the plan."""
    queue, live = mirror.queue, mirror.live
    return queue.policy, queue.jobs, queue.gated, mirror.names, mirror.recent, live.attempts, live.ends


def in_step(centre: Centre, lookout: Lookout) -> None:
    """What the leader keeps, and what it plans, is what it would read and plan from scratch."""
    now_ms = centre.clock.now_ms()
    answer = lookout.decide(centre.epoch, now_ms).plan
    kept = lookout._mirror
    assert kept is not None
    with centre.store.read() as uow:
        fresh = Mirror.read(uow, uow.directory().policy_at(now_ms))
        state = snapshot(uow, now_ms)
        directory = uow.directory()
        open_ = [cluster.name for cluster in directory.clusters.values() if cluster.state == "active"]
        counted = [node for node in uow.fleet.nodes(open_) if (node.cluster, node.name) not in directory.drained]
        assert list(kept.nodes(directory)) == counted, "what live attempts leave is what the fleet's own rows say"
        assert kept.running(uow.directory().tree) == (state.running, state.user_running)
    assert contents(kept) == contents(fresh)
    if state.queue:
        assert answer == plan(state, now_ms)
    view = lookout.view(now_ms)
    assert dict(view.state.queue.jobs) == fresh.queue.jobs
    assert view.names == fresh.names
    assert view.plan == answer


def live_through(centre: Centre, history: list[Act]) -> None:
    centre.refound()
    for act in history:
        try:
            do(centre, act)
        except BarayError:
            continue
        finally:
            in_step(centre, centre.lookout)


@pytest.mark.promise(5)
def test_after_any_history_the_mirror_is_as_if_read_anew(centre: Centre) -> None:
    jobs = 0

    @settings(max_examples=15 if centre.database.kind == SQLITE else 6, suppress_health_check=list(HealthCheck))
    @given(histories)
    def one(history: list[Act]) -> None:
        nonlocal jobs
        live_through(centre, history)
        jobs += len(centre.database.rows("SELECT id FROM job"))

    one()
    assert jobs > 5, "histories in which little happens prove little"


@pytest.mark.promise(1)
def test_a_note_that_commits_after_a_later_one_is_not_missed(centre: Centre) -> None:
    """Two transactions on PostgreSQL: the one that began first, and has the smaller number, commits last."""
    if centre.database.kind != POSTGRESQL:
        pytest.skip("SQLite has one writer at a time")
    centre.schedule()
    caller = centre.caller()
    with centre.store.write() as slow:
        late = slow.jobs.add(spec(), centre.population.projects["speech"], caller.user.id, centre.clock.now_ms())
        slow.live.changes()  # it has its number by now
        soon = centre.submit().id
        assert late.id < soon
        with centre.store.read() as uow:
            before = uow.live.changes()
        assert schedule(centre.lookout, centre.epoch, centre.clock.now_ms()) == 1
        assert centre.attempts(late.id) == []
    with centre.store.read() as uow:
        (note,) = (note for note, job_id in uow.live.changes().items() if job_id == late.id)
    assert note < max(before)
    in_step(centre, centre.lookout)
    assert schedule(centre.lookout, centre.epoch, centre.clock.now_ms()) == 1
    assert len(centre.attempts(late.id)) == 1


def test_notes_do_not_pile_up_while_nothing_starts(centre: Centre) -> None:
    centre.submit(spec(needs=resources(4, nodes=2), command="run forever"))
    centre.settle()
    for _ in range(3):
        with centre.store.write() as uow:
            uow.jobs.add_many(
                [(spec(needs=resources(4)), centre.population.projects["speech"])] * (NOTES_KEPT // 2), 1,
                centre.clock.now_ms(),
            )  # fmt: skip
        assert centre.schedule() == 0
    with centre.store.read() as uow:
        assert len(uow.live.changes()) < NOTES_KEPT
    in_step(centre, centre.lookout)


def test_a_leader_that_was_followed_trusts_its_mirror_no_more(centre: Centre) -> None:
    centre.schedule()
    old, lookout = centre.epoch, centre.lookout
    centre.restart()
    _, job = (centre.submit(spec(needs=resources(4, nodes=2))).id for _ in range(2))
    centre.schedule()
    with pytest.raises(StaleLeader):
        lookout.decide(old, centre.clock.now_ms())
    assert lookout.view(centre.clock.now_ms()).names == {job: "train"}, "it reads the database instead"


def test_a_look_that_fails_half_way_is_not_trusted(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    centre.schedule()
    job = centre.submit().id
    with monkeypatch.context() as broken:
        broken.setattr(Mirror, "_put_running", lambda self, found: (_ for _ in ()).throw(OSError("gone")))
        with pytest.raises(OSError, match="gone"):
            centre.schedule()
    assert centre.schedule() == 1
    assert len(centre.attempts(job)) == 1
    in_step(centre, centre.lookout)


def test_readers_are_told_of_what_changed_since_the_plan(centre: Centre) -> None:
    centre.submit(spec(needs=resources(4, nodes=2), command="run forever"))
    centre.settle()
    waiting = centre.submit(spec(needs=resources(4, nodes=2))).id
    centre.schedule()
    now_ms = centre.clock.now_ms()
    seen = centre.lookout.view(now_ms)
    assert centre.lookout.view(now_ms + FRESH_MS - 1).plan is seen.plan, "nothing changed: it is not planned again"
    assert centre.lookout.view(now_ms + FRESH_MS).plan is not seen.plan, "it is too old"
    another = centre.submit(spec(needs=resources(4, nodes=2))).id
    later = centre.lookout.view(now_ms)
    assert (later.plan.outlook.of(another), seen.plan.outlook.of(another)) != (None, None)
    assert seen.state.queue.jobs.keys() == {waiting}, "what a reader was given does not change"
    with centre.store.write() as uow:
        allocations.add_allocation(uow, "vision", [("wb-77", 10)], now_ms - 1, now_ms + 10**9, now_ms)
    assert centre.lookout.view(now_ms).plan is not later.plan, "money leaves no note, and counts"


def test_readers_and_the_leader_look_at_the_same_time(centre: Centre) -> None:
    """Threads that look while jobs are submitted, started and ended; every view is whole, and the mirror stays right."""
    failures: list[BaseException] = []
    over = threading.Event()

    def look() -> None:
        try:
            while not over.is_set():
                view = centre.lookout.view(centre.clock.now_ms())
                waiting = {line.job_id for line in view.plan.outlook} | {start.job_id for start in view.plan.starts}
                assert waiting == view.state.queue.jobs.keys() == view.names.keys()
        except BaseException as failure:  # noqa: BLE001 - told to the test, which runs in another thread
            failures.append(failure)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    rng = random.Random(7)
    try:
        for _ in range(25):
            centre.submit(
                spec(array=Array(0, rng.randint(0, 6)), command="run 10s", needs=resources(rng.randint(1, 4)))
            )
            centre.cycle()
            centre.clock.advance(seconds=rng.randint(0, 9))
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert failures == []
    in_step(centre, centre.lookout)
