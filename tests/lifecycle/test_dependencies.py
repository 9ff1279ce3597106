"""Jobs that wait for others: opened, or failed, by the transaction that ends what they wait for, and only then."""

import threading
from dataclasses import replace
from itertools import pairwise

import pytest

from domain.dependencies import parse_dependency
from domain.ids import TaskId
from domain.jobs import Array, JobSpec, JobState
from domain.records import Job
from lifecycle import control
from lifecycle.submit import submit
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.mortal import Died

MINUTE = 60_000


def waiting(*after: str, **given: object) -> JobSpec:
    return replace(spec(**given), after=tuple(map(parse_dependency, after)))


def outcome(centre: Centre, job: int) -> str:
    return centre.job(job).state.value


class TestOneOther:
    @pytest.mark.parametrize(
        ("command", "kind", "expected"),
        [
            ("run 1m", "ok", "succeeded"),
            ("run 1m", "failed", "failed"),
            ("run 1m", "any", "succeeded"),
            ("run 1m exit 3", "ok", "failed"),
            ("run 1m exit 3", "failed", "succeeded"),
            ("run 1m exit 3", "any", "succeeded"),
            ("run forever", "ok", "failed"),  # until its walltime is over
            ("run forever", "failed", "succeeded"),
        ],
    )
    def test_each_kind_of_end_opens_or_fails(self, centre: Centre, command: str, kind: str, expected: str) -> None:
        first = centre.submit(spec(command=command)).id
        then = centre.submit(waiting(f"{kind}:{first}"))
        assert (then.state, then.gate) == (JobState.PENDING, (f"{kind}:{first}",))
        centre.run(seconds=59)
        assert centre.attempts(then.id) == []
        assert centre.job(then.id).gate == (f"{kind}:{first}",)
        centre.run()
        assert outcome(centre, then.id) == expected
        if expected == "failed":
            ended = centre.job(then.id)
            assert (
                ended.reason
                == f"dependency {kind}:{first} can never be met: job {first} ended {outcome(centre, first)}"
            )
            assert (ended.started_ms, ended.ended_ms) == (None, centre.job(first).ended_ms)
            assert centre.attempts(then.id) == []
        else:
            assert centre.attempts(then.id)[0].created_ms >= (centre.job(first).ended_ms or 0)
        assert_sound(centre.database, centre.store)

    @pytest.mark.parametrize(("kind", "expected"), [("ok", "failed"), ("failed", "pending"), ("any", "pending")])
    def test_cancelling_what_waits_or_runs_counts_as_its_failure(
        self, centre: Centre, kind: str, expected: str
    ) -> None:
        first = centre.submit(spec(held=True)).id
        then = centre.submit(waiting(f"{kind}:{first}")).id
        centre.control("cancel", first)
        assert (outcome(centre, then), centre.job(then).gate) == (expected, ("ok:1",) if kind == "ok" else ())
        running = centre.submit(spec(command="run 1h stops-after 5s")).id
        behind = centre.submit(waiting(f"{kind}:{running}")).id
        centre.settle()
        centre.control("cancel", running)
        centre.settle()
        assert outcome(centre, behind) == "pending", "it was told to stop, and has not ended"
        centre.run(seconds=6)
        assert outcome(centre, behind) == ("failed" if expected == "failed" else "running")

    def test_a_requeued_job_has_not_ended(self, centre: Centre) -> None:
        first = centre.submit(spec(command="run 1m stops-after 5s")).id
        then = centre.submit(waiting(f"any:{first}")).id
        centre.settle()
        centre.control("requeue", first)
        centre.run(seconds=30)
        assert [a.state.value for a in centre.attempts(first)] == ["preempted", "running"]
        assert outcome(centre, then) == "pending"
        centre.run()
        assert outcome(centre, then) == "succeeded"

    def test_a_held_job_stays_held_when_its_gate_opens_and_fails_when_it_never_can(self, centre: Centre) -> None:
        good, bad = centre.submit(spec()).id, centre.submit(spec(command="run 1m exit 1")).id
        held = [centre.submit(waiting(f"ok:{job}", held=True)).id for job in (good, bad)]
        later = centre.submit(waiting(f"ok:{good}")).id
        centre.control("hold", later)
        centre.run()
        assert [outcome(centre, job) for job in (*held, later)] == ["held", "failed", "held"]
        assert centre.job(held[0]).gate == centre.job(later).gate == ()
        centre.control("release", held[0])
        centre.control("release", later)
        centre.run()
        assert [outcome(centre, job) for job in (held[0], later)] == ["succeeded", "succeeded"]

    def test_a_job_that_is_over_is_let_be_by_what_it_waited_for(self, centre: Centre) -> None:
        first = centre.submit(spec(command="run 1m exit 1")).id
        then = centre.submit(waiting(f"ok:{first}")).id
        centre.control("cancel", then)
        before = centre.job(then)
        centre.run()
        assert centre.job(then) == before
        assert before.state is JobState.CANCELLED


