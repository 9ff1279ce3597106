"""Promise 8: every change by a person leaves an audit entry, in the transaction that made it; or says why it needs none."""

import hashlib
import json
from typing import Any

import pytest

from api.http.credentials import ON_BEHALF_HEADER
from api.http.schemas.base import Body
from api.http.trail import is_write_only, subject
from domain.canonical import canonical
from lifecycle.paging import Page
from lifecycle.witness import ROW_WRITTEN, EntryFilter
from quotas.leaves import AuditEntry
from tests.api.test_openapi import Checked, operations, walk
from tests.support.centre import Centre
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

ENTRY = "an entry"
BESIDE = {ROW_WRITTEN, "erase_person"}  # entries that accompany the one of a request


def entries(centre: Centre) -> list[AuditEntry]:
    with centre.store.read() as uow:
        found = uow.audit.page(Page(None, 2_000), EntryFilter())[::-1]
    return [entry for entry in found if entry.action not in BESIDE]


def personal(entry: AuditEntry) -> dict[str, Any]:
    assert entry.personal is not None
    told = json.loads(entry.personal)
    assert isinstance(told, dict)
    return told


class Watched(Checked):
    """Holds, after every call that changed something, that it left one entry; or none if it says that it needs none."""

    def __init__(self, api: Api, document: dict[str, Any], centre: Centre) -> None:
        super().__init__(api, document)
        self.centre = centre
        self.left: set[str] = set()

    def __call__(self, method: str, route: str, body: Any = None, *, data: bytes | None = None, **where: Any) -> Answer:
        before = len(entries(self.centre))
        answer = super().__call__(method, route, body, data=data, **where)
        if answer.status < 300:
            declared = self.document["paths"][route[1:] if route.startswith("//") else f"/api/v1{route}"][
                method.lower()
            ]
            left = entries(self.centre)[before:]
            rehearsed = bool(where.get("query", {}).get("dry_run"))
            wanted = int(declared.get("x-audit") == ENTRY and not rehearsed)
            if (method, route) == ("POST", "/approvals/{approval_id}/approve"):
                wanted = 2  # of what was asked for, and of the approval
            assert len(left) == wanted, f"{method} {route} left {left}"
            self.left.update(entry.action for entry in left)
        return answer


@on_sqlite
@pytest.mark.promise(8)
def test_every_route_that_changes_something_leaves_an_entry(api: Api, centre: Centre) -> None:
    document = api.get("/openapi.json").json
    call = Watched(api, document, centre)
    walk(call, centre)
    assert len(call.left) > 20  # that the walk leaves no route out is held in ``test_openapi``


@on_sqlite
def test_every_route_that_may_change_something_says_how_it_is_audited(api: Api) -> None:
    reads = {"/clusters/check", "/imports/check", "/policy/check", "/sweeps/check"}
    reads |= {"/login/device", "/login/token"}  # nobody is there yet: who approves leaves the entry
    for method, path, declared in operations(api.get("/openapi.json").json):
        assert ("x-audit" in declared) == (method != "GET" and path not in reads), f"{method} {path}"


@pytest.mark.promise(8)
def test_an_entry_says_who_did_what_to_which_and_why(api: Api, centre: Centre) -> None:
    body = {"document": {"half_life": "3d"}, "reason": "exam weeks"}
    assert api.post("/policies", body).status == 201
    (entry,) = entries(centre)[-1:]
    assert (entry.action, entry.subject, entry.at_ms) == ("apply_policy", "/policies", centre.clock.now_ms())
    facts = json.loads(entry.facts)
    assert (facts["method"], facts["status"], len(facts["request"]), len(facts["after"])) == ("POST", 201, 32, 64)
    told = personal(entry)
    assert (told["by"], told["reason"], told["path"]) == ("admin", "exam weeks", "/api/v1/policies")
    assert len(told["asked"]) == 64


@pytest.mark.promise(8)
def test_what_is_undone_leaves_no_entry(api: Api, centre: Centre) -> None:
    before = len(entries(centre))
    assert api.post("/tenants", {"name": "cadt", "title": "x", "kind": "ngo"}).status == 409
    assert api.as_(centre.population.tokens["dara"]).post("/tenants", {"name": "x", "title": "x", "kind": "ngo"}).status
    assert len(entries(centre)) == before


def test_a_repeat_is_one_entry(api: Api, centre: Centre) -> None:
    before = len(entries(centre))
    body = {"name": "rupp", "title": "RUPP", "kind": "university"}
    for _ in range(2):
        assert api.post("/tenants", body, headers={"Idempotency-Key": "k"}).status == 201
    assert len(entries(centre)) == before + 1


