"""The future of the nodes: when running attempts end at the latest, what is booked for whom, what windows keep.

Times are half-open, [from, until). A booking is where and when a blocked job starts at the latest; a window is a
reservation or maintenance. Only nodes that someone has booked have a future to look at; the others only get emptier.
"""

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from domain.fleet import CPU_FLAVOR
from domain.jobs import ANYWHERE
from scheduler.live import End, Live, Running, Span, spans, when
from scheduler.room import Ask, Room, allowed, closest
from scheduler.snapshot import State, Window


@dataclass(frozen=True, slots=True)
class Slot:
    """Where and when a blocked ask starts at the latest."""

    nodes: tuple[int, ...]
    starts_ms: int


@dataclass(slots=True)
class Bookings:
    """What runs and all that is booked, over the nodes of a ``Room``, from ``now_ms`` on."""

    room: Room
    live: Live
    now_ms: int
    kept: dict[int, list[Span]] = field(default_factory=dict)
    owners: frozenset[int] = frozenset()
    missing: dict[str, int] = field(default_factory=dict)  # window -> devices that it lacks when it begins
    started: dict[int, list[Span]] = field(default_factory=dict)
    _ends: list[End] | None = None  # of all that runs and is kept, once someone looked

    @classmethod
    def of(cls, state: State, room: Room, now_ms: int) -> "Bookings":
        windows = sorted((w for w in state.windows if w.ends_ms > now_ms), key=lambda w: (w.starts_ms, w.name))
        owners = frozenset(w.account_id for w in windows if w.account_id is not None)
        bookings = cls(room, state.live, now_ms, owners=owners)
        for window in windows:
            _keep(bookings, window)
        return bookings

    def running(self, node: int) -> list[Span]:
        """What runs on the node, this plan's starts included."""
        has = self.room.nodes[node]
        before = self.live.on_node.get((has.cluster, has.name))
        return [*(before.values() if before else ()), *self.started.get(node, ())]

    def usable(self, ask: Ask, node: int, until_ms: int, owners: frozenset[int]) -> bool:
        """True if the ask may hold the node from now until then without delaying a booking or breaking a window."""
        return node not in self.kept or self._spare(ask, node, self.now_ms, until_ms, owners)

    def take(self, ask: Ask, nodes: Sequence[int], until_ms: int, job_id: int) -> None:
        """The ask starts now."""
        span = Span(self.now_ms, until_ms, ask.flavor, ask.gpus, ask.cpus, ask.memory_bytes, job_id)
        for node in nodes:
            self.started.setdefault(node, []).append(span)
            self._happens(node, span)

    def book(self, ask: Ask, slot: Slot, walltime_ms: int, job_id: int) -> None:
        """Keep the slot for the ask."""
        until_ms = slot.starts_ms + walltime_ms
        span = Span(slot.starts_ms, until_ms, ask.flavor, ask.gpus, ask.cpus, ask.memory_bytes, job_id)
        for node in slot.nodes:
            self.keep(node, span)

    def enter(self, ask: Ask, nodes: Sequence[int], until_ms: int, owners: frozenset[int]) -> str | None:
        """The ask starts inside a reservation of its own, which keeps that much less for it. Answers its name."""
        entered = None
        for node in nodes:
            for span in self.kept.get(node, ()):
                if span.owner in owners and span.from_ms <= self.now_ms and span.gpus > 0 and span.flavor == ask.flavor:
                    rest = self._unused(node, span)
                    if rest.gpus > 0:
                        entered = str(span.who)
                        self.keep(node, _less(rest, ask, self.now_ms, until_ms))
                        break
        return entered

    def _unused(self, node: int, whole: Span) -> Span:
        """What a reservation keeps on the node now, less what its owner's jobs have of that."""
        parts = [
            span for span in self.kept[node]
            if span.who == whole.who and span.flavor == whole.flavor and span.from_ms <= self.now_ms < span.until_ms
        ]  # fmt: skip
        return whole._replace(
            gpus=sum(span.gpus for span in parts),
            cpus=sum(span.cpus for span in parts),
            memory_bytes=sum(span.memory_bytes for span in parts),
        )

    def keep(self, node: int, span: Span) -> None:
        self.kept.setdefault(node, []).append(span)
        self._happens(node, span)

    def blocker(self, node: int, until_ms: int, owners: frozenset[int]) -> Span | None:
        """The first that is kept on the node and in the ask's way from now until then."""
        against = [
            span
            for span in self.kept.get(node, ())
            if span.from_ms < until_ms and span.until_ms > self.now_ms and span.owner not in owners
        ]
        return min(against, key=lambda span: (span.from_ms, str(span.who)), default=None)

    def earliest(self, ask: Ask, walltime_ms: int, owners: frozenset[int]) -> Slot | None:
        """The first time from now on at which the ask fits for its whole walltime; None if it never does.

        Ends of running attempts are taken in order, giving back what they hold, until enough nodes are free. A node
        that is booked by others is looked at moment by moment instead.
        """
        free = _Free.of(self.room, ask)
        if len(free.eligible) < ask.nodes:
            return None
        kept = self.kept
        ready = [node for node in free.eligible if node not in kept and free.enough(node)]
        booked = [node for node in free.eligible if node in kept]
        slot = self._try_at(ask, self.now_ms, walltime_ms, owners, ready, booked)
        ends, position, places = self._timeline(), 0, self.room.places
        while slot is None and position < len(ends):
            at_ms, moved = max(ends[position].at_ms, self.now_ms + 1), []
            while position < len(ends) and ends[position].at_ms <= at_ms:
                _, key, span = ends[position]
                position += 1
                node = places.get(key, -1)
                if node in kept:
                    moved.append(node)
                elif free.give(node, span):
                    ready.append(node)
                    moved.append(node)
            if moved:
                again = [node for node in moved if node in kept] if ask.nodes == 1 else booked
                slot = self._try_at(ask, at_ms, walltime_ms, owners, ready, again)
        return slot

    def _try_at(
        self, ask: Ask, at_ms: int, walltime_ms: int, owners: frozenset[int], ready: list[int], booked: list[int]
    ) -> Slot | None:
        able = ready + [n for n in booked if self._spare(ask, n, at_ms, at_ms + walltime_ms, owners)]
        if len(able) < ask.nodes:
            return None
        if ask.nodes == 1:
            return Slot((min(able),), at_ms)
        group = closest(self.room.nodes, sorted(able), ask, self.room.together)
        return None if group is None else Slot(tuple(group[: ask.nodes]), at_ms)

    def _spare(self, ask: Ask, node: int, from_ms: int, until_ms: int, owners: frozenset[int]) -> bool:
        """True if the node has enough for the ask at every moment from one time to another."""
        room, running, kept = self.room, self.running(node), self.kept.get(node, ())
        gpus = room.gpus[ask.flavor][node] if ask.gpus else 0
        cpus, memory = room.cpus[node], room.memory[node]
        moments = {from_ms}
        for span in running:
            # One that overruns its walltime ends any moment, but not now.
            if span.until_ms <= from_ms and from_ms > self.now_ms:
                gpus += span.gpus if span.flavor == ask.flavor else 0
                cpus += span.cpus
                memory += span.memory_bytes
            elif span.until_ms < until_ms:
                moments.add(span.until_ms)
        against = [
            span for span in kept
            if span.from_ms < until_ms and span.until_ms > from_ms and span.owner not in owners
        ]  # fmt: skip
        moments.update(span.from_ms for span in against if span.from_ms > from_ms)
        for moment in moments:
            has_gpus, has_cpus, has_memory = gpus, cpus, memory
            for span in running:
                if from_ms < max(span.until_ms, self.now_ms + 1) <= moment:
                    has_gpus += span.gpus if span.flavor == ask.flavor else 0
                    has_cpus += span.cpus
                    has_memory += span.memory_bytes
            for span in against:
                if span.from_ms <= moment < span.until_ms:
                    has_gpus -= span.gpus if span.flavor == ask.flavor else 0
                    has_cpus -= span.cpus
                    has_memory -= span.memory_bytes
            if has_gpus < ask.gpus or has_cpus < ask.cpus or has_memory < ask.memory_bytes:
                return False
        return True

    def offering(self, flavor: str) -> list[int]:
        """The nodes that have devices of the flavor."""
        return [position for position, node in enumerate(self.room.nodes) if node.devices.get(flavor)]

    def _timeline(self) -> list[End]:
        """When nodes get emptier, in order of time."""
        if self._ends is None:
            self._ends = list(self.live.ends)
            for spans in (self.started, self.kept):
                for node, some in spans.items():
                    for span in some:
                        self._happens(node, span)
        return self._ends

    def _happens(self, node: int, span: Span) -> None:
        if self._ends is not None:
            has = self.room.nodes[node]
            insort(self._ends, End(span.until_ms, (has.cluster, has.name), span), key=when)


