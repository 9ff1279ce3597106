"""The planner's one function: what to start where, what to stop, what to book, and why and how long the rest waits."""

from array import array
from collections.abc import Iterable

from scheduler import explain
from scheduler.desk import Desk, in_order_of_prediction
from scheduler.order import Front, Turns
from scheduler.outlook import Outlook, Plan, Stretch
from scheduler.policy import BackfillOrder
from scheduler.preempt import make_way
from scheduler.snapshot import State


def plan(state: State, now_ms: int, *, outlook: bool = True) -> Plan:
    """What should happen now. The same state and time give the same plan.

    ``outlook`` False leaves step 6 out, for a caller that only acts: it changes no decision.

    1. Take free capacity, its future, holdings and budgets as a working copy: the desk.
    2. Serve what unused guarantees cover.
    3. Serve the tiers that preempt, then whoever waited longer than the policy's patience.
    4. Serve all others by tier and fair share. Whoever finds no room is booked, up to K a flavor; what comes after may
       start only where it delays no booking.
    5. Choose whom to stop for guarantees, urgent jobs and fair shares.
    6. Tell everybody who waits their rank, reason and estimated start.
    """
    desk = Desk.of(state, now_ms, tells=outlook)
    fronts = [Front(lane, state.tree.path(lane.project_id)) for lane in state.queue.lanes.values()]
    _serve_guaranteed(desk, fronts)
    for batch in _batches(desk, fronts):
        _serve_in_turn(desk, batch)
    stops = make_way(desk)
    if outlook:
        _tell(desk)
    return Plan(
        tuple(desk.starts),
        tuple(stops),
        tuple(desk.booked),
        Outlook(now_ms, tuple(desk.stretches), state.calibration),
        _warnings(desk),
    )


def _serve_guaranteed(desk: Desk, fronts: list[Front]) -> None:
    """Only lanes below an account with a guarantee; each stays for the other passes with what is not covered."""
    covered = [
        front
        for front in fronts
        if any(desk.gates.guarantees(front, flavor) for flavor in front.lane.resources.flavors)
    ]
    for batch in _by_tier(desk, covered):
        turns = _turns(desk, batch)
        while (front := turns.next()) is not None:
            desk.serve(turns, front, entitled=True)


def _batches(desk: Desk, fronts: list[Front]) -> Iterable[list[Front]]:
    """The tiers that preempt; then those out of patience; then the other tiers, high to low."""
    policy = desk.state.policy
    by_tier = _by_tier(desk, fronts)
    first = [batch for batch in by_tier if policy.tier(batch[0].lane.qos).preempts]
    yield from first
    rest = [batch for batch in by_tier if batch not in first]
    if policy.patience_ms is not None:
        _serve_overdue(desk, [front for batch in rest for front in batch], desk.now_ms - policy.patience_ms)
    yield from rest


def _serve_overdue(desk: Desk, fronts: list[Front], since_ms: int) -> None:
    """Oldest first, over all accounts: the bound on everybody's wait."""
    overdue = [front for front in fronts if not front.spent and front.job.submitted_ms <= since_ms]
    turns = Turns.of(overdue, desk.state.tree, desk.usage, fair=False)
    while (front := turns.next()) is not None:
        if front.job.submitted_ms > since_ms:
            turns.done(front, 0, through=True)
        else:
            desk.serve(turns, front)


def _serve_in_turn(desk: Desk, batch: list[Front]) -> None:
    turns = _turns(desk, batch)
    defer = desk.state.policy.backfill is BackfillOrder.SHORTEST
    while (front := turns.next()) is not None:
        desk.serve(turns, front, defer=defer)
    if defer:
        late, desk.late = desk.late, []
        _serve_shortest(desk, late)


def _serve_shortest(desk: Desk, late: list[Front]) -> None:
    """Backfill by prediction: each starts what it can, shortest first."""
    for front in in_order_of_prediction(desk, late):
        desk.backfill(front)


def _by_tier(desk: Desk, fronts: Iterable[Front]) -> list[list[Front]]:
    tiers: dict[int, list[Front]] = {}
    for front in fronts:
        tiers.setdefault(desk.state.policy.tier(front.lane.qos).rank, []).append(front)
    return [tiers[rank] for rank in sorted(tiers, reverse=True)]


def _turns(desk: Desk, fronts: Iterable[Front]) -> Turns:
    waiting = (front for front in fronts if not front.spent and not front.waits)
    return Turns.of(waiting, desk.state.tree, desk.usage, fair=desk.state.policy.fair_share)


def _tell(desk: Desk) -> None:
    """Rank all that wait for capacity as if each were served in turn, by tier and fair share; then those not yet due."""
    terms = dict(desk.waiting)
    for batch in _by_tier(desk, terms):
        turns = Turns.of(batch, desk.state.tree, desk.usage, fair=desk.state.policy.fair_share)
        while (front := turns.next()) is not None:
            desk.line_up(turns, front, terms[front])
    for job in sorted(desk.state.queue.gated.values(), key=lambda job: job.job_id):
        desk.stretches.append(Stretch(array("q", [job.job_id]), 0, explain.dependency(job)))


def _warnings(desk: Desk) -> tuple[str, ...]:
    return tuple(
        f"reservation {name} will lack {gpus} GPUs when it begins" for name, gpus in desk.bookings.missing.items()
    )
