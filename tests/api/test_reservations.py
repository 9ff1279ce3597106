"""Reservations over HTTP: kept, refused, warned of; and what the planner is given of them."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from domain.quantities import DAY_MS, HOUR_MS
from lifecycle.snapshot import snapshot
from scheduler.snapshot import Window
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import A100, H100, resources, spec
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

TOMORROW = NEW_YEAR_MS + DAY_MS + 2 * HOUR_MS  # 2026-01-02, a Friday, 09:00 in Phnom Penh
CLASS = {"name": "class", "account": "cadt", "flavor": H100, "gpus": 6, "starts_ms": TOMORROW, "length": "2h"}
FANS = {"name": "fans", "maintenance": True, "cluster": "sim", "nodes": ["n1"], "starts_ms": TOMORROW, "length": "4h"}
WEEKLY = {"repeat": "weekly", "days": ["tue", "fri"], "until_ms": NEW_YEAR_MS + 30 * DAY_MS}


def add(api: Api, kept: dict[str, Any], **changes: Any) -> Answer:
    body = {key: value for key, value in {**kept, **changes}.items() if value is not None}
    return api.post("/reservations", body)


def planned(centre: Centre) -> tuple[Window, ...]:
    """The windows that the planner is given now."""
    with centre.store.read() as uow:
        return snapshot(uow, centre.clock.now_ms()).windows


def test_the_planner_is_given_the_occurrences_of_the_next_two_weeks(centre: Centre, api: Api) -> None:
    answer = add(api, CLASS, **WEEKLY)
    assert answer.status == 201, answer.body
    cadt = 2
    window = Window("class@2026-01-02", cadt, TOMORROW, TOMORROW + 2 * HOUR_MS, None, (), H100, 6)
    friday = [(0, "02"), (4, "06"), (7, "09"), (11, "13")]
    assert planned(centre) == tuple(
        replace(
            window, name=f"class@2026-01-{day}", starts_ms=TOMORROW + n * DAY_MS, ends_ms=window.ends_ms + n * DAY_MS
        )
        for n, day in friday
    )
    centre.clock.advance(days=9)
    assert [one.name for one in planned(centre)] == [f"class@2026-01-{day}" for day in ("13", "16", "20", "23")]
    assert api.delete("/reservations/class").status == 204
    assert planned(centre) == ()


@on_sqlite
def test_maintenance_of_a_cluster_takes_the_nodes_that_it_has_then(centre: Centre, api: Api) -> None:
    assert add(api, FANS, nodes=None).status == 201
    assert planned(centre) == (
        Window("fans", None, TOMORROW, TOMORROW + 4 * HOUR_MS, "sim", ("n1", "n2", "n3"), None, 0),
    )


@on_sqlite
def test_what_is_kept_is_shown_with_its_next_occurrences(api: Api) -> None:
    made = add(api, CLASS, **WEEKLY)
    assert made.json == {
        **CLASS, **WEEKLY, "maintenance": False, "cluster": None, "nodes": [], "utc_offset": "+07:00", "warnings": [],
        "next": [
            {"starts_ms": TOMORROW + n * DAY_MS, "ends_ms": TOMORROW + n * DAY_MS + 2 * HOUR_MS}
            for n in (0, 4, 7, 11, 14, 18, 21, 25, 28)
        ],
    }  # fmt: skip
    shown = api.get("/reservations/class")
    assert shown.json == made.json
    assert shown.version == made.version
    assert api.get("/reservations").json["items"] == [{k: v for k, v in made.json.items() if k != "warnings"}]


@on_sqlite
def test_it_is_seen_by_those_whom_it_is_kept_for_and_maintenance_by_all(centre: Centre, api: Api) -> None:
    add(api, CLASS)
    add(api, FANS, starts_ms=TOMORROW + DAY_MS)
    seen = {
        user: [one["name"] for one in api.as_(centre.population.tokens[user]).get("/reservations").json["items"]]
        for user in ("admin", "kosal", "sok", "rith", "nary")
    }
    both, one = ["class", "fans"], ["fans"]
    assert seen == {"admin": both, "kosal": both, "sok": both, "rith": one, "nary": one}
    assert api.as_(centre.population.tokens["rith"]).get("/reservations/class").status == 404


@on_sqlite
@pytest.mark.parametrize(
    ("kept", "changes", "fields"),
    [
        (CLASS, {"starts_ms": NEW_YEAR_MS - HOUR_MS}, {"starts_ms"}),
        (CLASS, {"starts_ms": NEW_YEAR_MS + 800 * DAY_MS}, {"starts_ms"}),
        (CLASS, {"length": "31d"}, {"length"}),
        (CLASS, {"length": "0s"}, {"length"}),
        (CLASS, {"length": "soon"}, {"length"}),
        (CLASS, {"length": "25h", "repeat": "daily"}, {"length"}),
        (CLASS, {"length": "73h", **WEEKLY}, {"length"}),
        (CLASS, {"gpus": 9}, {"gpus"}),
        (CLASS, {"gpus": None}, {"gpus"}),
        (CLASS, {"flavor": A100, "gpus": 3}, {"gpus"}),
        (CLASS, {"flavor": "cpu"}, {"flavor"}),
        (CLASS, {"flavor": "h200"}, {"flavor"}),
        (CLASS, {"flavor": None}, {"flavor"}),
        (CLASS, {"flavor": None, "gpus": None}, {"flavor"}),
        (CLASS, {"account": "nobody"}, {"account"}),
        (CLASS, {"account": "centre"}, {"account"}),
        (CLASS, {"account": None}, {"account"}),
        (CLASS, {"maintenance": True}, {"account", "flavor"}),
        (CLASS, {"name": "Class!"}, {"name"}),
        (CLASS, {"cluster": "moon"}, {"cluster", "gpus"}),
        (CLASS, {"nodes": ["n1"]}, {"cluster", "flavor"}),
        (CLASS, {"repeat": "yearly"}, {"repeat"}),
        (CLASS, {"days": ["tue"]}, {"days"}),
        (CLASS, {"repeat": "weekly", "days": ["Tuesday"]}, {"days"}),
        (CLASS, {"repeat": "weekly", "days": ["tue", "tue"]}, {"days"}),
        (CLASS, {"until_ms": TOMORROW + DAY_MS}, {"until_ms"}),
        (CLASS, {"repeat": "daily", "until_ms": TOMORROW}, {"until_ms"}),
        (CLASS, {"repeat": "weekly", "days": ["tue"], "until_ms": TOMORROW + DAY_MS}, {"until_ms"}),
        (CLASS, {"utc_offset": "Asia/Phnom_Penh"}, {"utc_offset"}),
        (FANS, {"cluster": "moon"}, {"cluster"}),
        (FANS, {"cluster": None}, {"cluster"}),
        (FANS, {"nodes": ["n1", "n9"]}, {"nodes.1"}),
        (FANS, {"nodes": ["n1", "n1"]}, {"nodes"}),
    ],
)
def test_what_makes_no_sense_is_refused(
    centre: Centre, api: Api, kept: dict[str, Any], changes: dict[str, Any], fields: set[str]
) -> None:
    answer = add(api, kept, **changes)
    assert answer.status == 422, answer.body
    assert {fault["field"] for fault in answer.json["errors"]} == fields
    assert all(fault["fix"] for fault in answer.json["errors"])
    assert planned(centre) == ()


@on_sqlite
def test_all_that_is_wrong_is_told_at_once(api: Api) -> None:
    answer = add(api, CLASS, gpus=99, account="nobody", starts_ms=0, utc_offset="7", repeat="daily", length="2d")
    fields = {"gpus", "account", "starts_ms", "utc_offset", "length"}
    assert {fault["field"] for fault in answer.json["errors"]} == fields


def test_a_node_is_kept_for_one_at_a_time(api: Api) -> None:
    assert add(api, FANS).status == 201
    mine = {**FANS, "name": "mine", "account": "cadt", "maintenance": None, "starts_ms": TOMORROW + 3 * HOUR_MS}
    refused = add(api, mine)
    assert (refused.status, refused.code) == (409, "reserved")
    assert refused.json["detail"] == "node n1 is kept for reservation fans at 2026-01-02 12:00"
    assert add(api, mine, nodes=["n2"]).status == 201
    assert add(api, mine, name="later", starts_ms=TOMORROW + 4 * HOUR_MS).status == 201, "one ends as the other begins"
    assert add(api, mine, name="weekly", starts_ms=TOMORROW - 7 * DAY_MS + 8 * DAY_MS, repeat="weekly").status == 201
    refused = add(api, mine, name="daily", account="itc", starts_ms=TOMORROW - 23 * HOUR_MS, repeat="daily")
    assert "kept for reservation fans at 2026-01-02 10:00" in refused.json["detail"]


def test_no_more_gpus_are_kept_than_there_are(api: Api) -> None:
    assert add(api, CLASS, **WEEKLY).status == 201
    other = {**CLASS, "name": "other", "account": "itc", "gpus": 3, "starts_ms": TOMORROW + HOUR_MS}
    refused = add(api, other)
    assert (refused.status, refused.code, refused.json["errors"][0]["field"]) == (409, "reserved", "gpus")
    asked = f"3 of {H100} are asked for at 2026-01-02 10:00, and reservation class@2026-01-02 leaves 2 of 8"
    assert refused.json["detail"] == asked
    assert add(api, other, gpus=2).status == 201
    assert add(api, other, name="after", starts_ms=TOMORROW + 3 * HOUR_MS).status == 201
    whole = add(api, FANS, name="node", starts_ms=TOMORROW + 4 * DAY_MS + HOUR_MS)
    assert (whole.status, whole.json["errors"][0]["field"]) == (409, "nodes")
    assert "class@2026-01-06 leaves 2 of 8" in whole.json["detail"]
    assert add(api, FANS, nodes=["n3"]).status == 201, "it has none of that flavor"


@on_sqlite
def test_a_name_is_given_once(api: Api) -> None:
    assert add(api, CLASS).status == 201
    again = add(api, CLASS, starts_ms=TOMORROW + DAY_MS)
    assert (again.status, again.code) == (409, "already-exists")


@on_sqlite
def test_it_is_removed_only_as_it_was_seen(api: Api) -> None:
    seen = add(api, CLASS).headers["ETag"]
    assert api.delete("/reservations/class").status == 204
    other = add(api, CLASS, gpus=1).headers["ETag"]
    assert seen != other
    assert api.delete("/reservations/class", headers={"If-Match": seen}).status == 412
    assert api.delete("/reservations/class", headers={"If-Match": other}).status == 204
    assert api.delete("/reservations/class").status == 404


@on_sqlite
def test_jobs_that_may_still_run_then_are_warned_of_and_forbid_nothing(centre: Centre, api: Api) -> None:
    soon = NEW_YEAR_MS + HOUR_MS
    long = centre.submit(spec("flood", needs=resources(4, walltime="2d"), command="run 2d"), "rith")
    centre.submit(spec("flood", needs=resources(2, walltime="50m"), command="run 2d"), "rith")
    centre.settle()
    made = add(api, CLASS, starts_ms=soon)
    assert made.status == 201
    assert made.json["warnings"] == [
        f"at 2026-01-01 08:00 2 of 6 GPUs may be missing: jobs may still run on them ({long.id})"
    ]
    assert api.get("/reservations/class").json["warnings"] == made.json["warnings"]
    assert add(api, CLASS, name="small", account="cadt", gpus=2, starts_ms=soon + 3 * HOUR_MS).json["warnings"] == []
    (placement,) = centre.attempt(long.id).placements
    whole = add(api, FANS, nodes=[placement.node], starts_ms=soon + 10 * HOUR_MS)
    assert whole.json["warnings"] == [
        f"at 2026-01-01 18:00 4 of 4 GPUs may be missing: jobs may still run on them ({long.id})"
    ]


@pytest.mark.promise(3)
def test_of_many_who_ask_for_the_last_gpus_at_once_one_gets_them(api: Api) -> None:
    line = threading.Barrier(6)

    def one(number: int) -> int:
        line.wait()
        return add(api, CLASS, name=f"class-{number}").status

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(one, range(6))) == [201, *[409] * 5]
