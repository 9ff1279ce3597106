"""Support acts on behalf of a user: with leave, a reason and an end, seen by the user, and never beyond what support is for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from domain.access import ACTABLE, ACTABLE_CHANGES, Permission
from domain.people import Caller
from lifecycle import people
from lifecycle.paging import Page
from lifecycle.witness import EntryFilter
from tests.conftest import services_of
from tests.support.centre import Centre
from tests.support.factories import H100
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

pytestmark = pytest.mark.promise(8)

JOB = {"project": "speech", "command": ["run", "1m"], "resources": {"flavor": H100, "gpus": 1}}
LEAVE = {"user": "dara", "reason": "job 1 hangs", "minutes": 30}
_ALL = Page(None, 100)
FOR_DARA = {"Baray-On-Behalf-Of": "dara"}


@pytest.fixture
def support(api: Api, centre: Centre) -> Api:
    return api.as_(centre.population.tokens["sophea"])


def leave(support: Api) -> int:
    answer = support.post("/acting", LEAVE)
    assert answer.status == 201, answer.body
    return int(answer.json["id"])


def test_without_leave_nobody_acts_for_anybody(api: Api, support: Api, centre: Centre) -> None:
    for who in (support, api, api.as_(centre.population.tokens["sok"])):
        for name in ("dara", "nobody-there"):
            refused = who.get("/jobs", headers={"Baray-On-Behalf-Of": name})
            assert (refused.status, refused.code) == (403, "no-leave")


def test_with_leave_support_does_what_the_user_may_and_the_user_sees_it(support: Api, centre: Centre) -> None:
    assert support.post("/jobs", JOB).status == 403
    number = leave(support)
    made = support.post("/jobs", JOB, headers=FOR_DARA)
    assert made.status == 201, made.body
    assert made.json["user"] == "dara"
    assert support.get("/whoami", headers=FOR_DARA).json["user"] == "dara"
    dara = support.as_(centre.population.tokens["dara"])
    (seen,) = dara.get("/acting").json["items"]
    assert (seen["id"], seen["by"], seen["reason"], seen["open"]) == (number, "sophea", "job 1 hangs", True)
    with centre.store.read() as uow:
        entry = uow.audit.page(_ALL, EntryFilter())[0]
        names = uow.privacy.entries_of(people.user_named(uow, "dara").id, _ALL)
    assert entry.personal is not None
    told = json.loads(entry.personal)
    assert (told["by"], told["on_behalf"]) == ("sophea", "dara")
    assert (entry.id, "for") in names


def test_it_ends_by_itself_and_by_either_side(support: Api, centre: Centre) -> None:
    dara = support.as_(centre.population.tokens["dara"])
    for end in (support, dara):
        number = leave(support)
        assert support.post("/acting", LEAVE).code == "already-exists"
        assert support.get("/jobs", headers=FOR_DARA).status == 200
        other = support.as_(centre.population.tokens["sok"])
        assert other.delete(f"/acting/{number}").status == 404
        assert end.delete(f"/acting/{number}").status == 204
        assert support.get("/jobs", headers=FOR_DARA).code == "no-leave"
        assert end.delete(f"/acting/{number}").code == "already-over"
    leave(support)
    centre.clock.advance(minutes=30)
    assert support.get("/jobs", headers=FOR_DARA).code == "no-leave"


def test_nothing_personal_and_no_decision_on_anybodys_behalf(support: Api, centre: Centre) -> None:
    """Even what every valid token may, such as logging out, is the user's own."""
    with centre.store.write() as uow:
        people.give_role(uow, "dara", "centre", "centre-admin", centre.clock.now_ms())
    leave(support)
    tried: dict[str, Callable[[], Answer]] = {
        "log out": lambda: support.post("/logout", headers=FOR_DARA),
        "accept terms": lambda: support.post("/terms/acceptance", {"version": "v1"}, headers=FOR_DARA),
        "read notices": lambda: support.post("/notices/read", {"ids": [1]}, headers=FOR_DARA),
        "make a token": lambda: support.post("/users/dara/tokens", {"name": "mine"}, headers=FOR_DARA),
        "list tokens": lambda: support.get("/users/dara/tokens", headers=FOR_DARA),
        "give a role": lambda: support.post(
            "/users/sok/roles", {"account": "speech", "role": "lead"}, headers=FOR_DARA
        ),
        "decide": lambda: support.post("/allocations/1/decline", {"reason": "no"}, headers=FOR_DARA),
        "take secrets": lambda: support.put("/projects/speech/secrets/KEY", {"value": "x"}, headers=FOR_DARA),
        "act on": lambda: support.post("/acting", {**LEAVE, "user": "sok"}, headers=FOR_DARA),
        "end it": lambda: support.delete("/acting/1", headers=FOR_DARA),
        "approve": lambda: support.post("/approvals/1/approve", {"reason": "yes"}, headers=FOR_DARA),
        "withdraw": lambda: support.post("/approvals/1/withdraw", {"reason": "yes"}, headers=FOR_DARA),
    }
    before = centre.database.dump()
    for what, act in tried.items():
        answer = act()
        assert (answer.status, answer.code) == (403, "not-on-behalf"), (what, answer.body)
    assert centre.database.dump() == before


