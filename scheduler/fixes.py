"""Ways out, computed: changes of a waiting job that would start it sooner, each proven by planning again.

A change is proposed by looking at what is free, booked and left, then tried: the pure ``plan`` runs on a state that
differs in this one job. What does not start the job sooner is dropped, so that every fix is true by construction.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from domain.fleet import CPU_FLAVOR
from domain.jobs import Constraint, Resources
from domain.quantities import MINUTE_MS, format_duration
from scheduler.cycle import plan
from scheduler.outlook import Plan
from scheduler.queue import PendingJob
from scheduler.snapshot import Fix, NodeState, State

# One call plans at most so many times: once as it is, and the rest in trials, of which no one kind may use up all.
MAX_PLANS = 12
_TRIALS_OF_A_KIND = 5
_OTHER_FLAVORS = 3

# No other size, place or walltime helps here.
_HOPELESS = frozenset(
    {"held", "dependency", "account-inactive", "no-allocation", "running-limit", "user-running-limit", "array-limit"}
)


def fixes(state: State, job: PendingJob, now_ms: int, answer: Plan | None = None) -> tuple[Fix, ...]:
    """What would start more of the job now, or book or foresee its first waiting task at least a minute earlier.

    The job need not be in the queue yet. ``answer`` is the plan of the state with the job in it, if the caller has it.
    Sizes and walltimes are the largest that were found to start now, at most ``MAX_PLANS`` plans in all.
    A label given up is written as its field with an empty text.
    """
    if job.gate:
        return ()
    trials = _Trials.of(state, job, now_ms, answer)
    if trials.hopeless:
        return ()
    return (*_smaller(trials), *_shorter(trials), *_elsewhere(trials), *_unconstrained(trials))


@dataclass(frozen=True, slots=True)
class _Lot:
    """What a plan has for the job: how many of its tasks start, and when the first that waits is to (None: who knows).

    ``booked``: that is its reserved start; else it is an estimate.
    """

    started: int
    starts_ms: int | None
    booked: bool

    @classmethod
    def of(cls, answer: Plan, job_id: int, now_ms: int) -> "_Lot":
        started = sum(start.job_id == job_id for start in answer.starts)
        reserved = [booked.starts_ms for booked in answer.booked if booked.job_id == job_id]
        if reserved:
            return cls(started, min(reserved), booked=True)
        line = answer.outlook.of(job_id)
        estimate = None if line is None else line.estimate
        # An estimate of now, for one that does not start now, says nothing.
        known = estimate is not None and estimate.starts_ms > now_ms
        return cls(started, estimate.starts_ms if estimate and known else None, booked=False)

    def sooner(self, than: "_Lot", now_ms: int) -> "_Lot | None":
        """Itself, if it is better than the other."""
        if self.started > than.started:
            return _Lot(self.started, now_ms, booked=True)
        # Booked for now, and not started: what runs there is past its walltime and ends any moment.
        if self.started < than.started or self.starts_ms is None or self.starts_ms <= now_ms:
            return None
        return self if than.starts_ms is None or self.starts_ms <= than.starts_ms - MINUTE_MS else None


@dataclass(slots=True)
class _Trials:
    """Plans with the job changed, counted. ``lot`` is what the job gets as it is."""

    state: State
    job: PendingJob
    now_ms: int
    answer: Plan
    lot: _Lot
    left: int = MAX_PLANS - 1
    known: dict[PendingJob, _Lot | None] = field(default_factory=dict)

    @classmethod
    def of(cls, state: State, job: PendingJob, now_ms: int, answer: Plan | None) -> "_Trials":
        answer = answer or plan(_with(state, job), now_ms)
        return cls(state, job, now_ms, answer, _Lot.of(answer, job.job_id, now_ms))

    @property
    def hopeless(self) -> bool:
        line = self.answer.outlook.of(self.job.job_id)
        return line is None or (line.reason is not None and line.reason.code in _HOPELESS)

    def sooner(self, resources: Resources | None = None, constraint: Constraint | None = None) -> _Lot | None:
        """What the job would get with these; None if that is no sooner, or if the plans are used up."""
        changed = replace(
            self.job, resources=resources or self.job.resources, constraint=constraint or self.job.constraint
        )
        if changed not in self.known:
            if not self.left:
                return None
            self.left -= 1
            answer = plan(_with(self.state, changed), self.now_ms)
            self.known[changed] = _Lot.of(answer, changed.job_id, self.now_ms).sooner(self.lot, self.now_ms)
        return self.known[changed]

    def fix(self, field_: str, value: int | str, what: str, lot: _Lot) -> Fix:
        assert lot.starts_ms is not None
        minutes = -(-(lot.starts_ms - self.now_ms) // MINUTE_MS)
        about = "" if lot.booked else "about "
        when = f"starts in {about}{format_duration(minutes * MINUTE_MS)}" if minutes > 0 else "starts now"
        return Fix({field_: value}, lot.starts_ms, f"{what} {when}")

    def budget(self, flavor: str) -> int:
        """What the project may still spend on the job in this flavor, in micro-SU."""
        return self.state.left(self.job.project_id, flavor, self.job.constraint.classification)

    def hold(self, flavor: str) -> int:
        """The hold of one task as it is, in micro-SU; 0 if the flavor has no rate."""
        known = self.state.flavors.get(flavor)
        if known is None or known.micro_su_per_hour is None:
            return 0
        asked = self.job.resources
        units = (asked.cpus if flavor == CPU_FLAVOR else asked.gpus) * asked.nodes
        tariff = known.tariff(self.state.factor(self.job.qos))
        return tariff.booking(units * known.milli, self.now_ms, asked.walltime_ms)


def _with(state: State, job: PendingJob) -> State:
    return replace(state, queue=state.queue.with_job(job))


def _largest(trials: _Trials, values: Sequence[int], change: Callable[[int], Resources]) -> tuple[int, _Lot] | None:
    """The largest of ascending values that starts now, and its lot; else the last, if it starts sooner than so far.

    A bisection: whatever starts with more is taken to start with less, which is only a guess where size counts in the
    order. What is answered was tried.
    """
    best: tuple[int, _Lot] | None = None
    low, high, at = 0, len(values) - 1, len(values) - 1
    for _ in range(_TRIALS_OF_A_KIND):
        if low > high:
            break
        lot = trials.sooner(change(values[at]))
        now = lot is not None and lot.starts_ms == trials.now_ms
        if lot is not None and (now or best is None):
            best = values[at], lot
        if now:
            low = at + 1
        elif at == low:
            break  # not even the smallest
        else:
            high = at - 1
        # After the largest the smallest: if that does not start now, nothing between will.
        at = low if at == len(values) - 1 else (low + high + 1) // 2
    return best


def _smaller(trials: _Trials) -> Iterator[Fix]:
    """Fewer nodes, or fewer devices or cores a node."""
    asked = trials.job.resources
    if asked.nodes > 1:
        found = _largest(trials, range(1, asked.nodes), lambda count: replace(asked, nodes=count))
        if found:
            yield trials.fix("resources.nodes", found[0], f"{found[0]} instead of {asked.nodes} nodes", found[1])
            return
    cores = asked.flavors == (CPU_FLAVOR,)
    name, most = ("cpus", asked.cpus) if cores else ("gpus", asked.gpus)
    at_most = min(most - 1, max((_most(trials, flavor, name) for flavor in asked.flavors), default=0))

    def smaller(count: int) -> Resources:
        return replace(asked, cpus=count) if cores else replace(asked, gpus=count)

    if found := _largest(trials, range(1, at_most + 1), smaller):
        word = "cores" if cores else "GPUs"
        yield trials.fix(f"resources.{name}", found[0], f"{found[0]} instead of {most} {word}", found[1])


def _most(trials: _Trials, flavor: str, name: str) -> int:
    """The most devices (or cores) a node that what is free, the quotas and the budget could give now, at a glance."""
    state, asked = trials.state, trials.job.resources
    known = state.flavors.get(flavor)
    if known is None:
        return 0
    bounds = [_widest(state.nodes, asked, flavor, name)]
    for key in state.tree.counted(trials.job.project_id, flavor):
        quota = state.tree.quotas.get(key)
        if quota is not None and quota.ceiling is not None:
            left = quota.ceiling - state.held.get(key, 0)
            bounds.append(left // (known.milli * asked.nodes))
    if hold := trials.hold(flavor):
        bounds.append(getattr(asked, name) * trials.budget(flavor) // hold)
    return max(0, min(bounds))


def _widest(nodes: Iterable[NodeState], asked: Resources, flavor: str, name: str) -> int:
    """The most free devices (or cores) that as many nodes of one cluster as are asked for have each."""
    free: dict[str, list[int]] = {}
    for node in nodes:
        if node.memory_free >= asked.memory_bytes and (name == "cpus" or node.cpus_free >= asked.cpus):
            count = node.cpus_free if name == "cpus" else len(node.free.get(flavor, ()))
            free.setdefault(node.cluster, []).append(count)
    return max(
        (sorted(counts)[-asked.nodes] for counts in free.values() if len(counts) >= asked.nodes),
        default=0,
    )


def _shorter(trials: _Trials) -> Iterator[Fix]:
    """A walltime in whole minutes that ends before something booked begins, or that the budget covers."""
    asked, now_ms = trials.job.resources, trials.now_ms
    ends = [booked.starts_ms for booked in trials.answer.booked if booked.job_id != trials.job.job_id]
    ends += [window.starts_ms for window in trials.state.windows]
    lengths = {end - now_ms for end in ends}
    lengths |= {
        asked.walltime_ms * left // hold
        for flavor in asked.flavors
        if (hold := trials.hold(flavor)) > (left := trials.budget(flavor))
    }
    whole = {length // MINUTE_MS * MINUTE_MS for length in lengths}
    values = sorted(length for length in whole if MINUTE_MS <= length < asked.walltime_ms)
    found = _largest(trials, values, lambda length: replace(asked, walltime_ms=length))
    if found:
        walltime = format_duration(found[0])
        yield trials.fix("resources.walltime", walltime, f"≤ {walltime} walltime", found[1])


def _elsewhere(trials: _Trials) -> Iterator[Fix]:
    """Another flavor, those with enough free devices first, then the cheapest."""
    asked = trials.job.resources
    if asked.flavors == (CPU_FLAVOR,):
        return
    for flavor in _other_flavors(trials.state, asked)[:_OTHER_FLAVORS]:
        lot = trials.sooner(replace(asked, flavors=(flavor,)))
        if lot is not None:
            yield trials.fix("resources.flavor", flavor, f"{flavor} instead of {' or '.join(asked.flavors)}", lot)


def _other_flavors(state: State, asked: Resources) -> list[str]:
    """Flavors that have a rate and a node with devices enough, best first."""
    found = []
    for name, flavor in state.flavors.items():
        rate = flavor.micro_su_per_hour
        if name == CPU_FLAVOR or name in asked.flavors or rate is None:
            continue
        if any(node.devices.get(name, 0) >= asked.gpus for node in state.nodes):
            short = _widest(state.nodes, asked, name, "gpus") < asked.gpus
            found.append((short, rate * flavor.milli, name))
    return [name for _, _, name in sorted(found)]


def _unconstrained(trials: _Trials) -> Iterator[Fix]:
    """Without a label that the job could do without. Its data's class and residency are not up for change."""
    kept = trials.job.constraint
    given_up: list[tuple[str, str, Constraint]] = []
    if kept.together is not None:
        given_up.append(("together", kept.together, replace(kept, together=None)))
    if kept.require:
        given_up.append(("require", _labels(kept.require), replace(kept, require=())))
    if kept.forbid:
        given_up.append(("forbid", _labels(kept.forbid), replace(kept, forbid=())))
    for name, said, constraint in given_up:
        lot = trials.sooner(constraint=constraint)
        if lot is not None:
            yield trials.fix(f"constraint.{name}", "", f"without {name} {said}", lot)


def _labels(pairs: tuple[tuple[str, str], ...]) -> str:
    return ", ".join(f"{name}={value}" for name, value in pairs)
