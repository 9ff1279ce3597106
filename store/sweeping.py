"""Rows whose time is over: found by class, never what a legal hold covers, and removed in batches."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, delete, exists, func, not_, or_, select, tuple_, update

from domain.people import UserState
from domain.retention import Keep
from lifecycle.custody import Held
from store.bulk import among
from store.tables.audit import AuditRow
from store.tables.budgets import NoticeRow, ReadingRow
from store.tables.ledger import AllocationRow
from store.tables.people import (
    ActingRow,
    AuditPersonRow,
    DeviceLoginRow,
    IdentityRow,
    PersonChangeRow,
    SessionRow,
    SpentRow,
    TokenRow,
    UserRow,
)
from store.tables.service import OnceRow
from store.upsert import table_of

_T, _D, _U, _A, _P = (table_of(row) for row in (TokenRow, DeviceLoginRow, UserRow, ActingRow, PersonChangeRow))
_AUDIT, _NAMED, _NOTICE = table_of(AuditRow), table_of(AuditPersonRow), table_of(NoticeRow)


def due(connection: Connection, keep: Keep, before_ms: int, held: Held, limit: int) -> list[int]:
    """Up to ``limit`` rows of the class that ended before then and that no hold covers."""
    if held.everything:
        return []
    table, where = _DUE[keep](before_ms)
    asked = select(table.c.id).where(where, *_free(table, keep, held)).order_by(table.c.id).limit(limit)
    given = {"held_users": sorted(held.users), "held_accounts": sorted(held.accounts)}
    return list(connection.scalars(asked, given))


def sweep(connection: Connection, keep: Keep, rows: Sequence[int]) -> int:
    """Remove rows that ``due`` found, with what hangs on them. Of audit entries only who and why go."""
    for table, column in _WITH.get(keep, ()):
        connection.execute(delete(table_of(table)).where(among(column, "rows")), {"rows": rows})
    table, _ = _DUE[keep](0)
    where = among(table.c.id, "rows")
    if keep is Keep.AUDIT:
        return connection.execute(update(table).where(where).values(personal=None, salt=None), {"rows": rows}).rowcount
    return connection.execute(delete(table).where(where), {"rows": rows}).rowcount


def sweep_answers(connection: Connection, before_ms: int, held: Held, limit: int) -> int:
    """First answers to repeatable requests, up to ``limit``."""
    once = table_of(OnceRow)
    if held.everything:
        return 0
    old = select(once.c.user_id, once.c.key).where(once.c.created_ms < before_ms)
    if held.users:
        old = old.where(not_(among(once.c.user_id, "held_users")))
    found = old.order_by(once.c.created_ms).limit(limit)
    key = tuple_(once.c.user_id, once.c.key)
    given = {"held_users": sorted(held.users)} if held.users else {}
    return connection.execute(delete(once).where(key.in_(found)), given).rowcount


def sweep_spent(connection: Connection, before_ms: int, limit: int) -> int:
    """What could be used once, and could not be any more by then."""
    spent = table_of(SpentRow)
    old = select(spent.c.digest).where(spent.c.expires_ms < before_ms).limit(limit)
    return connection.execute(delete(spent).where(spent.c.digest.in_(old))).rowcount


# What goes before a row of a class can.
_WITH: dict[Keep, tuple[tuple[Any, Any], ...]] = {
    Keep.TOKEN: ((SessionRow, SessionRow.token_id),),
    Keep.NOTICE: ((ReadingRow, ReadingRow.notice_id),),
    Keep.AUDIT: ((AuditPersonRow, AuditPersonRow.entry_id),),
}


def _free(table: Table, keep: Keep, held: Held) -> list[Any]:
    """Conditions that nothing about a held person, or of a held account, meets."""
    found: list[Any] = []
    if held.users:
        if keep is Keep.AUDIT:
            named = exists().where(_NAMED.c.entry_id == _AUDIT.c.id, among(_NAMED.c.user_id, "held_users"))
            found.append(not_(named))
        elif keep is Keep.WAITING:
            found.append(not_(among(_U.c.id, "held_users")))
        elif keep is Keep.NOTICE:
            read = exists().where(ReadingRow.notice_id == _NOTICE.c.id, among(ReadingRow.user_id, "held_users"))
            found.append(not_(read))
        else:
            found += [
                or_(column.is_(None), not_(among(column, "held_users")))
                for column in table.c
                if column.name in {"user_id", "for_id", "by_id"}
            ]
    if held.accounts:
        if keep is Keep.NOTICE:
            of = select(AllocationRow.id).where(among(AllocationRow.project_id, "held_accounts"))
            found.append(_NOTICE.c.allocation_id.not_in(of))
        elif keep is Keep.AUDIT:
            found.append(_AUDIT.c.id.is_(None))  # nobody can tell which entries are about the account: none goes
    return found


def _tokens(before_ms: int) -> tuple[Table, Any]:
    used = func.coalesce(_T.c.last_used_ms, _T.c.created_ms)
    over = or_(
        _T.c.revoked_ms < before_ms,
        _T.c.expires_ms < before_ms,
        and_(_T.c.idle_ms.is_not(None), used + _T.c.idle_ms < before_ms),
    )
    return _T, over


def _waiting(before_ms: int) -> tuple[Table, Any]:
    """Users whom nobody admitted, and who did not come back either."""
    lately = exists().where(IdentityRow.user_id == _U.c.id, IdentityRow.last_ms >= before_ms)
    return _U, and_(_U.c.state == UserState.WAITING.value, _U.c.created_ms < before_ms, not_(lately))


def _devices(before_ms: int) -> tuple[Table, Any]:
    return _D, _D.c.expires_ms < before_ms


def _acting(before_ms: int) -> tuple[Table, Any]:
    return _A, func.coalesce(_A.c.ended_ms, _A.c.until_ms) < before_ms


def _changes(before_ms: int) -> tuple[Table, Any]:
    return _P, _P.c.changed_ms < before_ms


def _audit(before_ms: int) -> tuple[Table, Any]:
    return _AUDIT, and_(_AUDIT.c.at_ms < before_ms, _AUDIT.c.personal.is_not(None))


def _notices(before_ms: int) -> tuple[Table, Any]:
    """Of allocations that are over: a notice of a standing one that went would be given again."""
    over = select(AllocationRow.id).where(AllocationRow.ends_ms < before_ms)
    return _NOTICE, _NOTICE.c.allocation_id.in_(over)


_DUE: dict[Keep, Callable[[int], tuple[Table, Any]]] = {
    Keep.WAITING: _waiting,
    Keep.TOKEN: _tokens,
    Keep.ATTEMPT: _devices,
    Keep.CHANGE: _changes,
    Keep.ACTING: _acting,
    Keep.AUDIT: _audit,
    Keep.NOTICE: _notices,
}
