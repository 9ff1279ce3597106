"""The centre's services behind the door that the Security Server alone can open."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.identity.xroad.app import create_facade
from lifecycle import xroad
from lifecycle.paging import Page
from lifecycle.rights import Service
from lifecycle.witness import EntryFilter
from quotas.leaves import AuditEntry
from runtime.settings import Settings
from runtime.xroad import door_of
from tests.support.centre import Centre
from tests.support.certificates import Authority
from tests.support.security_server import Consumer

MINISTRY = "KH/GOV/0001/statistics"


@dataclass(frozen=True, slots=True)
class Authorities:
    """Of the Security Server, of the centre, and somebody else's."""

    server: Authority
    centre: Authority
    stranger: Authority


@pytest.fixture(scope="session")
def authorities() -> Iterator[Authorities]:
    with tempfile.TemporaryDirectory(prefix="baray-xroad-") as made:
        yield Authorities(*(Authority(Path(made), name) for name in ("server", "centre", "stranger")))


def settings_of(authorities: Authorities, **more: Any) -> Settings:
    shown = authorities.centre.issue("facade")
    return Settings(
        xroad_port=0, xroad_cert=shown.cert, xroad_key=shown.key, xroad_client_ca=authorities.server.file, **more
    )


@pytest.fixture
def facade(centre: Centre, authorities: Authorities) -> Iterator[Consumer]:
    """The services, as they are reached through the Security Server."""
    door = door_of(settings_of(authorities))
    assert door is not None
    door.open(create_facade(centre.store, centre.clock, "https://centre.example:8471"))
    try:
        yield Consumer(door.listener.getsockname()[1], authorities.centre, authorities.server.issue("security-server"))
    finally:
        door.close()


def allow(centre: Centre, service: Service, tenant: str | None = "cadt", client: str = MINISTRY) -> int:
    with centre.store.write() as uow:
        return xroad.allow(uow, client, service, tenant, centre.clock.now_ms()).id


def entries(centre: Centre) -> list[AuditEntry]:
    """Those of X-Road's requests, oldest first."""
    with centre.store.read() as uow:
        found = uow.audit.page(Page(None, 100), EntryFilter(subject="/xroad/"))
    return found[::-1]
