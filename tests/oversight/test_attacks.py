"""Ways round a second person, and ways to more than one has, as somebody hostile would try them: all of them are shut."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from domain.errors import Conflict
from domain.people import Token, UserState
from domain.quantities import DAY_MS
from lifecycle import admission, people, tokens
from tests.conftest import services_of
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import H100
from tests.support.marks import on_sqlite
from tests.support.serving import Api

pytestmark = pytest.mark.promise(8)

SPAN = {"starts_ms": NEW_YEAR_MS, "ends_ms": NEW_YEAR_MS + 300 * DAY_MS}
WHY = {"reason": "as agreed"}
JOB = {"project": "speech", "command": ["run", "1m"], "resources": {"flavor": H100, "gpus": 1}}


def grant(name: str, su: str) -> dict[str, Any]:
    return {"name": name, "funder": "moeys", "su": su, **SPAN}


def as_(api: Api, centre: Centre, name: str) -> Api:
    return api.as_(centre.population.tokens[name])


def by_hand(api: Api, centre: Centre, name: str, **fields: Any) -> Api:
    """The user with a token that was made by hand."""
    with centre.store.write() as uow:
        user = people.user_named(uow, name)
        _, text = tokens.keep(uow, Token(0, user.id, "made", centre.clock.now_ms(), **fields))
    return api.as_(text)


def service(owner: Api, account: str, role: str, name: str = "robot") -> Api:
    body = {"name": name, "title": "Robot", "account": account, "role": role}
    assert (made := owner.post("/service-accounts", body)).status == 201, made.body
    return owner.as_(owner.post(f"/users/{name}/tokens", {"name": "run"}).json["token"])


def test_a_token_that_no_login_made_approves_nothing(api: Api, centre: Centre) -> None:
    """Whatever the centre says of fresh logins: a token that lies about somewhere is no second person."""
    with centre.store.write() as uow:
        people.give_role(uow, "vanna", "centre", "centre-admin", centre.clock.now_ms())
    assert api.put("/four-eyes", {"su": "100", "reason": "a test"}).status == 200
    number = api.post("/grants", grant("big", "500")).json["id"]
    bare = by_hand(api, centre, "vanna")
    for verb in ("approve", "decline"):
        refused = bare.post(f"/approvals/{number}/{verb}", WHY)
        assert (refused.status, refused.code) == (403, "login-needed"), refused.body
    centre.clock.advance(days=2)
    assert by_hand(api, centre, "vanna", login_ms=1).post(f"/approvals/{number}/approve", WHY).status == 200


@on_sqlite
def test_changes_that_are_decided_at_once_need_the_fresh_login_too(
    centre: Centre, tmp_path: Path, open_api: Callable[..., Api]
) -> None:
    """Their routes are open to those who ask; who decides there decides like everywhere."""
    api = open_api(replace(services_of(centre, tmp_path), step_up_ms=60_000)).as_(None)
    body = {"su": "1", "reason": "board"}
    stale = by_hand(api, centre, "admin", login_ms=1)
    refused = stale.post("/allocations/1/top-up", body)
    assert (refused.status, refused.code) == (403, "step-up-needed"), refused.body
    assert by_hand(api, centre, "dara").post("/allocations/1/top-up", body).json["state"] == "requested"
    fresh = by_hand(api, centre, "admin", login_ms=centre.clock.now_ms())
    assert fresh.post("/allocations/1/top-up", body).json["state"] == "approved"


def test_a_program_asks_for_nothing_that_takes_two(api: Api, centre: Centre) -> None:
    """Who has its token, an administrator who made one among them, would be the first person and the second."""
    robot = service(api, "centre", "allocator")
    assert api.put("/four-eyes", {"su": "100", "gpus": 2, "reason": "a test"}).status == 200
    for refused in (
        robot.post("/grants", grant("big", "500")),
        robot.put(f"/quotas/speech/{H100}", {"guaranteed": 4}),
    ):
        assert (refused.status, refused.code) == (403, "takes-people"), refused.body
    assert api.get("/approvals").json["items"] == []
    assert robot.post("/grants", grant("small", "50")).status == 201


def test_a_program_gets_a_role_that_takes_two_from_two(api: Api, centre: Centre) -> None:
    assert api.put("/four-eyes", {"su": "100", "roles": ["support"], "reason": "a test"}).status == 200
    body = {"name": "robot", "title": "Robot", "account": "centre"}
    for role in ("allocator", "support"):
        assert api.post("/service-accounts", {**body, "role": role}).status == 202
    assert api.get("/service-accounts").json["items"] == []
    assert api.post("/service-accounts", {**body, "role": "reporter"}).status == 201


def test_who_hands_a_program_over_keeps_none_of_its_tokens(api: Api, centre: Centre) -> None:
    """A focal point submits no jobs; their program does not either, once a lead was made to answer for it."""
    kosal, dara = as_(api, centre, "kosal"), as_(api, centre, "dara")
    robot = service(kosal, "speech", "member")
    assert robot.post("/jobs", JOB).status == 403
    assert kosal.change("/service-accounts/robot", {"owner": "dara"}).status == 200
    assert robot.post("/jobs", JOB).status == 401
    refused = kosal.post("/users/robot/tokens", {"name": "mine"})
    assert (refused.status, refused.code) == (403, "wider-token"), refused.body
    own = dara.post("/users/robot/tokens", {"name": "mine"})
    assert own.status == 201
    assert dara.as_(own.json["token"]).post("/jobs", JOB).status == 201


def test_nobody_makes_a_program_a_token_that_may_what_they_may_not(api: Api, centre: Centre) -> None:
    """A lead manages programs of the project, and is no allocator of it by way of one."""
    dara = as_(api, centre, "dara")
    service(api, "speech", "allocator")
    refused = dara.post("/users/robot/tokens", {"name": "mine"})
    assert (refused.status, refused.code) == (403, "wider-token"), refused.body
    refused = dara.change("/service-accounts/robot", {"owner": "dara"})
    assert refused.status == 200
    mine = dara.as_(dara.post("/users/robot/tokens", {"name": "mine"}).json["token"])
    assert mine.put(f"/quotas/speech/{H100}", {"guaranteed": 4}).status == 403


def test_a_user_who_was_changed_meanwhile_is_not_put_back(centre: Centre) -> None:
    """Whoever read them before they were suspended or erased writes nothing: not an admission, not a login."""
    with centre.store.write() as uow:
        before = people.user_named(uow, "dara")
        admission.suspend(uow, before, centre.clock.now_ms())
    with centre.store.write() as uow, pytest.raises(Conflict):
        uow.people.save_user(replace(before, state=UserState.ACTIVE))
    with centre.store.read() as uow:
        assert people.user_named(uow, "dara").state is UserState.SUSPENDED


def test_a_narrowed_token_sets_no_password(api: Api, centre: Centre) -> None:
    """Who logs in with it may all that its user may, and so would the token."""
    made = api.post("/users/admin/tokens", {"name": "desk", "scopes": ["user.write"]})
    narrow = api.as_(made.json["token"])
    for name in ("admin", "dara"):
        refused = narrow.post(f"/users/{name}/password")
        assert (refused.status, refused.code) == (403, "wider-token"), refused.body
    assert api.post("/users/dara/password").status == 201


def test_many_small_parts_are_one_large_one(api: Api, centre: Centre) -> None:
    """What one person moved alone in 24 h is added up, by their programs too; what two looked at is not."""
    robot = service(api, "centre", "allocator")
    chanthy = as_(api, centre, "chanthy")
    assert api.put("/four-eyes", {"su": "100", "gpus": 4, "reason": "a test"}).status == 200
    assert chanthy.post("/grants", grant("a", "60")).status == 201
    assert chanthy.post("/grants", grant("b", "40")).status == 201
    number = chanthy.post("/grants", grant("c", "1"))
    assert number.status == 202
    done = api.as_(centre.login()).post(f"/approvals/{number.json['id']}/approve", WHY)
    assert done.status == 200, done.body
    assert api.post("/grants", grant("d", "60")).status == 201, "another person's are their own"
    assert robot.post("/grants", grant("e", "41")).code == "takes-people", "but not their program's"
    assert api.post("/grants", grant("f", "40")).status == 201
    centre.clock.advance(hours=23)
    assert chanthy.post("/grants", grant("g", "1")).status == 202
    centre.clock.advance(hours=1, ms=1)
    assert chanthy.post("/grants", grant("h", "100")).status == 201
    assert robot.post("/grants", grant("i", "100")).status == 201


def test_quotas_in_small_steps_are_a_large_one(api: Api) -> None:
    path = f"/quotas/speech/{H100}"
    assert api.put("/four-eyes", {"gpus": 4, "reason": "a test"}).status == 200
    steps = [api.put(path, {"guaranteed": gpus, "overcommit": True}) for gpus in (2, 0, 2)]
    assert [step.status for step in steps] == [200, 200, 202]


def test_two_parts_at_once_are_added_up_too(api: Api, centre: Centre) -> None:
    chanthy = as_(api, centre, "chanthy")
    assert api.put("/four-eyes", {"su": "100", "reason": "a test"}).status == 200
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(chanthy.post, "/grants", grant(f"g{n}", "60")) for n in range(4)]
        assert sorted(one.result().status for one in found) == [201, 202, 202, 202]


@pytest.mark.parametrize("covers", [{}, {"user": "dara"}, {"account": "speech"}])
def test_a_legal_hold_keeps_who_and_why_of_entries_too(api: Api, centre: Centre, covers: dict[str, str]) -> None:
    assert as_(api, centre, "dara").post("/jobs", {**JOB, "held": True}).status == 201
    entry = next(one for one in api.get("/audit/entries").json["items"] if one["subject"] == "/jobs")
    hold = api.post("/legal-holds", {**covers, "reason": "a case"}).json["id"]
    refused = api.post(f"/audit/entries/{entry['id']}/erase", {"reason": "a test"})
    assert (refused.status, refused.code) == (409, "legal-hold"), refused.body
    assert api.get(f"/audit/entries/{entry['id']}").json["personal"] is not None
    assert api.post(f"/legal-holds/{hold}/lift", {"reason": "it is over"}).status == 200
    assert api.post(f"/audit/entries/{entry['id']}/erase", {"reason": "a test"}).status == 200
