"""What takes a second person: kept, done once by another who may do it too, or not at all."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from domain.access import Role
from domain.errors import NotAllowed
from domain.oversight import Approval
from domain.people import UserKind
from domain.quantities import DAY_MS
from lifecycle import oversight, people
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import H100
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

pytestmark = pytest.mark.promise(8)

SPAN = {"starts_ms": NEW_YEAR_MS, "ends_ms": NEW_YEAR_MS + 300 * DAY_MS}
RULES = {
    "su": "100",
    "gpus": 2,
    "roles": ["centre-admin", "lead", "funder"],
    "rates": True,
    "reason": "the board's wish",
}
WHY = {"reason": "as agreed"}


@pytest.fixture
def ruled(api: Api, centre: Centre) -> Api:
    """The administrator's API, where much takes two; vanna is the second administrator, and allocators are two as well."""
    with centre.store.write() as uow:
        people.give_role(uow, "vanna", "centre", "centre-admin", centre.clock.now_ms())
        people.give_role(uow, "nary", "centre", "allocator", centre.clock.now_ms())
    assert api.put("/four-eyes", RULES).status == 200
    return api.as_(centre.login())


def grant(name: str = "big", su: str = "500") -> dict[str, Any]:
    return {"name": name, "funder": "moeys", "su": su, **SPAN}


def ask(api: Api, path: str = "/grants", body: Any = None, method: str = "POST") -> int:
    answer = api.call(method, path, grant() if body is None and method == "POST" else body)
    assert answer.status == 202, answer.body
    return int(answer.json["id"])


def approval_of(centre: Centre, number: int) -> Approval:
    with centre.store.read() as uow:
        found = uow.oversight.approval(number)
    assert found is not None
    return found


def names(api: Api) -> set[str]:
    return {one["name"] for one in api.get("/grants").json["items"]}


def test_what_takes_two_is_done_by_nobody_alone(ruled: Api, centre: Centre) -> None:
    chanthy, nary = (ruled.as_(centre.population.tokens[user]) for user in ("chanthy", "nary"))
    number = ask(chanthy)
    assert "big" not in names(ruled)
    shown = chanthy.get(f"/approvals/{number}").json
    assert (shown["state"], shown["asked_by"], shown["facts"]["su"]) == ("waiting", "chanthy", "500")
    assert shown["request"] == {"body": grant()}
    own = chanthy.post(f"/approvals/{number}/approve", WHY)
    assert (own.status, own.code) == (403, "own-request")
    done = nary.post(f"/approvals/{number}/approve", WHY)
    assert (done.status, done.json["result"]["name"]) == (200, "big")
    assert done.json["approval"]["decided_by"] == "nary"
    assert "big" in names(ruled)
    for verb in ("approve", "decline"):
        again = nary.post(f"/approvals/{number}/{verb}", WHY)
        assert (again.status, again.code) == (409, "already-decided")
    entries = ruled.get("/audit/entries").json["items"]
    assert {"ask_add_grant", "add_grant", "approve"} <= {one["action"] for one in entries}


def test_what_is_small_is_done_at_once(ruled: Api) -> None:
    assert ruled.post("/grants", grant("small", "100")).status == 201
    assert ruled.put(f"/quotas/speech/{H100}", {"guaranteed": 0, "borrow_limit": None}).status == 200


def test_an_approval_is_declined_or_withdrawn_and_nothing_is_done(ruled: Api, centre: Centre) -> None:
    chanthy, nary = (ruled.as_(centre.population.tokens[user]) for user in ("chanthy", "nary"))
    declined, withdrawn = ask(chanthy), ask(chanthy, body=grant("other"))
    assert nary.post(f"/approvals/{declined}/decline", WHY).json["state"] == "declined"
    assert nary.post(f"/approvals/{withdrawn}/withdraw", WHY).status == 403
    assert ruled.as_(centre.population.tokens["dara"]).post(f"/approvals/{withdrawn}/withdraw", WHY).status == 404
    assert chanthy.post(f"/approvals/{withdrawn}/withdraw", WHY).json["state"] == "withdrawn"
    assert nary.post(f"/approvals/{withdrawn}/approve", WHY).code == "already-decided"
    assert {"big", "other"}.isdisjoint(names(ruled))