def test_a_change_is_asked_for_where_the_user_themselves_could_decide(support: Api, centre: Centre) -> None:
    with centre.store.write() as uow:
        people.give_role(uow, "rith", "centre", "allocator", centre.clock.now_ms())
    assert support.post("/acting", {**LEAVE, "user": "rith"}).status == 201
    body = {"su": "1", "reason": "asked on the phone"}
    answer = support.post("/allocations/1/top-up", body, headers={"Baray-On-Behalf-Of": "rith"})
    assert (answer.status, answer.json["state"]) == (200, "requested")


def test_support_of_a_tenant_acts_nowhere_else(api: Api, centre: Centre) -> None:
    with centre.store.write() as uow:
        people.give_role(uow, "nary", "cadt", "support", centre.clock.now_ms())
        people.give_role(uow, "dara", "flood", "lead", centre.clock.now_ms())
    nary = api.as_(centre.population.tokens["nary"])
    assert nary.post("/acting", {**LEAVE, "user": "rith"}).status == 404
    assert nary.post("/acting", LEAVE).status == 201
    assert nary.get("/projects/speech", headers=FOR_DARA).status == 200
    assert nary.get("/projects/flood", headers=FOR_DARA).status in {403, 404}
    assert {one["name"] for one in nary.get("/projects", headers=FOR_DARA).json["items"]} == {"speech"}


def test_support_no_more_acts_for_nobody(api: Api, support: Api, centre: Centre) -> None:
    leave(support)
    assert api.delete("/users/sophea/roles/centre/support").status == 204
    assert support.get("/jobs", headers=FOR_DARA).code == "no-leave"
    assert support.get("/whoami", headers=FOR_DARA).code == "no-leave"


def test_an_officers_money_is_shown_to_nobody_who_acts_for_them(support: Api) -> None:
    assert support.post("/acting", {**LEAVE, "user": "mony"}).status == 201
    assert support.get("/grants", headers={"Baray-On-Behalf-Of": "mony"}).status == 403


@on_sqlite
def test_bad_leaves_are_refused(support: Api, centre: Centre) -> None:
    for body in (
        {**LEAVE, "minutes": 481},
        {**LEAVE, "minutes": 0},
        {**LEAVE, "reason": ""},
        {**LEAVE, "user": "sophea"},
    ):
        assert support.post("/acting", body).status == 422, body
    assert support.post("/acting", {**LEAVE, "user": "nobody-there"}).status == 404


def test_auditors_see_all_leaves_and_others_their_own(api: Api, support: Api, centre: Centre) -> None:
    leave(support)
    auditor = api.as_(centre.population.tokens["bopha"])
    assert len(auditor.get("/acting", query={"whose": "all"}).json["items"]) == 1
    assert len(support.get("/acting", query={"whose": "mine"}).json["items"]) == 1
    assert support.get("/acting").json["items"] == []
    assert support.get("/acting", query={"whose": "all"}).status == 403


def test_acting_covers_what_is_actable_alone(centre: Centre) -> None:
    """Whatever the user's roles, and the support's."""
    admin, support = centre.caller("admin"), centre.caller("sophea")
    acting = Caller(admin.user, support.token, admin.roles, support.user, frozenset({1}))
    assert {one for one in Permission if acting.may(one, (1,))} == ACTABLE & {
        one for one in Permission if admin.may(one, (1,))
    }
    assert ACTABLE_CHANGES < ACTABLE
    assert not any(acting.may(one, (2,)) for one in Permission)


@on_sqlite
def test_decisions_need_a_login_of_a_short_while_ago(
    centre: Centre, tmp_path: Path, open_api: Callable[..., Api]
) -> None:
    """Where the centre asks for it: a token that was made by hand, or a login that is old, decides nothing."""
    step_up_ms = 15 * 60_000
    api = open_api(replace(services_of(centre, tmp_path), step_up_ms=step_up_ms)).as_(centre.population.tokens["admin"])
    give = {"account": "speech", "role": "reporter"}
    assert api.post("/users/nary/roles", give).code == "step-up-needed"
    assert api.get("/users/nary/roles").status == 200
    with centre.store.write() as uow:
        token = replace(centre.caller("admin").token, id=0, login_ms=centre.clock.now_ms())
        uow.people.add_token(token, people.digest("bry_fresh"))
    fresh = api.as_("bry_fresh")
    centre.clock.advance(ms=step_up_ms)
    assert fresh.post("/users/nary/roles", give).status == 201
    centre.clock.advance(ms=1)
    for path, body in (
        ("/users/nary/roles", give),
        ("/approvals/1/approve", {"reason": "yes"}),
        ("/allocations/1/decline", {"reason": "no"}),
    ):
        assert fresh.post(path, body).code == "step-up-needed", path
    assert fresh.put("/four-eyes", {"reason": "none"}).code == "step-up-needed"
