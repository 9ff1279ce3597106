"""Promises 2, 3 and 4 over random histories: whatever people and clusters do, the audit finds nothing, at any moment."""

from collections import Counter
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.accounts import Quota
from domain.errors import BarayError
from domain.ids import TaskId
from domain.jobs import Array, AttemptState
from lifecycle import accounts, fleet
from tests.support.audit import audit
from tests.support.centre import STEPS, Centre
from tests.support.databases import SQLITE
from tests.support.factories import A100, CLUSTER, CPU, H100, resources, spec

# Each project's job submitter; the administrator may submit to all.
projects = st.sampled_from(["speech", "vision", "flood"])
commands = st.sampled_from(
    ["run 10s", "run 31s exit 1", "run 2m starts-after 3s", "run forever stops-after 7s", "run 90m"]
)
needs = st.builds(
    resources,
    st.integers(1, 4),
    st.sampled_from([H100, A100, (A100, H100)]),
    nodes=st.sampled_from([1, 1, 2]),
    cpus=st.sampled_from([1, 9, 20]),
    walltime=st.sampled_from(["1m", "1h", "70h"]),
)
cores = st.builds(resources, st.just(0), st.just(CPU), cpus=st.integers(1, 16), walltime=st.just("1h"))
arrays = st.none() | st.builds(
    Array, st.integers(0, 1), st.integers(2, 5), st.integers(1, 2), st.none() | st.integers(1, 2)
)
specs = st.builds(
    lambda project, needs, command, array, restartable, held: spec(
        project, needs=needs, command=command, array=array, restartable=restartable, held=held
    ),
    projects, needs | cores, commands, arrays, st.booleans(), st.sampled_from([False, False, False, True]),
)  # fmt: skip


@dataclass(frozen=True)
class Act:
    """Something that happens. ``pick`` chooses among the jobs or attempts that there are then."""

    what: str
    pick: int = 0
    detail: object = None


acts = st.one_of(
    st.builds(Act, st.just("submit"), st.just(0), specs),
    st.builds(Act, st.just("submit"), st.just(0), specs),
    st.builds(Act, st.just("pass"), st.integers(1, 3_000)),
    st.builds(Act, st.just("cycle")),
    st.builds(Act, st.sampled_from(STEPS)),
    st.builds(
        Act,
        st.sampled_from(["cancel", "hold", "release", "requeue"]),
        st.integers(0, 20),
        st.none() | st.integers(0, 5),
    ),
    st.builds(Act, st.sampled_from(["vanish", "restart", "away", "back"]), st.integers(0, 20)),
    st.builds(Act, st.just("fail_node"), st.integers(0, 2)),
    st.builds(Act, st.sampled_from(["quota", "drain", "open"]), st.integers(0, 8)),
)
histories = st.lists(acts, min_size=5, max_size=30)


def do(centre: Centre, act: Act) -> None:
    """What is refused is part of the history."""
    if act.what in STEPS:
        centre.step(act.what)
    elif act.what == "cycle":
        centre.cycle()
    elif act.what == "submit":
        centre.submit(act.detail, "admin")
    elif act.what == "pass":
        centre.clock.advance(seconds=act.pick)
    elif act.what == "restart":
        centre.restart()
    elif act.what in {"away", "back"}:
        centre.driver.away = act.what == "away"
    elif act.what == "fail_node":
        centre.driver.fail_node(f"n{act.pick + 1}")
    else:
        _administer(centre, act) if act.what in {"quota", "drain", "open"} else _to_a_job(centre, act)


def _to_a_job(centre: Centre, act: Act) -> None:
    ids = [row.id for row in centre.database.rows("SELECT id FROM job ORDER BY id")]
    if not ids:
        return
    job = ids[act.pick % len(ids)]
    if act.what == "vanish":
        for attempt in centre.attempts(job)[-1:]:
            centre.driver.vanish(attempt.id)
        return
    index = act.detail if centre.job(job).is_array else None
    centre.control(act.what, TaskId(job, index))


def _administer(centre: Centre, act: Act) -> None:
    """A quota is never set below what is held: lowering it then starts nothing more, which has a test of its own."""
    with centre.store.write() as uow:
        if act.what == "quota":
            tenant = uow.directory().by_name["cadt"]
            held = uow.accounts.held().get((tenant.id, H100), 0)
            accounts.put_quota(uow, tenant, H100, Quota(max(held, act.pick * 1_000), 0), None)
        else:
            fleet.set_cluster_state(uow, CLUSTER, "draining" if act.what == "drain" else "active", None)


def live_through(centre: Centre, history: list[Act]) -> None:
    centre.refound()
    for act in history:
        try:
            do(centre, act)
        except BarayError:
            continue
        finally:
            complaints = audit(centre.database, centre.store)
            assert not complaints, (act, complaints)
    assert not centre.driver.violations
    _end(centre)


def _end(centre: Centre) -> None:
    """With everything released and open again, everything comes to an end, and all is still sound."""
    do(centre, Act("back"))
    do(centre, Act("open"))
    for row in centre.database.rows("SELECT id FROM job WHERE held AND ended_ms IS NULL"):
        if not centre.job(row.id).cancelled:
            centre.control("release", row.id)
    with centre.store.write() as uow:
        uow.accounts.delete_quota(uow.directory().by_name["cadt"].id, H100)
    centre.run()
    left = centre.database.rows("SELECT id, state FROM job WHERE ended_ms IS NULL AND active > 0")
    assert not left, f"{left} never end"
    assert not centre.driver.violations
    assert set(centre.driver.runs.values()) <= {1}
    assert not audit(centre.database, centre.store)


def search(centre: Centre, examples: int) -> Counter[str]:
    """Live through so many histories. Answers how attempts ended in them, and how often."""
    ends: Counter[str] = Counter()

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(histories)
    def one(history: list[Act]) -> None:
        live_through(centre, history)
        ends.update(row.state for row in centre.database.rows("SELECT state FROM attempt"))

    one()
    return ends


@pytest.mark.promise(2)
@pytest.mark.promise(3)
@pytest.mark.promise(4)
def test_a_history_leaves_a_sound_centre_at_every_moment(centre: Centre) -> None:
    examples = 25 if centre.database.kind == SQLITE else 12
    ends = search(centre, examples)
    assert sum(ends.values()) > examples, "histories in which nothing happens prove nothing"


@pytest.mark.slow
@pytest.mark.promise(2)
@pytest.mark.promise(3)
@pytest.mark.promise(4)
def test_many_histories_leave_a_sound_centre_at_every_moment(centre: Centre) -> None:
    ends = search(centre, 400)
    # A search seldom cancels just what runs; ``test_control`` does so on purpose.
    met = {state.value for state in AttemptState if state.final} - {AttemptState.CANCELLED.value}
    assert ends.keys() >= met, "every other end was met"
