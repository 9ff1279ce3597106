"""Gates hold jobs and let them go: by people's words and by the clock, beside a person's own hold."""

from dataclasses import replace

import pytest

from domain.accounts import AccountState
from domain.errors import Conflict, Invalid, NotFound, Refused, StaleLeader
from domain.jobs import Array, JobState
from lifecycle import accounts, gates
from lifecycle.explain import explain
from lifecycle.gates import Gatekeeper
from lifecycle.submit import dry_run, submit_many
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import resources, spec


def require(centre: Centre, gate: str = "terms-accepted", account: str = "centre", **given: object) -> int:
    caller = centre.caller("admin")
    with centre.store.write() as uow:
        return gates.require(uow, caller, gate, account, "a test", centre.clock.now_ms(), **given).rule.id


def drop(centre: Centre, rule: int) -> None:
    with centre.store.write() as uow:
        gates.drop(uow, gates.rule_numbered(uow, rule), centre.clock.now_ms())


def set_terms(centre: Centre, version: str, from_ms: int | None = None) -> None:
    caller = centre.caller("admin")
    with centre.store.write() as uow:
        gates.set_terms(uow, caller, version, "Terms of use", "Be fair.", None, centre.clock.now_ms(), from_ms)


def accept(centre: Centre, version: str, user: str = "dara") -> None:
    caller = centre.caller(user)
    with centre.store.write() as uow:
        gates.accept(uow, caller, version, centre.clock.now_ms())
    centre.clock.advance(seconds=1)


def set_state(centre: Centre, account: str, state: AccountState) -> None:
    with centre.store.write() as uow:
        accounts.change(uow, uow.directory().by_name[account], None, state=state)


def why(centre: Centre, job: int) -> list[str]:
    with centre.store.read() as uow:
        return [one.message for one in explain(uow, centre.lookout, centre.job(job), centre.clock.now_ms()).reasons]


def states(centre: Centre, *jobs: int) -> list[JobState]:
    return [centre.job(job).state for job in jobs]


@pytest.mark.promise(8)
def test_a_job_behind_a_gate_is_accepted_and_held_until_it_opens(centre: Centre) -> None:
    require(centre)
    set_terms(centre, "2026-10")
    job = centre.submit()
    assert (job.state, job.held, job.closed_gates) == (JobState.HELD, False, ("terms-accepted",))
    centre.run(minutes=1)
    assert states(centre, job.id) == [JobState.HELD]
    told = "held by gate terms-accepted: accept the terms of use 2026-10: baray terms accept"
    assert why(centre, job.id) == [told]
    assert_sound(centre.database, centre.store)
    accept(centre, "2026-10", "sok")  # another's word opens nothing
    centre.settle()
    assert states(centre, job.id) == [JobState.HELD]
    accept(centre, "2026-10")
    centre.run()
    assert states(centre, job.id) == [JobState.SUCCEEDED]
    assert centre.job(job.id).closed_gates == ()
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(8)
def test_no_person_opens_a_gate_by_a_release(centre: Centre) -> None:
    """A person's hold and a gate's are two facts; both must go."""
    require(centre)
    set_terms(centre, "v1")
    gated, both = centre.submit().id, centre.submit(spec(held=True)).id
    with pytest.raises(Conflict, match="held by gate terms-accepted") as refused:
        centre.control("release", gated)
    assert (refused.value.code, refused.value.fixes) == ("held-by-gate", ("baray terms accept",))
    assert why(centre, both) == ["held by a person", why(centre, gated)[0]]
    released = centre.control("release", both)
    assert (released.state, released.held, released.closed_gates) == (JobState.HELD, False, ("terms-accepted",))
    centre.control("hold", both)
    accept(centre, "v1")
    centre.run()
    assert states(centre, gated, both) == [JobState.SUCCEEDED, JobState.HELD]
    assert why(centre, both) == ["held by a person"]
    centre.control("release", both)
    centre.run()
    assert states(centre, both) == [JobState.SUCCEEDED]
    assert_sound(centre.database, centre.store)


def test_a_release_sees_a_gate_that_closed_while_a_person_held_the_job(centre: Centre) -> None:
    job = centre.submit(spec(held=True)).id
    require(centre, "ethics-decision", "cadt", ask="the ethics office")
    centre.settle()
    assert centre.job(job).closed_gates == (), "nobody looks at it while it is held"
    released = centre.control("release", job)
    assert (released.state, released.closed_gates) == (JobState.HELD, ("ethics-decision",))
    assert why(centre, job) == [
        "held by gate ethics-decision: nothing is on record for ethics-decision: ask the ethics office"
    ]
    assert_sound(centre.database, centre.store)


def test_a_release_goes_by_the_gates_as_they_are_now(centre: Centre) -> None:
    rule = require(centre, "training-passed", "speech")
    job = centre.submit().id
    drop(centre, rule)
    assert "has just opened" in why(centre, job)[0]
    assert centre.control("release", job).state is JobState.PENDING, "the beat has not yet come to it"
    centre.run()
    assert states(centre, job) == [JobState.SUCCEEDED]


