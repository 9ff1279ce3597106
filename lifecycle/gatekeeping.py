"""Before planning: jobs wait held while a gate is closed, and no longer. A small step of the controller's beat.

What a gate hangs on changes by people's words and by the clock alike, so the step compares instead of being told. It
is idempotent, and each of its transactions is checked against the leader's epoch.
"""

from dataclasses import dataclass

from domain.accounts import AccountState
from lifecycle.gates import Gatekeeper, set_gates
from lifecycle.ports import Directory, Store, UnitOfWork
from lifecycle.rulebook import GateRows

LOOK_MS = 1_000  # those that gates hold are looked at so often, and at once when the directory changed
PATROL_MS = 10_000  # those that wait, so often: only jobs that raced with a change can have been missed
_BATCH = 1_000  # jobs a transaction


@dataclass(slots=True)
class Gatehouse:
    """One a controller; it remembers only when it looked last."""

    store: Store
    _directory: Directory | None = None
    _in_force: tuple[object, ...] = ()
    _looked_ms: int = -LOOK_MS
    _patrolled_ms: int = -PATROL_MS

    def step(self, epoch: int, now_ms: int) -> int:
        """Hold and let go what must be. Answers how many jobs that were."""
        with self.store.read() as uow:
            directory = uow.directory()
            if directory is self._directory and now_ms - self._looked_ms < LOOK_MS:
                return 0
            misplaced = self._misplaced(uow, directory, now_ms)
        moved = sum(self._put_right(rows, epoch, now_ms) for rows in misplaced)
        self._directory, self._looked_ms = directory, now_ms
        return moved

    def _misplaced(self, uow: UnitOfWork, directory: Directory, now_ms: int) -> list[GateRows]:
        """Whose jobs are held by other gates than they should be."""
        keeper = Gatekeeper(uow, now_ms)
        groups = uow.gates.held()
        in_force = _in_force(directory, now_ms)
        if in_force != self._in_force or now_ms - self._patrolled_ms >= PATROL_MS:
            if any(in_force):  # else no gate can be closed to anybody
                groups += uow.gates.waiting()
            self._in_force, self._patrolled_ms = in_force, now_ms
        return [rows for rows in groups if keeper.names(rows.project_id, rows.user_id) != rows.closed]

    def _put_right(self, rows: GateRows, epoch: int, now_ms: int) -> int:
        moved = 0
        while True:
            with self.store.write() as uow:
                uow.leader.check(epoch)
                ids = uow.gates.jobs(rows, _BATCH)
                names = Gatekeeper(uow, now_ms).names(rows.project_id, rows.user_id)
                changed = set_gates(uow, list(uow.jobs.many(ids, lock=True).values()), names, now_ms) if ids else []
            moved += len(changed)
            if len(ids) < _BATCH or not changed:
                return moved


def _in_force(directory: Directory, now_ms: int) -> tuple[object, ...]:
    """All that may close a gate at a time. Empty parts only: every gate is open to everybody."""
    inactive = tuple(
        (one.id, one.state) for one in directory.tree.accounts.values() if one.state is not AccountState.ACTIVE
    )
    rules = tuple(rule for rule in directory.gate_rules if rule.in_force(now_ms))
    paths = tuple(sorted(directory.tree.paths.items())) if inactive or rules else ()
    terms = tuple(one for one in directory.terms if one.from_ms <= now_ms) if rules else ()
    return inactive, rules, paths, terms
