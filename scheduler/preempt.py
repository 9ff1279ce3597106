"""Who makes way: borrowers for a guarantee, preemptible jobs for urgent ones, the over-served for a fair share.

Nobody is stopped for one who could be stopped for them in turn, so no two jobs drive each other out: what starts for a
guarantee lies within it and is no borrower; preemptible jobs never preempt; a fair share is restored only if the order
still holds afterwards (the rules are Kueue's and KAI's, restated over this tree).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from domain.quantities import HOUR_MS
from scheduler.desk import Desk, Needy
from scheduler.gates import Terms
from scheduler.live import Running
from scheduler.room import Ask, allowed, closest
from scheduler.snapshot import Stop

# So many of the first in line are helped in one cycle; the rest comes in the next.
_MOST_HELPED = 64


def make_way(desk: Desk) -> list[Stop]:
    """What to stop so that the needy can start after the grace period."""
    if not desk.needy:
        return []
    way = _Way.of(desk)
    for needy in desk.needy[:_MOST_HELPED]:
        if way.is_coming(needy) or (needy.cause == "fair-share" and way.allowance <= 0):
            continue
        for terms in needy.terms:
            victims = way.victims(needy, terms)
            if victims:
                way.stop(needy, victims)
                break
    return way.stops


@dataclass(slots=True)
class _Way:
    """The running attempts by node, and what accounts would hold once those chosen so far have stopped."""

    desk: Desk
    held: dict[tuple[int, str], int]
    on_node: dict[int, list[Running]]
    allowance: int
    leaving_ms: int
    gone: set[tuple[int, int]] = field(default_factory=set)
    freed: dict[int, Needy] = field(default_factory=dict)
    stops: list[Stop] = field(default_factory=list)

    @classmethod
    def of(cls, desk: Desk) -> "_Way":
        state, policy = desk.state, desk.state.policy
        on_node: dict[int, list[Running]] = {}
        for attempt in state.live:
            for placement in attempt.placements:
                node = desk.room.places.get((attempt.cluster, placement.node))
                if node is not None and not attempt.stopping:
                    on_node.setdefault(node, []).append(attempt)
        lately = sum(1 for at_ms in state.stopped_ms if at_ms > desk.now_ms - HOUR_MS)
        leaving_ms = max((attempt.ends_ms for attempt in state.live if attempt.stopping), default=0)
        return cls(desk, dict(desk.gates.held), on_node, policy.rebalance_per_hour - lately, leaving_ms)

    def is_coming(self, needy: Needy) -> bool:
        """True if those who were told to stop before already make the room."""
        return needy.starts_ms <= self.leaving_ms

    def victims(self, needy: Needy, terms: Terms) -> list[Running]:
        """The cheapest attempts on the nodes where stopping them makes room for the task; empty if there are none."""
        ask, room = terms.ask, self.desk.room
        plans: dict[int, list[Running]] = {}
        for node in range(len(room.nodes)):
            if node in self.freed or not self._offers(ask, node):
                continue
            if room.fits(ask, node):
                plans[node] = []
            elif (chosen := self._on_node(needy, terms, node)) is not None:
                plans[node] = chosen
        if len(plans) < ask.nodes:
            return []
        ranked = sorted(plans, key=lambda node: (self._price(plans[node]), node))
        if ask.nodes > 1:
            group = closest(room.nodes, ranked, ask, ())
            if group is None:
                return []
            ranked = group
        found = {(one.job_id, one.index): one for node in ranked[: ask.nodes] for one in plans[node]}
        self.freed.update(dict.fromkeys(ranked[: ask.nodes], needy))
        return list(found.values())

    def stop(self, needy: Needy, victims: Sequence[Running]) -> None:
        for victim in victims:
            self.gone.add((victim.job_id, victim.index))
            for account in self.desk.state.tree.path(victim.project_id):
                self.held[account, victim.flavor] -= victim.milli
            self.stops.append(Stop(victim.job_id, victim.index, needy.cause, needy.job_id))
        if needy.cause == "fair-share":
            self.allowance -= len(victims)

    def _offers(self, ask: Ask, node: int) -> bool:
        has = self.desk.room.nodes[node]
        enough = ask.gpus == 0 or has.devices.get(ask.flavor, 0) >= ask.gpus
        return enough and has.cpus >= ask.cpus and allowed(has, ask.constraint)

    def _on_node(self, needy: Needy, terms: Terms, node: int) -> list[Running] | None:
        """The cheapest set on one node that makes room there: taken one by one, then the unneeded spared."""
        ask, room = terms.ask, self.desk.room
        free = [room.gpus[ask.flavor][node] if ask.gpus else 0, room.cpus[node], room.memory[node]]
        wanted = [ask.gpus, ask.cpus, ask.memory_bytes]
        chosen: list[tuple[Running, list[int]]] = []
        held = dict(self.held) if needy.cause == "guarantee" else self.held
        for victim in sorted(self.on_node.get(node, ()), key=lambda one: (self._price([one]), one.key)):
            if all(has >= want for has, want in zip(free, wanted, strict=True)):
                break
            if (victim.job_id, victim.index) in self.gone or not self._may_stop(needy, terms, victim, held):
                continue
            if needy.cause == "guarantee":
                for account in self.desk.state.tree.path(victim.project_id):
                    held[account, victim.flavor] -= victim.milli
            gives = _gives(victim, room.nodes[node].name, ask.flavor)
            free = [has + more for has, more in zip(free, gives, strict=True)]
            chosen.append((victim, gives))
        if any(has < want for has, want in zip(free, wanted, strict=True)):
            return None
        kept = []
        for victim, gives in reversed(chosen):
            without = [has - less for has, less in zip(free, gives, strict=True)]
            if all(has >= want for has, want in zip(without, wanted, strict=True)):
                free = without
            else:
                kept.append(victim)
        return kept

    def _may_stop(self, needy: Needy, terms: Terms, victim: Running, held: dict[tuple[int, str], int]) -> bool:
        if needy.cause == "urgent":
            return self.desk.state.policy.tier(victim.qos).preemptible
        below = self._below_fork(needy, victim)
        if needy.cause == "guarantee":
            return bool(below) and self._borrows(below, victim.flavor, held)
        return bool(below) and self._over_served(needy, terms, victim, below[-1])

    def _below_fork(self, needy: Needy, victim: Running) -> tuple[int, ...]:
        """The victim's accounts up to where its path meets the needy one's."""
        mine = set(needy.front.path)
        return tuple(account for account in self.desk.state.tree.path(victim.project_id) if account not in mine)

    def _borrows(self, below: Iterable[int], flavor: str, held: dict[tuple[int, str], int]) -> bool:
        """True if no account below the fork has the attempt within its own guarantee."""
        quotas = self.desk.state.tree.quotas
        for account in below:
            quota = quotas.get((account, flavor))
            if quota is not None and quota.guaranteed and held.get((account, flavor), 0) <= quota.guaranteed:
                return False
        return True

    def _over_served(self, needy: Needy, terms: Terms, victim: Running, theirs: int) -> bool:
        """True if, where the two paths part, the victim's side keeps more per weight than the needy side will have, and
        has used more in the past too.
        """
        desk, policy = self.desk, self.desk.state.policy
        if desk.now_ms - victim.started_ms < policy.min_runtime_ms or policy.tier(victim.qos).preempts:
            return False
        path = needy.front.path
        meeting = next(account for account in path if account in desk.state.tree.path(theirs))
        mine = path[path.index(meeting) - 1]
        accounts, flavor = desk.state.tree.accounts, terms.ask.flavor
        if mine == meeting or victim.flavor != flavor:
            return False
        kept = (self.held.get((theirs, flavor), 0) - victim.milli) * accounts[mine].weight
        gained = (self.held.get((mine, flavor), 0) + terms.milli) * accounts[theirs].weight
        used = desk.state.usage
        return kept >= gained and (
            used.get(theirs, 0) * accounts[mine].weight > used.get(mine, 0) * accounts[theirs].weight
        )

    def _price(self, victims: Iterable[Running]) -> tuple[int, int, int]:
        """What stopping them costs: jobs that are not preemptible, work lost in thousandth-ms, and how many."""
        policy, now_ms = self.desk.state.policy, self.desk.now_ms
        chosen = list(victims)
        protected = sum(1 for one in chosen if not policy.tier(one.qos).preemptible)
        return protected, sum(one.milli * max(0, now_ms - one.started_ms) for one in chosen), len(chosen)


def _gives(attempt: Running, node: str, flavor: str) -> list[int]:
    """Devices of the flavor, cores and memory that the attempt has on the node."""
    here = [placement for placement in attempt.placements if placement.node == node]
    gpus = sum(len(placement.devices) for placement in here) if attempt.flavor == flavor else 0
    needs = attempt.resources
    return [gpus, needs.cpus * len(here), needs.memory_bytes * len(here)]
