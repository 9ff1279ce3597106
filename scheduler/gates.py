"""May an account hold and spend this now? The planner's working copy of limits, budgets, quotas and what was lent.

The same arithmetic as at commit (``domain.accounts``); what a plan starts is added at once.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from domain.accounts import TOTAL, AccountState, Shortfall, Withheld
from domain.fleet import CPU_FLAVOR
from domain.purses import Purse, less, payable, split_hold
from scheduler import explain
from scheduler.predict import predicted_ms
from scheduler.queue import Demand, Line
from scheduler.room import Ask, amount
from scheduler.snapshot import Reason, State


@dataclass(frozen=True, slots=True)
class Terms:
    """What one task of a lane is in one flavor: its demand, the thousandths it holds, its hold in micro-SU, and the
    thousandth-milliseconds it will probably use.
    """

    ask: Ask
    milli: int
    hold: int
    work: int


_PLENTY = 10**12  # a million SU: more than one task costs


@dataclass(slots=True)
class Gates:
    """Mutable sums of one plan, by account."""

    state: State
    now_ms: int
    held: dict[tuple[int, str], int]
    available: dict[int, int]
    purses: dict[int, Sequence[Purse]]  # of projects that may not spend all that is available on everything
    running: dict[int, int]
    user_running: dict[tuple[int, int], int]
    pledged: dict[tuple[int, str], int]  # booked under guarantees
    awaited: dict[tuple[int, str], int] = field(default_factory=dict)  # by those out of patience, by account
    awaited_free: dict[str, int] = field(default_factory=dict)  # by those of them who wait for what is lent
    awaited_by: dict[str, int] = field(default_factory=dict)  # the first such job of each flavor
    _capacity: dict[str, int] | None = None
    _barred: dict[int, Reason | None] = field(default_factory=dict)
    _limited: dict[int, tuple[int, ...]] = field(default_factory=dict)
    _guarantees: dict[tuple[int, str], tuple[tuple[int, int], ...]] = field(default_factory=dict)
    _ceilings: dict[tuple[int, str], bool] = field(default_factory=dict)
    _lenders: dict[str, bool] = field(default_factory=dict)
    _withheld: dict[str, Withheld] = field(default_factory=dict)

    @classmethod
    def of(cls, state: State, now_ms: int) -> "Gates":
        running, user_running = dict(state.running), dict(state.user_running)
        available = dict(state.available)
        purses: dict[int, Sequence[Purse]] = {**state.purses}
        return cls(state, now_ms, dict(state.held), available, purses, running, user_running, {})

    @property
    def capacity(self) -> dict[str, int]:
        """Thousandths of each flavor on nodes that take jobs."""
        if self._capacity is None:
            counts: Counter[str] = Counter()
            for node in self.state.nodes:
                counts.update(node.devices)
                counts[CPU_FLAVOR] += node.cpus
            flavors = self.state.flavors
            self._capacity = {name: count * flavors[name].milli for name, count in counts.items() if name in flavors}
        return self._capacity

    def terms(self, line: Line, demand: Demand, flavor: str, factor: int | None = None) -> Terms | Reason:
        """What a task of the lane costs in the flavor, by the line's QoS or another factor; a reason if it has no rate."""
        known = self.state.flavors.get(flavor)
        if known is None or known.micro_su_per_hour is None:
            return explain.no_rate(flavor)
        needs = demand.resources
        milli = amount(needs, flavor, known.milli)
        expected_ms = predicted_ms(needs.walltime_ms, self.state.recent.get(line.user_id, ()))
        tariff = known.tariff(self.state.factor(line.qos) if factor is None else factor)
        hold = tariff.booking(milli, self.now_ms, needs.walltime_ms)
        return Terms(Ask.of(needs, flavor, demand.constraint), milli, hold, milli * expected_ms)

    def cost(self, line: Line, demand: Demand) -> int:
        """What one task is expected to be charged, in micro-SU, in its first flavor that has a rate; 0 if none has."""
        walltime_ms = demand.resources.walltime_ms
        expected_ms = predicted_ms(walltime_ms, self.state.recent.get(line.user_id, ()))
        for flavor in demand.resources.flavors:
            known = self.state.flavors.get(flavor)
            if known is not None and known.micro_su_per_hour is not None:
                tariff, milli = known.tariff(self.state.factor(line.qos)), amount(demand.resources, flavor, known.milli)
                return tariff.booking(milli, self.now_ms, expected_ms)
        return 0

    def barred(self, line: Line) -> Reason | None:
        """Reasons that hold for every flavor of the lane's next task."""
        project = line.project_id
        if project not in self._barred:
            self._barred[project] = self._standing(line)
        if reason := self._barred[project]:
            return reason
        accounts = self.state.tree.accounts
        for account_id in self._limited[project]:
            limit = accounts[account_id].limits.running_jobs
            running = self.running.get(account_id, 0)
            if limit is not None and running >= limit:
                return explain.running_limit(accounts[account_id], running)
            most = accounts[account_id].limits.user_running_jobs
            user = self.user_running.get((account_id, line.user_id), 0)
            if most is not None and user >= most:
                return explain.user_running_limit(accounts[account_id], user)
        return None

    def refused(self, line: Line, terms: Terms, walltime_ms: int) -> Reason | None:
        """Why the account may not hold or spend this now: budget, quota, or what others' guarantees keep."""
        project, flavor = line.project_id, terms.ask.flavor
        left = self.left(project, terms.ask)
        if terms.hold > left:
            if terms.hold <= self.available.get(project, 0):
                return explain.conditions(terms.hold, left, self.purses[project], terms.ask)
            return explain.budget(terms.hold, left, walltime_ms)
        tree = self.state.tree
        if self._is_capped(line, flavor):
            short = tree.shortfall(self.held, project, flavor, terms.milli)
            if short is None and (waited := self._shortfall(line, terms)) is not None:
                return explain.awaited(flavor, self.awaited_by[waited.name])
            if short is not None:
                unit = self.state.flavors[flavor].milli
                return explain.quota(tree.accounts[short.account_id], flavor, terms.milli, unit, short)
        if self._is_lent(flavor) and not self.entitled(line, flavor, terms.milli):
            withheld = self._withheld.get(flavor)
            if withheld is None:
                withheld = self._withheld[flavor] = tree.withheld(self.held, flavor)
            path = tree.paths[project]
            kept, root = withheld.after(path, terms.milli), path[-1]
            free = self.capacity.get(flavor, 0) - self.held.get((root, flavor), 0) - terms.milli
            if max(0, free) >= kept > max(0, free - self.awaited_free.get(flavor, 0)):
                return explain.awaited(flavor, self.awaited_by[flavor])
            if kept > max(0, free):
                return explain.withheld(flavor, terms.milli, max(0, free + terms.milli - kept))
        return None

    def is_squeezed(self, line: Line, terms: Terms) -> bool:
        """True if nothing but a quota on the way up keeps the task."""
        return terms.hold <= self.left(line.project_id, terms.ask) and self._shortfall(line, terms) is not None

    def keep_place(self, line: Line, terms: Terms, job_id: int) -> None:
        """The task is out of patience: what it asks of the quota that it lacks, or of what is lent, is for nobody behind it.

        So that narrow tasks cannot slip in for ever. Not for one that could never have it.
        """
        flavor, tree = terms.ask.flavor, self.state.tree
        if terms.hold > self.left(line.project_id, terms.ask):
            return
        short = self._shortfall(line, terms)
        if short is not None:
            if terms.milli <= short.ceiling:
                key = (short.account_id, short.name)
                self.awaited[key] = self.awaited.get(key, 0) + terms.milli
                self.awaited_by.setdefault(short.name, job_id)
            return
        kept = tree.withheld({}, flavor).after(tree.paths[line.project_id], terms.milli)
        if kept + terms.milli <= self.capacity.get(flavor, 0):
            self.awaited_free[flavor] = self.awaited_free.get(flavor, 0) + terms.milli
            self.awaited_by.setdefault(flavor, job_id)

    def _shortfall(self, line: Line, terms: Terms) -> Shortfall | None:
        """The quota on the way up that has too little left beside what is held, and awaited by those out of patience."""
        tree, flavor, held = self.state.tree, terms.ask.flavor, self.held
        if self.awaited:
            keys = tree.counted(line.project_id, flavor)
            held = {key: held.get(key, 0) + self.awaited.get(key, 0) for key in keys}
        return tree.shortfall(held, line.project_id, flavor, terms.milli)

    @property
    def any_guarantees(self) -> bool:
        return any(quota.guaranteed for quota in self.state.tree.quotas.values())

    def may_refuse(self, line: Line) -> bool:
        """False where it is clear at a glance that ``refused`` has nothing to say: no quota above, and budget in plenty."""
        quotas = self.state.tree.quotas
        project = line.project_id
        return bool(quotas) or project in self.purses or self.available.get(project, 0) < _PLENTY

    def entitled(self, line: Line, flavor: str, milli: int) -> bool:
        """True if an account on the way up has so much of its guarantee unused."""
        return any(
            self.held.get((account, flavor), 0) + self.pledged.get((account, flavor), 0) + milli <= guaranteed
            for account, guaranteed in self.guarantees(line, flavor)
        )

    def guarantees(self, line: Line, flavor: str) -> tuple[tuple[int, int], ...]:
        """(account, guaranteed thousandths) on the way up, where there is any."""
        key = (line.project_id, flavor)
        found = self._guarantees.get(key)
        if found is None:
            quotas = self.state.tree.quotas
            pairs = ((account, quotas.get((account, flavor))) for account in self.state.tree.paths[line.project_id])
            found = tuple((account, quota.guaranteed) for account, quota in pairs if quota and quota.guaranteed)
            self._guarantees[key] = found
        return found

    def pledge(self, line: Line, terms: Terms) -> None:
        """One task is booked under a guarantee: that much less of it is unused."""
        for account in self.state.tree.paths[line.project_id]:
            key = (account, terms.ask.flavor)
            self.pledged[key] = self.pledged.get(key, 0) + terms.milli

    def take(self, line: Line, terms: Terms) -> None:
        """One task starts."""
        flavor, held, running = terms.ask.flavor, self.held, self.running
        capped = () if flavor == CPU_FLAVOR else self.state.tree.capped
        self._withheld.pop(flavor, None)
        self._spend(line.project_id, terms)
        user_id = line.user_id
        for account in self.state.tree.paths[line.project_id]:
            held[account, flavor] = held.get((account, flavor), 0) + terms.milli
            if account in capped:
                held[account, TOTAL] = held.get((account, TOTAL), 0) + terms.milli
            running[account] = running.get(account, 0) + 1
        if self._limited[line.project_id]:
            for account in self.state.tree.paths[line.project_id]:
                self.user_running[account, user_id] = self.user_running.get((account, user_id), 0) + 1

    def left(self, project_id: int, ask: Ask) -> int:
        """The micro-SU that the project may still spend on such a job."""
        purses = self.purses.get(project_id)
        if purses is None:
            return self.available.get(project_id, 0)
        return payable(purses, ask.flavor, ask.constraint.classification)

    def _spend(self, project_id: int, terms: Terms) -> None:
        self.available[project_id] -= terms.hold
        purses, ask = self.purses.get(project_id), terms.ask
        if purses is not None:
            parts = split_hold(terms.hold, purses, ask.flavor, ask.constraint.classification)
            assert parts is not None, f"project {project_id} has no {terms.hold} for {ask.flavor}"
            self.purses[project_id] = less(purses, parts)

    def _standing(self, line: Line) -> Reason | None:
        """What bars a whole project; notes which accounts above it limit what runs."""
        tree, project = self.state.tree, line.project_id
        limits = ((account, tree.accounts[account].limits) for account in self.state.tree.paths[line.project_id])
        self._limited[project] = tuple(
            account for account, limit in limits
            if limit.running_jobs is not None or limit.user_running_jobs is not None
        )  # fmt: skip
        if project not in self.available:
            return explain.no_allocation(tree.accounts[project])
        for account in tree.paths[project]:
            if tree.accounts[account].state is not AccountState.ACTIVE:
                return explain.inactive(tree.accounts[account])
        return None

    def _is_capped(self, line: Line, flavor: str) -> bool:
        key = (line.project_id, flavor)
        found = self._ceilings.get(key)
        if found is None:
            quotas = map(self.state.tree.quotas.get, self.state.tree.counted(*key))
            found = self._ceilings[key] = any(quota and quota.ceiling is not None for quota in quotas)
        return found

    def _is_lent(self, flavor: str) -> bool:
        found = self._lenders.get(flavor)
        if found is None:
            quotas = self.state.tree.quotas.items()
            found = any(name == flavor and quota.lend_limit is not None for (_, name), quota in quotas)
            self._lenders[flavor] = found
        return found