MANY: dict[str, tuple[str, str, Any]] = {
    "a role": ("POST", "/users/nary/roles", {"account": "vision", "role": "lead"}),
    "a member": ("POST", "/projects/speech/members", {"user": "nary", "role": "lead"}),
    "a lead taken": ("DELETE", "/users/dara/roles/speech/lead", None),
    "an officer": ("POST", "/funders/moeys/officers", {"user": "nary"}),
    "a project with a lead": ("POST", "/projects", {"name": "new", "tenant": "cadt", "title": "New", "lead": "dara"}),
    "a quota": ("PUT", f"/quotas/speech/{H100}", {"guaranteed": 4}),
    "a limit where there was none": ("PUT", f"/quotas/speech/{H100}", {"guaranteed": 1, "borrow_limit": 1}),
    "a rate": ("POST", f"/flavors/{H100}/rates", {"from_ms": NEW_YEAR_MS + DAY_MS, "su_per_hour": "3"}),
    "a price": ("POST", "/prices", {"currency": "USD", "amount": "2", "reason": "board"}),
    "charging rules": ("POST", "/charging-rules", {"document": {}, "reason": "board"}),
    "a policy": ("POST", "/policies", {"document": {}, "reason": "board"}),
    "a rule of taking back": ("POST", "/reclaim-rules", {"reason": "board"}),
    "a flavor with its rate": ("POST", "/flavors", {"name": "l4", "title": "L4", "rate_su_per_hour": "1"}),
    "an allocation": (
        "POST", "/allocations",
        {"project": "speech", "sources": [{"grant": "wb-77", "su": "200"}], "reason": "board", **SPAN},
    ),
    "a top-up": ("POST", "/allocations/1/top-up", {"su": "200", "reason": "board"}),
    "a transfer": ("POST", "/allocations/1/transfer", {"su": "200", "to": 2, "reason": "board"}),
    "a split": ("POST", "/allocations/1/split", {"su": "200", "reason": "board"}),
    "an extension": ("POST", "/allocations/1/extend", {"ends_ms": NEW_YEAR_MS + 364 * DAY_MS + 1, "reason": "board"}),
    "an end": ("POST", "/allocations/1/close", {"reason": "board"}),
    "other rules": ("PUT", "/four-eyes", {"reason": "enough of it"}),
}  # fmt: skip


@on_sqlite
@pytest.mark.parametrize("what", MANY)
def test_everything_that_moves_takes_two_and_is_then_done(ruled: Api, centre: Centre, what: str) -> None:
    method, path, body = MANY[what]
    if what == "an extension":
        body = {**body, "ends_ms": NEW_YEAR_MS + 365 * DAY_MS}
        with centre.store.write() as uow:
            one = uow.allocations.get(1)
            assert one is not None
            uow.allocations.save(replace(one, ends_ms=NEW_YEAR_MS + 300 * DAY_MS))
    before = centre.database.dump()
    number = ask(ruled, path, body, method)
    kept = {"approval", "audit_entry", "audit_person", "once", "waiting", "stamp"}
    changed = {name for name, rows in centre.database.dump().items() if rows != before.get(name)} - kept
    assert not {name for name in changed if "seal" not in name and "leaf" not in name and "idem" not in name}, changed
    second = ruled.as_(centre.population.tokens["vanna"])
    done = second.post(f"/approvals/{number}/approve", WHY)
    assert done.status == 200, done.body


