"""Clusters far away: looked at before they are used, refused with all that is wrong, their secrets never seen again."""

import json
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.http.services import Services
from domain.jobs import JobState
from lifecycle.reach import Contact
from tests.api.test_trail import entries
from tests.conftest import services_of
from tests.support.centre import Centre
from tests.support.factories import H100
from tests.support.gateway import L40S, MIG, SECRET, FakeGateway, kubeconfig
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

IMAGE = {"image": "registry.example/base:1"}
PULL = json.dumps({"auths": {"registry.example": {"auth": SECRET}}})


@pytest.fixture
def gateway(centre: Centre) -> FakeGateway:
    return FakeGateway.usual(centre.clock)


@pytest.fixture
def api(centre: Centre, gateway: FakeGateway, tmp_path: Path, open_api: Callable[[Services], Api]) -> Api:
    services = replace(services_of(centre, tmp_path), gateway=lambda: gateway)
    return open_api(services).as_(centre.population.tokens["admin"])


def add(api: Api, name: str = "pp", *, cluster: str | None = None, **more: Any) -> Answer:
    return api.post("/clusters", {"name": name, "kubeconfig": kubeconfig(cluster or name), "config": IMAGE, **more})


def fields(answer: Answer) -> list[str]:
    return sorted(one.get("field", "") for one in answer.json["errors"])


def job(flavor: str) -> dict[str, Any]:
    return {"project": "speech", "command": ["run", "1m"], "resources": {"flavor": flavor, "gpus": 1}}


def test_a_look_shows_what_is_there_and_changes_nothing(centre: Centre, api: Api) -> None:
    before = centre.database.dump()
    answer = api.post("/clusters/check", {"kubeconfig": kubeconfig("pp")})
    assert answer.status == 200
    found = answer.json
    assert (found["version"], found["kueue"], found["jobset"]) == ("v1.36.3", "v1beta2", None)
    assert (found["skew_ms"], found["nodes"], found["notes"]) == (12, 2, ["it is new"])
    assert [(one["flavor"], one["devices"], one["milli"], one["new"]) for one in found["flavors"]] == [
        (L40S, 4, 1_000, True), (MIG, 7, 143, True),
    ]  # fmt: skip
    assert [one["rate_su_per_hour"] for one in found["flavors"]] == [None, None]
    assert centre.database.dump() == before


def test_a_cluster_that_was_added_takes_jobs_once_its_flavors_have_a_rate(centre: Centre, api: Api) -> None:
    answer = add(api)
    assert answer.status == 201
    assert answer.json["without_rate"] == [L40S, MIG]
    added = answer.json["cluster"]
    assert (added["driver"], added["state"], [node["name"] for node in added["nodes"]]) == (
        "kubernetes", "active", ["pp-1", "pp-2"],
    )  # fmt: skip
    assert added["contact"]["version"] == "v1.36.3"
    assert added["config"]["image"] == IMAGE["image"]
    assert answer.version == api.get("/clusters/pp").version
    assert api.get(f"/flavors/{MIG}").json["milli"] == 143
    refused = api.post("/jobs", job(L40S))
    assert (refused.status, refused.code) == (409, "no-rate")
    assert api.post(f"/flavors/{L40S}/rates", {"from_ms": 0, "su_per_hour": "1"}).status == 201
    number = api.post("/jobs", job(L40S)).json["id"]
    centre.settle()
    assert centre.attempt(number).cluster == "pp"


def test_a_cluster_that_does_not_fit_is_refused_with_everything_at_once(
    centre: Centre, api: Api, gateway: FakeGateway
) -> None:
    place = gateway.places["pp"]
    place.problems, place.missing = ("it is of version 1.30", "its clock is 5 min ahead"), ("create jobs.batch",)
    before = centre.database.dump()
    answer = add(api)
    assert (answer.status, answer.code) == (409, "unfit-cluster")
    assert [one["message"] for one in answer.json["errors"]] == [
        "it is of version 1.30", "its clock is 5 min ahead", "not allowed to create jobs.batch",
    ]  # fmt: skip
    assert centre.database.dump() == before
    looked = api.post("/clusters/check", {"kubeconfig": kubeconfig("pp")})
    assert (looked.status, looked.json["problems"]) == (200, list(place.problems))
    place.problems, place.missing, place.uid = (), (), ""
    assert add(api).code == "unfit-cluster", "without knowing which one it is, it could be added twice"


