"""What a pod may ask of the centre with its pass: the source of its attempt, and to leave outputs of it; as long as that is live.

An attempt is over once its pods are gone or have finished, so what they collect has its place until then. One whose
cluster is out of sight is live: its pods may well reach the centre.
"""

from domain.errors import Conflict, NotFound
from domain.ids import AttemptId
from domain.records import Job
from lifecycle.ports import UnitOfWork


def source_of(uow: UnitOfWork, attempt: AttemptId) -> str:
    """The checksum of what is unpacked where the attempt runs. Raises NotFound, Conflict."""
    source = _live(uow, attempt).spec.source
    if source is None:
        raise NotFound(f"job {attempt.job} has no source", "attempt")
    return source


def may_leave(uow: UnitOfWork, attempt: AttemptId) -> int:
    """Answers the project that it is for. Raises Conflict for an attempt that is over, or has no outputs."""
    job = _live(uow, attempt)
    if not job.spec.outputs:
        raise Conflict(f"job {attempt.job} has no outputs", "attempt", code="no-outputs")
    return job.project_id


def _live(uow: UnitOfWork, attempt: AttemptId) -> Job:
    known = uow.attempts.get(attempt)
    job = uow.jobs.get(attempt.job)
    if known is None or job is None:
        raise NotFound(f"there is no attempt {attempt}", "attempt")
    if known.state.final:
        raise Conflict(f"attempt {attempt} is {known.state}", "attempt", code="attempt-over")
    return job
