"""Registrations of tenants, and the rights of X-Road clients."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from lifecycle.paging import Page
from lifecycle.registry import Extract, Registration
from lifecycle.rights import Right, Service
from store.bulk import among
from store.tables.registrations import RegistrationRow, RightRow
from store.upsert import table_of, upsert

_REGISTRATIONS = table_of(RegistrationRow)
_RIGHTS = table_of(RightRow)
_NUMBERS = select(RegistrationRow.tenant_id, RegistrationRow.number).where(among(RegistrationRow.tenant_id, "ids"))


@dataclass(slots=True)
class Registrations:
    """See ``lifecycle.registry.Registrations``."""

    connection: Connection

    def get(self, tenant_id: int) -> Registration | None:
        row = self.connection.execute(select(_REGISTRATIONS).where(_REGISTRATIONS.c.tenant_id == tenant_id)).first()
        if row is None:
            return None
        extract = Extract(
            row.source, row.number, dict(row.fields), row.status, row.in_force, row.message_id, row.sha256
        )  # fmt: skip
        return Registration(row.tenant_id, extract, row.fetched_ms)

    def numbers(self, tenant_ids: Collection[int]) -> dict[int, str]:
        rows = self.connection.execute(_NUMBERS, {"ids": sorted(tenant_ids)})
        return {row.tenant_id: row.number for row in rows}

    def holder(self, registry: str, number: str) -> int | None:
        where = (RegistrationRow.source == registry, RegistrationRow.number == number)
        found: int | None = self.connection.scalar(select(RegistrationRow.tenant_id).where(*where))
        return found

    def put(self, registration: Registration) -> None:
        one = registration.extract
        values = {
            "tenant_id": registration.tenant_id, "source": one.registry, "number": one.number,
            "fields": dict(one.fields), "status": one.status, "in_force": one.in_force,
            "message_id": one.message_id, "sha256": one.sha256, "fetched_ms": registration.fetched_ms,
        }  # fmt: skip
        upsert(self.connection, RegistrationRow, [values])


@dataclass(slots=True)
class Rights:
    """See ``lifecycle.rights.Rights``."""

    connection: Connection

    def add(self, client: str, service: Service, tenant_id: int | None, now_ms: int) -> Right | None:
        about = RightRow.tenant_id.is_(None) if tenant_id is None else RightRow.tenant_id == tenant_id
        same = (RightRow.client == client, RightRow.service == service.value, about)
        if self.connection.scalar(select(RightRow.id).where(*same)) is not None:
            return None
        values = {"client": client, "service": service.value, "tenant_id": tenant_id, "created_ms": now_ms}
        made = self.connection.execute(insert(RightRow).values(values).returning(RightRow.id)).scalar_one()
        return Right(made, client, service, tenant_id, now_ms)

    def get(self, right_id: int) -> Right | None:
        row = self.connection.execute(select(_RIGHTS).where(_RIGHTS.c.id == right_id)).first()
        return None if row is None else _right(row)

    def remove(self, right_id: int) -> None:
        self.connection.execute(delete(RightRow).where(RightRow.id == right_id))

    def page(self, page: Page) -> list[Right]:
        statement = select(_RIGHTS).where(_RIGHTS.c.id > (page.cursor or 0)).order_by(_RIGHTS.c.id).limit(page.limit)
        return [_right(row) for row in self.connection.execute(statement)]

    def tenants(self, client: str, service: Service) -> Collection[int | None]:
        where = (RightRow.client == client, RightRow.service == service.value)
        return list(self.connection.scalars(select(RightRow.tenant_id).where(*where)))


def _right(row: Any) -> Right:
    return Right(row.id, row.client, Service(row.service), row.tenant_id, row.created_ms)
