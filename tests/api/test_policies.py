"""The policy over HTTP: read, rehearsed, applied from a date on, and obeyed by the steps from then on."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from domain.accounts import Quota
from domain.quantities import DAY_MS, HOUR_MS
from lifecycle import accounts
from lifecycle.snapshot import snapshot
from scheduler.policy import Policy
from scheduler.rules import digest, write_policy
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import A100, H100, spec
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

WEEK = {"half_life": "14d"}


def apply(api: Api, document: dict[str, Any], headers: dict[str, str] | None = None, **more: Any) -> Answer:
    return api.post("/policies", {"document": document, "reason": "a test", **more}, headers=headers)


def half_life(centre: Centre) -> int:
    """As the planner gets it now."""
    with centre.store.read() as uow:
        return snapshot(uow, centre.clock.now_ms()).policy.half_life_ms


@on_sqlite
def test_before_the_first_policy_the_defaults_are_in_force(api: Api) -> None:
    found = api.get("/policy")
    assert found.version == 0
    assert found.json == {
        "id": 0, "state": "in force", "from_ms": 0, "digest": digest(Policy()), "document": write_policy(Policy()),
        "author": None, "reason": "the defaults; nothing was applied yet", "created_ms": None,
    }  # fmt: skip
    assert api.get("/policies").json == {"items": [], "next": None}


def test_a_policy_rules_from_its_time_on_and_not_before(centre: Centre, api: Api) -> None:
    now = centre.clock.now_ms()
    first = apply(api, WEEK)
    assert (first.status, first.json["state"], first.json["author"]) == (201, "in force", "admin")
    assert half_life(centre) == 14 * DAY_MS
    later = apply(api, {"half_life": "1d"}, from_ms=now + HOUR_MS)
    assert (later.json["state"], half_life(centre)) == ("to come", 14 * DAY_MS)
    centre.clock.advance(hours=1)
    assert half_life(centre) == DAY_MS
    assert api.get("/policy").json == later.json | {"state": "in force"}
    assert [(one["id"], one["state"]) for one in api.get("/policies").json["items"]] == [(2, "in force"), (1, "past")]
    with centre.store.read() as uow:  # what was in force then, still is for then
        directory = uow.directory()
        then = [directory.policy_at(at).half_life_ms for at in (now - 1, now, now + HOUR_MS - 1, now + HOUR_MS)]
    assert then == [DAY_MS, 14 * DAY_MS, 14 * DAY_MS, DAY_MS]


@on_sqlite
def test_of_two_for_the_same_time_the_later_one_holds(centre: Centre, api: Api) -> None:
    apply(api, WEEK)
    apply(api, {"half_life": "3d"})
    assert half_life(centre) == 3 * DAY_MS
    assert api.get("/policy").version == 2


@on_sqlite
def test_a_rehearsal_says_what_would_change_and_changes_nothing(centre: Centre, api: Api) -> None:
    before = api.get("/policy").body
    found = api.post("/policy/check", {"document": {"half_life": "336h", "tiers": {"normal": {"rank": 5}}}})
    assert found.status == 200
    assert found.json["document"] == write_policy(Policy()) | {
        "half_life": "14d",
        "tiers": {"normal": {"rank": 5, "preemptible": False, "preempts": False}},
    }
    changes = {one["field"]: (one["before"], one["after"]) for one in found.json["changes"]}
    assert changes["half_life"] == ("1d", "14d")
    assert changes["tiers.normal.rank"] == (1, 5)
    assert changes["tiers.urgent.preempts"] == (True, None)
    assert len(changes) == 2 + 3 * 3
    assert found.json["warnings"] == [
        f"tier {name!r} is gone: its waiting jobs count as the lowest, new ones are refused"
        for name in ("interactive", "preemptible", "urgent")
    ]
    assert api.get("/policy").body == before


@on_sqlite
def test_exactly_what_was_rehearsed_is_applied_or_nothing(centre: Centre, api: Api) -> None:
    rehearsed = api.post("/policy/check", {"document": WEEK}).json["digest"]
    refused = apply(api, {"half_life": "15d"}, digest=rehearsed)
    assert (refused.status, refused.code) == (409, "not-rehearsed")
    assert rehearsed in refused.json["detail"]
    assert refused.json["errors"][0]["fix"] == "rehearse this document, or apply the one that was rehearsed"
    assert api.get("/policies").json["items"] == []
    assert apply(api, {"half_life": "336h"}, digest=rehearsed).json["digest"] == rehearsed


@on_sqlite
def test_nobody_applies_over_a_policy_that_they_have_not_seen(api: Api) -> None:
    seen = api.get("/policy").headers["ETag"]
    first = apply(api, WEEK, {"If-Match": seen})
    assert (first.status, first.headers["ETag"]) == (201, '"1"')
    late = apply(api, {}, {"If-Match": seen})
    assert (late.status, late.code) == (412, "stale")
    assert apply(api, {}, {"If-Match": first.headers["ETag"]}).status == 201


def test_of_eight_who_saw_the_same_policy_one_applies_another(api: Api) -> None:
    seen = api.get("/policy").headers["ETag"]
    line = threading.Barrier(8)

    def one(days: int) -> int:
        line.wait()
        return apply(api, {"half_life": f"{days + 1}d"}, {"If-Match": seen}).status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(one, range(8))) == [201, *[412] * 7]
    assert len(api.get("/policies").json["items"]) == 1


@on_sqlite
def test_a_repeat_applies_once(api: Api) -> None:
    first, again = (apply(api, WEEK, {"Idempotency-Key": "k"}) for _ in range(2))
    assert first.body == again.body
    assert len(api.get("/policies").json["items"]) == 1


@on_sqlite
@pytest.mark.parametrize("route", ["/policy/check", "/policies"])
def test_all_that_is_wrong_with_a_document_is_told_at_its_place(api: Api, route: str) -> None:
    document = {"tiers": {"normal": {"rank": -1}, "x": {"rank": 1, "weight": 1}}, "half_life": "0s", "spede": 1}
    answer = api.post(route, {"document": document} | ({"reason": "a test"} if route == "/policies" else {}))
    assert (answer.status, answer.code) == (422, "invalid")
    assert {fault["field"] for fault in answer.json["errors"]} == {
        "document.tiers.normal.rank", "document.tiers.x.weight", "document.half_life", "document.spede",
    }  # fmt: skip
    assert all(fault["fix"] for fault in answer.json["errors"])
    assert api.get("/policies").json["items"] == []


@on_sqlite
@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"document": {}}, "reason"),
        ({"document": {}, "reason": ""}, "reason"),
        ({"document": {}, "reason": "x" * 1_001}, "reason"),
        ({"document": [], "reason": "x"}, "document"),
        ({"reason": "x"}, "document"),
        ({"document": {}, "reason": "x", "from_ms": NEW_YEAR_MS - 1}, "from_ms"),
        ({"document": {}, "reason": "x", "from_ms": NEW_YEAR_MS + 4_000 * DAY_MS}, "from_ms"),
        ({"document": {}, "reason": "x", "from": 1}, "from"),
    ],
)
def test_what_is_wrong_around_a_document_is_told_too(api: Api, body: Any, field: str) -> None:
    answer = api.post("/policies", body)
    assert (answer.status, [fault["field"] for fault in answer.json["errors"]]) == (422, [field])


@on_sqlite
def test_a_document_is_bounded(api: Api) -> None:
    assert api.post("/policy/check", {"document": {"half_life": "x" * 70_000}}).status == 413
    nested: Any = 1
    for _ in range(500):
        nested = {"a": nested}
    assert api.post("/policy/check", {"document": {"tiers": nested}}).status == 422


@on_sqlite
def test_guarantees_above_capacity_are_warned_of_with_the_shortfall(centre: Centre, api: Api) -> None:
    with centre.store.write() as uow:
        names = uow.directory().by_name
        accounts.put_quota(uow, names["cadt"], H100, Quota(6_000), None)
        accounts.put_quota(uow, names["flood"], H100, Quota(5_000), None, overcommit=True)
        accounts.put_quota(uow, names["flood"], A100, Quota(2_000), None)
    found = api.post("/policy/check", {"document": {"reclaim": False, "patience": None}}).json["warnings"]
    assert found == [
        f"{H100}: 11 are guaranteed and there are 8; 3 are missing",
        "reclaim is false: guarantees are met only when jobs end by themselves",
        "patience is null: a job may wait without bound",
    ]
    assert apply(api, {}).status == 201, "a warning forbids nothing"
    assert api.get("/quotas").json["warnings"] == found[:1]
    assert api.as_(centre.population.tokens["dara"]).get("/quotas").json["warnings"] == []


@on_sqlite
def test_jobs_are_admitted_by_the_tiers_in_force(centre: Centre, api: Api) -> None:
    job = {"project": "speech", "command": ["run", "1m"], "resources": {"flavor": H100}, "qos": "overnight"}
    assert api.post("/jobs", job).json["errors"][0]["field"] == "qos"
    apply(api, {"tiers": {"normal": {"rank": 1}, "overnight": {"rank": 0}}})
    assert api.post("/jobs", job).status == 201
    assert api.post("/jobs", job | {"qos": "urgent"}).status == 422
    centre.submit(spec())


@on_sqlite
def test_the_history_comes_page_by_page(api: Api) -> None:
    for days in range(1, 6):
        apply(api, {"half_life": f"{days}d"})
    assert [one["document"]["half_life"] for one in api.pages("/policies", 2)] == ["5d", "4d", "3d", "2d", "1d"]