def test_the_second_person_needs_the_permission_themselves(ruled: Api, centre: Centre) -> None:
    """An allocator approves what allocators do, and gives no roles."""
    number = ask(ruled, "/users/sok/roles", {"account": "vision", "role": "lead"})
    nary = ruled.as_(centre.population.tokens["nary"])
    assert nary.post(f"/approvals/{number}/approve", WHY).status == 403
    assert nary.get(f"/approvals/{number}").json["state"] == "waiting"
    dara = ruled.as_(centre.population.tokens["dara"])
    assert (dara.get(f"/approvals/{number}").status, dara.post(f"/approvals/{number}/approve", WHY).status) == (
        404,
        403,
    )


@on_sqlite
def test_nobody_makes_themselves_a_second_person(api: Api, centre: Centre) -> None:
    """As soon as there is any rule, who may approve is made by two, whether or not the rules list the role."""
    assert api.put("/four-eyes", {"su": "100", "reason": "a test"}).status == 200
    for role in ("allocator", "centre-admin"):
        number = ask(api, "/users/nary/roles", {"account": "centre", "role": role})
        shown = api.get(f"/approvals/{number}").json
        assert shown["request"] == {"name": "nary", "body": {"account": "centre", "role": role}}
        assert "nary" not in str(shown["facts"]) + shown["subject"]
    assert api.post("/users/nary/roles", {"account": "centre", "role": "support"}).status == 201


def test_nobody_approves_what_is_about_themselves(ruled: Api, centre: Centre) -> None:
    number = ask(ruled, "/users/vanna/roles", {"account": "speech", "role": "lead"})
    vanna = ruled.as_(centre.population.tokens["vanna"])
    assert vanna.post(f"/approvals/{number}/approve", WHY).status == 403


def test_the_second_person_has_no_part_in_the_project(ruled: Api, centre: Centre) -> None:
    chanthy, nary = (ruled.as_(centre.population.tokens[user]) for user in ("chanthy", "nary"))
    number = ask(chanthy, "/allocations/1/top-up", {"su": "200", "reason": "board"})
    with centre.store.write() as uow:
        people.give_role(uow, "nary", "speech", "member", centre.clock.now_ms())
        people.take_role(uow, "nary", "speech", "member", centre.clock.now_ms())
    refused = nary.post(f"/approvals/{number}/approve", WHY)
    assert (refused.status, refused.code) == (409, "own-decision")


def test_it_is_done_with_the_askers_rights_of_today(ruled: Api, centre: Centre) -> None:
    chanthy, nary = (ruled.as_(centre.population.tokens[user]) for user in ("chanthy", "nary"))
    number = ask(chanthy)
    with centre.store.write() as uow:
        people.take_role(uow, "chanthy", "centre", "allocator", centre.clock.now_ms())
    assert nary.post(f"/approvals/{number}/approve", WHY).status == 403
    assert "big" not in names(ruled)


def test_what_changed_meanwhile_is_refused_in_words_and_goes_on_waiting(ruled: Api, centre: Centre) -> None:
    version = ruled.get("/allocations/1").headers["ETag"]
    asked = ruled.post("/allocations/1/top-up", {"su": "200", "reason": "board"}, headers={"If-Match": version})
    assert asked.status == 202
    assert ruled.post("/allocations/1/top-up", {"su": "1", "reason": "board"}).status == 200
    vanna = ruled.as_(centre.population.tokens["vanna"])
    refused = vanna.post(f"/approvals/{asked.json['id']}/approve", WHY)
    assert (refused.status, refused.code) == (412, "stale")
    assert vanna.get(f"/approvals/{asked.json['id']}").json["state"] == "waiting"
    assert vanna.post(f"/approvals/{asked.json['id']}/decline", WHY).status == 200


