"""A JobSet for a launch whose roles differ: an Indexed Job each, started and ended together (``build`` → here)."""

from collections.abc import Sequence
from typing import Any

from domain.jobs import Launch
from k8s.manifests.job import TTL_S, job_spec, metadata
from k8s.manifests.part import Part, role_name
from k8s.manifests.site import Site


def jobset(launch: Launch, parts: Sequence[Part], site: Site) -> dict[str, Any]:
    """Raises Unstartable."""
    replicated = [
        {
            "name": role_name(part.name, position, role),
            "replicas": 1,
            "template": {"spec": job_spec(launch, part, site)},
        }
        for position, (part, role) in enumerate(zip(parts, launch.spec.roles, strict=True))
    ]
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": metadata(launch, parts[0], site),
        "spec": {
            "replicatedJobs": replicated,
            "network": {
                "enableDNSHostnames": True,
                "subdomain": parts[0].service,
                "publishNotReadyAddresses": True,
            },
            "successPolicy": {"operator": "All"},
            "failurePolicy": {"maxRestarts": 0},
            "ttlSecondsAfterFinished": TTL_S,
            **({"suspend": True} if site.queue else {}),
        },
    }
