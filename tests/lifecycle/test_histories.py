"""Promises 2, 3 and 4 over random histories: whatever people and clusters do, the audit finds nothing, at any moment."""

import random
from collections import Counter
from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.accounts import Quota
from domain.errors import BarayError
from domain.ids import TaskId
from domain.jobs import Array, AttemptState, Dependency, DependencyKind, JobSpec
from lifecycle import accounts, fleet
from tests.support.audit import audit
from tests.support.centre import STEPS, Centre
from tests.support.databases import SQLITE
from tests.support.factories import A100, CLUSTER, CPU, H100, resources, spec

COMMANDS = (
    "run 10s",
    "run 31s exit 1",
    "run 2m starts-after 3s",
    "run forever stops-after 7s",
    "run 90m",
    "run 50s stops-after 9s",
)
CONTROLS = ("cancel", "hold", "release", "requeue")


@dataclass(frozen=True)
class Act:
    """Something that happens. ``pick`` chooses among the jobs or attempts that there are then."""

    what: str
    pick: int = 0
    detail: object = None


def some_spec(rng: random.Random) -> JobSpec:
    """Small and large, short and long, single and many."""
    if rng.random() < 0.15:
        needs = resources(0, CPU, cpus=rng.randint(1, 16))
    else:
        needs = resources(
            rng.randint(1, 4),
            rng.choice([H100, H100, A100, (A100, H100)]),
            nodes=rng.choice([1, 1, 1, 2]),
            cpus=rng.choice([1, 1, 9, 20]),
            walltime=rng.choice(["1m", "1h", "1h", "70h"]),
        )
    first = rng.randint(0, 1)
    array = Array(first, rng.randint(2, 5), rng.randint(1, 2), rng.choice([None, 1, 2]))
    return spec(
        rng.choice(["speech", "vision", "flood"]),
        needs=needs,
        command=rng.choice(COMMANDS),
        array=array if rng.random() < 0.35 else None,
        restartable=rng.random() < 0.5,
        held=rng.random() < 0.1,
    )


def some_act(rng: random.Random) -> Act:
    """Mostly work; at times people, and now and then misfortune."""
    kind = rng.choices(
        ["submit", "pass", "cycle", "step", "people", "cluster", "process", "rules"], [6, 4, 6, 4, 5, 2, 2, 2]
    )[0]
    if kind == "submit":
        return Act("submit", rng.randint(0, 40), some_spec(rng))
    if kind == "pass":
        return Act("pass", rng.choice([1, 9, 40, 70, 300, 3_000]))
    if kind == "people":
        return Act(rng.choice(CONTROLS), rng.randint(0, 20), rng.choice([None, None, 0, 1, 2, 5]))
    what = {
        "cycle": ("cycle",),
        "step": STEPS,
        "cluster": ("vanish", "fail_node"),
        "process": ("restart", "away", "back"),
        "rules": ("quota", "drain", "open", "open"),
    }[kind]
    return Act(rng.choice(what), rng.randint(0, 8))


def some_history(seed: bytes) -> list[Act]:
    rng = random.Random(seed)
    return [some_act(rng) for _ in range(rng.randint(8, 40))]


# The seeds are Hypothesis'; the histories are even, since its own choices cling to the small and the same.
histories = st.binary(min_size=8, max_size=8).map(some_history)


def do(centre: Centre, act: Act) -> None:
    """What is refused is part of the history."""
    if act.what in STEPS:
        centre.step(act.what)
    elif act.what == "cycle":
        centre.cycle()
    elif act.what == "submit":
        centre.submit(_behind(centre, act), "admin")
    elif act.what == "pass":
        centre.clock.advance(seconds=act.pick)
    elif act.what == "restart":
        centre.restart()
    elif act.what in {"away", "back"}:
        centre.driver.away = act.what == "away"
    elif act.what == "fail_node":
        centre.driver.fail_node(f"n{act.pick % 3 + 1}")
    else:
        _administer(centre, act) if act.what in {"quota", "drain", "open"} else _to_a_job(centre, act)


def _behind(centre: Centre, act: Act) -> JobSpec:
    """Every other job waits for one or two of those that there are."""
    assert isinstance(act.detail, JobSpec)
    ids = [row.id for row in centre.database.rows("SELECT id FROM job ORDER BY id")]
    kinds = list(DependencyKind)
    after = [
        Dependency(kinds[(act.pick + n) % 4], ids[(act.pick * 7 + n) % len(ids)]) for n in range(act.pick % 3) if ids
    ]
    alone = Dependency(DependencyKind.SINGLETON)
    return replace(act.detail, after=tuple({alone if one.kind is alone.kind else one: None for one in after}))


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
            accounts.put_quota(uow, tenant, H100, Quota(max(held, act.pick * 1_000), 0), None, overcommit=True)
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
    ends = search(centre, 12 if centre.database.kind == SQLITE else 5)
    assert len(ends) >= 5, f"histories in which little happens prove little: {ends}"


@pytest.mark.slow
@pytest.mark.promise(2)
@pytest.mark.promise(3)
@pytest.mark.promise(4)
def test_many_histories_leave_a_sound_centre_at_every_moment(centre: Centre) -> None:
    ends = search(centre, 100 if centre.database.kind == SQLITE else 40)
    # A search seldom cancels just what runs; ``test_control`` does so on purpose.
    met = {state.value for state in AttemptState if state.final} - {AttemptState.CANCELLED.value}
    assert ends.keys() >= met, "every other end was met"