def test_a_service_is_no_second_person_nor_its_owner_for_it(ruled: Api, centre: Centre) -> None:
    chanthy = ruled.as_(centre.population.tokens["chanthy"])
    number = ask(chanthy)
    with centre.store.write() as uow:
        owned = replace(people.user_named(uow, "nary"), kind=UserKind.SERVICE, owner_id=centre.caller("admin").user.id)
        uow.people.save_user(owned)
    assert ruled.as_(centre.population.tokens["nary"]).post(f"/approvals/{number}/approve", WHY).status == 403
    own = replace(approval_of(centre, number), asked_by=owned.id)
    with centre.store.read() as uow, pytest.raises(NotAllowed, match="it takes somebody else"):
        oversight.asker_of(uow, own, centre.caller("admin"), NEW_YEAR_MS)


def test_after_a_week_it_is_over(ruled: Api, centre: Centre) -> None:
    chanthy, nary = (ruled.as_(centre.population.tokens[user]) for user in ("chanthy", "nary"))
    number = ask(chanthy)
    centre.clock.advance(days=7)
    assert nary.post(f"/approvals/{number}/approve", WHY).code == "already-decided"
    assert nary.get(f"/approvals/{number}").json["state"] == "expired"
    with centre.store.write() as uow:
        assert uow.oversight.expire_approvals(centre.clock.now_ms()) == 1
        assert uow.oversight.expire_approvals(centre.clock.now_ms()) == 0
    assert nary.get(f"/approvals/{number}").json["state"] == "expired"


@on_sqlite
def test_what_was_asked_of_another_version_is_refused_in_words(ruled: Api, centre: Centre) -> None:
    chanthy, nary = (ruled.as_(centre.population.tokens[user]) for user in ("chanthy", "nary"))
    one = approval_of(centre, ask(chanthy))
    for changed in (
        replace(one, action="add_unicorn"),
        replace(one, request='{"arguments": {"horn": "1"}, "if_match": null}'),
        replace(one, request='{"arguments": {"body": "{\\"horn\\": 1}"}, "if_match": null}'),
    ):
        with centre.store.write() as uow:
            uow.oversight.save_approval(changed)
        refused = nary.post(f"/approvals/{one.id}/approve", WHY)
        assert (refused.status, refused.code) == (409, "outdated"), refused.body
    assert nary.post(f"/approvals/{one.id}/decline", WHY).status == 200


def test_of_two_last_administrators_who_take_each_others_role_one_stays(api: Api, centre: Centre) -> None:
    for _ in range(3):
        with centre.store.write() as uow:
            for name in ("admin", "vanna"):
                uow.people.grant(people.user_named(uow, name).id, 1, Role.CENTRE_ADMIN, centre.clock.now_ms())
        vanna = api.as_(centre.population.tokens["vanna"])
        found = _at_once(
            functools.partial(api.delete, "/users/vanna/roles/centre/centre-admin"),
            functools.partial(vanna.delete, "/users/admin/roles/centre/centre-admin"),
        )
        assert sorted(one.status for one in found) in ([204, 403], [204, 409]), [one.body for one in found]
        with centre.store.read() as uow:
            assert uow.people.holders(1, Role.CENTRE_ADMIN, centre.clock.now_ms()) == 1


def _at_once(*acts: Callable[[], Answer]) -> list[Answer]:
    with ThreadPoolExecutor(len(acts)) as pool:
        return [one.result() for one in [pool.submit(act) for act in acts]]


def test_of_two_who_approve_at_once_one_does_it(ruled: Api, centre: Centre) -> None:
    chanthy, nary, vanna = (ruled.as_(centre.population.tokens[user]) for user in ("chanthy", "nary", "vanna"))
    for turn in range(5):
        number = ask(chanthy, body=grant(f"big-{turn}"))
        found = _at_once(
            *(functools.partial(who.post, f"/approvals/{number}/approve", WHY) for who in (nary, vanna, ruled))
        )
        assert sorted(one.status for one in found) == [200, 409, 409], [one.body for one in found]
        assert f"big-{turn}" in names(ruled)