def test_no_cluster_is_there_twice_and_no_name_means_two(centre: Centre, api: Api, gateway: FakeGateway) -> None:
    assert add(api).status == 201
    seen = gateway.examined
    again = add(api, cluster="kpt")
    assert (again.status, again.code, fields(again)) == (409, "already-exists", ["name"])
    assert gateway.examined == seen, "it was not even looked at"
    twice = add(api, "phnom-penh", cluster="pp")
    assert (twice.status, twice.code) == (409, "already-exists")
    assert "already, as pp" in twice.json["detail"]
    assert api.change("/clusters/pp", {"state": "draining"}).status == 200
    assert api.delete("/clusters/pp").status == 204
    assert api.get("/clusters/pp").status == 404
    other = add(api, cluster="kpt")
    assert (other.status, "was another cluster before" in other.json["detail"]) == (409, True)
    assert add(api).status == 201, "the same one may come back"
    assert api.get("/clusters/pp").json["state"] == "active"


@pytest.mark.promise(8)
def test_secrets_are_not_seen_again(centre: Centre, api: Api, gateway: FakeGateway) -> None:
    """Neither in an answer, nor in the audit trail, nor anywhere in the database."""
    headers = {"Idempotency-Key": "a-key"}
    body = {"name": "pp", "kubeconfig": kubeconfig("pp"), "config": IMAGE, "pull_secret": PULL}
    answers = [
        api.post("/clusters/check", {"kubeconfig": kubeconfig("pp")}),
        api.post("/clusters", body, headers=headers),
        api.post("/clusters", body, headers=headers),
        api.post("/clusters", {**body, "config": {"exec_plugin": True}}),
        api.post("/clusters", {**body, "context": 7}),
        api.post("/clusters", {**body, "name": "kpt", "pull_secret": f"no {SECRET}"}),
        api.get("/clusters/pp"),
        api.get("/clusters"),
        api.post("/clusters/pp/check"),
        api.put("/clusters/pp/access", {"kubeconfig": kubeconfig("pp")}),
        api.change("/clusters/pp", {"pull_secret": PULL}),
        api.get("/audit/entries"),
        api.get("/status"),
    ]
    assert [answer.status for answer in answers] == [200, 201, 201, 409, 422, 422, 200, 200, 200, 200, 200, 200, 200]
    assert answers[1].body == answers[2].body
    assert gateway.examined == 4, "a repeat is answered from the first answer"
    assert not any(SECRET.encode() in answer.body for answer in answers)
    assert answers[6].json["pull_secret"]
    kept = [value for rows in centre.database.dump().values() for row in rows for value in row.values()]
    assert not any(
        SECRET in (bytes(v).decode("latin-1") if isinstance(v, bytes | memoryview) else str(v)) for v in kept
    )
    told = {entry.action for entry in entries(centre)}
    assert {"add_cluster", "renew_cluster", "change_cluster"} <= told
    assert not {"preview_cluster", "check_cluster"} & told


@on_sqlite
def test_what_was_kept_for_repeats_tells_nothing_of_a_secret(centre: Centre, api: Api) -> None:
    """A digest of the body alone could be tried against guesses; this one has the caller's token in it."""
    body, headers = {"name": "pp", "kubeconfig": kubeconfig("pp")}, {"Idempotency-Key": "a-key"}
    assert api.post("/clusters", body, headers=headers).status == 201
    assert api.change("/clusters/pp", {"state": "draining"}).status == 200
    assert api.delete("/clusters/pp").status == 204
    second = api.post("/users/admin/tokens", {"name": "second"}).json["token"]
    assert api.as_(second).post("/clusters", body, headers={"Idempotency-Key": "another"}).status == 201
    assert len({bytes(row.digest) for row in centre.database.rows("SELECT digest FROM once")}) == 2
    other = api.post("/clusters", {**body, "kubeconfig": kubeconfig("kpt")}, headers=headers)
    assert (other.status, other.code) == (422, "idempotency-mismatch")