@pytest.mark.promise(8)
def test_acting_on_ones_own_job_leaves_an_entry_and_on_anothers_says_whose(api: Api, centre: Centre) -> None:
    own = api.as_(centre.population.tokens["dara"])
    job = own.post("/jobs", {"project": "speech", "command": ["secret-tool"], "held": True, "env": {"K": "v4lue"}}).json
    steps: list[tuple[str, Any]] = [("release", None), ("hold", None), ("cancel", None)]
    assert own.change(f"/jobs/{job['id']}", {"priority": 1}).status == 200
    for api_, by, whose in ((own, "dara", None), (api, "admin", "dara")):
        for what, body in steps[:2]:
            assert api_.post(f"/jobs/{job['id']}/{what}", body).status == 200
            entry = entries(centre)[-1]
            assert (entry.action, entry.subject) == (f"{what}_job", f"/jobs/{job['id']}/{what}")
            assert (personal(entry)["by"], personal(entry).get("on_behalf")) == (by, whose)
            facts = json.loads(entry.facts)
            assert facts["before"] != facts["after"]
    assert own.post(f"/jobs/{job['id']}/cancel").status == 200
    left = entries(centre)
    assert [entry.action for entry in left[-7:]] == [
        "submit_job", "change_job", "release_job", "hold_job", "release_job", "hold_job", "cancel_job",
    ]  # fmt: skip
    assert json.loads(left[-7].facts)["made"] == job["id"]
    for entry in left[-7:]:
        assert b"secret-tool" not in entry.text()
        assert "v4lue" not in (entry.personal or "") + entry.facts


@pytest.mark.promise(8)
def test_a_batch_is_one_entry_and_so_is_an_array_and_a_rehearsal_none(api: Api, centre: Centre) -> None:
    before = len(entries(centre))
    one = {"project": "speech", "command": ["true"], "held": True}
    ids = api.post("/jobs/batch", {"jobs": [one] * 20}).json["ids"]
    array = api.post("/jobs", {**one, "array": "0-99"}).json["id"]
    assert api.post("/jobs", one, query={"dry_run": "true"}).status == 200
    left = entries(centre)[before:]
    assert [entry.action for entry in left] == ["submit_batch", "submit_job"]
    assert json.loads(left[0].facts)["jobs"] == f"{ids[0]}-{ids[-1]}"
    assert json.loads(left[1].facts)["made"] == array


@pytest.mark.promise(8)
def test_logging_out_and_reading_notices_leave_entries(api: Api, centre: Centre) -> None:
    own = api.as_(centre.population.tokens["dara"])
    before = len(entries(centre))
    assert api.post("/notices/read", {"ids": [1]}).status == 200
    assert own.post("/logout").status == 204
    left = entries(centre)[before:]
    assert [(entry.action, personal(entry)["by"]) for entry in left] == [("read_notices", "admin"), ("logout", "dara")]


@pytest.mark.promise(8)
def test_what_is_sealed_names_nobody(api: Api, centre: Centre) -> None:
    assert api.post("/users", {"name": "vuthy", "title": "Vuthy"}).status == 201
    assert api.post("/users/vuthy/roles", {"account": "speech", "role": "reporter"}).status == 201
    assert api.delete("/users/vuthy/roles/speech/reporter").status == 204
    assert api.post("/projects/speech/members", {"user": "vuthy", "role": "member"}).status == 201
    assert api.delete("/projects/speech/members/vuthy").status == 204
    left = entries(centre)[-5:]
    assert [entry.subject for entry in left] == [
        "/users",
        "/users/{name}/roles",
        "/users/{name}/roles/speech/reporter",
        "/projects/speech/members",
        "/projects/speech/members/{user}",
    ]
    for entry in left:
        assert b"vuthy" not in entry.text()
        assert b"admin" not in entry.text().replace(b"centre-admin", b"")


@pytest.mark.promise(8)
def test_a_secrets_value_cannot_be_guessed_from_its_entry(api: Api, centre: Centre) -> None:
    """Two values of one secret ask for the same: nothing of the value is in the digest."""
    for value in ("1234", "5678"):
        assert api.put("/projects/speech/secrets/PIN", {"value": value}).status == 200
    one, two = (personal(entry)["asked"] for entry in entries(centre)[-2:])
    assert one == two


def test_whatever_is_called_a_secret_is_kept_out() -> None:
    def all_bodies(kind: type[Body]) -> set[type[Body]]:
        return {kind}.union(*(all_bodies(sub) for sub in kind.__subclasses__()))

    for body in all_bodies(Body):
        for name, field in body.model_fields.items():
            if any(word in name for word in ("password", "token", "private")) or body.__name__ == "SecretIn":
                assert is_write_only(field.json_schema_extra), f"{body.__name__}.{name}"


