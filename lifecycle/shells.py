"""Going into a running job: who may, into which attempt, and what is written down of it.

The route's permission on the project was asked before; this is what counts beside it.
"""

from collections.abc import Sequence

from domain.access import Role
from domain.errors import Conflict, Invalid, NotAllowed, NotFound
from domain.ids import TaskId
from domain.jobs import AttemptState
from domain.people import Caller
from domain.records import Attempt, Job
from lifecycle.ports import UnitOfWork
from lifecycle.witness import witness

_ANYBODYS = frozenset({Role.CENTRE_ADMIN, Role.LEAD})
_TOLD_LENGTH = 2_000


def check_visitor(caller: Caller, job: Job, path: Sequence[int], reason: str | None) -> None:
    """``path`` is the project's account and all above it. Raises NotAllowed, or Invalid if a reason is missing."""
    if job.user_id == caller.user.id:
        return
    held = frozenset[Role]().union(*(caller.roles.get(account, frozenset()) for account in path))
    if held & _ANYBODYS:
        return
    if Role.SUPPORT not in held:
        raise NotAllowed(
            f"only its user, a lead of its project and the centre's support go into job {job.id}",
            fix="ask its user, or the project's lead",
        )
    if not reason:
        raise Invalid("who goes into another's job for support says why", "reason", fix="give a reason: --reason TEXT")


def running(uow: UnitOfWork, job: Job, task: TaskId, rank: int) -> Attempt:
    """The attempt to go into. Raises Conflict if none runs, NotFound for a rank that it has not."""
    if job.is_array and task.index is None:
        first = job.task_id(job.indices()[0])
        raise Invalid(f"job {job.id} is an array", "job", fix=f"name one of its tasks, such as {first}")
    attempt = uow.attempts.newest(job.id, task.index)
    if attempt is None or attempt.state is not AttemptState.RUNNING:
        state = job.state if attempt is None else attempt.state
        fix = None if state.final else "wait until it runs"
        raise Conflict(f"job {task} does not run: it is {state}", "job", fix=fix, code="not-running")
    if rank >= len(attempt.placements):
        raise NotFound(f"attempt {attempt.id} has ranks 0 to {len(attempt.placements) - 1}", "rank")
    return attempt


def note(
    uow: UnitOfWork,
    now_ms: int,
    action: str,
    attempt: Attempt,
    rank: int,
    *,
    by: Caller,
    on_behalf: int | None,
    what: str,
    reason: str | None,
) -> None:
    """Leave the audit entry. What was typed may name people, so it is in the part that can be erased."""
    personal = {"by": by.user.name, "what": what[:_TOLD_LENGTH]}
    if reason:
        personal["reason"] = reason
    if on_behalf is not None:
        personal["on_behalf"] = uow.people.user_names([on_behalf]).get(on_behalf, str(on_behalf))
    facts = {"attempt": str(attempt.id), "cluster": attempt.cluster, "rank": rank}
    witness(uow.audit, now_ms, action, f"/jobs/{attempt.id.task}", facts, personal)
