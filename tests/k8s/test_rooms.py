"""Rooms and their rules: what Kubernetes' schemas say to them, and what they promise."""

import base64
import json
from typing import Any

import pytest

from domain.clusters import ClusterConfig, Room
from k8s.manifests.admission import rules
from k8s.manifests.kept import KEEPS, KEPT
from k8s.manifests.rooms import room, unreached
from k8s.nodes import Supply
from tests.k8s.schemas import check

PULL = json.dumps({"auths": {"registry.example": {"auth": "c2VjcmV0"}}})
FULL = ClusterConfig(
    registries=("registry.example/", "ghcr.io/khmer/asr"), digest_only=True, pull_secret=PULL,
    egress=("10.0.0.0/8", "192.0.2.7/32:443", "fd00::/8:8443", "0.0.0.0/0"), centre_url="https://192.0.2.1:8443/x",
)  # fmt: skip
SUPPLIES = {
    "cpu": Supply(cpus_milli=96_000),
    "h100-80gb": Supply({"nvidia.com/gpu": 16}),
    "a100-40gb": Supply({"nvidia.com/gpu": 8}),
    "h100-mig-1g.10gb": Supply({"nvidia.com/mig-1g.10gb": 56}),
}
MILLIS = {"h100-mig-1g.10gb": 125}
ASR = Room(7, "khmer-asr", "cadt", True, {"h100-80gb": 4_000, "a100-40gb": 2_500, "h100-mig-1g.10gb": 1_000})


def made(config: ClusterConfig = FULL, one: Room = ASR) -> dict[str, dict[str, Any]]:
    objects = room(one, config, "centre", SUPPLIES, MILLIS)
    return {f"{found['kind']}/{found['metadata']['name']}": found for found in objects}


