"""An officer of a funder sees what its money did, to the last part, and nothing of anybody else's."""

import pytest

from lifecycle import people
from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.serving import Api

pytestmark = pytest.mark.promise(8)


@pytest.fixture
def mony(api: Api, centre: Centre) -> Api:
    """Officer of moeys, which pays 600 of the 1,001 SU of speech and all of flood; each has used something."""
    for project, user in (("speech", "dara"), ("vision", "admin"), ("flood", "rith")):
        centre.submit(spec(project, command="run 7m"), user)
    centre.run()
    return api.as_(centre.population.tokens["mony"])


def test_they_are_told_whose_officer_they_are(mony: Api, api: Api) -> None:
    assert (mony.get("/whoami").json["funders"], api.get("/whoami").json["funders"]) == (["moeys"], [])


def test_their_funder_and_its_grants_alone(mony: Api) -> None:
    assert [one["name"] for one in mony.get("/funders").json["items"]] == ["moeys"]
    assert [one["name"] for one in mony.get("/grants").json["items"]] == ["moeys-2026"]
    assert mony.get("/grants/1").json["name"] == "moeys-2026"
    other, none = mony.get("/grants/2"), mony.get("/grants/9")
    assert (other.status, none.status) == (404, 404)
    assert mony.post("/grants", {}).status in {403, 422}


def test_their_part_of_allocations_alone(mony: Api, api: Api) -> None:
    found = {one["project"]: one for one in mony.get("/allocations").json["items"]}
    assert set(found) == {"speech", "flood"}
    speech, whole = found["speech"], api.get("/allocations/1").json
    assert (speech["su"], whole["su"]) == ("600", "1001")
    assert [one["grant"] for one in speech["sources"]] == ["moeys-2026"]
    parts = ("available_su", "held_su", "consumed_su")
    assert sum(float(speech[one]) for one in parts) == 600
    assert 0 < float(speech["consumed_su"]) < float(whole["consumed_su"])
    assert mony.get("/allocations/1").json == speech
    assert mony.get("/allocations/2").status == 404
    assert [one["project"] for one in mony.get("/allocations", query={"project": "speech"}).json["items"]] == ["speech"]
    assert mony.get("/allocations", query={"project": "vision"}).json["items"] == []


def test_their_part_of_decisions_alone(mony: Api) -> None:
    (step,) = mony.get("/allocations/1/decisions").json["items"]
    assert step["facts"] == {"sources": {"moeys-2026": "600"}}
    assert mony.get("/allocations/2/decisions").status == 404


@pytest.mark.parametrize("by", ["project", "tenant", "funder"])
def test_usage_is_the_sum_of_their_parts(mony: Api, api: Api, by: str) -> None:
    own = mony.get("/usage", query={"by": by}).json
    of_funder = {one["key"]: one for one in api.get("/usage", query={"by": "funder"}).json["rows"]}["moeys"]
    assert own["total"]["charged_su"] == of_funder["charged_su"]
    assert own["total"]["gpu_ms"] == of_funder["gpu_ms"]
    assert {one["key"] for one in own["rows"]} == {
        "project": {"speech", "flood"}, "tenant": {"cadt", "itc"}, "funder": {"moeys"},
    }[by]  # fmt: skip
    assert (own["agrees"], own["metered"]) == (None, {})


def test_what_all_funders_see_is_what_was_used(mony: Api, api: Api, centre: Centre) -> None:
    assert api.post("/funders/worldbank/officers", {"user": "nary"}).status == 201
    nary = api.as_(centre.population.tokens["nary"])
    whole = api.get("/usage").json["total"]
    parts = [who.get("/usage").json["total"] for who in (mony, nary)]
    assert sum(one["total_gpu_ms"] for one in parts) == whole["total_gpu_ms"]
    micro = [round(float(one["charged_su"]) * 10**6) for one in (*parts, whole)]
    assert micro[0] + micro[1] == micro[2]


def test_usage_within_an_account_stays_their_part(mony: Api) -> None:
    whole = {one["key"]: one for one in mony.get("/usage").json["rows"]}
    cadt = mony.get("/usage", query={"account": "cadt"}).json
    assert {one["key"]: one for one in cadt["rows"]} == {"speech": whole["speech"]}


def test_nothing_else(mony: Api) -> None:
    for path in ("/projects", "/tenants", "/accounts", "/jobs", "/queue", "/quotas", "/notices", "/corrections"):
        assert mony.get(path).json["items"] == [], path
    for path in ("/projects/speech", "/jobs/1", "/tenants/cadt", "/limits/speech"):
        assert mony.get(path).status == 404, path
    for path in ("/periods", "/audit/entries", "/users", "/approvals/1", "/four-eyes"):
        assert mony.get(path).status in {403, 404}, path


def test_who_is_an_officer_and_a_lead_sees_both(mony: Api, centre: Centre) -> None:
    with centre.store.write() as uow:
        people.give_role(uow, "mony", "speech", "lead", centre.clock.now_ms())
    found = {one["project"]: one["su"] for one in mony.get("/allocations").json["items"]}
    assert found == {"speech": "1001", "flood": "1000"}
    with centre.store.write() as uow:
        people.give_role(uow, "mony", "vision", "lead", centre.clock.now_ms())
    assert mony.get("/allocations/2").json["su"] == "1000"


def test_an_officer_no_more_sees_nothing(mony: Api, api: Api) -> None:
    assert api.post("/funders/moeys/officers", {"user": "mony"}).code == "already-exists"
    assert [one["user"] for one in api.get("/funders/moeys/officers").json["items"]] == ["mony"]
    assert api.delete("/funders/moeys/officers/mony").status == 204
    assert api.delete("/funders/moeys/officers/mony").status == 404
    assert mony.get("/grants").status == 403
    assert mony.get("/usage").json["rows"] == []
    assert mony.get("/allocations/1").status == 404
