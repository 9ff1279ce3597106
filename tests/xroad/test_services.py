"""Promise 8, between governments: who may ask what, what they are told, and what is left of their asking."""

import json
from pathlib import Path
from typing import Any

import pytest

from domain.quantities import DAY_MS, HOUR_MS
from lifecycle import accounts, xroad
from lifecycle.rights import Service
from monitoring.verify import proof
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import spec
from tests.support.marks import on_sqlite
from tests.support.sealing import Sealed
from tests.support.security_server import Consumer
from tests.xroad.conftest import MINISTRY, allow, entries

JANUARY = {"from": "2026-01", "until": "2026-01"}


def test_use_is_told_by_tenant_and_month(centre: Centre, facade: Consumer) -> None:
    allow(centre, Service.USAGE, None)
    centre.submit(spec(command="run 30m"))
    centre.submit(spec("flood", command="run 15m"), "rith")
    centre.run()
    told = facade.ask(MINISTRY, "/usage", {"from": "2025-12", "until": "2026-01"})
    assert told.status == 200
    assert (told.json["from"], told.json["until"]) == ("2025-12", "2026-01")
    assert told.json["months"] == [
        {
            "month": "2026-01", "tenant": tenant, "title": tenant.upper(), "kind": kind, "sector": "education",
            "province": "KH-12", "gpu_hours": hours, "gpu_ms": {"h100-80gb": ms}, "charged_su": su, "final": False,
        }
        for tenant, kind, hours, ms, su in (
            ("cadt", "university", "0.5", HOUR_MS // 2, "1"),
            ("itc", "institute", "0.25", HOUR_MS // 4, "0.5"),
        )
    ]  # fmt: skip
    assert told.headers["cache-control"] == "no-store"


@pytest.mark.promise(8)
def test_a_client_is_told_of_its_tenants_alone(centre: Centre, facade: Consumer) -> None:
    centre.submit(spec(command="run 30m"))
    centre.submit(spec("flood", command="run 15m"), "rith")
    centre.run()
    right = allow(centre, Service.USAGE, "cadt")
    assert {row["tenant"] for row in facade.ask(MINISTRY, "/usage", JANUARY).json["months"]} == {"cadt"}
    others, nobodys = (facade.ask(MINISTRY, "/usage", {**JANUARY, "tenant": name}) for name in ("itc", "zzz"))
    assert (others.status, nobodys.status) == (404, 404)
    assert others.body.replace(b"itc", b"zzz") == nobodys.body
    with centre.store.write() as uow:
        xroad.revoke(uow, right)
    assert facade.ask(MINISTRY, "/usage", JANUARY).status == 403


@pytest.mark.promise(8)
@on_sqlite
@pytest.mark.parametrize(
    "client",
    [
        "KH/GOV/0001", "KH/GOV/0001/other", "KH/GOV/0002/statistics", "kh/gov/0001/statistics", "EE/GOV/0001/statistics",
        "KH/GOV/0001/statistic", "KH/GOV/0001/statistics%20",
    ],
)  # fmt: skip
def test_nobody_else_is_answered(centre: Centre, facade: Consumer, client: str) -> None:
    allow(centre, Service.USAGE, None)
    told = facade.ask(client, "/usage", JANUARY)
    assert told.status == 403
    assert told.json["type"] == "Baray.not-allowed"
    assert told.json.keys() == {"type", "message", "detail"}


@pytest.mark.promise(8)
@on_sqlite
def test_a_right_is_to_one_service(centre: Centre, facade: Consumer) -> None:
    allow(centre, Service.USAGE, None)
    assert facade.ask(MINISTRY, "/allocations/1", {"project": "speech"}).status == 403
    allow(centre, Service.ALLOCATION, None)
    assert facade.ask(MINISTRY, "/allocations/1", {"project": "speech"}).status == 200


@on_sqlite
def test_a_client_id_is_one_however_it_is_encoded(centre: Centre, facade: Consumer) -> None:
    allow(centre, Service.USAGE, None, "KH/GOV/0001/%E1%9E%80")
    for spelling in ("KH/GOV/0001/%e1%9e%80", "%4BH/GOV/0001/%E1%9E%80"):
        assert facade.ask(spelling, "/usage", JANUARY).status == 200


@pytest.mark.promise(8)
@on_sqlite
@pytest.mark.parametrize(
    "client",
    [
        "", "KH", "KH/GOV", "KH/GOV/*", "*/*/*", "KH/GOV/0001/a/b", "KH//0001", "KH/GOV/%2e%2e", "KH/GOV/%zz", "KH/GOV/%",
        "KH/GOV/00%2F01", "KH/GOV/%C3", "KH/GOV/%00", "KH/GOV/a;b", "KH/GOV/a:b", "KH/GOV/a b", "KH/GOV/" + "a" * 256,
        "KH/GOV/e%CC%81",
    ],
)  # fmt: skip
def test_what_is_no_client_id_is_refused(facade: Consumer, centre: Centre, client: str) -> None:
    told = facade.ask(client, "/usage", JANUARY)
    assert told.status == 400, told.body
    assert told.json["type"] == "Baray.invalid"
    assert entries(centre) == []


@pytest.mark.promise(8)
@on_sqlite
def test_headers_that_no_security_server_sends_are_refused(centre: Centre, facade: Consumer) -> None:
    allow(centre, Service.USAGE, None)
    path, me, named = "/usage?from=2026-01&until=2026-01", ("X-Road-Client", MINISTRY), ("X-Road-Id", "1")
    assert facade.raw("GET", path, [me, named]).status == 200
    wrong: list[tuple[list[tuple[str, Any]], int]] = [
        ([named], 401),
        ([me], 400),
        ([me, me, named], 400),
        ([("X-Road-Client", "KH/GOV/0002"), me, named], 400),
        ([me, ("X-Road-Id", "x" * 101)], 400),
        ([me, ("X-Road-Id", "a b")], 400),
        ([me, named, ("X-Road-UserId", "K" * 201)], 400),
        ([me, named, ("X-Road-Issue", "\u202e".encode().decode("latin-1"))], 400),
        ([me, named, ("X-Road-Issue", "\xff")], 400),
    ]
    for headers, status in wrong:
        sent = [(name, value.encode("latin-1")) for name, value in headers]
        assert facade.raw("GET", path, sent).status == status, headers  # type: ignore[arg-type]
    assert len(entries(centre)) == 1


@pytest.mark.promise(8)
def test_every_question_leaves_an_entry_and_who_stood_behind_it_can_be_erased(
    centre: Centre, facade: Consumer, tmp_path: Path
) -> None:
    right = allow(centre, Service.ALLOCATION)
    behind = {"X-Road-Id": "m-1", "X-Road-UserId": "KH0123456789", "X-Road-Issue": "case 7/2026"}
    behind |= {"X-Road-Represented-Party": "COM/777"}
    assert facade.ask(MINISTRY, "/allocations/1", {"project": "speech"}, headers=behind).status == 200
    with centre.store.write() as uow:
        xroad.revoke(uow, right)
    assert facade.ask(MINISTRY, "/allocations/1", {"project": "speech"}, headers=behind).status == 403
    found = entries(centre)
    facts = {"client": MINISTRY, "message_id": "m-1", "represented": "COM/777", "service": "allocation"}
    assert [json.loads(one.facts) for one in found] == [{**facts, "status": 200}, {**facts, "status": 403}]
    assert {one.action for one in found} == {"xroad_allocation"}
    assert {one.subject for one in found} == {f"/xroad/{MINISTRY}/allocation"}
    assert json.loads(found[0].personal or "") == {
        "issue": "case 7/2026", "query": {"number": 1, "project": "speech", "tenant": None}, "user_id": "KH0123456789",
    }  # fmt: skip
    sealed = Sealed.on(centre, tmp_path)
    sealed.seal()
    with centre.store.write() as uow:
        uow.audit.erase([found[0].id])
    assert sealed.wrong() is None
    left = centre.database.rows(f"SELECT * FROM audit_entry WHERE id = {found[0].id}")
    assert "KH0123456789" not in str(left)


@on_sqlite
def test_the_same_message_again_is_answered_and_told_again(centre: Centre, facade: Consumer) -> None:
    """Nothing is changed by a question, so a replay does no harm; but that there was one can be seen."""
    allow(centre, Service.USAGE, None)
    first, second = (facade.ask(MINISTRY, "/usage", JANUARY, headers={"X-Road-Id": "m-1"}) for _ in range(2))
    assert first.body == second.body
    assert [json.loads(one.facts)["message_id"] for one in entries(centre)] == ["m-1", "m-1"]


def verified(facade: Consumer, **asked: Any) -> dict[str, Any]:
    told = facade.ask(MINISTRY, "/allocations/1", asked)
    assert told.status == 200, told.body
    answer: dict[str, Any] = told.json
    return answer


def test_an_allocation_is_verified(centre: Centre, facade: Consumer, tmp_path: Path) -> None:
    allow(centre, Service.ALLOCATION)
    centre.submit(spec(command="run 30m"))
    centre.run()
    assert verified(facade, project="speech")["head"] is None
    sealed = Sealed.on(centre, tmp_path)
    sealed.seal()
    told = verified(facade, project="speech", tenant="cadt")
    head = told.pop("head")
    assert told == {
        "number": 1, "status": "valid", "at_ms": centre.clock.now_ms(), "project": "speech", "tenant": "cadt",
        "starts_ms": NEW_YEAR_MS - DAY_MS, "ends_ms": NEW_YEAR_MS + 365 * DAY_MS, "su": "1001", "returned_su": "0",
        "consumed_su": "1", "available_su": "1000",
    }  # fmt: skip
    read = proof.read_head(head["note"], [head["key"]])
    assert (read.size, read.root.hex()) == (head["size"], head["root"])


def rewrite(centre: Centre, what: str) -> None:
    with centre.database.connect(writes=True) as connection:
        connection.exec_driver_sql(f"UPDATE allocation SET {what} WHERE id = 1")


def test_what_holds_of_an_allocation_follows_its_dates_and_states(centre: Centre, facade: Consumer) -> None:
    allow(centre, Service.ALLOCATION)
    assert verified(facade, tenant="cadt")["status"] == "valid"
    for state, status in (("suspended", "suspended"), ("active", "valid")):
        with centre.store.write() as uow:
            accounts.change(uow, uow.directory().by_name["cadt"], None, state=state)
        assert verified(facade, tenant="cadt")["status"] == status
    for state, status in (
        ("suspended", "suspended"), ("expired", "over"), ("closed", "over"), ("requested", "unknown"),
        ("declined", "unknown"), ("withdrawn", "unknown"), ("active", "valid"),
    ):  # fmt: skip
        rewrite(centre, f"state = '{state}'")
        assert verified(facade, project="speech")["status"] == status
    rewrite(centre, f"starts_ms = {NEW_YEAR_MS + DAY_MS}")
    assert verified(facade, project="speech")["status"] == "upcoming"
    centre.clock.advance(days=366)
    assert verified(facade, project="speech")["status"] == "over"


@pytest.mark.promise(8)
@on_sqlite
def test_of_what_a_client_may_not_know_it_learns_nothing(centre: Centre, facade: Consumer) -> None:
    """Another project's, another tenant's, and none at all are answered alike."""
    allow(centre, Service.ALLOCATION)
    unknown = {**dict.fromkeys(("project", "tenant", "starts_ms", "ends_ms", "su", "returned_su", "consumed_su")),
               "available_su": None, "head": None, "at_ms": NEW_YEAR_MS, "status": "unknown"}  # fmt: skip
    for number, asked in (
        (1, {"project": "vision"}), (1, {"tenant": "itc"}), (1, {"project": "speech", "tenant": "itc"}),
        (3, {"project": "flood"}), (3, {"tenant": "itc"}), (99, {"project": "speech"}),
    ):  # fmt: skip
        told = facade.ask(MINISTRY, f"/allocations/{number}", asked)
        assert (told.status, told.json) == (200, {**unknown, "number": number}), asked


@on_sqlite
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/usage", 400), ("/usage?from=2026-01", 400), ("/usage?from=2026-1&until=2026-01", 400),
        ("/usage?from=2026-02&until=2026-01", 400), ("/usage?from=2025-01&until=2026-01", 400),
        ("/usage?from=2025-02&until=2026-01", 200), ("/usage?from=0000-01&until=9999-12", 400),
        ("/usage?from=2026-01&until=2026-01&user=dara", 400), ("/usage?from=2026-01&until=2026-01&tenant=%00", 400),
        ("/usage?from=2026-01&until=2026-01&tenant=" + "a" * 2_000, 414), ("/allocations/1", 400),
        ("/allocations/0?project=speech", 400), ("/allocations/99999999999999999999?project=speech", 400),
        ("/allocations/x?project=speech", 400), ("/usage/", 404), ("/api/v1/whoami", 404), ("/%ff", 404),
    ],
)  # fmt: skip
def test_bad_questions_are_faults_and_no_bugs(centre: Centre, facade: Consumer, path: str, status: int) -> None:
    allow(centre, Service.USAGE, None)
    allow(centre, Service.ALLOCATION, None)
    told = facade.raw("GET", path, [("X-Road-Client", MINISTRY), ("X-Road-Id", "1")])
    assert told.status == status, told.body
    if status != 200:
        assert told.json.keys() == {"type", "message", "detail"}
        assert told.json["type"].startswith("Baray.")


