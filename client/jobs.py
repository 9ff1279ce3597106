"""Jobs: submit, look, steer, wait."""

import time
from collections.abc import Iterator, Sequence
from typing import Final

from client.models import FINAL_STATES, Admission, Attempt, Job, JobSpec, QueueColumns, QueueEntry, Task, Why
from client.transport import Transport, segment

WAIT_S: Final = 30
WAIT_PAUSE_S: Final = 0.2


class Jobs:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def submit(self, spec: JobSpec) -> Job:
        job: Job = self._transport.post("/jobs", spec)
        return job

    def dry_run(self, spec: JobSpec) -> Admission:
        """What admission would say, what it would cost, and whether it would start now. Nothing is kept."""
        admission: Admission = self._transport.post("/jobs", spec, {"dry_run": True})
        return admission

    def submit_many(self, specs: Sequence[JobSpec]) -> Sequence[int]:
        """All of them or none; 1,000 at most."""
        ids: Sequence[int] = self._transport.post("/jobs/batch", {"jobs": list(specs)})["ids"]
        return ids

    def each(
        self,
        *,
        states: Sequence[str] = (),
        project: str | None = None,
        user: str | None = None,
        name: str | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """Newest first."""
        query = {"state": list(states) or None, "project": project, "user": user, "name": name}
        return self._transport.pages("/jobs", query, limit=limit)

    def get(self, job: int | str) -> Job:
        found: Job = self._transport.get(f"/jobs/{segment(job)}")
        return found

    def tasks(self, job: int | str) -> Iterator[Task]:
        return self._transport.pages(f"/jobs/{segment(job)}/tasks")

    def attempts(self, job: int | str) -> Iterator[Attempt]:
        return self._transport.pages(f"/jobs/{segment(job)}/attempts")

    def why(self, job: int | str) -> Why:
        why: Why = self._transport.get(f"/jobs/{segment(job)}/why")
        return why

    def queue(self, project: str | None = None) -> Iterator[QueueEntry]:
        """Pending work as the planner sees it, in its order."""
        return self._transport.pages("/queue", {"project": project})

    def queue_columns(self, project: str | None = None) -> QueueColumns:
        """The same by columns: quicker to send and to read if it is long."""
        found: QueueColumns = self._transport.get("/queue/columns", {"project": project})
        return found

    def cancel(self, job: int | str) -> Job:
        return self._act(job, "cancel")

    def hold(self, job: int | str) -> Job:
        return self._act(job, "hold")

    def release(self, job: int | str) -> Job:
        return self._act(job, "release")

    def requeue(self, job: int | str) -> Job:
        return self._act(job, "requeue")

    def extend(self, job: int | str, *, by: str | None = None, to: str | None = None) -> Job:
        """Let what runs of it run longer: by so much (``2h``), or to so much in all."""
        body = {"by": by} if to is None else {"to": to}
        after: Job = self._transport.post(f"/jobs/{segment(job)}/extend", body)
        return after

    def prioritise(self, job: int | str, priority: int) -> Job:
        """Set its priority among its user's jobs; refused if somebody else changes the job meanwhile."""
        path = f"/jobs/{segment(job)}"
        _, tag = self._transport.get_tagged(path)
        changed: Job = self._transport.patch(path, {"priority": priority}, if_match=tag)
        return changed

    def wait(self, job: int | str, timeout_s: int = WAIT_S) -> Job:
        """One wait on the centre's side: the job when it is over, or as it is after the time."""
        path = f"/jobs/{segment(job)}/wait"
        found: Job = self._transport.get(
            path, {"timeout_s": timeout_s}, timeout_s=timeout_s + self._transport.timeout_s
        )
        return found

    def wait_until_final(self, job: int | str) -> Job:
        while True:
            asked = time.monotonic()
            found = self.wait(job)
            if found["state"] in FINAL_STATES:
                return found
            if time.monotonic() - asked < WAIT_PAUSE_S:  # a centre that does not wait must not be hammered
                time.sleep(WAIT_PAUSE_S)

    def _act(self, job: int | str, action: str) -> Job:
        after: Job = self._transport.post(f"/jobs/{segment(job)}/{action}")
        return after
