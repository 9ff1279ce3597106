"""Rooms, rules and queues on a cluster: made, kept, and mended where others altered them (on the stand-in)."""

from collections.abc import Iterator
from typing import Any

import pytest

from domain.accounts import Quota
from domain.clusters import ClusterConfig, Room, Tenancy
from domain.errors import Unavailable
from k8s.client import MERGE, Client
from k8s.drift import changer, correction, differences
from k8s.nodes import NOTHING, Fleet, Supply
from k8s.tenancy import Housekeeper
from tests.support.kube.server import KubeServer

FLEET = Fleet(
    inventory=None,  # type: ignore[arg-type]
    supplies={"cpu": Supply(cpus_milli=96_000), "h100-80gb": Supply({"nvidia.com/gpu": 16})},
)
ASR = Room(1, "asr", "cadt", True, {"h100-80gb": 4_000})
OCR = Room(2, "ocr", "itc", True, {"h100-80gb": 8_000})
QUOTAS = {("cadt", "h100-80gb"): Quota(8_000)}
QUOTA = "/api/v1/namespaces/baray-asr/resourcequotas/baray"
DENY = "/apis/networking.k8s.io/v1/namespaces/baray-asr/networkpolicies/baray-deny"
QUEUE = "/apis/kueue.x-k8s.io/v1beta2/clusterqueues/baray-centre-t-cadt"


@pytest.fixture
def server() -> Iterator[KubeServer]:
    with KubeServer(auto=False) as running:
        yield running


class Rig:
    def __init__(self, server: KubeServer, **config: Any) -> None:
        self.client = Client(server.access())
        self.house = self.keeper(**config)

    def keeper(self, **config: Any) -> Housekeeper:
        return Housekeeper(client=self.client, config=ClusterConfig(**config), origin="centre")

    def tend(self, *rooms: Room, house: Housekeeper | None = None, quotas: Any = None) -> tuple[str, ...]:
        tenancy = Tenancy(rooms or (ASR, OCR), QUOTAS if quotas is None else quotas)
        return (house or self.house).tend(tenancy, FLEET)

    def alter(self, path: str, patch: Any, who: str = "kubectl-edit") -> None:
        self.client.call("PATCH", path, query={"fieldManager": who}, body=patch, content_type=MERGE)

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def hard(self, path: str = QUOTA) -> Any:
        return self.get(path)["spec"]["hard"]


@pytest.fixture
def rig(server: KubeServer) -> Iterator[Rig]:
    made = Rig(server)
    yield made
    made.client.close()


def test_rooms_are_made_and_nothing_is_told_of_that(rig: Rig) -> None:
    assert rig.tend() == ()
    for name in ("asr", "ocr"):
        labels = rig.get(f"/api/v1/namespaces/baray-{name}")["metadata"]["labels"]
        assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert rig.hard()["requests.nvidia.com/gpu"] == "4"
    assert rig.get("/api/v1/namespaces/baray-ocr/serviceaccounts/default")["automountServiceAccountToken"] is False
    assert rig.get("/apis/kueue.x-k8s.io/v1beta2/namespaces/baray-ocr/localqueues/baray")
    assert rig.house.queue == "baray"


def test_what_is_as_it_should_be_is_left_alone(rig: Rig) -> None:
    rig.tend()
    versions = [rig.get(path)["metadata"]["resourceVersion"] for path in (QUOTA, DENY, QUEUE)]
    assert rig.tend() == ()
    assert rig.tend(house=rig.keeper()) == ()  # nor by one that comes after a restart
    assert [rig.get(path)["metadata"]["resourceVersion"] for path in (QUOTA, DENY, QUEUE)] == versions


def test_a_change_of_others_is_mended_and_told_with_who_it_was(rig: Rig) -> None:
    rig.tend()
    rig.alter(QUOTA, {"spec": {"hard": {"requests.nvidia.com/gpu": "100"}}})
    assert rig.tend() == ("The quota of namespace baray-asr was changed by kubectl-edit: mended.",)
    assert rig.hard()["requests.nvidia.com/gpu"] == "4"
    assert rig.tend() == ()