@on_sqlite
def test_these_services_take_no_bodies_and_change_nothing(centre: Centre, facade: Consumer) -> None:
    allow(centre, Service.USAGE, None)
    headers = [("X-Road-Client", MINISTRY), ("X-Road-Id", "1")]
    path = "/usage?from=2026-01&until=2026-01"
    assert facade.raw("GET", path, headers, b"x" * 10_000).status == 413
    for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS"):
        assert facade.raw(method, path, headers).status == 405
    assert facade.raw("GET", path, [*headers, ("X-Padding", "x" * 40_000)]).status in {400, 431}
    assert facade.raw("GET", path, headers).status == 200


@pytest.mark.promise(8)
@on_sqlite
def test_the_api_itself_believes_no_such_header(api: Any, centre: Centre) -> None:
    """A forged identity opens nothing outside X-Road's own door, and does not change who somebody is."""
    allow(centre, Service.USAGE, None)
    forged = {"X-Road-Client": MINISTRY, "X-Road-Id": "1", "X-Road-UserId": "KH1"}
    for path in ("/usage", "/whoami", "/xroad-clients", "//usage", "//allocations/1?project=speech"):
        assert api.as_(None).get(path, headers=forged).status in {401, 404}
    nary = api.as_(centre.population.tokens["nary"])
    assert nary.get("/whoami", headers=forged).body == nary.get("/whoami").body
    assert entries(centre) == []
