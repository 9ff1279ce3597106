"""The planner's one function: what to start where, what to stop, what to book, and why and how long the rest waits."""

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop

from scheduler.desk import Desk
from scheduler.order import By, Expand, Front, Key, Turns, by_age, by_key
from scheduler.outlook import Outlook, Plan
from scheduler.policy import BackfillOrder
from scheduler.predict import predicted_ms
from scheduler.preempt import make_way
from scheduler.queue import Lane, Line
from scheduler.ranking import rank
from scheduler.snapshot import State


def plan(state: State, now_ms: int, *, outlook: bool = True) -> Plan:
    """What should happen now. The same state and time give the same plan.

    1. Take free capacity, its future, holdings and budgets as a working copy: the desk.
    2. Serve what unused guarantees cover.
    3. Serve the tiers that preempt, then whoever waited longer than the policy's patience.
    4. Serve all others by tier and fair share. Whoever finds no room is booked, up to K a flavor; what comes after may
       start only where it delays no booking.
    5. Choose whom to stop for guarantees, urgent jobs and fair shares.
    6. Tell everybody who waits their rank, reason and estimated start. ``outlook`` False leaves this out, for a caller
       that only acts; it changes no decision.
    """
    desk = Desk.of(state, now_ms)
    tiers = _tiers(desk)
    for lines in tiers:
        _serve_guaranteed(desk, lines)
    first = [lines for lines in tiers if state.policy.tier(lines[0].qos).preempts]
    for lines in first:
        _serve_tier(desk, lines)
    rest = tiers[len(first) :]
    _serve_overdue(desk, [line for lines in rest for line in lines])
    for lines in rest:
        _serve_tier(desk, lines)
    stops = make_way(desk)
    return Plan(
        tuple(desk.starts),
        tuple(stops),
        tuple(desk.bookings_made),
        rank(desk) if outlook else Outlook(now_ms),
        tuple(
            f"reservation {name} will lack {gpus} GPUs when it begins" for name, gpus in desk.bookings.missing.items()
        ),
    )


def _tiers(desk: Desk) -> list[list[Line]]:
    """The lines by tier: those that preempt first, then high rank to low."""
    policy, tiers = desk.state.policy, dict[tuple[bool, int], list[Line]]()
    for line in desk.state.queue.lines.values():
        tier = policy.tier(line.qos)
        tiers.setdefault((not tier.preempts, -tier.rank), []).append(line)
    return [tiers[key] for key in sorted(tiers)]


def _serve_guaranteed(desk: Desk, lines: list[Line]) -> None:
    """Only lanes below an account with a guarantee; they come again for what is not covered."""
    if not desk.gates.any_guarantees:
        return

    def covered(line: Line) -> list[Front]:
        demands = desk.state.queue.demands
        return [
            front
            for front in desk.fronts_of(line)
            if not front.spent
            and any(desk.gates.guarantees(line, flavor) for flavor in demands[front.lane.demand].resources.flavors)
        ]

    turns = _turns(desk, _first_of(lines, covered), covered)
    while (front := turns.next()) is not None:
        desk.serve(turns, front, entitled=True)


def _serve_overdue(desk: Desk, lines: list[Line]) -> None:
    """Oldest first, over all accounts, whatever priority their users gave them: the bound on everybody's wait."""
    patience_ms = desk.state.policy.patience_ms
    if patience_ms is None:
        return
    since_ms = desk.now_ms - patience_ms

    def overdue(line: Line) -> list[Front]:
        return [front for front in desk.fronts_of(line) if _is_overdue(front, since_ms)]

    late = (line for line in lines if line.oldest <= since_ms)
    turns = _turns(desk, _first_of(late, overdue, by_age), overdue, fair=False, by=by_age)
    while (front := turns.next()) is not None:
        if _is_overdue(front, since_ms):
            desk.serve(turns, front, overdue=True)
        else:
            turns.done(front, 0, through=True)


def _is_overdue(front: Front, since_ms: int) -> bool:
    return not front.spent and not front.waits and front.lane.submitted[front.at] <= since_ms


def _serve_tier(desk: Desk, lines: list[Line]) -> None:
    """All lines of a tier in turn, as long as anyone in it might start or be booked."""
    most, defer = desk.state.policy.reservations, desk.state.policy.backfill is BackfillOrder.SHORTEST
    able = desk.open_demands()

    def fronts(line: Line) -> list[Front]:
        return [front for front in desk.fronts_of(line) if not front.spent and not front.waits]

    full = sum(count >= most for count in desk.books.values())
    turns = _turns(desk, _heads(desk, lines), fronts)
    while able and (front := turns.next()) is not None:
        if front.lane.demand not in able:  # it has had its turn
            turns.done(front, 0, through=True)
            continue
        desk.serve(turns, front, defer=defer)
        if sum(count >= most for count in desk.books.values()) > full:
            full += 1
            able = desk.open_demands()
            if defer and all(map(desk.is_booked_up, able)):
                break  # what is left is not for turns
    if defer:
        _backfill_shortest(desk, lines)


def _backfill_shortest(desk: Desk, lines: list[Line]) -> None:
    """Whoever of the tier fits beside the bookings, shortest predicted run time first."""
    queue, recent, tier = desk.state.queue, desk.state.recent, {line.qos for line in lines}
    offers = []
    for demand in desk.open_demands():
        walltime_ms = queue.demands[demand].resources.walltime_ms
        for line in queue.asking[demand].values():
            if line.qos in tier:
                lane, known = line.lanes[demand], recent.get(line.user_id)
                expected_ms = predicted_ms(walltime_ms, known) if known else walltime_ms
                offers.append((expected_ms, lane.order[0], lane.ids[0], line, lane))
    heapify(offers)  # ids differ, so lines and lanes are never compared
    while offers and desk.open:
        _, _, _, line, lane = heappop(offers)
        if lane.demand in desk.open:
            front = next(front for front in desk.fronts_of(line) if front.lane is lane)
            if not front.spent and not front.waits:
                desk.backfill(front)


def _first_of(lines: Iterable[Line], among: Expand, by: By = by_key) -> Iterator[tuple[Line, Key, Lane]]:
    """The lines that have any of the fronts that count, with the first of them."""
    for line in lines:
        first = min(among(line), key=by, default=None)
        if first is not None:
            yield line, by(first), first.lane


def _heads(desk: Desk, lines: Iterable[Line]) -> Iterator[tuple[Line, Key, Lane]]:
    """The lines with the key and the lane of their first job that is not served yet."""
    for line in lines:
        fronts = desk.fronts.get(line)
        if fronts is None:
            lane = line.first
            yield line, (lane.order[0], lane.ids[0]), lane
        else:
            waiting = [front for front in fronts if not front.spent and not front.waits]
            if waiting:
                first = min(waiting, key=lambda front: front.key)
                yield line, first.key, first.lane


def _turns(
    desk: Desk, heads: Iterable[tuple[Line, Key, Lane]], expand: Expand, *, fair: bool = True, by: By = by_key
) -> Turns:
    fair = fair and desk.state.policy.fair_share
    return Turns.of(heads, desk.state.tree, desk.usage, expand, desk.cost, fair=fair, by=by)