def egress(config: ClusterConfig, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = made(config)[f"NetworkPolicy/{name}"]["spec"]["egress"]
    return found


@pytest.mark.parametrize("version", ["1.34", "1.35", "1.36"])
@pytest.mark.parametrize("config", [FULL, ClusterConfig()])
def test_kubernetes_takes_every_object(version: str, config: ClusterConfig) -> None:
    idle = Room(8, "ខ្មែរ " * 30, "", active=False)
    objects = [*made(config).values(), *made(config, idle).values(), *rules("centre", config, "baray")]
    assert len(objects) >= 20
    for one in objects:
        check(one, version)


def test_the_namespace_is_first_and_restricted() -> None:
    first = room(ASR, FULL, "centre", SUPPLIES, MILLIS)[0]
    labels = first["metadata"]["labels"]
    assert (first["kind"], first["metadata"]["name"]) == ("Namespace", "baray-khmer-asr")
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
    assert labels["baray.io/origin"] == "centre"
    assert labels["baray.io/project"] == "khmer-asr"
    assert labels["baray.io/tenant"] == "cadt"
    assert "resourcequota/baray" in first["metadata"]["annotations"][KEEPS]


def test_everything_inside_bears_our_mark_and_a_checksum_of_itself() -> None:
    again = made()
    for name, one in made().items():
        assert one["metadata"]["labels"]["baray.io/part"] == "room"
        assert one["metadata"]["annotations"][KEPT] == again[name]["metadata"]["annotations"][KEPT]
    other = made(ClusterConfig(egress=("10.0.0.0/8",)))["NetworkPolicy/baray-egress"]
    assert (
        other["metadata"]["annotations"][KEPT] != again["NetworkPolicy/baray-egress"]["metadata"]["annotations"][KEPT]
    )


def test_the_quota_sums_flavors_that_share_a_resource_and_counts_devices() -> None:
    hard = made()["ResourceQuota/baray"]["spec"]["hard"]
    assert hard["requests.nvidia.com/gpu"] == "6"  # 4 + 2.5, whole devices
    assert hard["requests.nvidia.com/mig-1g.10gb"] == "8"
    assert hard["services.loadbalancers"] == hard["services.nodeports"] == "0"
    assert not any(name.startswith(("requests.cpu", "cpu", "limits.")) for name in hard)


def test_where_one_flavor_has_no_ceiling_their_resource_has_none() -> None:
    some = Room(7, "khmer-asr", "cadt", True, {"h100-80gb": 4_000})
    assert not [name for name in made(FULL, some)["ResourceQuota/baray"]["spec"]["hard"] if "nvidia" in name]


def test_a_project_that_is_not_active_keeps_its_room_with_a_quota_of_nothing() -> None:
    idle = made(FULL, Room(7, "khmer-asr", "cadt", False, dict(ASR.ceilings)))
    assert idle.keys() == made().keys()
    hard = idle["ResourceQuota/baray"]["spec"]["hard"]
    assert {hard["pods"], hard["count/jobs.batch"], hard["requests.nvidia.com/gpu"]} == {"0"}


def test_no_container_is_without_limits() -> None:
    (bounds,) = made()["LimitRange/baray"]["spec"]["limits"]
    assert bounds["type"] == "Container"
    for part in ("default", "defaultRequest", "max"):
        assert bounds[part].keys() == {"cpu", "memory", "ephemeral-storage"}


def test_nothing_is_reached_that_is_not_named() -> None:
    found = made(ClusterConfig())
    assert {name for name in found if name.startswith("NetworkPolicy")} == {
        "NetworkPolicy/baray-deny", "NetworkPolicy/baray-dns", "NetworkPolicy/baray-among"
    }  # fmt: skip
    deny = found["NetworkPolicy/baray-deny"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}
    dns = egress(ClusterConfig(), "baray-dns")
    assert {port["port"] for rule in dns for port in rule["ports"]} == {53}
    among = found["NetworkPolicy/baray-among"]["spec"]
    assert among["ingress"] == [{"from": [{"podSelector": {}}]}]
    assert among["egress"] == [{"to": [{"podSelector": {}}]}]


def test_named_blocks_are_reached_but_never_the_link_local_ones() -> None:
    ten, one, six, world = egress(FULL, "baray-egress")
    assert ten == {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
    assert one["ports"] == [{"protocol": "TCP", "port": 443}]
    assert six == {"to": [{"ipBlock": {"cidr": "fd00::/8"}}], "ports": [{"protocol": "TCP", "port": 8443}]}
    assert world["to"][0]["ipBlock"]["except"] == ["169.254.0.0/16"]


def test_the_centre_is_reached_where_its_address_says_how() -> None:
    assert egress(FULL, "baray-centre")[0] == {
        "to": [{"ipBlock": {"cidr": "192.0.2.1/32"}}], "ports": [{"protocol": "TCP", "port": 8443}]
    }  # fmt: skip
    inside = ClusterConfig(centre_url="http://centre.baray-system.svc.cluster.local:8000")
    (rule,) = egress(inside, "baray-centre")
    assert rule["to"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "baray-system"}
    named = ClusterConfig(centre_url="https://baray.example")
    assert "NetworkPolicy/baray-centre" not in made(named)
    assert "baray.example" in str(unreached(named))
    assert unreached(FULL) is unreached(ClusterConfig()) is None


def test_accounts_have_no_token_and_the_pull_secret() -> None:
    found = made()
    for name in ("baray-job", "default"):
        account = found[f"ServiceAccount/{name}"]
        assert account["automountServiceAccountToken"] is False
        assert account["imagePullSecrets"] == [{"name": "baray-pull"}]
    secret = found["Secret/baray-pull"]
    assert base64.b64decode(secret["data"][".dockerconfigjson"]).decode() == PULL
    assert "Secret/baray-pull" not in made(ClusterConfig())


def test_no_room_grants_anybody_anything() -> None:
    assert not {one["kind"] for one in made().values()} & {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}


def test_the_rules_hold_in_rooms_of_this_centre_alone() -> None:
    makers, bound, pods, _ = rules("centre", FULL, "baray")
    assert makers["spec"]["failurePolicy"] == pods["spec"]["failurePolicy"] == "Fail"
    for policy in (makers, pods):
        selector = policy["spec"]["matchConstraints"]["namespaceSelector"]["matchLabels"]
        assert selector == {"baray.io/origin": "centre", "baray.io/part": "room"}
    assert bound["spec"] == {"policyName": makers["metadata"]["name"], "validationActions": ["Deny"]}
    assert '"baray"' in makers["spec"]["validations"][0]["expression"]
    assert "system:masters" not in json.dumps(makers)


def test_a_name_in_a_rule_cannot_become_a_rule() -> None:
    (makers, *_) = rules("centre", FULL, 'x"] || true || ["')
    assert '"x\\"] || true || [\\""' in makers["spec"]["validations"][0]["expression"]
