"""What a submission may wait for, and what is refused; how many jobs each user may have."""

from dataclasses import replace

import pytest

from domain.errors import Invalid, Refused
from domain.jobs import Array, JobSpec
from lifecycle import accounts
from lifecycle.submit import dry_run, submit_many
from tests.lifecycle.test_dependencies import outcome, waiting
from tests.support.centre import Centre
from tests.support.factories import spec


class TestSubmission:
    def refused(self, centre: Centre, given: JobSpec, user: str = "dara") -> list[tuple[str | None, str]]:
        count = centre.database.rows("SELECT COUNT(*) AS n FROM job")[0].n
        with pytest.raises((Invalid, Refused)) as caught:
            centre.submit(given, user)
        assert centre.database.rows("SELECT COUNT(*) AS n FROM job")[0].n == count
        assert all(fault.fix for fault in caught.value.faults)
        return [(fault.field, fault.message) for fault in caught.value.faults]

    def test_what_is_unknown_is_named_with_its_place(self, centre: Centre) -> None:
        array, single = centre.submit(spec(array=Array(2, 6, 2))).id, centre.submit(spec()).id
        fine = (f"ok:{array}_4", f"any:{single}", f"failed:{array}", "singleton")
        wrong = (f"ok:{array}_3", f"ok:{single}_0", "ok:999", "any:@0")
        assert self.refused(centre, waiting(*fine, *wrong)) == [
            ("after.4", f"there is no task {array}_3"),
            ("after.5", f"there is no task {single}_0"),
            ("after.6", "there is no job 999"),
            ("after.7", "any:@0 names no job that stands before this one in the same batch"),
        ]

    def test_a_job_cannot_name_itself_or_one_to_come(self, centre: Centre) -> None:
        """So there are no cycles: every dependency is on a job that was there before."""
        mine = centre.submit(spec()).id
        for number in (1, 2, 3):
            assert self.refused(centre, waiting(f"any:{mine + number}")) == [
                ("after.0", f"there is no job {mine + number}")
            ]

    def test_a_job_that_one_may_not_see_is_not_there(self, centre: Centre) -> None:
        theirs = centre.submit(spec("flood"), "rith").id
        assert self.refused(centre, waiting(f"any:{theirs}")) == [("after.0", f"there is no job {theirs}")]

    @pytest.mark.parametrize(("command", "kind"), [("run 1m", "failed"), ("run 1m exit 1", "ok")])
    def test_what_can_never_be_met_is_refused(self, centre: Centre, command: str, kind: str) -> None:
        over = centre.submit(spec(command=command)).id
        centre.run()
        ended = outcome(centre, over)
        assert self.refused(centre, waiting("singleton", f"{kind}:{over}")) == [
            ("after.1", f"dependency {kind}:{over} can never be met: job {over} ended {ended}")
        ]
        with pytest.raises(Refused) as caught:
            centre.submit(waiting(f"{kind}:{over}"))
        assert caught.value.code == "never-met"

    def test_what_excludes_each_other_is_refused(self, centre: Centre) -> None:
        job = centre.submit(spec()).id
        assert self.refused(centre, waiting(f"ok:{job}", f"failed:{job}")) == [
            ("after", f"ok:{job} and failed:{job} can never both be met")
        ]

    def test_what_is_met_already_is_no_gate(self, centre: Centre) -> None:
        array = centre.submit(spec(array=Array(0, 1))).id
        centre.run()
        job = centre.submit(waiting(f"ok:{array}", f"any:{array}_1", f"ok:{array}_0", "singleton"))
        assert job.gate == ()
        centre.settle()
        assert outcome(centre, job.id) == "running"

    def test_a_dry_run_tells_of_the_gate_and_writes_nothing(self, centre: Centre) -> None:
        first = centre.submit(spec()).id
        with centre.store.read() as uow:
            told = dry_run(uow, centre.lookout, centre.caller(), waiting(f"ok:{first}"), centre.clock.now_ms())
        assert not told.starts_now
        assert told.reason is not None
        assert told.reason.code == "dependency"
        assert centre.database.rows("SELECT * FROM dependency") == []

    def test_a_batch_may_name_its_own_earlier_jobs(self, centre: Centre) -> None:
        specs = [
            spec(command="run 1m", array=Array(0, 1)),
            waiting("ok:@0"),
            waiting("failed:@0_1"),
            waiting("any:@1", "any:@2", "singleton", name="train"),
        ]
        with centre.store.write() as uow:
            one, two, three, four = submit_many(uow, centre.caller(), specs, centre.clock.now_ms())
        assert centre.job(four).gate == (f"any:{two}", f"any:{three}", "singleton")
        assert [str(d) for d in centre.job(three).spec.after] == [f"failed:{one}_1"]
        centre.run()
        assert [outcome(centre, job) for job in (one, two, three, four)] == [
            "succeeded", "succeeded", "failed", "succeeded",
        ]  # fmt: skip

    def test_a_batch_is_refused_whole_for_what_does_not_stand_before(self, centre: Centre) -> None:
        specs = [waiting("ok:@0"), waiting("ok:@2"), waiting("ok:@0_1"), waiting("ok:@1")]
        with pytest.raises(Refused) as caught, centre.store.write() as uow:
            submit_many(uow, centre.caller(), specs, centre.clock.now_ms())
        assert [fault.field for fault in caught.value.faults] == [f"jobs.{n}.after.0" for n in range(3)]
        assert centre.database.rows("SELECT * FROM job") == []


class TestLimits:
    def test_each_user_has_a_bound_on_unfinished_jobs(self, centre: Centre) -> None:
        with centre.store.write() as uow:
            cadt = uow.directory().by_name["cadt"]
            accounts.set_limits(uow, cadt, replace(cadt.limits, user_queued_jobs=2), None)
        for _ in range(2):
            centre.submit(spec())
            centre.submit(spec(), "sok")
        with pytest.raises(Refused) as caught:
            centre.submit(spec())
        assert caught.value.code == "user-queued-limit"
        with pytest.raises(Refused), centre.store.write() as uow:
            submit_many(uow, centre.caller("admin"), [spec()] * 3, centre.clock.now_ms())
        centre.run()
        centre.submit(spec())