def test_what_waits_is_held_when_a_gate_closes_and_what_runs_goes_on(centre: Centre) -> None:
    running = centre.submit(spec(needs=resources(4, nodes=2), command="run 10m")).id
    centre.settle()
    waiting = centre.submit(spec(needs=resources(4))).id
    array = centre.submit(spec(array=Array(0, 9), needs=resources(1, "a100-40gb"), command="run 5m")).id
    elsewhere = centre.submit(spec("flood", needs=resources(4)), "rith").id
    centre.settle()
    set_state(centre, "cadt", AccountState.SUSPENDED)
    centre.settle()
    assert states(centre, running, waiting, array, elsewhere) == [
        JobState.RUNNING, JobState.HELD, JobState.RUNNING, JobState.PENDING,
    ]  # fmt: skip
    assert why(centre, waiting) == ["held by gate project-active: tenant cadt is suspended: ask a centre administrator"]
    assert_sound(centre.database, centre.store)
    centre.run(minutes=20)
    assert states(centre, running, waiting, array, elsewhere) == [
        JobState.SUCCEEDED, JobState.HELD, JobState.HELD, JobState.SUCCEEDED,
    ]  # fmt: skip
    assert len(centre.attempts(array)) == 2
    assert_sound(centre.database, centre.store)
    set_state(centre, "cadt", AccountState.ACTIVE)
    centre.run()
    assert states(centre, waiting, array) == [JobState.SUCCEEDED, JobState.SUCCEEDED]
    assert_sound(centre.database, centre.store)


def test_a_restartable_job_that_comes_back_behind_a_closed_gate_is_not_started_again(centre: Centre) -> None:
    job = centre.submit(spec(restartable=True, command="run 10m")).id
    centre.settle()
    set_state(centre, "speech", AccountState.SUSPENDED)
    centre.settle()
    assert states(centre, job) == [JobState.RUNNING]
    centre.control("requeue", job)
    centre.run(seconds=20)
    assert states(centre, job) == [JobState.HELD]
    assert len(centre.attempts(job)) == 1
    assert_sound(centre.database, centre.store)


def test_a_job_that_raced_with_a_gate_is_held_at_its_start(centre: Centre) -> None:
    """It was pending when the gate closed, and the beat had looked just before: the committing transaction finds it."""
    centre.settle()
    require(centre, "ethics-decision", "speech")
    centre.gates()
    with centre.store.write() as uow:
        job = uow.jobs.add(spec(), centre.population.projects["speech"], 1, centre.clock.now_ms())
    centre.schedule()
    assert (states(centre, job.id), centre.attempts(job.id)) == ([JobState.HELD], [])
    assert_sound(centre.database, centre.store)


def test_new_terms_end_an_acceptance_when_they_begin(centre: Centre) -> None:
    require(centre)
    set_terms(centre, "v1")
    accept(centre, "v1")
    begins = centre.clock.now_ms() + 60_000
    set_terms(centre, "v2", begins)
    blocked = [centre.submit(spec(needs=resources(4, nodes=2), command="run 50s")).id for _ in range(3)]
    centre.run(seconds=61)
    assert states(centre, *blocked) == [JobState.SUCCEEDED, JobState.RUNNING, JobState.HELD]
    assert "accept the terms of use v2" in why(centre, blocked[2])[0]
    with pytest.raises(Conflict, match="no longer in force"):
        accept(centre, "v1")
    accept(centre, "v2")
    centre.run()
    assert states(centre, *blocked) == [JobState.SUCCEEDED] * 3
    assert_sound(centre.database, centre.store)


def test_terms_may_be_accepted_before_they_begin(centre: Centre) -> None:
    require(centre)
    set_terms(centre, "v1")
    set_terms(centre, "v2", centre.clock.now_ms() + 60_000)
    accept(centre, "v1")
    accept(centre, "v2")
    accept(centre, "v2")
    centre.clock.advance(minutes=2)
    assert centre.submit().state is JobState.PENDING


def test_rules_are_dated(centre: Centre) -> None:
    begins = centre.clock.now_ms() + 60_000
    require(centre, "training-passed", "cadt", from_ms=begins, until_ms=begins + 60_000)
    before = centre.submit(spec(needs=resources(4, nodes=2), command="run 70s")).id
    second = centre.submit(spec(needs=resources(4, nodes=2), command="run 1s")).id
    centre.run(seconds=75)
    assert states(centre, before, second) == [JobState.SUCCEEDED, JobState.HELD]
    centre.clock.advance(seconds=60)
    centre.run()
    assert states(centre, second) == [JobState.SUCCEEDED]


