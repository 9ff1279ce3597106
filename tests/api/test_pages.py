"""Lists by cursor: complete, without repeats, in order, whatever happens between two pages."""

import pytest

from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import H100, spec
from tests.support.marks import on_sqlite
from tests.support.serving import Api

COUNT = 23
SPAN = {"starts_ms": NEW_YEAR_MS, "ends_ms": NEW_YEAR_MS + 1_000}


def fill(api: Api, centre: Centre) -> None:
    """Twenty-three of everything that is listed by page."""
    for number in range(COUNT):
        assert api.post("/tenants", {"name": f"t{number}", "title": "T", "kind": "ngo"}).status == 201
        assert api.post("/projects", {"name": f"p{number}", "title": "P", "tenant": f"t{number}"}).status == 201
        assert api.post("/users", {"name": f"u{number}", "title": "U"}).status == 201
        assert api.post("/funders", {"name": f"f{number}", "title": "F"}).status == 201
        grant = {"name": f"g{number}", "funder": f"f{number}", "su": "5", **SPAN}
        assert api.post("/grants", grant).status == 201
        paid = {"project": f"p{number}", "sources": [{"grant": f"g{number}", "su": "5"}], "reason": "a test", **SPAN}
        assert api.post("/allocations", paid).status == 201
    batch = [
        {"project": "speech", "command": ["x"], "name": f"j{n}", "resources": {"flavor": H100}} for n in range(COUNT)
    ]
    assert api.post("/jobs/batch", {"jobs": batch}).status == 201
    array = {
        "project": "speech",
        "command": ["run", "1s"],
        "resources": {"flavor": H100},
        "array": f"1-{COUNT}",
        "qos": "urgent",
    }
    assert api.post("/jobs", array).status == 201


LISTS = {
    "/tenants": "name",
    "/projects": "name",
    "/users": "name",
    "/funders": "name",
    "/grants": "id",
    "/allocations": "id",
    "/jobs": "id",
    f"/jobs/{COUNT + 1}/tasks": "index",
    f"/jobs/{COUNT + 1}/attempts": "id",
}


def test_pages_of_any_size_make_up_the_whole_list(api: Api, centre: Centre) -> None:
    fill(api, centre)
    centre.run(seconds=5)
    for path, key in LISTS.items():
        whole = api.get(path, query={"limit": 1_000}).json
        assert whole["next"] is None
        assert len(whole["items"]) >= COUNT, path
        assert len({item[key] for item in whole["items"]}) == len(whole["items"]), path
        for limit in (1, 5, COUNT, 100):
            assert api.pages(path, limit) == whole["items"], (path, limit)


@on_sqlite
def test_filters_hold_over_all_pages(api: Api, centre: Centre) -> None:
    for number in range(COUNT):
        centre.submit(spec(("speech", "vision")[number % 2], held=number % 3 == 0, name=f"n{number % 4}"), "admin")
    for query, count in (
        ({"project": "speech"}, 12),
        ({"state": "held"}, 8),
        ({"state": ["held", "pending"]}, COUNT),
        ({"name": "n1"}, 6),
        ({"user": "admin"}, COUNT),
        ({"user": "dara"}, 0),
        ({"project": "speech", "state": "held"}, 4),
        ({"project": "nope"}, 0),
    ):
        assert len(api.pages("/jobs", 3, **query)) == count, query


@on_sqlite
def test_what_comes_meanwhile_does_not_move_the_pages(api: Api, centre: Centre) -> None:
    """Newest first: new jobs do not push old ones onto a page that was read already."""
    before = [centre.submit().id for _ in range(6)]
    first = api.get("/jobs", query={"limit": 3}).json
    for _ in range(4):
        centre.submit()
    second = api.get("/jobs", query={"limit": 3, "cursor": first["next"]}).json
    assert [item["id"] for item in first["items"] + second["items"]] == before[::-1]
    assert second["next"] is None


@on_sqlite
@pytest.mark.parametrize("path", ["/projects", "/jobs", "/allocations"])
def test_a_page_holds_only_what_the_caller_may_see_and_as_many_as_asked(api: Api, centre: Centre, path: str) -> None:
    fill(api, centre)
    caller = api.as_(centre.population.tokens["dara"])
    seen = caller.pages(path, 4)
    assert seen
    assert {item.get("project", item.get("name")) for item in seen} == {"speech"}