def test_who_may_not_add_clusters_makes_the_centre_look_at_none(centre: Centre, api: Api, gateway: FakeGateway) -> None:
    assert add(api).status == 201
    seen = gateway.examined
    for user in ("chanthy", "sophea", "dara", "kosal"):
        other = api.as_(centre.population.tokens[user])
        asked = [
            add(other, "kpt"),
            other.post("/clusters/check", {"kubeconfig": kubeconfig("kpt")}),
            other.post("/clusters/pp/check"),
            other.put("/clusters/pp/access", {"kubeconfig": kubeconfig("pp")}),
            other.change("/clusters/pp", {"config": {"digest_only": True}}),
            other.post("/clusters/pp/abandon", {"reason": "x"}),
            other.delete("/clusters/pp"),
        ]
        assert {answer.status for answer in asked} == {403}, user
        assert other.get("/clusters/pp").json["config"] is None
    assert add(api.as_(None), "kpt").status == 401
    assert gateway.examined == seen


@on_sqlite
def test_nobody_waits_for_the_network(centre: Centre, api: Api, gateway: FakeGateway) -> None:
    """SQLite has one writer at a time: if a cluster were looked at within a transaction, this would not come to its end."""
    done: list[bool] = []

    def write() -> None:
        with centre.store.write() as uow:
            uow.fleet.set_cluster_labels("sim", {"zone": "pp"})
        done.append(True)

    def meanwhile() -> None:
        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        thread.join(5)

    gateway.meanwhile = meanwhile
    assert add(api).status == 201
    assert api.post("/clusters/pp/check").status == 200
    assert api.put("/clusters/pp/access", {"kubeconfig": kubeconfig("pp")}).status == 200
    assert done == [True] * 3


@on_sqlite
@pytest.mark.parametrize(
    ("body", "status", "where"),
    [
        ({"name": "Pp", "kubeconfig": kubeconfig("pp")}, 422, ["name"]),
        ({"name": "p" * 64, "kubeconfig": kubeconfig("pp")}, 422, ["name"]),
        ({"name": "sim", "kubeconfig": kubeconfig("pp")}, 409, ["name"]),
        ({"name": "pp"}, 422, ["kubeconfig"]),
        ({"name": "pp", "kubeconfig": kubeconfig("pp"), "in_cluster": True}, 422, ["kubeconfig"]),
        ({"name": "pp", "kubeconfig": "x" * (2**18 + 1)}, 422, ["kubeconfig"]),
        ({"name": "pp", "kubeconfig": "x" * (2**20 + 1)}, 413, ["body"]),
        ({"name": "pp", "kubeconfig": kubeconfig("pp"), "context": "other"}, 422, ["context"]),
        ({"name": "pp", "kubeconfig": kubeconfig("pp", exec="login")}, 422, ["kubeconfig.exec"]),
        ({"name": "pp", "kubeconfig": kubeconfig("pp"), "config": {"exec_plugin": True}}, 409, ["config.exec_plugin"]),
        ({"name": "pp", "kubeconfig": kubeconfig("pp"), "config": {"colour": "red"}}, 422, ["config.colour"]),
        ({"name": "pp", "kubeconfig": kubeconfig("pp"), "pull_secret": "[]"}, 422, ["config.pull_secret"]),
    ],
)
def test_what_makes_no_sense_is_refused(api: Api, body: dict[str, Any], status: int, where: list[str]) -> None:
    answer = api.post("/clusters", body)
    assert (answer.status, fields(answer)) == (status, where)
    assert [cluster["name"] for cluster in api.get("/clusters").json["items"]] == ["sim"]


