"""Let what runs run longer than its walltime: a further hold is set aside, and its cluster is told until it has taken it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

from domain.calendar import PHNOM_PENH, local_time
from domain.errors import Conflict, Invalid, Refused
from domain.ids import TaskId
from domain.jobs import AttemptState
from domain.purses import payable, split_hold
from domain.quantities import DAY_MS, format_duration, format_su
from domain.records import Attempt, Job
from domain.tariffs import Tariff, tariff_at, within
from lifecycle.control import job_of
from lifecycle.dispatch import far_clusters
from lifecycle.driving import Driver
from lifecycle.hands import Deed, Hands
from lifecycle.ports import Directory, Store, UnitOfWork
from lifecycle.refresh import refresh
from lifecycle.windows import HORIZON_MS, expand
from quotas import ledger
from scheduler.live import Running
from scheduler.snapshot import Window

WALLTIME_MOST_MS = 365 * DAY_MS
_MINUTE_MS = 60_000
_NOT_THERE = frozenset({AttemptState.DISPATCHING, AttemptState.LOST})  # told later: when started, or back in sight
_RUNS = frozenset({AttemptState.DISPATCHING, AttemptState.STARTING, AttemptState.RUNNING})


def extend(uow: UnitOfWork, task_id: TaskId, now_ms: int, *, by_ms: int | None = None, to_ms: int | None = None) -> Job:
    """Extend the walltime of what runs of a job, or of one task, by so much or to so much.

    Raises Refused naming what forbids it and the longest walltime that would pass, Conflict if nothing of it runs.
    """
    uow.take_turn()  # the tree, the rates and the reservations it is judged by are those of now
    job = job_of(uow, task_id)
    attempt = _running(uow, job, task_id)
    walltime_ms = attempt.walltime_ms or job.spec.resources.walltime_ms
    wanted_ms = walltime_ms + by_ms if by_ms is not None else to_ms
    if wanted_ms is None or not walltime_ms < wanted_ms <= WALLTIME_MOST_MS:
        raise Invalid(
            f"the walltime of {task_id} is {format_duration(walltime_ms)}; an extension makes it longer, up to 365d",
            "to" if by_ms is None else "by", fix=f"ask for more than {format_duration(walltime_ms)} in all",
        )  # fmt: skip
    directory = uow.directory()
    _check_limits(directory, job, wanted_ms)
    _check_windows(directory, uow, attempt, wanted_ms, now_ms)
    attempt = replace(attempt, later_rates=_tariff(uow, attempt, wanted_ms).later)
    further = attempt.tariff.booking(attempt.milli, attempt.created_ms, wanted_ms) - attempt.hold
    attempt = _hold_more(uow, job, attempt, (walltime_ms, wanted_ms), max(0, further), now_ms)
    _spend(uow, job, attempt, max(0, further), now_ms)
    return refresh(uow, [job], now_ms)[0]


def tell(
    store: Store, drivers: Mapping[str, Driver], epoch: int, hands: Hands | None = None,
    taken: dict[int, int] | None = None,
) -> int:  # fmt: skip
    """Tell clusters of longer walltimes, and note who has taken them. Answers how many have.

    ``taken`` is where the walltimes of what is still out arrive, attempt row → ms, until the next time.
    """
    hands, taken = hands or Hands(), {} if taken is None else taken
    with store.read() as uow:
        waiting = [attempt for attempt in uow.attempts.to_extend() if attempt.cluster in drivers]
        far = far_clusters(uow.directory())
    deeds = [
        Deed(attempt.cluster, "extend", attempt.id, partial(_extend, drivers[attempt.cluster], attempt, taken))
        for attempt in waiting
        if attempt.state not in _NOT_THERE
    ]
    hands.do(deeds, far)
    hands.done("extend")
    told = {row: taken.pop(row) for row in list(taken)}
    if told:
        with store.write() as uow:
            uow.leader.check(epoch)
            uow.attempts.enforced(told)
    return len(told)


def _extend(driver: Driver, attempt: Attempt, taken: dict[int, int]) -> None:
    assert attempt.walltime_ms is not None, "only those that were extended are asked for"
    driver.extend(attempt.id, attempt.walltime_ms)
    taken[attempt.row] = attempt.walltime_ms


def _running(uow: UnitOfWork, job: Job, task_id: TaskId) -> Attempt:
    if job.is_array and task_id.index is None:
        raise Conflict(
            f"job {job.id} is an array: its tasks have walltimes of their own",
            "job", fix=f"name the task: {job.id}_{job.indices()[0]}", code="one-task-only",
        )  # fmt: skip
    live = uow.attempts.live_of_job(job.id, task_id.index)
    if not live:
        raise Conflict(
            f"nothing of {task_id} runs, it is {job.state}",
            "job", fix="submit it again with another walltime", code="not-running",
        )  # fmt: skip
    if live[0].state not in _RUNS:
        raise Conflict(f"attempt {live[0].id} is {live[0].state} and cannot be extended", "job", code="not-running")
    return live[0]


def _check_limits(directory: Directory, job: Job, wanted_ms: int) -> None:
    for account_id in directory.tree.path(job.project_id):
        account = directory.tree.accounts[account_id]
        most_ms = account.limits.walltime_ms
        if most_ms is not None and wanted_ms > most_ms:
            raise Refused(
                f"a walltime of {format_duration(wanted_ms)} is above the limit of {account.kind} {account.name}",
                "job", fix=f"ask for {format_duration(most_ms)} in all, or less", code="walltime-limit",
            )  # fmt: skip


def _check_windows(directory: Directory, uow: UnitOfWork, attempt: Attempt, wanted_ms: int, now_ms: int) -> None:
    """Refuse to run into what is kept for others, or past the end of the reservation that it runs in."""
    begun_ms = attempt.created_ms if attempt.started_ms is None else attempt.started_ms
    ends_ms = begun_ms + wanted_ms
    path = directory.tree.path(attempt.project_id)
    live: list[Running] | None = None
    for one in directory.reservations:
        for window in expand(directory, one, now_ms, max(ends_ms, now_ms + HORIZON_MS)):
            if window.name == attempt.window:
                if ends_ms > window.ends_ms:
                    _refuse(window.name, "ends", window.ends_ms, window.ends_ms - begun_ms)
                continue
            if window.starts_ms >= ends_ms or window.ends_ms <= now_ms or window.account_id in path:
                continue
            if window.flavor is not None and live is None:
                live = uow.live.running()
            if _meets(directory, window, attempt, live or []):
                _refuse(window.name, "begins", window.starts_ms, window.starts_ms - begun_ms)


def _refuse(name: str, what: str, at_ms: int, longest_ms: int) -> None:
    longest = format_duration(max(0, longest_ms) // _MINUTE_MS * _MINUTE_MS)
    raise Refused(
        f"reservation {name} {what} at {local_time(at_ms, PHNOM_PENH)}, before the job would be over",
        "job", fix=f"a walltime of {longest} in all would pass", code="reserved",
    )  # fmt: skip


def _meets(directory: Directory, window: Window, attempt: Attempt, live: Sequence[Running]) -> bool:
    """True if the window keeps a node of the attempt; or so many devices that it could lack the attempt's."""
    if window.flavor is None:
        return window.cluster == attempt.cluster and any(p.node in window.nodes for p in attempt.placements)
    if window.flavor != attempt.flavor or window.cluster not in {None, attempt.cluster}:
        return False
    clusters = [window.cluster] if window.cluster is not None else list(directory.nodes)
    there_is = sum(node.devices.get(attempt.flavor, 0) for name in clusters for node in directory.nodes[name])
    key = (attempt.id.job, attempt.id.index or 0)
    busy = [
        run for run in live
        if run.flavor == attempt.flavor and run.cluster in clusters
        and (run.ends_ms > window.starts_ms or run.key == key) and run.window != window.name
    ]  # fmt: skip
    return there_is - sum(len(p.devices) for run in busy for p in run.placements) < window.gpus


