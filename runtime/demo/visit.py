"""What the stages of the demo share: the screen, the place, the running centre and who may talk to it."""

from dataclasses import dataclass, field

from client import Baray
from client.models import Attempt, Job
from runtime.demo.centre import Centre
from runtime.demo.failure import DemoFailed
from runtime.demo.place import Place
from runtime.demo.screen import Screen
from runtime.demo.server import Server

_LOG_LINES = 10


@dataclass(slots=True)
class Visit:
    """``admin`` sees the whole centre; ``member`` is who works in a project."""

    screen: Screen
    place: Place
    server: Server
    admin: Baray
    centre: Centre
    _members: dict[str, Baray] = field(default_factory=dict)
    _attempts: dict[int, list[Attempt]] = field(default_factory=dict)

    def member(self, project: str) -> Baray:
        if project not in self._members:
            self._members[project] = Baray(self.server.address, self.centre.tokens[project])
        return self._members[project]

    def attempts(self, job: int) -> list[Attempt]:
        """Of a job that is over: what is read of it once is true for good."""
        if job not in self._attempts:
            self._attempts[job] = list(self.admin.jobs.attempts(job))
        return self._attempts[job]

    def close(self) -> None:
        for member in self._members.values():
            member.close()

    def expect_success(self, jobs: list[Job]) -> None:
        """Raises DemoFailed with what is known of the first job that did not succeed."""
        failed = [job for job in jobs if job["state"] != "succeeded"]
        if not failed:
            return
        job = failed[0]
        bad = [attempt for attempt in self.attempts(job["id"]) if attempt["state"] != "succeeded"][:1]
        details = [
            f"attempt {attempt['id']} {attempt['state']}, exit code {attempt['exit_code']}. {attempt['detail']}"
            for attempt in bad
        ]
        for attempt in bad:
            task, _, number = attempt["id"].rpartition(".")
            log = b"".join(self.admin.logs.read(task, attempt=int(number))).decode(errors="replace")
            details += [f"  | {line}" for line in log.splitlines()[-_LOG_LINES:]]
        count = (
            f"{len(failed)} jobs did not succeed, the first of them is" if len(failed) > 1 else "this did not succeed:"
        )
        raise DemoFailed("\n".join([f"{count} job {job['id']} ({job['name']}), {job['state']}", *details]))
