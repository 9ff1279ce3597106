"""What a job needs of a cluster beside its nodes: an image that it may run, volumes, a way to bring files, roles."""

from dataclasses import dataclass

from domain.clusters import SCRATCH, ClusterConfig
from domain.errors import Fault, Refused
from domain.images import image_of
from domain.jobs import JobSpec


@dataclass(frozen=True, slots=True)
class Needs:
    """``images`` are those of all roles, None where it names none. ``files``: it has a source, or outputs."""

    images: tuple[str | None, ...] = (None,)
    volumes: tuple[str, ...] = ()
    files: bool = False
    roles: bool = False


NOTHING = Needs()


@dataclass(frozen=True, slots=True)
class Lack:
    """Why a cluster cannot take a job. ``code`` is stable; see docs/reasons.md."""

    code: str
    fault: Fault


def needs_of(spec: JobSpec) -> Needs:
    images = dict.fromkeys(role.image or spec.image for role in spec.roles) if spec.roles else (spec.image,)
    needs = Needs(
        tuple(images),
        tuple(sorted(set(spec.volumes.values()))),
        spec.source is not None or bool(spec.outputs),
        bool(spec.roles),
    )
    return NOTHING if needs == NOTHING else needs


def lack(needs: Needs, config: ClusterConfig | None, *, jobset: bool = True) -> Lack | None:
    """Why a cluster cannot take a job, whatever is free there; None if it can.

    One without a ``config`` is this machine: images do not matter there, and it has no volumes but scratch.
    """
    known = {SCRATCH, *(config.volumes if config is not None else ())}
    for name in needs.volumes:
        if name not in known:
            fix = f"it has {', '.join(sorted(known))}"
            return Lack("no-such-volume", Fault(f"it has no volume {name!r}", "volumes", fix))
    if config is None:
        return None
    for image in needs.images:
        try:
            image_of(image, config)
        except Refused as error:
            return Lack(error.code, error.faults[0])
    if needs.files and not config.centre_url:
        told = "its pods do not know where the centre is, so it takes no jobs with a source or outputs"
        fix = "an administrator sets it: baray admin cluster set NAME --centre-url https://..."
        return Lack("no-files", Fault(told, "source", fix))
    if needs.roles and not jobset:
        told = "it has no JobSet, which runs jobs with roles"
        return Lack("no-jobset", Fault(told, "roles", "an administrator installs it there"))
    return None
