"""Who makes way: borrowers for a guarantee, preemptible jobs for urgent ones, the over-served for a fair share.

Nobody is stopped for one who could be stopped for them in turn, so no two jobs drive each other out: what starts for a
guarantee lies within it and is no borrower; preemptible jobs never preempt; a fair share is restored only if the order
still holds afterwards (the rules are Kueue's and KAI's, restated over this tree).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from domain.quantities import HOUR_MS
from scheduler.desk import Desk, Needy
from scheduler.gates import Terms
from scheduler.live import Running
from scheduler.room import Ask, allowed, closest
from scheduler.snapshot import Stop


def make_way(desk: Desk) -> list[Stop]:
    """What to stop so that the needy can start after the grace period."""
    if not desk.needy:
        return []
    way = _Way.of(desk)
    behind: set[str] = set()  # flavors of which one who was not helped has the next booking
    for needy in desk.needy:
        flavors = {terms.ask.flavor for terms in needy.terms}
        if needy.cause == "fair-share" and not behind.isdisjoint(flavors):
            continue  # others would have what leaves
        if not needy.asks or not any(way.help(needy, terms) for terms in needy.terms):
            behind |= flavors
    return way.stops


@dataclass(slots=True)
class _Space:
    """Free devices by flavor, cores and memory of one node, once all that is told to stop has gone."""

    gpus: dict[str, int]
    cpus: int
    memory: int

    def fits(self, ask: Ask) -> bool:
        return self.gpus.get(ask.flavor, 0) >= ask.gpus and self.cpus >= ask.cpus and self.memory >= ask.memory_bytes

    def add(self, flavor: str, gpus: int, cpus: int, memory: int) -> None:
        self.gpus[flavor] = self.gpus.get(flavor, 0) + gpus
        self.cpus += cpus
        self.memory += memory

    def copy(self) -> "_Space":
        return _Space(dict(self.gpus), self.cpus, self.memory)


@dataclass(slots=True)
class _Less:
    """What accounts would hold and have used less, without some attempts."""

    held: Counter[tuple[int, str]] = field(default_factory=Counter)
    used: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True)
class _Way:
    """What will be free, what accounts will hold, and who may still be stopped, as the needy are helped one by one."""

    desk: Desk
    held: dict[tuple[int, str], int]
    used: dict[int, int]
    allowance: int  # stops for fair shares that the policy still allows in this hour
    spaces: list[_Space] = field(default_factory=list)
    on_node: dict[int, list[Running]] = field(default_factory=dict)
    stops: list[Stop] = field(default_factory=list)

    @classmethod
    def of(cls, desk: Desk) -> "_Way":
        state, room = desk.state, desk.room
        lately = sum(1 for at_ms in state.stopped_ms if at_ms > desk.now_ms - HOUR_MS)
        way = cls(desk, dict(desk.gates.held), dict(state.usage), state.policy.rebalance_per_hour - lately)
        for node, cpus in enumerate(room.cpus):
            gpus = {flavor: counts[node] for flavor, counts in room.gpus.items() if counts[node]}
            way.spaces.append(_Space(gpus, cpus, room.memory[node]))
        for node, spans in desk.bookings.kept.items():
            for span in spans:
                if isinstance(span.who, str) and span.from_ms <= desk.now_ms < span.until_ms:
                    way.spaces[node].add(span.flavor, -span.gpus, -span.cpus, -span.memory_bytes)
        for attempt in state.live:
            if attempt.lost:
                continue
            if attempt.stopping:
                way._release(attempt)
                for key in state.tree.counted(attempt.project_id, attempt.flavor):
                    way.held[key] = way.held.get(key, 0) - attempt.milli
                continue
            for node in way._nodes(attempt):
                way.on_node.setdefault(node, []).append(attempt)
        return way

    def help(self, needy: Needy, terms: Terms) -> bool:
        """Find the task a place, stopping the cheapest if it must be. False if there is none."""
        ask, lacks = terms.ask, self._lacks(needy, terms)
        plans: dict[int, list[Running]] = {}
        for node, space in enumerate(self.spaces):
            if not self._offers(needy, ask, node):
                continue
            chosen = [] if not lacks and space.fits(ask) else self._victims(needy, terms, node, lacks)
            if chosen is not None:
                plans[node] = chosen
        nodes = sorted(plans, key=lambda node: (self._price(plans[node]), node))
        group = nodes if ask.nodes == 1 else closest(self.desk.room.nodes, nodes, ask, ())
        if group is None or len(group) < ask.nodes:
            return False
        victims = {one.key: one for node in group[: ask.nodes] for one in plans[node]}
        if needy.cause == "fair-share" and len(victims) > self.allowance:
            return False
        for victim in victims.values():
            self._stop(needy, victim)
        for node in group[: ask.nodes]:
            self.spaces[node].add(ask.flavor, -ask.gpus, -ask.cpus, -ask.memory_bytes)
        tree = self.desk.state.tree
        for key in tree.counted(needy.line.project_id, ask.flavor):
            self.held[key] = self.held.get(key, 0) + terms.milli
        for account in tree.paths[needy.line.project_id]:
            self.used[account] = self.used.get(account, 0) + terms.hold
        return True

    def _stop(self, needy: Needy, victim: Running) -> None:
        self.stops.append(Stop(victim.job_id, victim.index, needy.cause, needy.job_id))
        if needy.cause == "fair-share":
            self.allowance -= 1
        self._release(victim)
        for node in self._nodes(victim):
            self.on_node[node].remove(victim)
        tree = self.desk.state.tree
        for key in tree.counted(victim.project_id, victim.flavor):
            self.held[key] = self.held.get(key, 0) - victim.milli
        for account in tree.paths[victim.project_id]:
            self.used[account] = self.used.get(account, 0) - self._refund(victim)

    def _release(self, attempt: Running) -> None:
        for node in self._nodes(attempt):
            self.spaces[node].add(attempt.flavor, *self._gives(attempt, node))

    def _nodes(self, attempt: Running) -> list[int]:
        """Where the attempt runs, as far as these nodes still take jobs."""
        places = self.desk.room.places
        found = [places.get((attempt.cluster, placement.node)) for placement in attempt.placements]
        return [node for node in found if node is not None]

    def _offers(self, needy: Needy, ask: Ask, node: int) -> bool:
        """True if the task could run on the node were it empty, with no reservation or maintenance in between."""
        has, desk = self.desk.room.nodes[node], self.desk
        enough = ask.gpus == 0 or has.devices.get(ask.flavor, 0) >= ask.gpus
        if not (enough and has.cpus >= ask.cpus and allowed(has, ask.constraint)):
            return False
        until_ms, path = desk.now_ms + needy.walltime_ms, desk.state.tree.paths[needy.line.project_id]
        return not any(
            isinstance(span.who, str) and desk.now_ms < span.from_ms < until_ms and span.owner not in path
            for span in desk.bookings.kept.get(node, ())
        )

    def _lacks(self, needy: Needy, terms: Terms) -> dict[tuple[int, str], int]:
        """How many thousandths each quota on the task's way up is short of, as a part for each node."""
        tree, lacks = self.desk.state.tree, {}
        for key in tree.counted(needy.line.project_id, terms.ask.flavor):
            quota = tree.quotas.get(key)
            if quota is not None and quota.ceiling is not None:
                short = self.held.get(key, 0) + terms.milli - quota.ceiling
                if short > 0:
                    lacks[key] = -(-short // terms.ask.nodes)
        return lacks

    def _victims(
        self, needy: Needy, terms: Terms, node: int, lacks: Mapping[tuple[int, str], int]
    ) -> list[Running] | None:
        """The cheapest set on one node that makes room there, and in the quotas that lack it: taken one by one, then the
        unneeded spared.
        """
        ask, space, less = terms.ask, self.spaces[node].copy(), _Less()

        def enough() -> bool:
            return space.fits(ask) and all(less.held[key] >= part for key, part in lacks.items())

        chosen: list[Running] = []
        for victim in sorted(self.on_node.get(node, ()), key=lambda one: (self._price([one]), one.key)):
            if enough():
                break
            if self._may_stop(needy, terms, victim, less):
                chosen.append(victim)
                self._leave_out(victim, node, space, less, 1)
        if not enough():
            return None
        kept = []
        for victim in reversed(chosen):
            self._leave_out(victim, node, space, less, -1)
            if not enough():
                self._leave_out(victim, node, space, less, 1)
                kept.append(victim)
        return kept

    def _leave_out(self, victim: Running, node: int, space: _Space, less: _Less, sign: int) -> None:
        """Count the node and the accounts without the victim; with it again for ``sign`` -1."""
        gpus, cpus, memory = self._gives(victim, node)
        space.add(victim.flavor, sign * gpus, sign * cpus, sign * memory)
        tree = self.desk.state.tree
        for key in tree.counted(victim.project_id, victim.flavor):
            less.held[key] += sign * victim.milli
        for account in tree.paths[victim.project_id]:
            less.used[account] += sign * self._refund(victim)

    def _gives(self, attempt: Running, node: int) -> tuple[int, int, int]:
        """Devices, cores and memory that the attempt has on the node."""
        name, needs = self.desk.room.nodes[node].name, attempt.resources
        devices = sum(len(placement.devices) for placement in attempt.placements if placement.node == name)
        return devices, needs.cpus, needs.memory_bytes

    def _may_stop(self, needy: Needy, terms: Terms, victim: Running, less: _Less) -> bool:
        policy, below = self.desk.state.policy, self._below_fork(needy, victim)
        if needy.cause == "guarantee":
            return bool(below) and self._borrows(below, victim.flavor, less)
        if not self._borrows(self.desk.state.tree.paths[victim.project_id], victim.flavor, less):
            return False  # a guarantee, even one that they share, would start it again before the needy
        if needy.cause == "urgent":
            return policy.tier(victim.qos).preemptible
        if policy.tier(victim.qos).rank > policy.tier(needy.line.qos).rank:
            return False  # its tier would
        return bool(below) and self._over_served(needy, terms, victim, below[-1], less)

    def _below_fork(self, needy: Needy, victim: Running) -> tuple[int, ...]:
        """The victim's accounts up to where its path meets the needy one's."""
        paths = self.desk.state.tree.paths
        mine = set(paths[needy.line.project_id])
        return tuple(account for account in paths[victim.project_id] if account not in mine)

    def _borrows(self, accounts: Iterable[int], flavor: str, less: _Less) -> bool:
        """True if none of the accounts has the attempt within its own guarantee."""
        quotas = self.desk.state.tree.quotas
        for account in accounts:
            quota = quotas.get((account, flavor))
            if quota is not None and quota.guaranteed:
                held = self.held.get((account, flavor), 0) - less.held[account, flavor]
                if held <= quota.guaranteed:
                    return False
        return True

    def _over_served(self, needy: Needy, terms: Terms, victim: Running, theirs: int, less: _Less) -> bool:
        """True if, where the two paths part, the victim's side holds and has used more per weight than the needy side even
        once the one has left and the other has come: so the order holds afterwards, and it is not the victim that starts.
        """
        desk, tree, flavor = self.desk, self.desk.state.tree, terms.ask.flavor
        policy = desk.state.policy
        if victim.flavor != flavor or policy.tier(victim.qos).preempts:
            return False
        if desk.now_ms - victim.started_ms < policy.min_runtime_ms:
            return False
        path, above = tree.paths[needy.line.project_id], set(tree.paths[theirs])
        mine = [account for account in path if account not in above]
        if not mine:
            return False
        ours, their_weight = tree.accounts[mine[-1]], tree.accounts[theirs].weight
        keeps = self.held.get((theirs, flavor), 0) - less.held[theirs, flavor] - victim.milli
        gains = self.held.get((ours.id, flavor), 0) + terms.milli
        used = self.used.get(theirs, 0) - less.used[theirs] - self._refund(victim)
        uses = self.used.get(ours.id, 0) + terms.hold
        return keeps * ours.weight >= gains * their_weight and used * ours.weight > uses * their_weight

    def _refund(self, victim: Running) -> int:
        """What its project gets back in micro-SU if it stops now."""
        state, now_ms = self.desk.state, self.desk.now_ms
        tariff = state.flavors[victim.flavor].tariff(state.factor(victim.qos))
        return tariff.booking(victim.milli, now_ms, max(0, victim.ends_ms - now_ms))

    def _price(self, victims: Sequence[Running]) -> tuple[int, int, int]:
        """What stopping them costs: jobs that are not preemptible, work lost in thousandth-ms, and how many."""
        policy, now_ms = self.desk.state.policy, self.desk.now_ms
        protected = sum(1 for one in victims if not policy.tier(one.qos).preemptible)
        return protected, sum(one.milli * max(0, now_ms - one.started_ms) for one in victims), len(victims)
