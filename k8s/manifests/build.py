"""From a launch to the objects that run it (driver → here). The page to read first.

    one attempt                  a Job; Indexed, with a headless Service, if it has several nodes
    several tasks of one array   an Indexed Job, a task an index
    several roles                a JobSet, an Indexed Job a role

Every object's name and ``baray.io/spec`` follow from the launch alone. To it belong a Secret, if there are secrets or
passes, and the Service; they are owned by the object, and gone with it.
"""

import json
from collections.abc import Sequence
from typing import Any

from domain.ids import AttemptId
from domain.jobs import Launch
from domain.needs import lack, needs_of
from domain.quantities import format_bytes
from k8s import names
from k8s.manifests import errands
from k8s.manifests.job import job
from k8s.manifests.jobset import jobset
from k8s.manifests.part import Part, bundled, roles, whole
from k8s.manifests.satellites import satellites
from k8s.manifests.site import Made, Site, Unstartable

_LARGEST = 1 << 20  # bytes of an object; what keeps it (etcd) takes half as much again
_HIDDEN = "(not shown)"


def build(launch: Launch, site: Site) -> Made:
    """The objects for this launch. The same launch gets the same, however often it is asked. Raises Unstartable."""
    parts = _parts(launch)
    _check(launch, parts, site)
    made = _made(launch, parts, site)
    for body in (made.body, *made.satellites):
        try:
            size = len(json.dumps(body, ensure_ascii=False).encode())
        except UnicodeEncodeError:
            raise Unstartable("The job holds half a character somewhere, which is no text.") from None
        if size > _LARGEST:
            what = (
                f"The job's {body['kind']} would be {format_bytes(size)}, and a cluster takes {format_bytes(_LARGEST)}"
            )
            raise Unstartable(f"{what}: the most of it is {_largest(launch, parts)}.")
    return made


def name_of(launch: Launch) -> str:
    """What the object that runs the launch is called."""
    if launch.bundle is not None and is_bundled(launch):
        return names.object_name(launch.bundle.members[0][0], bundle=True)
    return names.object_name(launch.attempt)


def is_bundled(launch: Launch) -> bool:
    """Whether it is started together with the others of its bundle, as one object. So for all of them or for none.

    Tasks of several nodes or roles are not: an index of a Job is one pod.
    """
    bundle = launch.bundle
    if bundle is None or len(bundle.members) < 2 or launch.spec.roles:
        return False
    return all(len(placements) == 1 for _, placements in bundle.members)


def needs_pass(launch: Launch) -> tuple[AttemptId, ...]:
    """The attempts whose passes ``build`` needs in ``Site.passes``."""
    if not errands.has_errands(launch.spec):
        return ()
    if launch.bundle is not None and is_bundled(launch):
        return tuple(member for member, _ in launch.bundle.members)
    return (launch.attempt,)


def shown(made: Made) -> tuple[dict[str, Any], ...]:
    """The objects for people to read: with neither secrets nor passes."""
    return (made.body, *(_masked(body) for body in made.satellites))


def _masked(body: dict[str, Any]) -> dict[str, Any]:
    if "stringData" not in body:
        return body
    return {**body, "stringData": dict.fromkeys(body["stringData"], _HIDDEN)}


def _parts(launch: Launch) -> tuple[Part, ...]:
    if launch.spec.roles:
        return roles(launch)
    return (bundled(launch) if is_bundled(launch) else whole(launch),)


def _check(launch: Launch, parts: Sequence[Part], site: Site) -> None:
    lacking = lack(needs_of(launch.spec), site.config, jobset=site.jobset)
    if lacking is not None:  # the admission asked the same, but clusters change
        said, fix = lacking.fault.message, lacking.fault.fix or ""
        raise Unstartable(f"The cluster cannot take the job: {said}. {fix[:1].upper()}{fix[1:]}.")
    if launch.spec.roles and sum(part.pods for part in parts) != len(launch.placements):
        raise Unstartable("The roles of the job do not add up to its nodes.")
    if any(part.run is None and not part.command for part in parts):
        raise Unstartable("The job has neither a script nor a command.")


def _made(launch: Launch, parts: Sequence[Part], site: Site) -> Made:
    kind, body = ("JobSet", jobset(launch, parts, site)) if launch.spec.roles else ("Job", job(launch, parts[0], site))
    return Made(kind, body, satellites(launch, parts[0], site))


def _largest(launch: Launch, parts: Sequence[Part]) -> str:
    """What takes the most room, as the job file calls it."""
    sizes = {
        "its script": sum(_bytes(part.run or "") for part in parts),
        "its command": sum(_bytes(*part.command) for part in parts),
        "its environment (env)": sum(_bytes(*part.env, *part.env.values()) for part in parts),
        "its secrets": _bytes(*launch.secrets.values()),
        "the list of its tasks": sum(40 * len(part.members) for part in parts),
        "its outputs": _bytes(*launch.spec.outputs),
    }
    return max(sizes, key=lambda what: sizes[what])


def _bytes(*texts: str) -> int:
    return sum(len(text.encode(errors="surrogatepass")) for text in texts)
