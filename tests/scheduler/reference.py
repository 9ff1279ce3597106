"""A second planner, slow and plain: nested loops over everything, written from the rules and not from the fast one.

It answers what starts, what is booked and what is blocked. It knows nothing of preemption, and of places only how many
nodes serve: it is to be compared where the choice between nodes does not matter (see ``test_against_reference``).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from domain.accounts import TOTAL, Tree
from domain.fleet import CPU_FLAVOR
from domain.jobs import CLASSIFICATIONS, Constraint, Resources
from domain.purses import Purse, split_hold
from domain.tariffs import booking
from scheduler.live import Running
from scheduler.queue import PendingJob
from scheduler.snapshot import NodeState, State

FOREVER = 2**62


@dataclass(frozen=True)
class Use:
    """So much of one node from one time until another. What runs, starts, is booked or is kept for others."""

    node: tuple[str, str]
    starts_ms: int
    ends_ms: int
    flavor: str
    gpus: int
    cpus: int
    memory: int


@dataclass(frozen=True)
class Answer:
    """(job, index, flavor) that start; (job, index, flavor, time) that are booked; the jobs of which a task waits."""

    starts: list[tuple[int, int, str]]
    booked: list[tuple[int, int, str, int]]
    blocked: set[int]


@dataclass
class Work:
    """What the plan has given away so far."""

    state: State
    now_ms: int
    held: dict[tuple[int, str], int]
    usage: dict[int, int]
    user_usage: dict[tuple[int, int], int]
    available: dict[int, int]
    purses: dict[int, list[Purse]]
    running: dict[int, int]
    pledged: dict[tuple[int, str], int] = field(default_factory=dict)  # booked under guarantees
    awaited: dict[tuple[int, str], int] = field(default_factory=dict)  # quotas that those out of patience lack
    awaited_free: dict[str, int] = field(default_factory=dict)  # what they would have of what is lent
    tried: dict[int, int] = field(default_factory=dict)  # job → its tasks that start or are booked
    reserved: dict[str, int] = field(default_factory=dict)  # flavor → bookings
    reserved_covered: dict[str, int] = field(default_factory=dict)  # the same, of what guarantees cover
    uses: list[Use] = field(default_factory=list)
    done: set[int] = field(default_factory=set)  # jobs that are not offered any more
    aside: set[int] = field(default_factory=set)  # nor these, until guarantees are served
    answer: Answer = field(default_factory=lambda: Answer([], [], set()))


def reference_plan(state: State, now_ms: int) -> Answer:
    work = Work(
        state, now_ms, dict(state.held), dict(state.usage), dict(state.user_usage), dict(state.available),
        {project: list(purses) for project, purses in state.purses.items()}, dict(state.running),
    )  # fmt: skip
    for job in state.queue:
        if job.gate:
            work.answer.blocked.add(job.job_id)
            work.done.add(job.job_id)
    _serve(work, lambda job: _guaranteed(state, job), covered=True)
    work.aside.clear()
    _serve(work, lambda job: state.policy.tier(job.qos).preempts)
    if state.policy.patience_ms is not None:
        since_ms = now_ms - state.policy.patience_ms
        _serve(work, lambda job: job.submitted_ms <= since_ms, by_tier=False)
    _serve(work, lambda _: True)
    return work.answer


def _serve(work: Work, chosen: Callable[[PendingJob], bool], *, by_tier: bool = True, covered: bool = False) -> None:
    """Offer the first jobs of their demands, as long as they are chosen, one task after the other."""
    policy = work.state.policy
    while heads := [job for job in _heads(work) if job.job_id not in work.aside and chosen(job)]:
        if by_tier:
            highest = max(policy.tier(job.qos).rank for job in heads)
            heads = [job for job in heads if policy.tier(job.qos).rank == highest]
        if by_tier and policy.fair_share:
            job = _descend(work, _root(work.state.tree), heads)
        else:
            job = min(heads, key=lambda job: _key(work, job) if by_tier else (job.submitted_ms, job.job_id))
        _offer(work, job, covered=covered, overdue=not by_tier)


# Whose turn it is.


def _key(work: Work, job: PendingJob) -> tuple[int, int]:
    policy = work.state.policy
    brought_forward = job.priority * policy.priority_ms + job.resources.gpus * job.resources.nodes * policy.size_ms
    return job.submitted_ms - brought_forward, job.job_id


def _demand(job: PendingJob) -> tuple[int, int, str, Resources, Constraint]:
    return job.project_id, job.user_id, job.qos, job.resources, job.constraint


def _heads(work: Work) -> Iterator[PendingJob]:
    """The first job of each demand."""
    first: dict[object, PendingJob] = {}
    for job in work.state.queue:
        if job.job_id not in work.done:
            rival = first.get(_demand(job))
            if rival is None or _key(work, job) < _key(work, rival):
                first[_demand(job)] = job
    yield from first.values()


def _root(tree: Tree) -> int:
    return next(account.id for account in tree.accounts.values() if account.parent_id is None)


def _guaranteed(state: State, job: PendingJob) -> bool:
    """True if anybody on the job's path has a guarantee of one of its flavors."""
    quotas = [state.tree.quotas.get((a, f)) for a in state.tree.path(job.project_id) for f in job.resources.flavors]
    return any(quota and quota.guaranteed for quota in quotas)


