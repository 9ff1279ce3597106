"""Allocations over HTTP: a lead asks, an allocator decides, each step with its person, its reason and its version."""

import pytest

from domain.quantities import DAY_MS
from lifecycle import people
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.serving import Api

SPAN = {"starts_ms": NEW_YEAR_MS, "ends_ms": NEW_YEAR_MS + 100 * DAY_MS}
WHY = {"reason": "a good reason"}
PAID = {"sources": [{"grant": "moeys-2026", "su": "300"}, {"grant": "wb-77", "su": "200.5"}], **WHY}


def of(api: Api, centre: Centre, user: str) -> Api:
    return api.as_(centre.population.tokens[user])


def test_a_lead_asks_and_an_allocator_decides(api: Api, centre: Centre) -> None:
    dara, chanthy = of(api, centre, "dara"), of(api, centre, "chanthy")
    body = {"project": "speech", "su": "600", "purpose": "a larger model", **SPAN}
    asked = dara.post("/allocation-requests", body)
    assert (asked.status, asked.json["state"], asked.json["requested_by"]) == (201, "requested", "dara")
    assert (asked.json["asked_su"], asked.json["su"], asked.json["available_su"]) == ("600", "0", "0")
    path = f"/allocations/{asked.json['id']}"
    (waiting,) = chanthy.get("/allocations", query={"state": "requested"}).json["items"]
    assert waiting["id"] == asked.json["id"]
    assert dara.post(f"{path}/approve", PAID).status == 403
    stale = chanthy.post(f"{path}/approve", PAID, headers={"If-Match": '"9"'})
    assert (stale.status, stale.code) == (412, "stale")
    decided = chanthy.post(f"{path}/approve", PAID, headers={"If-Match": asked.headers["ETag"]})
    assert (decided.status, decided.json["state"], decided.json["available_su"]) == (200, "active", "500.5")
    assert decided.version == dara.get(path).version != asked.version
    again = chanthy.post(f"{path}/approve", PAID)
    assert (again.status, again.code) == (409, "wrong-state")
    record = dara.get(f"{path}/decisions").json["items"]
    assert [(one["step"], one["by"], one["reason"]) for one in record] == [
        ("request", "dara", "a larger model"), ("approve", "chanthy", "a good reason"),
    ]  # fmt: skip
    assert record[1]["facts"] == {"su": "500.5", "sources": {"moeys-2026": "300", "wb-77": "200.5"}}
    assert_sound(centre.database, centre.store)


def test_a_change_is_decided_at_once_by_who_may_and_asked_for_by_others(api: Api, centre: Centre) -> None:
    dara, chanthy = of(api, centre, "dara"), of(api, centre, "chanthy")
    path = f"/allocations/{centre.population.allocations['speech']}"
    asked = dara.post(f"{path}/top-up", {"su": "10", **WHY})
    assert (asked.status, asked.json["state"], asked.json["allocation"]["su"]) == (200, "requested", "1001")
    number = asked.json["change"]["id"]
    (waiting,) = chanthy.get("/allocation-changes", query={"state": "requested"}).json["items"]
    assert (waiting["id"], waiting["kind"], waiting["su"], waiting["requested_by"]) == (number, "top-up", "10", "dara")
    assert of(api, centre, "rith").get("/allocation-changes").json["items"] == []
    made = chanthy.post(f"/allocation-changes/{number}/approve", WHY)
    assert (made.json["state"], made.json["allocation"]["su"]) == ("approved", "1011")
    assert (made.json["change"]["state"], made.json["change"]["decided_by"]) == ("approved", "chanthy")
    at_once = chanthy.post(f"{path}/suspend", WHY, headers={"If-Match": made.headers["ETag"]})
    assert (at_once.json["state"], at_once.json["allocation"]["state"]) == ("approved", "suspended")
    late = chanthy.post(f"{path}/resume", WHY, headers={"If-Match": made.headers["ETag"]})
    assert (late.status, late.code) == (412, "stale")
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(8)
def test_an_allocator_with_a_part_in_the_project_can_only_ask(api: Api, centre: Centre) -> None:
    with centre.store.write() as uow:
        people.give_role(uow, "chanthy", "speech", "member", centre.clock.now_ms())
    chanthy, path = of(api, centre, "chanthy"), f"/allocations/{centre.population.allocations['speech']}"
    refused = chanthy.post("/allocations", {"project": "speech", **PAID, **SPAN})
    assert (refused.status, refused.code) == (409, "own-decision")
    asked = chanthy.post(f"{path}/top-up", {"su": "10", **WHY})
    assert asked.json["state"] == "requested"
    own = chanthy.post(f"/allocation-changes/{asked.json['change']['id']}/approve", WHY)
    assert (own.status, own.code) == (409, "own-request")
    assert api.post(f"/allocation-changes/{asked.json['change']['id']}/approve", WHY).status == 200


def test_a_decision_sent_twice_is_made_once(api: Api, centre: Centre) -> None:
    path = f"/allocations/{centre.population.allocations['flood']}/reclaim"
    body = {"su": "1", **WHY}
    asked = of(api, centre, "rith")
    first, second = (asked.post(path, body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.body == second.body
    assert len(asked.get("/allocation-changes").json["items"]) == 1
