"""A part of a launch whose pods are all alike: all of it, or one of its roles (``build`` → here → all others)."""

from collections.abc import Iterable
from dataclasses import dataclass

from domain.ids import AttemptId
from domain.jobs import Launch, Placement, Role
from k8s import names


@dataclass(frozen=True, slots=True)
class Part:
    """- ``pods`` is their number; they may be on ``nodes``, one each if ``apart``.
    - ``ranks`` is the number of ranks of the attempt, the first of which here is ``offset``.
    - ``members`` and ``skipped`` (indices) are those of a bundle; then every pod is an attempt of one rank.
    - ``meeting`` is the host name of rank 0; ``service`` is where the pods' names are; both empty for a single pod.
    """

    name: str  # of the object
    role: str  # empty: there are none
    run: str | None
    command: tuple[str, ...]
    image: str | None
    env: dict[str, str]
    pods: int
    nodes: tuple[str, ...]
    apart: bool
    ranks: int
    offset: int = 0
    members: tuple[tuple[AttemptId, tuple[Placement, ...]], ...] = ()
    skipped: tuple[int, ...] = ()
    meeting: str = ""
    service: str = ""

    @property
    def indexed(self) -> bool:
        return self.pods > 1 or bool(self.members) or bool(self.role)


def whole(launch: Launch) -> Part:
    """One attempt, of one node or several."""
    name = names.object_name(launch.attempt)
    spec, gang = launch.spec, len(launch.placements) > 1
    nodes = tuple(placement.node for placement in launch.placements)
    return Part(
        name, "", spec.run, spec.command, spec.image, dict(spec.env), len(nodes), _once(nodes),
        apart=gang and len(set(nodes)) == len(nodes), ranks=len(nodes),
        meeting=f"{name}-0.{name}" if gang else "", service=name if gang else "",
    )  # fmt: skip


def bundled(launch: Launch) -> Part:
    """All members of the launch's bundle, an index each."""
    assert launch.bundle is not None
    members, spec = launch.bundle.members, launch.spec
    skipped = tuple(index for index, (member, _) in enumerate(members) if member in launch.bundle.skipped)
    nodes = _once(placement.node for _, placements in members for placement in placements)
    return Part(
        names.object_name(members[0][0], bundle=True), "", spec.run, spec.command, spec.image, dict(spec.env),
        len(members), nodes, apart=False, ranks=1, members=members, skipped=skipped,
    )  # fmt: skip


def roles(launch: Launch) -> tuple[Part, ...]:
    """A part for each role, ranks counted over them in order."""
    name = names.object_name(launch.attempt)
    ranks = len(launch.placements)
    meeting = f"{name}-{role_name(name, 0, launch.spec.roles[0])}-0-0.{name}"
    apart = len({placement.node for placement in launch.placements}) == ranks > 1
    parts, offset = [], 0
    for role in launch.spec.roles:
        nodes = tuple(placement.node for placement in launch.placements[offset : offset + role.nodes])
        parts.append(
            Part(
                name, role.name, role.run, role.command, role.image or launch.spec.image,
                {**launch.spec.env, **role.env}, role.nodes, _once(nodes), apart, ranks, offset,
                meeting=meeting, service=name,
            )
        )  # fmt: skip
        offset += role.nodes
    return tuple(parts)


def role_name(name: str, position: int, role: Role) -> str:
    """What a role is called within its JobSet, short enough for the names of its pods."""
    room = names.LONGEST - len(f"{name}--0-{role.nodes}-abcde")
    return names.dns_label(role.name, room) if room >= names.SHORTEST else f"r{position}"


def _once(nodes: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(nodes))
