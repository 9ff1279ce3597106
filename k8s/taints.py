"""Taints that jobs put up with (``manifests`` and ``nodes`` → here)."""

from typing import Any

from domain.clusters import ClusterConfig
from k8s.names import label_value

# What flavors of Kueue are told apart by: a taint that no node has, see ``manifests.kueue``.
FLAVOR = "baray.io/flavor"

# Taints that keep others away from nodes with GPUs. Where our jobs go is the planner's business.
ALWAYS = ("nvidia.com/gpu", "amd.com/gpu")


def tolerations(config: ClusterConfig) -> list[dict[str, Any]]:
    return [{"key": key, "operator": "Exists"} for key in ALWAYS] + [_read(text) for text in config.tolerations]


def flavor_toleration(flavor: str) -> dict[str, Any]:
    """By which Kueue finds the flavor that a pod is for."""
    return {"key": FLAVOR, "operator": "Equal", "value": label_value(flavor), "effect": "NoSchedule"}


def _read(text: str) -> dict[str, Any]:
    """``key``, ``key=value``, ``key:Effect`` or all of it."""
    rest, _, effect = text.partition(":")
    key, equals, value = rest.partition("=")
    how = {"operator": "Equal", "value": value} if equals else {"operator": "Exists"}
    return {"key": key, **how, **({"effect": effect} if effect else {})}
