"""Once-only: a registry that is slow, lies, is away or says too much; and tenants that are what it says."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from api.identity.xroad.registry import RegistryConfig, XroadRegistry
from domain.errors import BarayError, CannotStart, Invalid, NotFound, Unavailable
from tests.conftest import services_of
from tests.support.centre import Centre
from tests.support.marks import on_sqlite
from tests.support.security_server import Provider, Said, provider
from tests.support.serving import Answer, Api
from tests.xroad.conftest import Authorities

US = "KH/COM/0042/baray"
SERVICE = "KH/GOV/0007/registry/company"
COMPANY = {
    "number": "00012345", "status": "Active", "name": {"en": "Angkor AI Co., Ltd."}, "form": "PLC",
    "address": {"province": "KH-12"}, "directors": ["Sok Dara"],
}  # fmt: skip
FIELDS = {"number": "number", "status": "status", "title": "name.en", "kind": "form", "province": "address.province"}


@dataclass
class Registry:
    """The registry behind the stand-in: what it says can be set, and what it was asked is there."""

    served: Provider
    config: RegistryConfig
    said: dict[str, Said]

    @property
    def ours(self) -> XroadRegistry:
        return XroadRegistry(self.config)

    def says(self, number: str = "00012345", *, said: Said | None = None, **changed: Any) -> bytes:
        body = json.dumps({**COMPANY, "number": number, **changed}).encode()
        self.said[number] = said or Said(body=body)
        return body


@pytest.fixture
def registry(authorities: Authorities) -> Iterator[Registry]:
    said: dict[str, Said] = {}

    def says(number: str) -> Said:
        return said.get(number, Said(404, b'{"message": "no such company"}'))

    with provider(authorities.server, authorities.centre, US, SERVICE, says) as served:
        shown = authorities.centre.issue("baray")
        ca = authorities.server.file
        kinds = {"PLC": "company"}
        yield Registry(
            served, RegistryConfig(served.url, US, shown.cert, shown.key, ca, FIELDS, kinds, timeout_s=5), said
        )


def refused(act: Callable[[], object], kind: type[BarayError], words: str) -> None:
    with pytest.raises(kind) as error:
        act()
    assert words in error.value.message, error.value.message


def test_an_institution_is_read(registry: Registry) -> None:
    body = registry.says()
    found = registry.ours.fetch("00012345")
    assert registry.served.objections == []
    (asked,) = registry.served.asked
    assert asked["path"] == f"/r1/{SERVICE}/00012345"
    assert dict(found.fields) == {"title": "Angkor AI Co., Ltd.", "kind": "company", "province": "KH-12"}
    assert (found.registry, found.number, found.status, found.in_force) == (SERVICE, "00012345", "Active", True)
    assert found.message_id == asked["x-road-id"]
    assert found.sha256 == hashlib.sha256(body).hexdigest()


def test_a_number_stays_one_part_of_the_address(registry: Registry) -> None:
    registry.says("Co.1/2005")
    assert registry.ours.fetch("Co.1/2005").number == "Co.1/2005"
    assert registry.served.asked[0]["path"] == f"/r1/{SERVICE}/Co.1%2F2005"
    for wrong in ("", "../x", "a b", "1?x=1", "1#", "a" * 41, "\u0661", "1\r\nX-Road-Client: KH/GOV/1"):
        refused(lambda number=wrong: registry.ours.fetch(number), Invalid, "is no registration number")
    assert len(registry.served.asked) == 1


def test_a_company_that_is_none(registry: Registry) -> None:
    refused(lambda: registry.ours.fetch("999"), NotFound, f"the registry {SERVICE} knows no number 999")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (Said(body=b""), "no JSON"),
        (Said(body=b"\xff\xfe"), "no JSON"),
        (Said(body=b"[" * 100_000), "no JSON"),
        (Said(body=b"[]"), "about another number"),
        (Said(body=b'{"number": "00012346"}'), "about another number"),
        (Said(body=json.dumps({**COMPANY, "name": {"en": "Angk\u043er"}}).encode()), "a title that"),
        (Said(body=json.dumps({**COMPANY, "name": {"en": "a\u202eb"}}).encode()), "a title that"),
        (Said(body=json.dumps({**COMPANY, "filler": "x" * 300_000}).encode()), "longer than 256 KiB"),
        (Said(500, b"{}"), "with status 500"),
        (Said(403, b"{}"), "with status 403"),
        (Said(302, b"", {"Location": "https://elsewhere.example/"}), "with status 302"),
        (Said(500, b"{}", {"X-Road-Error": "Server.ServerProxy.ServiceDisabled"}), "could not pass the question on"),
        (Said(200, b"{}", {"X-Road-Id": ""}), "no answer to this question"),
        (Said(200, b"{}", {"X-Road-Id": "0e3fc3a5-0e1b-4a3d-8a38-6a8e1d0c5a7b"}), "no answer to this question"),
        (Said(200, b"{}", {"X-Road-Client": "KH/COM/0043/other"}), "no answer to this question"),
        (Said(404, b"{}", {"X-Road-Client": "*"}), "no answer to this question"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)  # fmt: skip
def test_answers_that_are_none(registry: Registry, said: Said, words: str) -> None:
    registry.says(said=said)
    refused(lambda: registry.ours.fetch("00012345"), Unavailable, words)


def test_an_old_answer_sent_again_is_none(registry: Registry) -> None:
    body = registry.says()
    first = registry.ours.fetch("00012345")
    registry.says(said=Said(body=body, headers={"X-Road-Id": first.message_id}))
    refused(lambda: registry.ours.fetch("00012345"), Unavailable, "no answer to this question")


def drip(text: bytes, pause_s: float = 0.05) -> Callable[[Any], None]:
    """One byte after the other: each in time, all of them never."""

    def write(handler: Any) -> None:
        try:
            for byte in text:
                handler.wfile.write(bytes([byte]))
                handler.wfile.flush()
                time.sleep(pause_s)
        except OSError:
            return

    return write


@pytest.mark.parametrize(
    "write",
    [
        lambda _handler: time.sleep(3),
        drip(b"HTTP/1.1 200 OK\r\n" + b"X-Padding: x\r\n" * 100),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + b" " * 100, 0.02),
    ],
    ids=["silent", "slow headers", "slow body"],
)  # fmt: skip
def test_a_slow_registry_is_not_waited_for(registry: Registry, write: Callable[[Any], None]) -> None:
    registry.says(said=Said(write=write))
    slow = XroadRegistry(replace(registry.config, timeout_s=0.5))
    begun = time.monotonic()
    refused(lambda: slow.fetch("00012345"), Unavailable, "gave no answer within 0.5 s")
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize(
    "text",
    [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200],
)  # fmt: skip
def test_what_is_no_http_is_told_so(registry: Registry, text: bytes) -> None:
    def write(handler: Any) -> None:
        handler.wfile.write(text)
        handler.close_connection = True

    registry.says(said=Said(write=write))
    with pytest.raises(Unavailable):
        registry.ours.fetch("00012345")


@pytest.mark.promise(8)
def test_nobody_else_is_taken_for_the_security_server(registry: Registry, authorities: Authorities) -> None:
    registry.says()
    stranger = XroadRegistry(replace(registry.config, ca=authorities.stranger.file))
    refused(lambda: stranger.fetch("00012345"), Unavailable, "no trusted connection")
    named = XroadRegistry(replace(registry.config, url=registry.config.url.replace("127.0.0.1", "127.0.0.2")))
    with pytest.raises(Unavailable):
        named.fetch("00012345")
    assert registry.served.asked == []


def test_a_security_server_that_does_not_know_us_is_told_so(registry: Registry, authorities: Authorities) -> None:
    shown = authorities.stranger.issue("baray")
    with pytest.raises(Unavailable):
        XroadRegistry(replace(registry.config, cert=shown.cert, key=shown.key)).fetch("1")
    refused(
        lambda: XroadRegistry(replace(registry.config, client="KH/COM/0043/other")).fetch("1"),
        Unavailable, "could not pass the question on: Client.BadRequest",
    )  # fmt: skip


def test_a_security_server_that_is_away(registry: Registry) -> None:
    away = XroadRegistry(replace(registry.config, url=f"https://127.0.0.1:1/r1/{SERVICE}"))
    refused(lambda: away.fetch("1"), Unavailable, "Connection refused")


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://127.0.0.1/r1/KH/GOV/1/s/c"}, {"url": "https://127.0.0.1/KH/GOV/1/s/c"}, {"url": "https:///r1/a/b/c/d/e"},
        {"url": "https://u:p@127.0.0.1/r1/KH/GOV/1/s/c"}, {"url": "https://127.0.0.1/r1/KH/GOV/1/s/c?x=1"},
        {"url": "https://127.0.0.1:99999/r1/KH/GOV/1/s/c"}, {"client": "KH/COM"}, {"client": "KH/COM/*"}, {"ca": Path("/none")},
        {"fields": {"title": "name"}}, {"fields": {"number": "n", "colour": "c"}}, {"kinds": {"PLC": "shop"}},
    ],
    ids=str,
)  # fmt: skip
def test_a_configuration_that_cannot_work_does_not_start(registry: Registry, wrong: dict[str, Any]) -> None:
    with pytest.raises(CannotStart):
        XroadRegistry(replace(registry.config, **wrong))


# The API on it.


@pytest.fixture
def asking(centre: Centre, registry: Registry, tmp_path: Path, open_api: Callable[..., Api]) -> Api:
    services = replace(services_of(centre, tmp_path), registry=registry.ours)
    return open_api(services).as_(centre.population.tokens["admin"])


NEW = {"name": "angkor", "registration": "00012345"}


def faults(answer: Answer) -> dict[str, str]:
    return {one["field"]: one["message"] for one in answer.json["errors"]}


def test_a_tenant_is_what_the_registry_says(asking: Api, registry: Registry, centre: Centre) -> None:
    body = registry.says()
    made = asking.post("/tenants", NEW)
    assert made.status == 201, made.body
    assert made.json == {
        "name": "angkor", "title": "Angkor AI Co., Ltd.", "kind": "company", "sector": None, "province": "KH-12",
        "state": "active", "weight": 1, "registration": "00012345", "version": 1,
    }  # fmt: skip
    told = asking.get("/tenants/angkor/registration").json
    assert told == {
        "registry": SERVICE, "number": "00012345", "status": "Active", "in_force": True, "fetched_ms": centre.clock.now_ms(),
        "fields": {"title": "Angkor AI Co., Ltd.", "kind": "company", "province": "KH-12"},
        "message_id": registry.served.asked[0]["x-road-id"], "sha256": hashlib.sha256(body).hexdigest(),
    }  # fmt: skip
    assert "Sok Dara" not in str(centre.database.dump()), "more was kept than is used"
    (entry,) = asking.get("/audit/entries", query={"action": "add_tenant"}).json["items"]
    assert entry["facts"]["answer_sha256"] == told["sha256"]
    assert {one["name"]: one["registration"] for one in asking.get("/tenants").json["items"]} == {
        "cadt": None, "itc": None, "angkor": "00012345",
    }  # fmt: skip


def test_what_the_registry_fills_is_read_only_and_the_rest_is_not(asking: Api, registry: Registry) -> None:
    registry.says()
    asking.post("/tenants", NEW)
    for path in ("/tenants/angkor", "/accounts/angkor"):
        refusal = asking.change(path, {"title": "Mine"})
        assert (refusal.status, refusal.code) == (409, "registered-field"), path
        assert f"what the registry {SERVICE} says of number 00012345: it is read-only" in refusal.json["detail"]
    assert asking.change("/tenants/angkor", {"title": "Angkor AI Co., Ltd.", "weight": 2}).status == 200
    assert asking.change("/tenants/cadt", {"title": "Mine"}).status == 200


def test_nobody_gives_twice_what_the_registry_knows(asking: Api, registry: Registry) -> None:
    registry.says()
    twice = asking.post("/tenants", {**NEW, "title": "Other", "kind": "ngo", "sector": "health"})
    assert twice.status == 422
    assert faults(twice) == {
        "title": f"the registry {SERVICE} says 'Angkor AI Co., Ltd.'", "kind": f"the registry {SERVICE} says 'company'",
    }  # fmt: skip
    registry.says(form="GUILD")
    lacking = asking.post("/tenants", NEW)
    assert faults(lacking) == {"kind": f"is missing: the registry {SERVICE} does not tell it"}
    assert asking.post("/tenants", {**NEW, "kind": "ngo", "sector": "health"}).json["kind"] == "ngo"


def test_what_was_struck_off_is_no_tenant_and_one_number_is_one_tenant(asking: Api, registry: Registry) -> None:
    registry.says(status="dissolved")
    gone = asking.post("/tenants", NEW)
    assert (gone.status, gone.code) == (409, "registration-not-in-force")
    registry.says()
    assert asking.post("/tenants", NEW).status == 201
    again = asking.post("/tenants", {**NEW, "name": "angkor2"})
    assert (again.status, again.code) == (409, "already-exists")
    bound = asking.post("/tenants/cadt/registration", {"number": "00012345"})
    assert (bound.status, bound.code) == (409, "already-exists")


def test_a_tenant_that_is_there_is_bound_and_refreshed(asking: Api, registry: Registry, centre: Centre) -> None:
    registry.says()
    assert asking.post("/tenants/cadt/registration", {}).status == 404
    assert asking.get("/tenants/cadt/registration").status == 404
    assert asking.post("/tenants/cadt/registration", {"number": "00012345"}, headers={"If-Match": '"9"'}).status == 412
    assert asking.post("/tenants/cadt/registration", {"number": "00012345"}).status == 200
    tenant = asking.get("/tenants/cadt").json
    assert (tenant["title"], tenant["kind"], tenant["sector"]) == ("Angkor AI Co., Ltd.", "company", "education")
    centre.clock.advance(days=30)
    registry.says(name={"en": "Angkor Two"}, status="dissolved")
    told = asking.post("/tenants/cadt/registration", {}).json
    assert (told["status"], told["in_force"], told["fetched_ms"]) == ("dissolved", False, centre.clock.now_ms())
    assert asking.get("/tenants/cadt").json["title"] == "Angkor Two"
    assert asking.get("/tenants/cadt").json["state"] == "active", "whether it is suspended is for people"


def test_a_registry_that_fails_leaves_nothing_half_done(asking: Api, registry: Registry, centre: Centre) -> None:
    rows = centre.database.dump()
    registry.says(said=Said(500, b"{}"))
    for path, body in (("/tenants", NEW), ("/tenants/cadt/registration", {"number": "00012345"})):
        answer = asking.post(path, body)
        assert (answer.status, answer.code) == (503, "registry-unavailable")
        unknown = asking.post(path, {**body, **({"registration": "7"} if "name" in body else {"number": "7"})})
        assert unknown.status == 404
    assert asking.post("/tenants", {"name": "plain", "title": "Plain", "kind": "ngo"}).status == 201
    assert len(rows) == len(centre.database.dump())


@on_sqlite
def test_a_repeated_request_asks_once(asking: Api, registry: Registry) -> None:
    registry.says()
    first, second = (asking.post("/tenants", NEW, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status, second.status) == (201, 201)
    assert first.body == second.body
    assert len(registry.served.asked) == 1


@pytest.mark.promise(8)
@on_sqlite
def test_only_who_may_admit_tenants_makes_the_centre_ask(asking: Api, registry: Registry, centre: Centre) -> None:
    registry.says()
    for user in ("kosal", "dara", "chanthy", "nary"):
        caller = asking.as_(centre.population.tokens[user])
        assert caller.post("/tenants", NEW).status == 403
        assert caller.post("/tenants/cadt/registration", {"number": "00012345"}).status in {403, 404}
    assert asking.post("/tenants/zzz/registration", {"number": "00012345"}).status == 404
    assert registry.served.asked == []


@on_sqlite
def test_without_a_registry_all_is_as_ever_and_asking_is_refused(
    centre: Centre, tmp_path: Path, open_api: Callable[..., Api]
) -> None:
    services = replace(services_of(centre, tmp_path), registry=None)
    api = open_api(services).as_(centre.population.tokens["admin"])
    assert api.post("/tenants", {"name": "rupp", "title": "RUPP", "kind": "university"}).status == 201
    lacking = api.post("/tenants", {"name": "num"})
    assert (lacking.status, faults(lacking)) == (422, {"title": "is missing", "kind": "is missing"})
    for path, body in (("/tenants", NEW), ("/tenants/cadt/registration", {"number": "1"})):
        answer = api.post(path, body)
        assert (answer.status, answer.code) == (409, "no-registry")