class TestArrays:
    def test_an_array_has_succeeded_when_all_its_tasks_have(self, centre: Centre) -> None:
        array = centre.submit(spec(array=Array(0, 3, 1, 2), command="run 1m")).id
        whole, third, last = (centre.submit(waiting(f"ok:{name}")).id for name in (array, f"{array}_2", f"{array}_3"))
        centre.run(seconds=61)
        assert [outcome(centre, job) for job in (whole, third, last)] == ["pending"] * 3
        centre.run()
        ends = {task.index: task.ended_ms for task in centre.tasks(array)}
        assert [outcome(centre, job) for job in (whole, third, last)] == ["succeeded"] * 3
        assert all(
            centre.attempt(job).created_ms >= (ended or 0)
            for job, ended in ((whole, max(ends.values())), (third, ends[2]), (last, ends[3]))
        )

    def test_a_task_opens_its_own_dependents_while_others_run(self, centre: Centre) -> None:
        array = centre.submit(spec(array=Array(0, 1, 1, 1), command="run 1m")).id
        first, second = (centre.submit(waiting(f"ok:{array}_{index}")).id for index in (0, 1))
        centre.run(seconds=65)
        assert (outcome(centre, array), outcome(centre, first), outcome(centre, second)) == (
            "running", "running", "pending",
        )  # fmt: skip

    def test_tasks_that_never_began_end_with_their_array(self, centre: Centre) -> None:
        array = centre.submit(spec(array=Array(0, 9), held=True)).id
        behind = [centre.submit(waiting(f"{kind}:{array}_7")).id for kind in ("ok", "failed")]
        centre.control("cancel", array)
        assert [outcome(centre, job) for job in behind] == ["failed", "pending"]

    @pytest.mark.parametrize("touched", [False, True])
    def test_a_waiting_array_fails_as_a_whole(self, centre: Centre, *, touched: bool) -> None:
        first = centre.submit(spec(command="run 1m exit 1")).id
        array = centre.submit(waiting(f"ok:{first}", array=Array(0, 9))).id
        if touched:
            centre.control("cancel", TaskId(array, 3))
        centre.run()
        ended = centre.job(array)
        assert (ended.state, ended.started_ms) == (JobState.FAILED, None)
        assert ended.reason == f"dependency ok:{first} can never be met: job {first} ended failed"
        states = [task.state.value for task in centre.tasks(array)]
        assert states == (["failed"] * 3 + ["cancelled"] if touched else [])
        assert_sound(centre.database, centre.store)

    def test_a_waiting_array_runs_once_its_gate_opens(self, centre: Centre) -> None:
        first = centre.submit(spec()).id
        array = centre.submit(waiting(f"ok:{first}", array=Array(0, 3, 1, 2))).id
        centre.control("cancel", TaskId(array, 0))
        centre.run()
        assert [task.state.value for task in centre.tasks(array)] == ["cancelled"] + ["succeeded"] * 3