def _covered(work: Work, job: PendingJob) -> bool:
    return any(_covered_in(work, job, flavor) for flavor in job.resources.flavors)


def _covered_in(work: Work, job: PendingJob, flavor: str) -> bool:
    """True if an account on the job's path has this much of its guarantee neither held nor booked."""
    for account in work.state.tree.path(job.project_id):
        quota = work.state.tree.quotas.get((account, flavor))
        taken = work.held.get((account, flavor), 0) + work.pledged.get((account, flavor), 0)
        if quota and taken + _milli(work.state, job, flavor) <= quota.guaranteed:
            return True
    return False


def _descend(work: Work, account: int, heads: list[PendingJob]) -> PendingJob:
    """The head whose turn it is below the account: at each level that of the child with the least usage for its
    weight, what the head is expected to cost included."""
    tree = work.state.tree
    below = [job for job in heads if account in tree.path(job.project_id)]
    if all(job.project_id == account for job in below):
        users = {job.user_id for job in below}
        offers = [min((job for job in below if job.user_id == user), key=lambda job: _key(work, job)) for user in users]
        return min(
            offers,
            key=lambda job: (work.user_usage.get((account, job.user_id), 0) + _cost(work.state, job), _key(work, job)),
        )
    offered = []
    for child in tree.accounts.values():
        if child.parent_id == account and any(child.id in tree.path(job.project_id) for job in below):
            head = _descend(work, child.id, below)
            share = (work.usage.get(child.id, 0) + _cost(work.state, head)) // child.weight
            offered.append((share, _key(work, head), child.id, head))
    return min(offered, key=lambda offer: offer[:3])[3]


# Whether it may start, and when.


def _milli(state: State, job: PendingJob, flavor: str) -> int:
    units = job.resources.cpus if flavor == CPU_FLAVOR else job.resources.gpus
    known = state.flavors.get(flavor)
    return units * job.resources.nodes * (known.milli if known else 0)


def _hold(state: State, job: PendingJob, flavor: str) -> int:
    rate = state.flavors[flavor].micro_su_per_hour
    assert rate is not None
    return booking(_milli(state, job, flavor), job.resources.walltime_ms, rate)


