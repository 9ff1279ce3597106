"""The account tree, quotas, holdings and fair-share usage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from domain.accounts import Account, AccountKind, AccountState, Limits, Quota
from domain.errors import Conflict
from quotas.charging import decayed
from store.bulk import add_all, among, upsert_all
from store.stamps import directory_changed
from store.tables.accounts import AccountRow, FairShareRow, HoldingRow, QuotaRow, UserShareRow
from store.upsert import upsert


def to_account(row: Any) -> Account:
    return Account(
        id=row.id,
        parent_id=row.parent_id,
        kind=AccountKind(row.kind),
        name=row.name,
        title=row.title,
        state=AccountState(row.state),
        weight=row.weight,
        limits=Limits(
            row.running_jobs,
            row.queued_jobs,
            row.gpus_per_job,
            row.walltime_ms,
            row.user_running_jobs,
            row.user_queued_jobs,
            row.submissions_per_minute,
            row.user_submissions_per_minute,
        ),
        tenant_kind=row.tenant_kind,
        sector=row.sector,
        province=row.province,
        version=row.version,
    )


def _values(account: Account) -> dict[str, Any]:
    return {
        "parent_id": account.parent_id,
        "kind": account.kind.value,
        "name": account.name,
        "title": account.title,
        "state": account.state.value,
        "weight": account.weight,
        "tenant_kind": account.tenant_kind,
        "sector": account.sector,
        "province": account.province,
        "version": account.version,
    }


# Statements of the busy steps are built once.
_HELD = select(HoldingRow.account_id, HoldingRow.flavor, HoldingRow.milli).where(HoldingRow.milli > 0)
_USAGE = select(FairShareRow.account_id, FairShareRow.micro_su, FairShareRow.at_ms)
_USER_USAGE = select(UserShareRow.project_id, UserShareRow.user_id, UserShareRow.micro_su, UserShareRow.at_ms)
_USER_USAGE_OF = _USER_USAGE.where(among(UserShareRow.project_id, "ids"))
_USAGE_OF = _USAGE.where(among(FairShareRow.account_id, "ids"))


@dataclass(slots=True)
class Accounts:
    """See ``lifecycle.ports.Accounts``."""

    connection: Connection

    def add(self, account: Account) -> Account:
        result = self.connection.execute(insert(AccountRow).values(_values(account)).returning(AccountRow.id))
        directory_changed(self.connection)
        return replace(account, id=result.scalar_one())

    def update(self, account: Account) -> Account:
        """Raises Conflict if somebody else has changed it since it was read."""
        seen = (AccountRow.id == account.id, AccountRow.version == account.version)
        account = replace(account, version=account.version + 1)
        if not self.connection.execute(update(AccountRow).where(*seen).values(_values(account))).rowcount:
            raise Conflict(f"{account.name} was changed meanwhile", fix="read it again, then repeat")
        directory_changed(self.connection)
        return account

    def lock(self, account_ids: Sequence[int]) -> None:
        """Keep others who lock any of these accounts waiting until the transaction ends."""
        where = AccountRow.id.in_(account_ids)
        self.connection.execute(select(AccountRow.id).where(where).order_by(AccountRow.id).with_for_update()).all()

    def set_limits(self, account_id: int, limits: Limits) -> None:
        self.connection.execute(
            update(AccountRow)
            .where(AccountRow.id == account_id)
            .values(
                running_jobs=limits.running_jobs,
                queued_jobs=limits.queued_jobs,
                gpus_per_job=limits.gpus_per_job,
                walltime_ms=limits.walltime_ms,
                user_running_jobs=limits.user_running_jobs,
                user_queued_jobs=limits.user_queued_jobs,
                submissions_per_minute=limits.submissions_per_minute,
                user_submissions_per_minute=limits.user_submissions_per_minute,
                version=AccountRow.version + 1,
            )
        )
        directory_changed(self.connection)

    def quota_version(self, account_id: int, flavor: str) -> int:
        """0 where there is no quota yet."""
        where = (QuotaRow.account_id == account_id, QuotaRow.flavor == flavor)
        return self.connection.scalar(select(QuotaRow.version).where(*where)) or 0

    def put_quota(self, account_id: int, flavor: str, quota: Quota) -> None:
        row = {
            "account_id": account_id,
            "flavor": flavor,
            "guaranteed": quota.guaranteed,
            "borrow_limit": quota.borrow_limit,
            "lend_limit": quota.lend_limit,
            "version": self.quota_version(account_id, flavor) + 1,
        }
        upsert(self.connection, QuotaRow, [row])
        directory_changed(self.connection)

    def delete_quota(self, account_id: int, flavor: str) -> None:
        self.connection.execute(delete(QuotaRow).where(QuotaRow.account_id == account_id, QuotaRow.flavor == flavor))
        directory_changed(self.connection)

    def held(self) -> dict[tuple[int, str], int]:
        rows = self.connection.execute(_HELD).all()
        return {(row.account_id, row.flavor): row.milli for row in rows}

    def hold(self, changes: Mapping[tuple[int, str], int]) -> None:
        """Add to (or, negative, take from) what accounts hold of flavors: (account, flavor) → thousandths."""
        more = {key: milli for key, milli in sorted(changes.items()) if milli > 0}
        less = {key: milli for key, milli in sorted(changes.items()) if milli < 0}
        upsert_all(self.connection, HoldingRow, _holdings(more), add=True)  # the row to insert is checked, too
        add_all(self.connection, HoldingRow, _holdings(less))

    def usage(self, now_ms: int, half_life_ms: int) -> dict[int, int]:
        rows = self.connection.execute(_USAGE).all()
        return {row.account_id: decayed(row.micro_su, now_ms - row.at_ms, half_life_ms) for row in rows}

    def user_usage(self, now_ms: int, half_life_ms: int) -> dict[tuple[int, int], int]:
        rows = self.connection.execute(_USER_USAGE).all()
        return {(row.project_id, row.user_id): decayed(row.micro_su, now_ms - row.at_ms, half_life_ms) for row in rows}

    def spend(
        self, changes: Mapping[int, int], users: Mapping[tuple[int, int], int], now_ms: int, half_life_ms: int
    ) -> None:
        """Add to the decayed usage of accounts, account → micro-SU, and of (project, user). Never below zero."""
        old = {row.account_id: row for row in self.connection.execute(_USAGE_OF, {"ids": list(changes)})}
        rows = [
            {"account_id": account, **_spent(old.get(account), micro_su, now_ms, half_life_ms)}
            for account, micro_su in sorted(changes.items())
        ]
        upsert_all(self.connection, FairShareRow, rows)
        projects = sorted({project for project, _ in users})
        kept = {(r.project_id, r.user_id): r for r in self.connection.execute(_USER_USAGE_OF, {"ids": projects})}
        shares = [
            {"project_id": key[0], "user_id": key[1], **_spent(kept.get(key), micro_su, now_ms, half_life_ms)}
            for key, micro_su in sorted(users.items())
        ]
        upsert_all(self.connection, UserShareRow, shares)


def _holdings(changes: Mapping[tuple[int, str], int]) -> list[dict[str, Any]]:
    return [{"account_id": account, "flavor": flavor, "milli": milli} for (account, flavor), milli in changes.items()]


def _spent(row: Any, micro_su: int, now_ms: int, half_life_ms: int) -> dict[str, int]:
    """A row of decayed usage, with so much added to it."""
    before = 0 if row is None else decayed(row.micro_su, now_ms - row.at_ms, half_life_ms)
    at_ms = now_ms if row is None else max(now_ms, row.at_ms)
    return {"micro_su": max(0, before + micro_su), "at_ms": at_ms}