@dataclass(slots=True)
class _Free:
    """What nodes would have if running attempts ended, for one ask."""

    ask: Ask
    eligible: list[int]
    gpus: list[int]
    cpus: list[int]
    memory: list[int]
    _mine: set[int]

    @classmethod
    def of(cls, room: Room, ask: Ask) -> "_Free":
        anywhere = ask.constraint == ANYWHERE
        eligible = [
            position for position, node in enumerate(room.nodes)
            if (ask.gpus == 0 or node.devices.get(ask.flavor, 0) >= ask.gpus)
            and node.cpus >= ask.cpus and node.memory_bytes >= ask.memory_bytes
            and (anywhere or allowed(node, ask.constraint))
        ]  # fmt: skip
        gpus = list(room.gpus.get(ask.flavor, ())) or [0] * len(room.nodes)
        return cls(ask, eligible, gpus, list(room.cpus), list(room.memory), set(eligible))

    def enough(self, node: int) -> bool:
        ask = self.ask
        return self.gpus[node] >= ask.gpus and self.cpus[node] >= ask.cpus and self.memory[node] >= ask.memory_bytes

    def give(self, node: int, span: Span) -> bool:
        """Return what the span held. True if this makes the node fit for the ask."""
        if node not in self._mine:
            return False
        before = self.enough(node)
        if span.flavor == self.ask.flavor:
            self.gpus[node] += span.gpus
        self.cpus[node] += span.cpus
        self.memory[node] += span.memory_bytes
        return not before and self.enough(node)