@pytest.mark.parametrize(
    ("path", "arguments", "told"),
    [
        ("/jobs/{job}/cancel", {"job": "7_1"}, "/jobs/7_1/cancel"),
        ("/quotas/{account}/{flavor}", {"account": "a", "flavor": "b"}, "/quotas/a/b"),
        ("/users/{name}/tokens", {"name": "dara"}, "/users/{name}/tokens"),
        ("/projects/{name}/members/{user}", {"name": "speech", "user": "dara"}, "/projects/speech/members/{user}"),
    ],
)
def test_subjects(path: str, arguments: dict[str, str], told: str) -> None:
    assert subject(path, arguments) == told


def test_an_entrys_personal_part_is_canonical(api: Api, centre: Centre) -> None:
    assert api.post("/tenants", {"name": "rupp", "title": "សាកល", "kind": "university"}).status == 201
    entry = entries(centre)[-1]
    assert entry.personal is not None
    assert canonical(json.loads(entry.personal)).decode() == entry.personal
    assert entry.fault() is None


@pytest.mark.promise(8)
def test_whoever_has_the_salt_and_what_was_shown_can_tell_before_and_after(api: Api, centre: Centre) -> None:
    before = api.get("/projects/speech")
    answer = api.change("/projects/speech", {"title": "Speech II"}, headers={"If-Match": before.headers["ETag"]})
    after = api.get("/projects/speech")
    (entry,) = entries(centre)[-1:]
    facts, salt = json.loads(entry.facts), entry.salt
    assert salt is not None
    assert facts["before"] == hashlib.sha256(salt + before.body).hexdigest()
    assert facts["after"] == hashlib.sha256(salt + after.body).hexdigest()
    assert facts["request"] == answer.headers["X-Request-Id"]
    shown = api.get(f"/audit/entries/{entry.id}").json
    assert (shown["salt"], shown["leaf"], shown["signed"]) == (salt.hex(), None, False)
    assert api.post(f"/audit/entries/{entry.id}/erase", {"reason": "a test"}).status == 200
    erased = api.get(f"/audit/entries/{entry.id}").json
    assert (erased["salt"], erased["personal"]) == (None, None)
    assert hashlib.sha256(before.body).hexdigest() not in json.dumps(erased)  # nothing can be tried without the salt


@pytest.mark.promise(8)
def test_who_acts_for_another_and_who_approved_are_in_the_entry_and_in_their_logs(api: Api, centre: Centre) -> None:
    tokens = centre.population.tokens
    support, other = api.as_(tokens["sophea"]), api.as_(tokens["chanthy"])
    dara = api.as_(tokens["dara"])
    job = dara.post("/jobs", {"project": "speech", "command": ["true"], "held": True}).json["id"]
    assert support.post("/acting", {"user": "dara", "reason": "ticket 7", "minutes": 5}).status == 201
    begun = dara.get("/me/log").json["items"][0]
    assert (begun["action"], begun["by"], begun["reason"]) == ("begin_acting", "sophea", "ticket 7")
    assert support.post(f"/jobs/{job}/cancel", headers={ON_BEHALF_HEADER: "dara"}).status == 200
    told = personal(entries(centre)[-1])
    assert (told["by"], told["on_behalf"]) == ("sophea", "dara")
    line = dara.get("/me/log").json["items"][0]
    assert (line["action"], line["by"], line["how"]) == ("cancel_job", "sophea", ["for"])
    assert api.put("/four-eyes", {"su": "1000", "reason": "a test"}).status == 200
    grant = {"name": "big", "funder": "moeys", "su": "5000", "starts_ms": 0, "ends_ms": 9}
    asked = other.post("/grants", grant)
    assert asked.status == 202
    approved = api.as_(centre.login()).post(f"/approvals/{asked.json['id']}/approve", {"reason": "a test"})
    assert approved.status == 200
    made = next(entry for entry in reversed(entries(centre)) if entry.action == "add_grant")
    assert (personal(made)["by"], personal(made)["approved_by"]) == ("chanthy", "admin")
    assert json.loads(made.facts)["made"]


@on_sqlite
def test_entries_are_found_by_person_and_by_request(api: Api, centre: Centre) -> None:
    own = api.as_(centre.population.tokens["dara"])
    answer = own.post("/jobs", {"project": "speech", "command": ["true"], "held": True})
    request = answer.headers["X-Request-Id"]
    found = api.get("/audit/entries", query={"request_id": request}).json["items"]
    assert [one["action"] for one in found] == ["submit_job"]
    assert api.get("/audit/entries", query={"person": "dara", "limit": 1}).json["items"] == found
    for nobody in ({"person": "nobody-at-all"}, {"request_id": "none"}):
        assert api.get("/audit/entries", query=nobody).json["items"] == []
    assert api.get("/audit/entries", query={"request_id": "%"}).status == 422