@pytest.mark.parametrize(
    ("path", "patch", "word"),
    [
        (QUOTA, {"spec": {"hard": {"requests.example.com/tpu": "0"}}}, "quota"),
        (QUOTA, {"spec": {"hard": {"requests.nvidia.com/gpu": None}}}, "quota"),
        (DENY, {"spec": {"egress": [{}]}}, "network policy baray-deny"),
        (DENY, {"spec": {"podSelector": {"matchLabels": {"none": "such"}}}}, "network policy baray-deny"),
        ("/api/v1/namespaces/baray-asr", {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}}}, "namespace baray-asr"),
        ("/api/v1/namespaces/baray-asr", {"metadata": {"labels": {"baray.io/origin": None}}}, "namespace baray-asr"),
        ("/api/v1/namespaces/baray-asr/serviceaccounts/default", {"automountServiceAccountToken": True}, "service account default"),
        (QUEUE, {"spec": {"preemption": {"reclaimWithinCohort": "Any"}}}, "cluster queue"),
    ],
)  # fmt: skip
def test_whatever_is_altered_is_as_it_was(rig: Rig, path: str, patch: Any, word: str) -> None:
    rig.tend()
    before = rig.get(path)
    rig.alter(path, patch)
    (said,) = rig.tend(house=rig.keeper())
    assert word in said
    assert "kubectl-edit" in said or "somebody" in said
    after = rig.get(path)
    for part in ("spec", "automountServiceAccountToken"):
        assert after.get(part) == before.get(part)
    assert after["metadata"]["labels"] == before["metadata"]["labels"]


def test_what_others_add_beside_ours_is_theirs(rig: Rig) -> None:
    rig.tend()
    rig.alter("/api/v1/namespaces/baray-asr", {"metadata": {"labels": {"theirs": "x"}, "annotations": {"theirs": "y"}}})
    rig.alter("/api/v1/namespaces/baray-asr/serviceaccounts/default", {"imagePullSecrets": [{"name": "theirs"}]})
    assert rig.tend() == ()


def test_what_was_deleted_is_made_again(rig: Rig) -> None:
    rig.tend()
    rig.client.delete(QUOTA)
    rig.client.delete(DENY)
    rig.client.delete("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/baray-centre-makers")
    said = rig.tend()
    assert len(said) == 3
    assert "The quota of namespace baray-asr was deleted by somebody: made again." in said
    assert "The admission policy baray-centre-makers was deleted by somebody: made again." in said
    assert rig.get(QUOTA)
    assert rig.tend() == ()


def test_a_change_of_the_centres_own_is_written_and_not_told(rig: Rig) -> None:
    rig.tend()
    more = Room(1, "asr", "cadt", True, {"h100-80gb": 6_000})
    assert rig.tend(more, OCR, quotas={("cadt", "h100-80gb"): Quota(12_000)}) == ()
    assert rig.hard()["requests.nvidia.com/gpu"] == "6"
    assert '"12"' in str(rig.get(QUEUE)["spec"]["resourceGroups"]).replace("'", '"')


def test_what_is_no_longer_wanted_goes(rig: Rig) -> None:
    open_house = rig.keeper(egress=("10.0.0.0/8",), pull_secret='{"auths": {}}')
    rig.tend(house=open_house)
    way = DENY.replace("deny", "egress")
    secret = "/api/v1/namespaces/baray-asr/secrets/baray-pull"
    assert rig.get(way)
    assert rig.get(secret)
    assert rig.tend() == ()
    assert rig.get(way) is None
    assert rig.get(secret) is None
    assert not rig.get("/api/v1/namespaces/baray-asr/serviceaccounts/baray-job").get("imagePullSecrets")


