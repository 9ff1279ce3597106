"""Roles and volumes of a job file: ranks that run another command than the rest, and what is mounted where."""

import posixpath
import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from pydantic import Field, StrictInt, StrictStr

from api.http.schemas.base import Body, Faults, Plain, Whole, checked
from domain.clusters import SCRATCH
from domain.errors import Invalid
from domain.jobs import JobSpec, Role
from lifecycle.words import check_env_name

MAX_ROLES = 16
MAX_VOLUMES = 16
MAX_COMMAND_BYTES = 256 * 1024
MAX_ENV_BYTES = 128 * 1024
MAX_ROLES_BYTES = (
    512 * 1024
)  # commands and variables of all roles together, each with the job's own: clusters take no more

_ROLE = re.compile(r"[a-z]([a-z0-9-]{0,18}[a-z0-9])?")
_VOLUME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/@:-]{0,251}[A-Za-z0-9])?")
_KEPT = ("/baray", "/dev", "/etc", "/proc", "/sys")  # nothing is mounted at or below, but for shared memory
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - the container's own


def _role(text: str) -> str:
    if not _ROLE.fullmatch(text):
        fix = "use 1 to 20 lower-case letters, digits and '-', beginning with a letter and not ending with '-'"
        raise Invalid(f"{text[:40]!r} is no name of a role", fix=fix)
    return text


def _volume(text: str) -> str:
    if not _VOLUME.fullmatch(text):
        raise Invalid(f"{text[:40]!r} is no name of a volume", fix="write one such as scratch or dataset/khmer-ocr@v3")
    return text


def _path(text: str) -> str:
    if not text.startswith("/") or text == "/" or ":" in text or text != posixpath.normpath(text).replace("//", "/"):
        raise Invalid(f"{text[:80]!r} is no path to mount a volume at", fix="write a plain absolute one such as /data")
    if text != _SHARED_MEMORY and any(text == kept or text.startswith(f"{kept}/") for kept in _KEPT):
        raise Invalid(f"{text[:80]!r} is not the job's own", fix="choose another path, such as /data")
    return text


Path = Annotated[Plain, Field(max_length=255), checked(_path)]
Volumes = Annotated[
    dict[Path, Annotated[Plain, checked(_volume)]],
    Field(max_length=MAX_VOLUMES, examples=[{"/data": "dataset/khmer-ocr@v3", "/scratch": SCRATCH}]),
]


class RoleFile(Body):
    """Some of a job's nodes that run a command of their own. Exactly one of `run` and `command` is given."""

    name: Annotated[Plain, checked(_role)] = Field(examples=["learner"])
    nodes: Annotated[StrictInt, Field(ge=1, le=4_096)] = 1
    run: Whole | None = Field(default=None, examples=["python learner.py"])
    command: Annotated[list[Whole], Field(min_length=1, max_length=10_000)] | None = None
    image: Annotated[Plain, Field(max_length=4096)] | None = None
    env: Annotated[dict[StrictStr, Whole], Field(max_length=1_000)] = Field(default_factory=dict)

    def to_role(self) -> Role:
        return Role(self.name, self.nodes, self.run, tuple(self.command or ()), self.image, dict(self.env))


Roles = Annotated[list[RoleFile], Field(min_length=1, max_length=MAX_ROLES)]


def check_command(run: str | None, command: Sequence[str] | None, where: str, faults: Faults) -> int:
    """Of a job or a role. Answers how many bytes it is."""
    if (run is None) == (command is None):
        faults.add(
            f"{where}run", "give exactly one of run and command", "run is a shell script, command an argument list"
        )
    field = f"{where}run" if command is None else f"{where}command"
    size = len((run or "").encode()) + sum(len(part.encode()) + 1 for part in command or ())
    if size > MAX_COMMAND_BYTES:
        fix = f"use {MAX_COMMAND_BYTES // 1024} KiB or less; put large scripts in the source directory"
        faults.add(field, f"is {size} bytes long", fix)
    if "\0" in (run or "") or any("\0" in part for part in command or ()):
        faults.add(field, "holds a NUL character", "remove it")
    if run is not None and not run.strip():
        faults.add(field, "is empty", "give a command to run")
    if command is not None and not command[0]:
        faults.add(field, "its first word is empty", "name a program to run")
    return size


def check_env(env: dict[str, str], secrets: Iterable[str], where: str, faults: Faults) -> int:
    """Of a job or a role. Answers how many bytes it is."""
    for name, value in env.items():
        faults.catch(check_env_name, name, f"{where}env")
        if name.startswith("BARAY_"):
            faults.add(f"{where}env", f"{name} is set by the centre", "choose another name")
        if "\0" in value:
            faults.add(f"{where}env.{name}", "holds a NUL character", "remove it")
    for name in secrets:
        faults.catch(check_env_name, name, "secrets")
    size = sum(len(name) + len(value.encode()) for name, value in env.items())
    if size > MAX_ENV_BYTES:
        fix = f"use {MAX_ENV_BYTES // 1024} KiB or less; put large values in a file of the source directory"
        faults.add(f"{where}env", f"is {size} bytes in all", fix)
    return size


def check_roles(roles: Sequence[RoleFile], env_bytes: int, faults: Faults) -> None:
    """All of them. ``env_bytes`` is the job's own environment, which each has too."""
    total = 0
    seen: set[str] = set()
    for position, role in enumerate(roles):
        where = f"roles.{position}."
        total += env_bytes + check_command(role.run, role.command, where, faults)
        total += check_env(role.env, (), where, faults)
        if role.name in seen:
            faults.add(f"{where}name", f"there are two roles {role.name!r}", "give each a name of its own")
        seen.add(role.name)
    if total > MAX_ROLES_BYTES:
        told = f"their commands and variables, the job's own env with each, are {total} bytes in all"
        fix = f"use {MAX_ROLES_BYTES // 1024} KiB or less; put large scripts in the source directory"
        faults.add("roles", told, fix)


def show_roles(spec: JobSpec) -> dict[str, Any]:
    """The part of the job file that would be read as the spec's commands and volumes."""
    if spec.roles:
        runs: dict[str, Any] = {"roles": [_show_role(role) for role in spec.roles]}
    else:
        runs = {"run": spec.run} if spec.run is not None else {"command": list(spec.command)}
    return {**runs, "volumes": dict(spec.volumes)}


def _show_role(role: Role) -> dict[str, Any]:
    runs = {"run": role.run} if role.run is not None else {"command": list(role.command)}
    return {"name": role.name, "nodes": role.nodes, **runs, "image": role.image, "env": role.env}