WRONG = {
    "prefix": "9-", "flavors": [{"resource": "a b", "flavor": "X", "label": "", "value": "v"}],
    "registries": ["https://registry.example"], "image": "a b", "helper_image": "", "centre_url": "baray.example",
    "centre_ca": "-----BEGIN PRIVATE KEY-----",
    "volumes": {"scratch": "x", "data": "Not A Claim"}, "egress": ["10.0.0.1/8", "::/0:x"], "tolerations": ["a=b:Never"],
    "priority_class": "High!", "runtime_class": "_", "lost_after_ms": 1, "give_up_ms": 2**50,
}  # fmt: skip
FIELDS = [
    "centre_ca", "centre_url", "egress.0", "egress.1", "flavors.0.flavor", "flavors.0.resource", "flavors.0.value", "give_up_ms",
    "helper_image", "image", "lost_after_ms", "prefix", "priority_class", "registries.0", "runtime_class",
    "tolerations.0", "volumes.data", "volumes.scratch",
]  # fmt: skip


@on_sqlite
def test_everything_that_is_wrong_with_a_config_is_said_at_once(api: Api, gateway: FakeGateway) -> None:
    answer = add(api, config=WRONG)
    assert (answer.status, fields(answer)) == (422, [f"config.{field}" for field in FIELDS])
    assert gateway.examined == 0
    assert add(api).status == 201
    assert fields(api.change("/clusters/pp", {"config": WRONG})) == [f"config.{field}" for field in FIELDS]
    many = add(api, "kpt", config={"egress": ["10.0.0.0/8"] * 65})
    assert fields(many) == ["config.egress"]


RIGHT = {
    "prefix": "ai-", "flavors": [{"resource": "nvidia.com/gpu", "flavor": "l40s", "label": "pool", "value": "a"}],
    "registries": ["registry.example:5000/ai/"], "image": "registry.example/base@sha256:" + "a" * 64,
    "centre_ca": "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
    "centre_url": "https://baray.example:8470", "volumes": {"dataset/khmer-ocr@v3": "ocr-v3"},
    "egress": ["10.0.0.0/8", "2001:db8::/32:443"], "tolerations": ["gpu", "pool=big", "example.com/gpu:NoSchedule"],
    "priority_class": "low", "runtime_class": "nvidia", "lost_after_ms": 30_000, "give_up_ms": 0, "kueue": False,
    "exec": False, "digest_only": True,
}  # fmt: skip


def test_how_a_cluster_is_dealt_with_is_changed_part_by_part(api: Api) -> None:
    assert add(api).status == 201
    changed = api.change("/clusters/pp", {"config": RIGHT})
    assert changed.status == 200
    assert {name: changed.json["config"][name] for name in RIGHT} == RIGHT
    seen = changed.headers["ETag"]
    part = api.change("/clusters/pp", {"config": {"egress": []}}, headers={"If-Match": seen})
    assert part.json["config"] == {**changed.json["config"], "egress": []}
    late = api.change("/clusters/pp", {"config": {"kueue": True}}, headers={"If-Match": seen})
    assert (late.status, late.code) == (412, "stale")
    assert api.change("/clusters/pp", {"config": {}}).status == 422
    of_this_machine = api.change("/clusters/sim", {"config": {"kueue": True}})
    assert (of_this_machine.status, of_this_machine.code) == (409, "not-far")


def test_new_credentials_must_open_the_same_cluster(api: Api) -> None:
    assert add(api, pull_secret=PULL).status == 201
    seen = api.get("/clusters/pp").headers["ETag"]
    other = api.put("/clusters/pp/access", {"kubeconfig": kubeconfig("kpt")})
    assert (other.status, other.code) == (409, "another-cluster")
    assert api.get("/clusters/pp").headers["ETag"] == seen
    renewed = api.put("/clusters/pp/access", {"kubeconfig": kubeconfig("pp")}, headers={"If-Match": seen})
    assert (renewed.status, renewed.json["pull_secret"]) == (200, True)
    assert renewed.headers["ETag"] != seen
    assert api.put("/clusters/sim/access", {"kubeconfig": kubeconfig("pp")}).code == "not-far"
    assert api.put("/clusters/none/access", {"kubeconfig": kubeconfig("pp")}).status == 404