def _less(span: Span, ask: Ask, now_ms: int, until_ms: int) -> Span:
    """What a reservation keeps less of while its owner's job runs in it."""
    return span._replace(
        from_ms=now_ms, until_ms=min(until_ms, span.until_ms), gpus=-min(ask.gpus, span.gpus),
        cpus=-min(ask.cpus, span.cpus), memory_bytes=-min(ask.memory_bytes, span.memory_bytes),
    )  # fmt: skip


def _keep(bookings: Bookings, window: Window) -> None:
    """Book a window on its nodes: named ones whole, or as many devices of a flavor as it keeps."""
    room = bookings.room
    if window.nodes:
        for name in window.nodes:
            node = room.places.get((window.cluster or "", name))
            if node is not None:
                for span in _whole(room, node, window):
                    bookings.keep(node, span)
        return
    flavor, left = window.flavor or "", window.gpus
    for attempt in bookings.live:
        if attempt.window == window.name and attempt.flavor == flavor:
            left -= _keep_around(bookings, window, attempt)
    for node, most in _roomiest(bookings, window, flavor):
        if left <= 0:
            break
        kept = min(left, most)
        left -= kept
        bookings.keep(node, _share(room, node, window, flavor, kept))
    if left > 0:
        bookings.missing[window.name] = left


def _keep_around(bookings: Bookings, window: Window, attempt: Running) -> int:
    """Keep for the owner's attempt what it has, and again once it ends. Answers how many devices that is."""
    kept = 0
    for key, span in spans(attempt):
        node = bookings.room.places.get(key)
        if node is None:
            continue
        whole = _share(bookings.room, node, window, attempt.flavor, span.gpus)
        bookings.keep(node, whole)
        bookings.keep(node, whole._replace(
            until_ms=min(span.until_ms, window.ends_ms), gpus=-whole.gpus, cpus=-whole.cpus,
            memory_bytes=-whole.memory_bytes,
        ))  # fmt: skip
        kept += span.gpus
    return kept


def _roomiest(bookings: Bookings, window: Window, flavor: str) -> list[tuple[int, int]]:
    """Nodes by how many devices of the flavor they will have when the window begins, most first."""
    found = []
    for node in bookings.offering(flavor):
        if window.cluster is not None and bookings.room.nodes[node].cluster != window.cluster:
            continue
        free = bookings.room.gpus.get(flavor, [0] * (node + 1))[node]
        free += sum(s.gpus for s in bookings.running(node) if s.flavor == flavor and s.until_ms <= window.starts_ms)
        free -= sum(
            s.gpus for s in bookings.kept.get(node, ())
            if s.flavor == flavor and s.from_ms < window.ends_ms and s.until_ms > window.starts_ms
        )  # fmt: skip
        if free > 0:
            found.append((node, free))
    return sorted(found, key=lambda entry: (-entry[1], entry[0]))


def _share(room: Room, node: int, window: Window, flavor: str, gpus: int) -> Span:
    """Devices of a node with their share of its cores and memory."""
    has = room.nodes[node]
    devices = has.devices[flavor]
    return Span(
        window.starts_ms, window.ends_ms, flavor, gpus, has.cpus * gpus // devices, has.memory_bytes * gpus // devices,
        window.name, window.account_id,
    )  # fmt: skip


def _whole(room: Room, node: int, window: Window) -> Iterable[Span]:
    """All that a node has."""
    has = room.nodes[node]
    span = (window.starts_ms, window.ends_ms)
    yield Span(*span, CPU_FLAVOR, 0, has.cpus, has.memory_bytes, window.name, window.account_id)
    for flavor, count in has.devices.items():
        yield Span(*span, flavor, count, 0, 0, window.name, window.account_id)
