"""From a launch to the objects that run it (driver → here). The page to read first.

one attempt                  a Job; Indexed, with a headless Service, if it has several nodes
several tasks of one array   an Indexed Job, a task an index
several roles                a JobSet, an Indexed Job a role
"""

from domain.ids import AttemptId
from domain.jobs import Launch
from k8s.manifests.site import Made, Site


def build(launch: Launch, site: Site) -> Made:
    """The objects for this launch. The same launch gets the same, however often it is asked. Raises Unstartable."""
    raise NotImplementedError


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
    if launch.spec.source is None and not launch.spec.outputs:
        return ()
    if is_bundled(launch) and launch.bundle is not None:
        return tuple(member for member, _ in launch.bundle.members)
    return (launch.attempt,)
