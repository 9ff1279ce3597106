"""Rights of X-Road clients as data: given, listed, taken away, each with an audit entry; and the committed document."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from api.identity.xroad.app import described
from tests.support.marks import on_sqlite
from tests.support.security_server import Consumer
from tests.support.serving import Api
from tests.xroad.conftest import MINISTRY

ROOT = Path(__file__).parents[2]
RIGHT = {"client": MINISTRY, "service": "usage", "tenant": "cadt", "reason": "agreement 12/2026"}


@pytest.mark.promise(8)
def test_a_right_is_given_and_taken_away(api: Api, facade: Consumer) -> None:
    january = {"from": "2026-01", "until": "2026-01"}
    assert facade.ask(MINISTRY, "/usage", january).status == 403
    made = api.post("/xroad-clients", {**RIGHT, "client": "%4BH/GOV/0001/statistics"})
    assert (made.status, made.json["client"], made.json["tenant"]) == (201, MINISTRY, "cadt")
    assert facade.ask(MINISTRY, "/usage", january).status == 200
    again = api.post("/xroad-clients", RIGHT)
    assert (again.status, again.code) == (409, "already-exists")
    everything = api.post("/xroad-clients", {**RIGHT, "tenant": None})
    assert everything.status == 201
    assert api.post("/xroad-clients", {**RIGHT, "tenant": None}).status == 409
    assert api.pages("/xroad-clients", 1) == [made.json, everything.json]
    for one in (made, everything):
        assert api.delete(f"/xroad-clients/{one.json['id']}").status == 204
    assert api.delete(f"/xroad-clients/{made.json['id']}").status == 404
    assert facade.ask(MINISTRY, "/usage", january).status == 403
    found = api.get("/audit/entries", query={"subject": "/xroad-clients"}).json["items"]
    assert [one["action"] for one in found] == 2 * ["revoke_xroad_client"] + 2 * ["allow_xroad_client"]
    assert {one["facts"]["client"] for one in found} == {MINISTRY}
    assert "agreement 12/2026" in found[-1]["personal"]


@on_sqlite
@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"client": "KH/GOV/*"}, "client"), ({"client": "KH"}, "client"), ({"client": ""}, "client"),
        ({"service": "everything"}, "service"), ({"tenant": "speech"}, "tenant"), ({"tenant": "zzz"}, "tenant"),
        ({"reason": ""}, "reason"), ({"wild": True}, "wild"),
    ],
)  # fmt: skip
def test_a_right_that_is_none_is_refused(api: Api, changed: dict[str, Any], field: str) -> None:
    refusal = api.post("/xroad-clients", {**RIGHT, **changed})
    assert refusal.status in {404, 422}, refusal.body
    assert [one["field"] for one in refusal.json["errors"]] == [field]


def test_the_document_is_valid_openapi_3_0() -> None:
    document = described("https://ai.example:8471")
    OpenAPIV30SpecValidator(document).validate()
    assert document["openapi"] == "3.0.3"
    assert document["servers"] == [{"url": "https://ai.example:8471"}]
    text = json.dumps(document)
    for word in ('"null"', '"const"', '"examples"', "X-Road-Client:"):
        assert word not in text


def test_the_committed_document_is_what_the_code_says() -> None:
    """Made by: BARAY_XROAD_URL=https://baray.example:8471 baray admin xroad openapi > docs/x-road-openapi.json"""
    committed = json.loads((ROOT / "docs" / "x-road-openapi.json").read_text(encoding="utf-8"))
    assert committed == described("https://baray.example:8471")


@on_sqlite
def test_the_listener_serves_its_document_and_answers_as_it_says(facade: Consumer, api: Api) -> None:
    served = facade.raw("GET", "/openapi.json", [])
    assert served.json == described("https://centre.example:8471")
    for service in ("usage", "allocation"):
        assert api.post("/xroad-clients", {**RIGHT, "service": service}).status == 201
    schemas = served.json["components"]["schemas"]
    asked = facade.ask(MINISTRY, "/allocations/1", {"project": "speech"})
    assert asked.json.keys() == set(schemas["AllocationOut"]["properties"])
    asked = facade.ask(MINISTRY, "/usage", {"from": "2026-01", "until": "2026-01"})
    assert asked.json.keys() == set(schemas["UsageOut"]["properties"])


def test_the_command_prints_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cli", "admin", "xroad", "openapi"], capture_output=True, text=True, check=True, cwd=ROOT
    )  # fmt: skip
    assert json.loads(done.stdout)["servers"] == [{"url": "https://127.0.0.1:8471"}]