def test_a_project_that_rests_or_is_gone_keeps_its_namespace_with_a_quota_of_nothing(rig: Rig) -> None:
    rig.tend()
    assert rig.tend(Room(1, "asr", "cadt", active=False)) == ()
    for name in ("asr", "ocr"):
        hard = rig.hard(QUOTA.replace("asr", name))
        assert (hard["pods"], hard["requests.nvidia.com/gpu"]) == ("0", "0")
    assert rig.tend() == ()
    assert rig.hard()["requests.nvidia.com/gpu"] == "4"


def test_a_tenant_without_projects_loses_its_queue(rig: Rig) -> None:
    rig.tend()
    rig.tend(OCR)
    assert rig.get(QUEUE) is None
    assert rig.get(QUEUE.replace("cadt", "itc"))


def test_a_namespace_that_is_not_ours_is_never_taken(rig: Rig) -> None:
    rig.client.create("/api/v1/namespaces", {"metadata": {"name": "baray-asr", "labels": {"team": "others"}}})
    (said,) = rig.tend()
    assert "did not make" in said
    assert rig.tend() == ()  # told once
    there = rig.get("/api/v1/namespaces/baray-asr")
    assert "baray.io/origin" not in there["metadata"]["labels"]
    assert rig.get(QUOTA) is None
    with pytest.raises(Unavailable, match="did not make"):
        rig.house.ensure(1, "asr")


def test_another_centre_on_the_same_cluster_is_left_alone(rig: Rig) -> None:
    other = Housekeeper(client=rig.client, config=ClusterConfig(prefix="theirs-"), origin="other")
    assert rig.tend(house=other) == ()
    theirs = rig.get("/api/v1/namespaces/theirs-asr/resourcequotas/baray")
    assert rig.tend() == ()
    assert rig.get("/api/v1/namespaces/theirs-asr/resourcequotas/baray") == theirs


def test_a_namespace_that_somebody_deletes_is_told_and_made_again_when_it_is_gone(rig: Rig, server: KubeServer) -> None:
    rig.tend()
    path = "/api/v1/namespaces/baray-asr"
    hold = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["baray.io/result"]}}
    rig.client.create(f"{path}/configmaps", hold)
    rig.client.delete(path)
    server.settle()
    (said,) = rig.tend()
    assert "Somebody deleted the namespace baray-asr" in said
    with pytest.raises(Unavailable, match="deleted"):
        rig.house.ensure(1, "asr")
    rig.alter(f"{path}/configmaps/held", {"metadata": {"finalizers": None}})
    server.settle()
    assert rig.get(path) is None
    rig.tend()
    assert rig.get(QUOTA)


def test_a_room_is_there_before_the_first_job_at_little_cost(rig: Rig, server: KubeServer) -> None:
    rig.tend(OCR)
    with pytest.raises(Unavailable, match="not told"):
        rig.house.ensure(1, "asr")  # Kueue must know whose it is
    rig.tend(ASR)
    rig.client.delete("/api/v1/namespaces/baray-asr")
    server.settle()
    rig.house.doubt("asr")
    rig.house.ensure(1, "asr")
    assert rig.get(DENY)
    rig.client.close()
    rig.house.ensure(1, "asr")  # no longer asks


def test_without_kueue_a_room_can_be_made_for_a_project_that_is_not_known_yet(rig: Rig) -> None:
    house = rig.keeper(kueue=False)
    house.ensure(9, "new")
    assert house.queue is None
    assert rig.get("/api/v1/namespaces/baray-new/serviceaccounts/baray-job")
    assert rig.get("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/baray-centre-makers")
    assert rig.tend(Room(9, "new", "cadt"), house=house) == ()
    tenant = rig.get("/api/v1/namespaces/baray-new")["metadata"]["labels"]["baray.io/tenant"]
    rig.keeper(kueue=False).ensure(9, "new")  # after a restart, before it is told of tenants: nothing is taken back
    assert rig.get("/api/v1/namespaces/baray-new")["metadata"]["labels"]["baray.io/tenant"] == tenant == "cadt"


def test_where_kueue_is_not_there_is_no_queue() -> None:
    with KubeServer(auto=False, absent=("kueue.x-k8s.io",)) as server:
        rig = Rig(server)
        assert rig.tend() == ()
        assert rig.house.queue is None