class TestGraphs:
    def test_a_chain_fails_to_its_end_in_one_transaction(self, centre: Centre) -> None:
        chain = [centre.submit(spec(command="run 1m exit 1")).id]
        for _ in range(30):
            chain.append(centre.submit(waiting(f"ok:{chain[-1]}")).id)
        tail = centre.submit(waiting(f"failed:{chain[-1]}")).id
        centre.run(seconds=60)
        ends = {centre.job(job).ended_ms for job in chain}
        assert [outcome(centre, job) for job in chain] == ["failed"] * 31
        assert len(ends) == 1
        assert (
            centre.job(chain[-1]).reason == f"dependency ok:{chain[-2]} can never be met: job {chain[-2]} ended failed"
        )
        centre.run()
        assert outcome(centre, tail) == "succeeded"

    def test_a_diamond_waits_for_both_its_sides(self, centre: Centre) -> None:
        top = centre.submit(spec(command="run 1m")).id
        sides = [centre.submit(waiting(f"ok:{top}", command=f"run {n}m")).id for n in (1, 3)]
        bottom = centre.submit(waiting(*(f"ok:{side}" for side in sides))).id
        centre.run(seconds=130)
        assert centre.job(bottom).gate == (f"ok:{sides[1]}",)
        centre.run()
        assert outcome(centre, bottom) == "succeeded"
        assert centre.attempt(bottom).created_ms >= (centre.job(sides[1]).ended_ms or 0)

    def test_one_side_that_can_never_be_met_is_enough_to_fail(self, centre: Centre) -> None:
        good, bad = centre.submit(spec()).id, centre.submit(spec(command="run 2m exit 1")).id
        both = centre.submit(waiting(f"ok:{good}", f"ok:{bad}")).id
        centre.run()
        assert (outcome(centre, both), centre.job(both).gate) == ("failed", (f"ok:{bad}",))

    def test_a_failure_that_meets_one_and_fails_another_does_both(self, centre: Centre) -> None:
        bad = centre.submit(spec(command="run 1m exit 1")).id
        rescue, regular = centre.submit(waiting(f"failed:{bad}")).id, centre.submit(waiting(f"ok:{bad}")).id
        report = centre.submit(waiting(f"any:{rescue}", f"any:{regular}", f"any:{bad}")).id
        centre.run()
        assert [outcome(centre, job) for job in (rescue, regular, report)] == ["succeeded", "failed", "succeeded"]


class TestSingleton:
    def test_jobs_of_one_name_run_one_after_the_other(self, centre: Centre) -> None:
        jobs = [centre.submit(waiting("singleton", name="nightly", command=f"run {n}m")).id for n in (3, 1, 2)]
        centre.run()
        spans = [(centre.attempt(job).started_ms or 0, centre.attempt(job).ended_ms or 0) for job in jobs]
        assert spans == sorted(spans)
        assert all(ended <= begun for (_, ended), (begun, _) in pairwise(spans))

    def test_it_waits_for_all_that_are_before_it_even_if_the_last_ends_first(self, centre: Centre) -> None:
        """Two plain ones run side by side; the newer ends first, so the singleton is on the older then."""
        slow, quick = (centre.submit(spec(name="n", command=f"run {n}m")).id for n in (5, 1))
        one = centre.submit(waiting("singleton", name="n")).id
        centre.run(minutes=2)
        assert (outcome(centre, quick), outcome(centre, one)) == ("succeeded", "pending")
        assert centre.job(one).gate == ("singleton",)
        centre.run()
        assert centre.attempt(one).created_ms >= (centre.job(slow).ended_ms or 0)

    def test_one_that_is_cancelled_in_the_middle_opens_no_gate(self, centre: Centre) -> None:
        first, second, third = (centre.submit(waiting("singleton", name="n", command="run 5m")).id for _ in range(3))
        centre.settle()
        centre.control("cancel", second)
        centre.run(minutes=1)
        assert (outcome(centre, first), outcome(centre, third)) == ("running", "pending")
        centre.run()
        assert outcome(centre, third) == "succeeded"

    def test_only_jobs_of_the_same_user_project_and_name_count(self, centre: Centre) -> None:
        for_others = [
            centre.submit(spec(name="n", command="run 1h"), "sok"),
            centre.submit(spec("flood", name="n", command="run 1h"), "rith"),
            centre.submit(spec(name="m", command="run 1h")),
        ]
        one = centre.submit(waiting("singleton", name="n"))
        assert one.gate == ()
        centre.settle()
        assert outcome(centre, one.id) == "running"
        assert len(for_others) == 3

    @pytest.mark.parametrize("end", ["run 1m exit 1", "run 1m"])
    def test_it_takes_any_end(self, centre: Centre, end: str) -> None:
        centre.submit(spec(name="n", command=end))
        one = centre.submit(waiting("singleton", name="n")).id
        centre.run()
        assert outcome(centre, one) == "succeeded"


