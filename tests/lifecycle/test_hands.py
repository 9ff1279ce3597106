"""What goes out to clusters: side by side to one far away, none waiting for a slow one, and nothing once the lease is over."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from domain.errors import Unavailable
from domain.ids import AttemptId, TaskId
from domain.jobs import AttemptState, JobState, Launch
from domain.quantities import HOUR_MS
from lifecycle.dispatch import dispatch, stop
from lifecycle.extend import extend, tell
from lifecycle.hands import Deed, Hands
from lifecycle.observe import observe
from tests.contracts.driver_contract import until
from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.far import far

FAR = frozenset({"far", "slow"})


def attempt(number: int) -> AttemptId:
    return AttemptId(number, None, 1)


def deed(number: int, call: Callable[[], object], cluster: str = "far") -> Deed:
    return Deed(cluster, "start", attempt(number), lambda: call() and None, frozenset({attempt(number)}))


@contextmanager
def opened(width: int = 4, **more: Callable) -> Iterator[Hands]:
    hands = Hands(width, **more)
    try:
        yield hands
    finally:
        hands.close()


def test_calls_to_a_far_cluster_are_out_at_the_same_time() -> None:
    together = threading.Barrier(4, timeout=10)
    with opened() as hands:
        hands.do([deed(number, together.wait) for number in range(8)], FAR)
        until(lambda: not hands.underway("start"))
        assert hands.done("start") == {attempt(number) for number in range(8)}
        assert hands.done("start") == frozenset(), "told once"


@pytest.mark.promise(9)
def test_a_slow_cluster_keeps_nobody_waiting_and_is_not_asked_twice() -> None:
    free, asked, woken = threading.Event(), [], threading.Event()

    def slow() -> None:
        asked.append(1)
        free.wait(10)

    with opened(wake=woken.set) as hands:
        deeds = [deed(1, slow, "slow"), deed(2, list), deed(3, list, "near")]
        hands.do(deeds, FAR)
        assert attempt(3) in hands.done("start")
        assert hands.underway("start") == hands.arriving() == {attempt(1)}
        hands.do(deeds[:1], FAR)
        woken.clear()
        free.set()
        assert woken.wait(10)
        assert hands.done("start") >= {attempt(1)}
        assert asked == [1]
        assert hands.arriving() == frozenset()


@pytest.mark.promise(2)
@pytest.mark.parametrize("cluster", ["far", "near"])
def test_nothing_goes_out_once_the_lease_is_over(cluster: str) -> None:
    leads, said = [True], []

    def says(number: int) -> None:
        said.append(number)
        leads[0] = False

    with opened(width=1, leads=lambda: leads[0]) as hands:
        hands.do([deed(number, lambda number=number: says(number), cluster) for number in range(3)], FAR)
        until(lambda: not hands.underway("start"))
        assert said == [0]
        assert hands.done("start") == {attempt(0)}


def test_a_cluster_that_takes_nothing_is_left_alone_for_a_moment() -> None:
    asked = []

    def away() -> None:
        asked.append(1)
        raise Unavailable("it does not answer")

    with opened(width=1) as hands:
        hands.do([deed(number, away) for number in range(50)], FAR)
        until(lambda: not hands.underway("start"))
        assert asked == [1]
        assert hands.done("start") == frozenset()


@pytest.mark.parametrize("cluster", ["far", "near"])
def test_a_call_that_fails_keeps_no_other_from_being_made(cluster: str) -> None:
    def broken() -> None:
        raise ValueError("nobody foresaw this")

    with opened() as hands:
        hands.do([deed(1, broken, cluster), deed(2, list, cluster)], FAR)
        until(lambda: not hands.underway("start"))
        assert hands.done("start") == {attempt(2)}


@pytest.mark.promise(2)
def test_a_start_that_is_out_is_neither_vanished_nor_told_to_stop(centre: Centre) -> None:
    """Its job is cancelled meanwhile, and the cluster shows nothing of it: that proves nothing yet."""
    cluster = far(centre)
    job = centre.submit(spec(command="run 1h")).id
    centre.schedule()
    free, start, told = threading.Event(), cluster.start, dict[int, int]()

    class Slow:
        def start(self, launch: Launch) -> None:
            free.wait(10)
            start(launch)

        def __getattr__(self, name: str):
            return getattr(cluster, name)

    drivers = {"sim": Slow()}
    with opened() as hands:
        assert dispatch(centre.store, drivers, centre.vault, centre.epoch, hands) == 0
        centre.control("cancel", job)
        now_ms = centre.clock.now_ms()
        observe(centre.store, drivers, centre.epoch, now_ms, hands=hands)
        stop(centre.store, drivers, told, now_ms, hands)
        assert centre.attempt(job).state is AttemptState.STOPPING
        assert (cluster.stopped, told) == ([], {})
        free.set()
        until(lambda: not hands.arriving())
        stop(centre.store, drivers, told, now_ms, hands)
        until(lambda: cluster.stopped)
        observe(centre.store, drivers, centre.epoch, now_ms, hands=hands)
    assert centre.job(job).state is JobState.CANCELLED


@pytest.mark.promise(9)
def test_a_slow_cluster_holds_up_nobody_with_an_extension_and_what_it_took_is_noted(centre: Centre) -> None:
    """It is extended once more while the first extension is out: it has taken the first, and is told of the second."""
    cluster = far(centre)
    job = centre.submit(spec(command="run 2h")).id
    centre.settle()
    free, extend, taken = threading.Event(), cluster.extend, dict[int, int]()

    class Slow:
        def extend(self, attempt: AttemptId, walltime_ms: int) -> None:
            free.wait(10)
            extend(attempt, walltime_ms)

        def __getattr__(self, name: str):
            return getattr(cluster, name)

    drivers = {"sim": Slow()}

    def tells(hands: Hands) -> int:
        return tell(centre.store, drivers, centre.epoch, hands, taken)

    with opened() as hands:
        _extend(centre, job)
        assert tells(hands) == 0
        _extend(centre, job)
        assert tells(hands) == 0
        free.set()
        until(lambda: not hands.underway("extend"))
        assert tells(hands) == 1, "what it took first is noted, and it is told again"
        until(lambda: tells(hands) == 0 and not hands.underway("extend"))
        assert cluster.extensions[centre.attempt(job).id] == 2
        assert centre.attempt(job).enforced_ms == centre.attempt(job).walltime_ms


def _extend(centre: Centre, job: int) -> None:
    with centre.store.write() as uow:
        extend(uow, TaskId(job), centre.clock.now_ms(), by_ms=HOUR_MS)