def test_a_move_to_another_tenant_leads_elsewhere(rig: Rig) -> None:
    rig.tend()
    rig.tend(Room(1, "asr", "itc"), OCR)
    queue = rig.get("/apis/kueue.x-k8s.io/v1beta2/namespaces/baray-asr/localqueues/baray")
    assert queue["spec"]["clusterQueue"] == "baray-centre-t-itc"


def test_out_of_reach_nothing_is_claimed(rig: Rig, server: KubeServer) -> None:
    rig.client.close()
    with pytest.raises(Unavailable):
        rig.tend()
    with pytest.raises(Unavailable):
        rig.house.ensure(1, "asr")


def test_before_nodes_are_known_no_quota_is_written(rig: Rig) -> None:
    with pytest.raises(Unavailable, match="nodes"):
        rig.house.tend(Tenancy((ASR,)), NOTHING)
    rig.tend()
    assert rig.house.tend(Tenancy((ASR, OCR), QUOTAS), NOTHING) == ()
    assert rig.hard()["requests.nvidia.com/gpu"] == "4"


def test_a_login_without_rights_is_told_as_such(server: KubeServer) -> None:
    client = Client(server.access(server.user("weak")))
    house = Housekeeper(client=client, config=ClusterConfig(), origin="centre")
    with pytest.raises(Unavailable, match="forbidden|cannot"):
        house.tend(Tenancy((ASR,)), FLEET)
    client.close()


# What counts as a difference.


def test_only_what_we_set_counts_but_for_maps_that_are_ours_alone() -> None:
    want = {"kind": "X", "spec": {"hard": {"pods": "20k"}, "list": [{"a": 1}], "free": {"a": 1}, "none": []}}
    assert differences(want, {"spec": {"hard": {"pods": "20000"}, "list": [{"a": 1}], "free": {"a": 1, "b": 2}}}) == []
    assert differences(want, {"spec": {"hard": {"pods": "20k", "x": "1"}, "list": [{"a": 1}], "free": {"a": 1}}}) == [
        ("spec", "hard", "x")
    ]
    assert differences(want, {"spec": {"hard": {"pods": "20k"}, "list": [{"a": 1, "b": 2}], "free": {"a": 1}}}) == [
        ("spec", "list", "0", "b")
    ]
    assert differences(want, {}) == [("spec",)]


def test_what_apply_leaves_is_patched() -> None:
    want = {"spec": {"hard": {"pods": "1"}}}
    assert correction(want, {"spec": {"hard": {"pods": "1", "x": "1"}}}) == {"spec": {"hard": {"x": None}}}
    assert correction({"spec": {"rules": []}}, {"spec": {"rules": [{}]}}) == {"spec": {"rules": []}}
    assert correction({"spec": {"rules": [{"a": "1"}]}}, {"spec": {"rules": [{"a": "2"}]}}) == {
        "spec": {"rules": [{"a": "1"}]}
    }
    assert correction(want, want) == {}


def test_the_last_who_wrote_it_is_named() -> None:
    fields = {"f:spec": {"f:hard": {"f:pods": {}}}}
    entries = [
        {"manager": "baray", "time": "2026-01-03T00:00:00Z", "fieldsV1": fields},
        {"manager": "old", "time": "2026-01-01T00:00:00Z", "fieldsV1": fields},
        {"manager": "new", "time": "2026-01-02T00:00:00Z", "fieldsV1": fields},
        {"manager": "status", "time": "2026-01-04T00:00:00Z", "fieldsV1": fields, "subresource": "status"},
        {"manager": "elsewhere", "time": "2026-01-05T00:00:00Z", "fieldsV1": {"f:spec": {"f:scopes": {}}}},
    ]
    have = {"metadata": {"managedFields": entries}}
    assert changer(have, [("spec", "hard", "pods")]) == "new"
    assert changer({"metadata": {}}, [("spec",)]) == "somebody"