def _cost(state: State, job: PendingJob) -> int:
    """What the job's next task is expected to be charged in the first of its flavors that has a rate."""
    last = state.recent.get(job.user_id, ())[-2:]
    walltime_ms = job.resources.walltime_ms
    expected_ms = min(walltime_ms, sum(last) // len(last)) if last else walltime_ms
    for flavor in job.resources.flavors:
        known = state.flavors.get(flavor)
        if known is not None and known.micro_su_per_hour is not None:
            return booking(_milli(state, job, flavor), expected_ms, known.micro_su_per_hour)
    return 0


def _offer(work: Work, job: PendingJob, *, covered: bool, overdue: bool) -> None:
    """Deal with the next task of the job. ``covered``: in flavors that a guarantee covers; the rest is for later."""
    nth = work.tried.get(job.job_id, 0)
    if covered and not _covered(work, job):
        _wait(work, job, covered=True)
        return
    if job.parallel_left is not None and nth >= job.parallel_left:
        work.answer.blocked.add(job.job_id)
        work.done.add(job.job_id)
        return
    permitted = [
        flavor for flavor in job.resources.flavors
        if _affordable(work, job, flavor) and (not covered or _covered_in(work, job, flavor))
    ]  # fmt: skip
    if not _may_run(work, job) or not permitted:
        if overdue and _may_run(work, job):
            _keep_place(work, job)
        _wait(work, job, covered=covered)
        return
    for flavor in permitted:
        chosen = _nodes_at(work, job, flavor, work.now_ms)
        if chosen is not None:
            _start(work, job, nth, flavor, chosen)
            return
    if not any(_possible(work, job, flavor) for flavor in permitted):
        _wait(work, job, covered=covered)
        return
    slot = _earliest(work, job, permitted, covered=covered)
    if slot is not None:
        at_ms, flavor, chosen = slot
        reserved = work.reserved_covered if covered else work.reserved
        reserved[flavor] = reserved.get(flavor, 0) + 1
        work.answer.booked.append((job.job_id, job.index(nth), flavor, at_ms))
        work.answer.blocked.add(job.job_id)
        _use(work, job, flavor, chosen, at_ms)
        _served(work, job, _hold(work.state, job, flavor))
        _dealt_with(work, job)
        if covered:
            for account in work.state.tree.path(job.project_id):
                work.pledged[account, flavor] = work.pledged.get((account, flavor), 0) + _milli(work.state, job, flavor)
        return
    _wait(work, job, covered=covered)


def _earliest(
    work: Work, job: PendingJob, permitted: list[str], *, covered: bool
) -> tuple[int, str, Sequence[NodeState]] | None:
    """The first time at which the job fits in a flavor that has bookings left, in the order of preference."""
    best: tuple[int, str, Sequence[NodeState]] | None = None
    for flavor in permitted:
        most = work.state.policy.reservations
        if covered and most:
            most = max(most, 64)
        reserved = work.reserved_covered if covered else work.reserved
        if reserved.get(flavor, 0) >= most:
            continue
        for at_ms in _moments(work):
            chosen = _nodes_at(work, job, flavor, at_ms)
            if chosen is not None:
                if best is None or at_ms < best[0]:
                    best = at_ms, flavor, chosen
                break
    return best


def _wait(work: Work, job: PendingJob, *, covered: bool) -> None:
    """Nothing more of this job and of those that ask for the same, or at least not by virtue of a guarantee."""
    equals = [other.job_id for other in work.state.queue if _demand(other) == _demand(job)]
    equals = [job_id for job_id in equals if job_id not in work.done]
    if covered:
        work.aside.update(equals)
    else:
        work.answer.blocked.update(equals)
        work.done.update(equals)


def _dealt_with(work: Work, job: PendingJob) -> None:
    """One task more started or is booked."""
    work.tried[job.job_id] = work.tried.get(job.job_id, 0) + 1
    if work.tried[job.job_id] == len(job):
        work.done.add(job.job_id)


def _served(work: Work, job: PendingJob, micro_su: int) -> None:
    """What is given or booked counts as usage at once, for the order of what comes after."""
    for account in work.state.tree.path(job.project_id):
        work.usage[account] = work.usage.get(account, 0) + micro_su
    user = (job.project_id, job.user_id)
    work.user_usage[user] = work.user_usage.get(user, 0) + micro_su


def _may_run(work: Work, job: PendingJob) -> bool:
    tree = work.state.tree
    if job.project_id not in work.state.available or not tree.active(job.project_id):
        return False
    for account in tree.path(job.project_id):
        limit = tree.accounts[account].limits.running_jobs
        if limit is not None and work.running.get(account, 0) >= limit:
            return False
    return True


def _affordable(work: Work, job: PendingJob, flavor: str) -> bool:
    """Rate, budget, quotas, and what is kept for others' guarantees."""
    state = work.state
    known = state.flavors.get(flavor)
    if known is None or known.micro_su_per_hour is None:
        return False
    if _hold(state, job, flavor) > _left(work, job, flavor):
        return False
    milli = _milli(state, job, flavor)
    return state.tree.shortfall(_spoken_for(work), job.project_id, flavor, milli) is None and _lent(
        work, job, flavor, milli
    )


def _left(work: Work, job: PendingJob, flavor: str) -> int:
    """What the project may spend on this job in this flavor: what each grant behind it allows."""
    purses = work.purses.get(job.project_id)
    if purses is None:
        return work.available.get(job.project_id, 0)
    level = CLASSIFICATIONS.index(job.constraint.classification or CLASSIFICATIONS[0])
    return sum(
        purse.available
        for purse in purses
        if flavor in (purse.conditions.flavors or (flavor,))
        and level <= CLASSIFICATIONS.index(purse.conditions.classification or CLASSIFICATIONS[-1])
    )


def _spoken_for(work: Work) -> dict[tuple[int, str], int]:
    """What accounts hold, and what those out of patience wait for."""
    return {key: work.held.get(key, 0) + work.awaited.get(key, 0) for key in (*work.held, *work.awaited)}


def _keep_place(work: Work, job: PendingJob) -> None:
    """What the job asks of the quota that it lacks, or of what is lent, is for nobody behind it, if it could ever be."""
    state, tree = work.state, work.state.tree
    for flavor in job.resources.flavors:
        known = state.flavors.get(flavor)
        if known is None or known.micro_su_per_hour is None:
            continue
        if _hold(state, job, flavor) > _left(work, job, flavor):
            continue
        milli = _milli(state, job, flavor)
        short = tree.shortfall(_spoken_for(work), job.project_id, flavor, milli)
        if short is not None:
            if milli <= short.ceiling:
                key = (short.account_id, short.name)
                work.awaited[key] = work.awaited.get(key, 0) + milli
            continue
        idle = {(account, flavor): milli for account in tree.path(job.project_id)}
        total = sum(n.cpus if flavor == CPU_FLAVOR else n.devices.get(flavor, 0) for n in state.nodes) * known.milli
        if withheld(tree, idle, _root(tree), flavor) + milli <= total:
            work.awaited_free[flavor] = work.awaited_free.get(flavor, 0) + milli


def _lent(work: Work, job: PendingJob, flavor: str, milli: int) -> bool:
    """True if what stays free after the start covers what guarantees keep back, or if a guarantee covers the start."""
    if _covered_in(work, job, flavor):
        return True
    held = dict(work.held)
    for account in work.state.tree.path(job.project_id):
        held[account, flavor] = held.get((account, flavor), 0) + milli
    root = next(account.id for account in work.state.tree.accounts.values() if account.parent_id is None)
    kept = withheld(work.state.tree, held, root, flavor)
    return kept == 0 or _free_milli(work, flavor) - milli - work.awaited_free.get(flavor, 0) >= kept


def withheld(tree: Tree, held: dict[tuple[int, str], int], account: int, flavor: str) -> int:
    """What the account and those below it keep back of their unused guarantees, nothing counted twice."""
    quota = tree.quotas.get((account, flavor))
    own = 0
    if quota is not None and quota.lend_limit is not None:
        own = max(0, quota.guaranteed - quota.lend_limit - held.get((account, flavor), 0))
    children = [child.id for child in tree.accounts.values() if child.parent_id == account]
    return max(own, sum(withheld(tree, held, child, flavor) for child in children))


def _free_milli(work: Work, flavor: str) -> int:
    free = 0
    for node in work.state.nodes:
        free += node.cpus_free if flavor == CPU_FLAVOR else len(node.free.get(flavor, ()))
        for use in work.uses:
            if use.node == (node.cluster, node.name) and use.starts_ms <= work.now_ms:
                free -= use.cpus if flavor == CPU_FLAVOR else use.gpus if use.flavor == flavor else 0
    return free * work.state.flavors[flavor].milli


def _moments(work: Work) -> list[int]:
    """Every time at which more may be free than before."""
    ends = [use.ends_ms for use in work.uses]
    ends += [_end(attempt, work.now_ms) for attempt in work.state.live]
    ends += [window.ends_ms for window in work.state.windows]
    return sorted({work.now_ms, *(end for end in ends if end > work.now_ms)})


def _end(attempt: Running, now_ms: int) -> int:
    """When what it holds is free again. One that overruns its walltime is about to be ended: in a moment."""
    return max(attempt.ends_ms, now_ms + 1)


def _nodes_at(work: Work, job: PendingJob, flavor: str, at_ms: int) -> Sequence[NodeState] | None:
    """As many nodes of one cluster, and of one value of the label to share, as the job asks for; None if too few."""
    groups: dict[tuple[str, str], list[NodeState]] = {}
    together = job.constraint.together
    for node in work.state.nodes:
        if _allowed(node, job.constraint) and _serves(work, node, job, flavor, at_ms):
            value = "" if together is None else node.labels[together]
            groups.setdefault((node.cluster, value), []).append(node)
    for group in groups.values():
        if len(group) >= job.resources.nodes:
            return group[: job.resources.nodes]
    return None


def _possible(work: Work, job: PendingJob, flavor: str) -> bool:
    """True if it would fit were nothing else there."""
    asked = job.resources
    groups: dict[tuple[str, str], int] = {}
    for node in work.state.nodes:
        enough = flavor == CPU_FLAVOR or node.devices.get(flavor, 0) >= asked.gpus
        if (
            enough
            and node.cpus >= asked.cpus
            and node.memory_bytes >= asked.memory_bytes
            and _allowed(node, job.constraint)
        ):
            group = node.cluster, node.labels[job.constraint.together] if job.constraint.together else ""
            groups[group] = groups.get(group, 0) + 1
    return any(count >= asked.nodes for count in groups.values())


def _allowed(node: NodeState, constraint: Constraint) -> bool:
    labels = dict(node.labels)
    for name, value in constraint.require:
        if labels.get(name) != value:
            return False
    for name, value in constraint.forbid:
        if labels.get(name) == value:
            return False
    if constraint.together is not None and constraint.together not in labels:
        return False
    if constraint.residency is not None and labels.get("residency") != constraint.residency:
        return False
    cleared = labels.get("clearance", CLASSIFICATIONS[0])
    asked = constraint.classification or CLASSIFICATIONS[0]
    return CLASSIFICATIONS.index(asked) <= CLASSIFICATIONS.index(cleared)


def _serves(work: Work, node: NodeState, job: PendingJob, flavor: str, at_ms: int) -> bool:
    """True if the node has the job's part free from ``at_ms`` for the whole walltime."""
    until_ms = at_ms + job.resources.walltime_ms
    name = (node.cluster, node.name)
    changes = {use.starts_ms for use in work.uses if use.node == name}
    moments = {at_ms, *(moment for moment in changes if at_ms < moment < until_ms)}
    asked = job.resources
    for moment in moments:
        gpus, cpus, memory = _free_at(work, node, flavor, moment)
        if (flavor != CPU_FLAVOR and gpus < asked.gpus) or cpus < asked.cpus or memory < asked.memory_bytes:
            return False
    path = work.state.tree.path(job.project_id)
    for window in work.state.windows:
        overlaps = window.starts_ms < until_ms and at_ms < window.ends_ms
        theirs = window.account_id is None or window.account_id not in path
        if overlaps and theirs and window.cluster == node.cluster and node.name in window.nodes:
            return False
    return True


def _free_at(work: Work, node: NodeState, flavor: str, at_ms: int) -> tuple[int, int, int]:
    """Devices, cores and memory of the node that are free at a time from now on."""
    gpus, cpus, memory = len(node.free.get(flavor, ())), node.cpus_free, node.memory_free
    for attempt in work.state.live:
        if attempt.cluster == node.cluster and _end(attempt, work.now_ms) <= at_ms:
            for placement in attempt.placements:
                if placement.node == node.name:
                    gpus += len(placement.devices) if attempt.flavor == flavor else 0
                    cpus += attempt.resources.cpus
                    memory += attempt.resources.memory_bytes
    for use in work.uses:
        if use.node == (node.cluster, node.name) and use.starts_ms <= at_ms < use.ends_ms:
            gpus -= use.gpus if use.flavor == flavor else 0
            cpus -= use.cpus
            memory -= use.memory
    return gpus, cpus, memory


# What a start and a booking take.


def _start(work: Work, job: PendingJob, nth: int, flavor: str, nodes: Sequence[NodeState]) -> None:
    work.answer.starts.append((job.job_id, job.index(nth), flavor))
    milli, hold = _milli(work.state, job, flavor), _hold(work.state, job, flavor)
    work.available[job.project_id] -= hold
    if job.project_id in work.purses:
        purses = work.purses[job.project_id]
        for part in split_hold(hold, purses, flavor, job.constraint.classification) or ():
            at = next(
                n for n, p in enumerate(purses) if (p.allocation_id, p.grant_id) == (part.allocation_id, part.grant_id)
            )
            purses[at] = replace(purses[at], available=purses[at].available - part.micro_su)
    for account in work.state.tree.path(job.project_id):
        work.held[account, flavor] = work.held.get((account, flavor), 0) + milli
        if flavor != CPU_FLAVOR:
            work.held[account, TOTAL] = work.held.get((account, TOTAL), 0) + milli
        work.running[account] = work.running.get(account, 0) + 1
    _use(work, job, flavor, nodes, work.now_ms)
    _served(work, job, hold)
    _dealt_with(work, job)


def _use(work: Work, job: PendingJob, flavor: str, nodes: Sequence[NodeState], at_ms: int) -> None:
    asked = job.resources
    for node in nodes:
        work.uses.append(
            Use(
                (node.cluster, node.name), at_ms, at_ms + asked.walltime_ms, flavor,
                0 if flavor == CPU_FLAVOR else asked.gpus, asked.cpus, asked.memory_bytes,
            )
        )  # fmt: skip