class TestCrash:
    @pytest.mark.promise(1)
    def test_whenever_the_controller_dies_each_gate_opens_once(self, centre: Centre) -> None:
        """At every moment between and around the commits of the steps that end the jobs before."""
        for moment in range(1, 100):
            centre.refound()
            first, bad = centre.submit(spec()).id, centre.submit(spec(command="run 1m exit 1")).id
            then, never = centre.submit(waiting(f"ok:{first}", f"any:{bad}")).id, centre.submit(waiting(f"ok:{bad}")).id
            last = centre.submit(waiting(f"ok:{then}", f"failed:{never}")).id
            centre.restart(moment)
            died = False
            for _ in range(3):
                try:
                    centre.run()
                except Died:
                    died = True
                    centre.restart()
            ends = [outcome(centre, job) for job in (first, bad, then, never, last)]
            assert ends == ["succeeded", "failed", "succeeded", "failed", "succeeded"], f"died at {moment}"
            assert [len(centre.attempts(job)) for job in (then, never, last)] == [1, 0, 1]
            assert_sound(centre.database, centre.store)
            if not died:
                return
        raise AssertionError("the story has more moments than were tried")


class TestRaces:
    """One transaction is open while another begins; it gets half a second to go wrong, and all the time it needs after."""

    @pytest.mark.promise(7)
    def test_who_begins_to_wait_while_the_other_ends_sees_its_end(self, centre: Centre) -> None:
        first, caller = centre.submit(spec(held=True)).id, centre.caller()
        made: list[Job] = []

        def submit_behind() -> None:
            with centre.store.write() as uow:
                made.append(submit(uow, caller, waiting(f"any:{first}"), centre.clock.now_ms()))

        thread = threading.Thread(target=submit_behind)
        with centre.store.write() as uow:
            control.cancel(uow, TaskId(first), centre.clock.now_ms())
            thread.start()
            thread.join(0.5)
        thread.join()
        assert [centre.job(job.id).gate for job in made] == [()]
        assert_sound(centre.database, centre.store)

    @pytest.mark.promise(7)
    def test_who_ends_while_another_begins_to_wait_opens_its_gate(self, centre: Centre) -> None:
        first, caller = centre.submit(spec(held=True)).id, centre.caller()
        thread = threading.Thread(target=centre.control, args=("cancel", first))
        with centre.store.write() as uow:
            behind = submit(uow, caller, waiting(f"any:{first}"), centre.clock.now_ms())
            thread.start()
            thread.join(0.5)
        thread.join()
        assert outcome(centre, first) == "cancelled"
        assert centre.job(behind.id).gate == ()
        assert_sound(centre.database, centre.store)

    def test_two_singletons_at_once_come_one_after_the_other(self, centre: Centre) -> None:
        caller = centre.caller()
        made: list[Job] = []

        def submit_one() -> None:
            with centre.store.write() as uow:
                made.append(submit(uow, caller, waiting("singleton", name="n"), centre.clock.now_ms()))

        thread = threading.Thread(target=submit_one)
        with centre.store.write() as uow:
            submit(uow, caller, waiting("singleton", name="n"), centre.clock.now_ms())
            thread.start()
            thread.join(0.5)
        thread.join()
        assert [job.gate for job in made] == [("singleton",)]