def test_dropping_a_rule_lets_its_jobs_go_and_keeps_it_on_record(centre: Centre) -> None:
    rule = require(centre, "ethics-decision")
    job = centre.submit().id
    drop(centre, rule)
    centre.run()
    assert states(centre, job) == [JobState.SUCCEEDED]
    with centre.store.read() as uow:
        (record,) = uow.gates.rules()
    assert (record.rule.id, record.rule.until_ms is not None, record.reason) == (rule, True, "a test")
    with pytest.raises(Conflict, match="over already"):
        drop(centre, rule)


def test_a_batch_and_a_dry_run_see_the_gates(centre: Centre) -> None:
    require(centre)
    set_terms(centre, "v1")
    caller = centre.caller()
    with centre.store.write() as uow:
        ids = submit_many(uow, caller, [spec(), spec("speech", held=True)], centre.clock.now_ms())
    assert states(centre, *ids) == [JobState.HELD, JobState.HELD]
    with centre.store.read() as uow:
        forecast = dry_run(uow, centre.lookout, caller, spec(), centre.clock.now_ms())
    assert (forecast.starts_now, [gate.code for gate in forecast.gates]) == (False, ["gate"])
    assert_sound(centre.database, centre.store)


def test_a_held_job_can_be_cancelled_and_its_dependants_are_told(centre: Centre) -> None:
    rule = require(centre, "ethics-decision")
    job = centre.submit().id
    after = centre.submit(replace(spec(), name="after")).id
    centre.control("cancel", job)
    drop(centre, rule)
    centre.run()
    assert states(centre, job, after) == [JobState.CANCELLED, JobState.SUCCEEDED]
    assert_sound(centre.database, centre.store)


def test_only_the_leader_moves_jobs(centre: Centre) -> None:
    rule = require(centre, "ethics-decision")
    job = centre.submit().id
    drop(centre, rule)
    with centre.store.write() as uow:
        uow.leader.take("another", centre.clock.now_ms(), 0, alone=True)
    with pytest.raises(StaleLeader):
        centre.gates()
    assert states(centre, job) == [JobState.HELD]


def test_the_step_does_nothing_twice(centre: Centre) -> None:
    require(centre, "ethics-decision", "speech")
    for _ in range(3):
        centre.submit()
    rest = [centre.submit(spec("vision"), "kosal").id]
    assert centre.gates() == 0
    centre.clock.advance(minutes=1)
    assert centre.gates() == 0
    require(centre, "ethics-decision", "vision")
    assert centre.gates() == 1
    assert centre.gates() == 0
    assert states(centre, *rest) == [JobState.HELD]


def test_a_suspended_account_holds_and_a_closed_one_refuses(centre: Centre) -> None:
    set_state(centre, "speech", AccountState.SUSPENDED)
    assert centre.submit().closed_gates == ("project-active",)
    set_state(centre, "flood", AccountState.CLOSED)
    with pytest.raises(Refused, match="project flood is closed"):
        centre.submit(spec("flood"), "rith")


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"gate": "open-sesame"}, "there is no gate 'open-sesame'"),
        ({"from_ms": 1}, "cannot begin in the past"),
        ({"from_ms": 2**52}, "in more than ten years"),
        ({"until_ms": 5}, "would end before it begins"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(centre: Centre, given: dict, wrong: str) -> None:
    with pytest.raises(Invalid, match=wrong):
        require(centre, **given)
    with pytest.raises(NotFound, match="no account 'nowhere'"):
        require(centre, account="nowhere")
    with centre.store.read() as uow:
        assert uow.gates.rules() == []


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"version": "a b"}, "is no name"),
        ({"text": " "}, "have no text"),
        ({"text": "x" * 70_000}, "is too long"),
        ({"url": "ftp://x"}, "is no address"),
        ({"from_ms": 1}, "cannot begin in the past"),
    ],
)
def test_terms_that_make_no_sense_are_refused(centre: Centre, given: dict, wrong: str) -> None:
    caller, now_ms = centre.caller("admin"), centre.clock.now_ms()
    terms = {"version": "v1", "title": "Terms", "text": "Be fair.", "url": None, "now_ms": now_ms} | given
    with pytest.raises(Invalid, match=wrong), centre.store.write() as uow:
        gates.set_terms(uow, caller, **terms)


def test_terms_are_named_once_and_only_those_that_exist_are_accepted(centre: Centre) -> None:
    set_terms(centre, "v1")
    with pytest.raises(Conflict, match="terms 'v1' already"):
        set_terms(centre, "v1")
    with pytest.raises(NotFound, match="no terms 'v9'"):
        accept(centre, "v9")


def test_each_user_is_looked_up_once(centre: Centre) -> None:
    require(centre)
    with centre.store.read() as uow:
        keeper = Gatekeeper(uow, centre.clock.now_ms())
        first = keeper.closed(centre.population.projects["speech"], 1)
        assert keeper.closed(centre.population.projects["speech"], 1) is first