def test_a_withdrawal_and_an_approval_at_once_are_one_of_both(ruled: Api, centre: Centre) -> None:
    chanthy, nary = (ruled.as_(centre.population.tokens[user]) for user in ("chanthy", "nary"))
    for turn in range(5):
        number = ask(chanthy, body=grant(f"big-{turn}"))
        approved, withdrawn = _at_once(
            functools.partial(nary.post, f"/approvals/{number}/approve", WHY),
            functools.partial(chanthy.post, f"/approvals/{number}/withdraw", WHY),
        )
        assert {approved.status, withdrawn.status} == {200, 409}
        assert (f"big-{turn}" in names(ruled)) is (approved.status == 200)
        state = nary.get(f"/approvals/{number}").json["state"]
        assert state == ("done" if approved.status == 200 else "withdrawn")


def test_an_expiry_and_an_approval_at_once_are_one_of_both(ruled: Api, centre: Centre) -> None:
    chanthy, nary = (ruled.as_(centre.population.tokens[user]) for user in ("chanthy", "nary"))

    def expire() -> int:
        with centre.store.write() as uow:
            return uow.oversight.expire_approvals(NEW_YEAR_MS + 30 * DAY_MS)

    for turn in range(5):
        number = ask(chanthy, body=grant(f"big-{turn}"))
        with ThreadPoolExecutor(2) as pool:
            over = pool.submit(expire)
            approved = pool.submit(nary.post, f"/approvals/{number}/approve", WHY).result()
        assert (approved.status, over.result()) in {(200, 0), (409, 1)}
        assert (f"big-{turn}" in names(ruled)) is (approved.status == 200)


def test_nobody_keeps_a_thousand_requests_waiting(ruled: Api, centre: Centre) -> None:
    chanthy = ruled.as_(centre.population.tokens["chanthy"])
    for turn in range(100):
        ask(chanthy, body=grant(f"big-{turn}"))
    refused = chanthy.post("/grants", grant())
    assert (refused.status, refused.code) == (409, "too-many-requests")


def test_the_last_administrator_stays(api: Api, centre: Centre) -> None:
    refused = api.delete("/users/admin/roles/centre/centre-admin")
    assert (refused.status, refused.code) == (409, "last-admin")
    dated = {"account": "centre", "role": "centre-admin", "until_ms": centre.clock.now_ms() + DAY_MS}
    assert api.post("/users/admin/roles", dated).code == "last-admin"
    assert api.post("/users/vanna/roles", dated).status == 201
    assert api.delete("/users/admin/roles/centre/centre-admin").code == "last-admin"  # vanna's ends
    assert api.post("/users/vanna/roles", {**dated, "until_ms": None}).status == 201
    assert api.delete("/users/admin/roles/centre/centre-admin").status == 204
    with centre.store.read() as uow:
        assert uow.people.holders(1, Role.CENTRE_ADMIN, centre.clock.now_ms()) == 1


def test_a_role_ends_by_itself(api: Api, centre: Centre) -> None:
    ends_ms = centre.clock.now_ms() + 1_000
    assert api.post("/users/nary/roles", {"account": "speech", "role": "lead", "until_ms": ends_ms}).status == 201
    nary = api.as_(centre.population.tokens["nary"])
    assert nary.get("/projects/speech").status == 200
    (held,) = api.get("/users/nary/roles").json["items"]
    assert (held["role"], held["until_ms"]) == ("lead", ends_ms)
    centre.clock.set(ends_ms)
    assert nary.get("/projects/speech").status == 404
    assert api.get("/users/nary/roles").json["items"] == []
    past = api.post("/users/nary/roles", {"account": "speech", "role": "lead", "until_ms": ends_ms})
    assert past.status == 422


def test_the_role_funder_is_held_on_a_funder(api: Api) -> None:
    refused = api.post("/users/nary/roles", {"account": "centre", "role": "funder"})
    assert refused.status == 422
    assert "baray admin funder officer add FUNDER USER" in refused.json["fixes"][0]
