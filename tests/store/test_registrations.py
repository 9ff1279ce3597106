"""Registrations of tenants and rights of X-Road clients: what the ports promise, on both databases."""

from dataclasses import replace

import pytest

from domain.errors import Conflict
from lifecycle.paging import Page
from lifecycle.ports import UnitOfWork
from lifecycle.registry import Extract, Registration
from lifecycle.rights import Service
from tests.support.centre import EVERY, Centre
from tests.support.clock import NEW_YEAR_MS

NOW = NEW_YEAR_MS
CLIENT = "KH/GOV/0001/statistics"


def registered(uow: UnitOfWork, tenant: str, number: str = "KH-1") -> Registration:
    extract = Extract("moc", number, {"title": "CADT", "kind": "university"}, "active", True, "m-1", "0" * 64)
    return Registration(uow.directory().by_name[tenant].id, extract, NOW)


class TestRegistrations:
    def test_a_registration_is_kept_whole_and_replaced_by_the_next(self, uow: UnitOfWork) -> None:
        first = registered(uow, "cadt")
        assert uow.registrations.get(first.tenant_id) is None
        uow.registrations.put(first)
        assert uow.registrations.get(first.tenant_id) == first
        later = replace(first, fetched_ms=NOW + 1, extract=replace(first.extract, status="struck off", in_force=False))
        uow.registrations.put(later)
        assert uow.registrations.get(first.tenant_id) == later

    def test_numbers_are_found_by_tenant_and_tenants_by_number(self, uow: UnitOfWork) -> None:
        one, other = registered(uow, "cadt", "KH-1"), registered(uow, "itc", "KH-2")
        for registration in (one, other):
            uow.registrations.put(registration)
        assert uow.registrations.numbers([one.tenant_id, 10**6]) == {one.tenant_id: "KH-1"}
        assert uow.registrations.holder("moc", "KH-2") == other.tenant_id
        assert uow.registrations.holder("another", "KH-2") is None

    def test_a_number_is_one_tenants(self, centre: Centre) -> None:
        with pytest.raises(Conflict), centre.store.write() as uow:
            uow.registrations.put(registered(uow, "cadt"))
            uow.registrations.put(registered(uow, "itc"))


class TestRights:
    def test_a_right_is_given_once_and_taken(self, uow: UnitOfWork) -> None:
        cadt = uow.directory().by_name["cadt"].id
        about_one = uow.rights.add(CLIENT, Service.USAGE, cadt, NOW)
        about_all = uow.rights.add(CLIENT, Service.USAGE, None, NOW)
        assert about_one is not None
        assert about_all is not None
        assert uow.rights.add(CLIENT, Service.USAGE, cadt, NOW) is None
        assert uow.rights.add(CLIENT, Service.USAGE, None, NOW) is None
        assert uow.rights.get(about_one.id) == about_one
        assert uow.rights.page(EVERY) == [about_one, about_all]
        assert uow.rights.page(Page(about_one.id, 1)) == [about_all]
        uow.rights.remove(about_one.id)
        assert uow.rights.get(about_one.id) is None

    def test_tenants_are_those_of_the_client_and_the_service(self, uow: UnitOfWork) -> None:
        cadt = uow.directory().by_name["cadt"].id
        uow.rights.add(CLIENT, Service.USAGE, cadt, NOW)
        assert list(uow.rights.tenants(CLIENT, Service.USAGE)) == [cadt]
        assert not uow.rights.tenants(CLIENT, Service.ALLOCATION)
        assert not uow.rights.tenants("KH/GOV/0002", Service.USAGE)
