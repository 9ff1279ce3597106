"""What goes along with the object that runs a launch: a headless Service for its ranks, a Secret (``build`` → here)."""

from typing import Any

from domain.jobs import Launch
from k8s.manifests.errands import PASS, has_errands
from k8s.manifests.part import Part
from k8s.manifests.pod import labels
from k8s.manifests.site import Site, Unstartable


def satellites(launch: Launch, part: Part, site: Site) -> tuple[dict[str, Any], ...]:
    """In no order: pods wait for them by themselves."""
    found = []
    if part.service and not part.role:  # JobSet makes its own
        found.append(_service(launch, part, site))
    if kept := _kept(launch, part, site):
        found.append(_secret(launch, part, site, kept))
    return tuple(found)


def _service(launch: Launch, part: Part, site: Site) -> dict[str, Any]:
    """Gives every rank a name, also before it is ready: ranks look for each other while they start."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(launch, part, site),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {key: value for key, value in labels(launch, part, site).items() if "baray.io/" in key},
        },
    }


def _secret(launch: Launch, part: Part, site: Site, kept: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(launch, part, site),
        "type": "Opaque",
        "immutable": True,
        "stringData": kept,
    }


def _kept(launch: Launch, part: Part, site: Site) -> dict[str, str]:
    """The job's secrets by their names, and the passes."""
    kept = dict(sorted(launch.secrets.items()))
    if not has_errands(launch.spec):
        return kept
    try:
        if part.members:
            passes = {f"{PASS}.{index}": site.passes[member] for index, (member, _) in enumerate(part.members)}
        else:
            passes = {PASS: site.passes[launch.attempt]}
    except KeyError as error:
        raise Unstartable(f"The centre issued no pass to the pods of {error.args[0]}.") from None
    return kept | passes


def _metadata(launch: Launch, part: Part, site: Site) -> dict[str, Any]:
    return {"name": part.name, "namespace": site.namespace, "labels": labels(launch, part, site)}
