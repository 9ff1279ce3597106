"""ETag and If-Match: nobody overwrites what they have not seen."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.centre import Centre
from tests.support.factories import H100, spec
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

# What can be changed: its address, how it is changed, and the way that needs If-Match as well.
CHANGES = {
    "project": ("/projects/speech", "change", {"title": "New"}),
    "tenant": ("/tenants/cadt", "change", {"title": "New"}),
    "cluster": ("/clusters/sim", "change", {"state": "draining"}),
    "limits": ("/limits/speech", "put", {"running_jobs": 5}),
    "quota": (f"/quotas/vision/{H100}", "put", {"guaranteed": 5}),
}


@pytest.fixture
def versioned(api: Api) -> Api:
    """With a quota to change."""
    assert api.put(f"/quotas/vision/{H100}", {"guaranteed": 1}).status == 200
    return api


def change(api: Api, name: str, etag: str | None) -> Answer:
    path, method, body = CHANGES[name]
    headers = {} if etag is None else {"If-Match": etag}
    return getattr(api, method)(path, body, headers=headers)


@on_sqlite
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_what_was_seen_is_made_and_of_what_was_not_is_refused(versioned: Api, name: str) -> None:
    path = CHANGES[name][0]
    seen = versioned.get(path).headers["ETag"]
    first = change(versioned, name, seen)
    assert first.status == 200
    assert first.headers["ETag"] != seen
    assert first.version == versioned.get(path).version
    before = versioned.get(path).body
    late = change(versioned, name, seen)
    assert (late.status, late.code) == (412, "stale")
    assert late.json["fixes"] == ["read it again, then repeat"]
    assert versioned.get(path).body == before
    assert change(versioned, name, first.headers["ETag"]).status == 200
    assert change(versioned, name, "*").status == 200
    assert change(versioned, name, None).status == 200, "whoever does not ask is not asked"


@on_sqlite
def test_a_priority_is_changed_as_it_was_seen_by_the_user_or_a_lead(api: Api, centre: Centre) -> None:
    theirs = centre.submit(spec(command="run 1h"), "sok").id
    path = f"/jobs/{theirs}"
    seen = api.get(path).headers["ETag"]
    as_sok, as_dara = (api.as_(centre.population.tokens[user]) for user in ("sok", "dara"))
    own = as_sok.change(path, {"priority": -7}, headers={"If-Match": seen})
    assert (own.status, own.json["priority"]) == (200, -7)
    late = as_dara.change(path, {"priority": 9}, headers={"If-Match": seen})
    assert (late.status, late.code) == (412, "stale")
    assert as_dara.change(path, {"priority": 9}, headers={"If-Match": own.headers["ETag"]}).status == 200
    assert api.get(path).json["priority"] == 9
    mine = centre.submit(spec(), "dara").id
    refused = as_sok.change(f"/jobs/{mine}", {"priority": 100})
    assert (refused.status, refused.json["errors"][0]["fix"]) == (
        403, "ask its user, or the project's lead, to change it",
    )  # fmt: skip
    for wrong in ({}, {"priority": 101}, {"priority": None}, {"priority": 1, "name": "x"}):
        assert as_sok.change(path, wrong).status == 422
    centre.run()
    assert (late := as_sok.change(path, {"priority": 1})).status == 409
    assert late.code == "already-over"


@on_sqlite
def test_a_quota_is_removed_only_as_it_was_seen(versioned: Api) -> None:
    path = f"/quotas/vision/{H100}"
    seen = versioned.get(path).headers["ETag"]
    versioned.put(path, {"guaranteed": 2})
    assert versioned.delete(path, headers={"If-Match": seen}).status == 412
    assert versioned.delete(path, headers={"If-Match": versioned.get(path).headers["ETag"]}).status == 204
    assert versioned.get(path).status == 404


@on_sqlite
@pytest.mark.parametrize("etag", ["abc", '"abc"', "-1", '"1", "2"', "", "9" * 19, "9" * 5_000])
def test_what_is_no_version_is_refused(versioned: Api, etag: str) -> None:
    answer = change(versioned, "project", etag)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "If-Match")


@pytest.mark.parametrize("name", CHANGES)
def test_of_eight_who_saw_the_same_version_one_changes_it(versioned: Api, centre: Centre, name: str) -> None:
    seen = versioned.get(CHANGES[name][0]).headers["ETag"]
    line = threading.Barrier(8)

    def one(_: int) -> int:
        line.wait()
        return change(versioned, name, seen).status

    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(one, range(8)))
    assert answers[0] == 200
    assert set(answers[1:]) <= {409, 412}, answers
