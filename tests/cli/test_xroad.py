"""Commands on X-Road's rights and on registrations: what they send, and what they say."""

import json

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import Answer, Centre, page

RIGHT = {
    "id": 3,
    "client": "KH/GOV/0001/statistics",
    "service": "usage",
    "tenant": None,
    "created_ms": 1_767_225_600_000,
}
TENANT = {
    "name": "angkor",
    "title": "Angkor AI",
    "kind": "company",
    "state": "active",
    "weight": 1,
    "registration": "12",
}
FOUND = {
    "registry": "KH/GOV/0007/registry/company", "number": "12", "status": "active", "in_force": True,
    "fields": {"title": "Angkor AI", "kind": "company"}, "fetched_ms": 1_767_225_600_000, "message_id": "m", "sha256": "0",
}  # fmt: skip


def sent(centre: Centre) -> object:
    return json.loads(centre.requests[-1].body)


@pytest.mark.parametrize(("option", "tenant"), [("--all-tenants", None), ("--tenant=cadt", "cadt")])
def test_a_right_is_given(centre: Centre, run: Run, option: str, tenant: str | None) -> None:
    centre.on("POST /xroad-clients", {**RIGHT, "tenant": tenant})
    about = "all tenants" if tenant is None else "tenant cadt"
    found = run("admin", "xroad", "allow", RIGHT["client"], "usage", option, "--reason", "agreement 12")
    assert found.out == f"KH/GOV/0001/statistics may ask usage about {about} (right 3)\n"
    body = {"client": RIGHT["client"], "service": "usage", "tenant": tenant, "reason": "agreement 12"}
    assert sent(centre) == body


@pytest.mark.parametrize("options", [(), ("--tenant", "cadt", "--all-tenants")])
def test_about_whom_must_be_said_once(run: Run, options: tuple[str, ...]) -> None:
    found = run("admin", "xroad", "allow", RIGHT["client"], "usage", "--reason", "x", *options)
    assert found.code == 2
    assert "about whom may it ask?" in found.err


def test_rights_are_listed_and_revoked(centre: Centre, run: Run) -> None:
    centre.on("GET /xroad-clients", page(RIGHT))
    centre.on("DELETE /xroad-clients/3", Answer(204))
    assert run("admin", "xroad", "list").out.splitlines()[1].split()[:4] == ["3", RIGHT["client"], "usage", "all"]
    assert run("admin", "xroad", "revoke", "3").out == "right 3 is revoked\n"


def test_a_tenant_is_added_by_its_number(centre: Centre, run: Run) -> None:
    centre.on("POST /tenants", TENANT)
    assert run("admin", "tenant", "add", "angkor", "--registration", "12").code == 0
    assert sent(centre) == {"name": "angkor", "registration": "12"}
    refused = run("admin", "tenant", "add", "angkor", "--title", "Angkor AI")
    assert (refused.code, "give --title and --kind, or --registration" in refused.err) == (2, True)


def test_a_tenant_is_bound_shown_and_refreshed(centre: Centre, run: Run) -> None:
    centre.on("POST /tenants/angkor/registration", FOUND)
    centre.on("GET /tenants/angkor/registration", FOUND)
    centre.on("GET /tenants/angkor", TENANT)
    assert run("admin", "tenant", "set", "angkor", "--registration", "12").out == "changed tenant angkor\n"
    assert json.loads(centre.asked("POST /tenants/angkor/registration")[0].body) == {"number": "12"}
    assert run("admin", "tenant", "set", "angkor", "--registration", "12", "--weight", "2").code == 2
    assert run("admin", "tenant", "refresh", "angkor").out == "tenant angkor is what the registry says of 12\n"
    assert sent(centre) == {}
    assert "kind, title" in run("admin", "tenant", "registration", "angkor").out