def test_a_cluster_is_looked_at_again(centre: Centre, api: Api, gateway: FakeGateway) -> None:
    assert add(api).status == 201
    gateway.places["pp"].version, gateway.places["pp"].problems = "v1.37.0", ("its clock is behind",)
    found = api.post("/clusters/pp/check")
    assert (found.status, found.json["version"], found.json["problems"]) == (200, "v1.37.0", ["its clock is behind"])
    assert not any(one["new"] for one in found.json["flavors"])
    assert api.get("/clusters/pp").json["contact"]["version"] == "v1.37.0"
    assert api.post("/clusters/sim/check").code == "not-far"


def test_a_cluster_is_removed_only_when_nothing_is_there_any_more(centre: Centre, api: Api) -> None:
    assert add(api).status == 201
    assert "drain it first" in str(api.delete("/clusters/pp").json["fixes"])
    assert api.post(f"/flavors/{L40S}/rates", {"from_ms": 0, "su_per_hour": "1"}).status == 201
    number = api.post("/jobs", job(L40S)).json["id"]
    centre.settle()
    assert api.change("/clusters/pp", {"state": "draining"}).status == 200
    busy = api.delete("/clusters/pp")
    assert (busy.status, "1 attempt is still on cluster pp" in busy.json["detail"]) == (409, True)
    hasty = api.post("/clusters/pp/abandon", {"reason": "too soon"})
    assert (hasty.status, hasty.code) == (409, "nothing-lost")
    with centre.store.write() as uow:
        uow.clusters.set_contact("pp", Contact(trouble="its key is lost"))
    given_up = api.post("/clusters/pp/abandon", {"reason": "the hall burnt down"})
    assert (given_up.status, given_up.json) == (200, {"attempts": 1})
    assert centre.job(number).state is JobState.FAILED
    assert api.delete("/clusters/pp").status == 204
    assert [cluster["name"] for cluster in api.get("/clusters").json["items"]] == ["sim"]
    assert api.get(f"/jobs/{number}/attempts").json["items"][0]["cluster"] == "pp", "history stays readable"
    assert api.delete("/clusters/sim").code == "not-far"


@on_sqlite
def test_a_program_is_started_only_where_the_service_and_the_administrator_allow_it(
    centre: Centre, api: Api, gateway: FakeGateway, tmp_path: Path, open_api: Callable[[Services], Api]
) -> None:
    body = {"name": "pp", "kubeconfig": kubeconfig("pp", exec="login"), "config": {"exec_plugin": True}}
    refused = api.post("/clusters", body)
    assert (refused.status, refused.code) == (409, "no-exec-plugins")
    assert "BARAY_EXEC_PLUGINS" in str(refused.json["fixes"])
    services = replace(services_of(centre, tmp_path), gateway=lambda: gateway, exec_plugins=True)
    bold = open_api(services).as_(api.token)
    assert bold.post("/clusters", {**body, "config": {}}).status == 422
    assert bold.post("/clusters", body).status == 201


@on_sqlite
def test_a_silent_cluster_says_so_and_takes_no_jobs(centre: Centre, api: Api) -> None:
    assert add(api, "kpt").status == 201
    with centre.store.write() as uow:
        uow.clusters.set_contact("kpt", Contact("v1.36.3", silent_ms=5_000))
    shown = api.get("/clusters/kpt").json
    assert shown["contact"]["silent_since_ms"] == 5_000
    assert any("does not answer" in note for note in shown["notes"])
    number = api.post("/jobs", job(H100)).json["id"]
    centre.settle()
    assert centre.attempt(number).cluster == "sim"
