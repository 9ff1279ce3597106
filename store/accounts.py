"""The account tree, quotas, holdings and fair-share usage."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from domain.accounts import Account, AccountKind, AccountState, Limits, Quota
from quotas.charging import decayed
from store.stamps import directory_changed
from store.tables.accounts import AccountRow, FairShareRow, HoldingRow, QuotaRow
from store.upsert import add_to, upsert


def to_account(row: Any) -> Account:
    return Account(
        id=row.id,
        parent_id=row.parent_id,
        kind=AccountKind(row.kind),
        name=row.name,
        title=row.title,
        state=AccountState(row.state),
        weight=row.weight,
        limits=Limits(row.running_jobs, row.queued_jobs, row.gpus_per_job, row.walltime_ms),
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


@dataclass(slots=True)
class Accounts:
    """See ``lifecycle.ports.Accounts``."""

    connection: Connection

    def add(self, account: Account) -> Account:
        result = self.connection.execute(insert(AccountRow).values(_values(account)).returning(AccountRow.id))
        directory_changed(self.connection)
        return replace(account, id=result.scalar_one())

    def update(self, account: Account) -> Account:
        account = replace(account, version=account.version + 1)
        self.connection.execute(update(AccountRow).where(AccountRow.id == account.id).values(_values(account)))
        directory_changed(self.connection)
        return account

    def set_limits(self, account_id: int, limits: Limits) -> None:
        self.connection.execute(
            update(AccountRow)
            .where(AccountRow.id == account_id)
            .values(
                running_jobs=limits.running_jobs,
                queued_jobs=limits.queued_jobs,
                gpus_per_job=limits.gpus_per_job,
                walltime_ms=limits.walltime_ms,
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
        rows = self.connection.execute(select(HoldingRow.__table__).where(HoldingRow.milli > 0))
        return {(row.account_id, row.flavor): row.milli for row in rows}

    def hold(self, path: Sequence[int], flavor: str, milli: int) -> None:
        """Add to (or, negative, take from) what every account of the path holds."""
        rows = [{"account_id": account_id, "flavor": flavor, "milli": milli} for account_id in path]
        if milli >= 0:
            add_to(self.connection, HoldingRow, rows, "milli")
            return
        self.connection.execute(
            update(HoldingRow)
            .where(HoldingRow.account_id.in_(path), HoldingRow.flavor == flavor)
            .values(milli=HoldingRow.milli + milli)
        )

    def usage(self, now_ms: int, half_life_ms: int) -> dict[int, int]:
        rows = self.connection.execute(select(FairShareRow.__table__))
        return {row.account_id: decayed(row.micro_su, now_ms - row.at_ms, half_life_ms) for row in rows}

    def spend(self, path: Sequence[int], micro_su: int, now_ms: int, half_life_ms: int) -> None:
        """Add to the decayed usage of every account of the path; never below zero."""
        table = FairShareRow.__table__
        old = {
            row.account_id: row
            for row in self.connection.execute(select(table).where(FairShareRow.account_id.in_(path)))
        }
        rows = []
        for account_id in path:
            row = old.get(account_id)
            before = 0 if row is None else decayed(row.micro_su, now_ms - row.at_ms, half_life_ms)
            at_ms = now_ms if row is None else max(now_ms, row.at_ms)
            rows.append({"account_id": account_id, "micro_su": max(0, before + micro_su), "at_ms": at_ms})
        upsert(self.connection, FairShareRow, rows)