def _tariff(uow: UnitOfWork, attempt: Attempt, wanted_ms: int) -> Tariff:
    """What it pays: as at its start, with all the dated rates that were known then."""
    known = [
        (r.from_ms, r.micro_su_per_hour) for r in uow.fleet.rates(attempt.flavor) if r.created_ms <= attempt.created_ms
    ]
    tariff = tariff_at(known, attempt.created_ms, attempt.factor)
    later = () if tariff is None else within(tariff, attempt.created_ms + wanted_ms + DAY_MS).later
    return Tariff(attempt.micro_su_per_hour, later)


def _hold_more(
    uow: UnitOfWork, job: Job, attempt: Attempt, walltimes: tuple[int, int], further: int, now_ms: int
) -> Attempt:
    """Set ``further`` micro-SU aside, and write the attempt with its new walltime down."""
    before_ms, wanted_ms = walltimes
    purses = uow.ledger.purses([job.project_id], now_ms).get(job.project_id, [])
    demand = (attempt.flavor, job.spec.constraint.classification)
    parts = split_hold(further, purses, *demand) if further else ()
    if parts is None:
        there_is = payable(purses, *demand)
        longest_ms = attempt.tariff.affords_ms(attempt.hold + there_is, attempt.milli, attempt.created_ms, wanted_ms)
        by_ms = max(0, longest_ms - before_ms) // _MINUTE_MS * _MINUTE_MS
        raise Refused(
            f"{format_su(further)} SU more would have to be set aside, {format_su(there_is)} SU are left:"
            f" {format_su(further - there_is)} SU are missing",
            "job", fix=f"an extension by {format_duration(by_ms)} would pass" if by_ms else "ask for a top-up",
            code="budget-exceeded",
        )  # fmt: skip
    carried = attempt.charged - attempt.carried[0]
    attempt = replace(
        attempt, walltime_ms=wanted_ms, extensions=attempt.extensions + 1, hold=attempt.hold + further,
        parts=ledger.merged(attempt.parts, carried, parts), carried=(attempt.charged, attempt.gpu_ms),
    )  # fmt: skip
    uow.attempts.extend(attempt)
    if further:
        posting = ledger.extend(str(attempt.id), attempt.extensions, parts, now_ms)
        uow.ledger.post([posting], {str(attempt.id): attempt.row})
    return attempt


def _spend(uow: UnitOfWork, job: Job, attempt: Attempt, further: int, now_ms: int) -> None:
    """The further hold counts for fair shares as one at the start does; the end corrects it by what it has decayed."""
    half_life_ms = uow.directory().policy_at(now_ms).half_life_ms
    path = uow.directory().tree.path(attempt.project_id)
    user = {(attempt.project_id, job.user_id): further}
    uow.accounts.spend(dict.fromkeys(path, further), user, now_ms, half_life_ms)
