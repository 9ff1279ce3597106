"""The job file as JSON, into the domain's spec and back."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, StrictBool, StrictInt, StrictStr

from api.http.schemas.base import Body, Faults, Name, Plain, Title, Whole, checked
from api.http.schemas.roles import Roles, Volumes, check_command, check_env, check_roles, show_roles
from api.http.schemas.wishes import (
    PRIORITY_MOST,
    After,
    ConstraintFile,
    DataFile,
    listed,
    names_schema,
    show_wishes,
    to_constraint,
)
from domain.dependencies import parse_dependency
from domain.errors import Invalid
from domain.fleet import CPU_FLAVOR
from domain.jobs import Array, JobSpec, Resources
from domain.quantities import (
    DAY_MS,
    HOUR_MS,
    SECOND_MS,
    format_bytes,
    format_duration,
    parse_bytes,
    parse_duration,
)

MAX_GPUS = 4_096
MAX_NODES = 4_096
MAX_CPUS = 65_536
MAX_MEMORY = 2**50
MAX_WALLTIME_MS = 31 * DAY_MS
MAX_GRACE_MS = HOUR_MS
MAX_TASKS = 100_000
SIGNALS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT")

_ARRAY = re.compile(r"(\d{1,12})(?:-(\d{1,12})(?::(\d{1,9}))?)?(?:%(\d{1,9}))?")

Text = Annotated[Plain, Field(max_length=4096)]


def _walltime(text: str) -> str:
    if not SECOND_MS <= parse_duration(text, "") <= MAX_WALLTIME_MS:
        raise Invalid(f"{text!r} is out of bounds", fix=f"use 1s to {format_duration(MAX_WALLTIME_MS)}")
    return text


def _memory(text: str) -> str:
    if not 0 < parse_bytes(text, "") <= MAX_MEMORY:
        raise Invalid(f"{text!r} is out of bounds", fix=f"use up to {format_bytes(MAX_MEMORY)}")
    return text


def _grace(text: str) -> str:
    if parse_duration(text, "") > MAX_GRACE_MS:
        raise Invalid(f"{text!r} is too long", fix=f"use {format_duration(MAX_GRACE_MS)} or less")
    return text


def _signal(text: str) -> str:
    name = text if text.startswith("SIG") else f"SIG{text}"
    if name not in SIGNALS:
        raise Invalid(f"{text[:40]!r} is no signal to stop by", fix=f"use one of {', '.join(SIGNALS)}")
    return name


def _pattern(text: str) -> str:
    if not text or text.startswith("/") or ".." in text.split("/") or "\0" in text:
        raise Invalid("a pattern stays inside the job's directory", fix="write one such as results/**")
    return text


def _array(text: str) -> str:
    read_array(text)
    return text


Flavors = Annotated[list[Plain], Field(min_length=1, max_length=32), BeforeValidator(listed), names_schema(32)]


class ResourcesFile(Body):
    """What one node needs; `nodes` multiplies all of it."""

    gpus: Annotated[StrictInt, Field(ge=0, le=MAX_GPUS)] | None = None
    flavor: Flavors | None = None
    nodes: Annotated[StrictInt, Field(ge=1, le=MAX_NODES)] = 1
    cpus: Annotated[StrictInt, Field(ge=1, le=MAX_CPUS)] = 1
    memory: Annotated[Text, checked(_memory)] = Field(default="1Gi", examples=["256Gi"])
    walltime: Annotated[Text, checked(_walltime)] = Field(default="1h", examples=["8h", "90m", "1-12:00:00"])


class CheckpointFile(Body):
    """How the job is told to stop, and whether it may be started again after a preemption or a lost node."""

    signal: Annotated[Text, checked(_signal)] = "SIGTERM"
    grace: Annotated[Text, checked(_grace)] = "10s"
    restartable: StrictBool = False


class JobFile(Body):
    """A job file. Exactly one of `run` (a shell script), `command` (an argument list) and `roles` is given."""

    project: Name
    name: Title = "job"
    resources: ResourcesFile = Field(default_factory=ResourcesFile)
    run: Whole | None = Field(default=None, examples=["python train.py"])
    command: Annotated[list[Whole], Field(min_length=1, max_length=10_000)] | None = None
    array: Annotated[Text, checked(_array)] | None = Field(default=None, examples=["0-19%4"])
    qos: Text = "normal"
    image: Text | None = None
    env: Annotated[dict[StrictStr, Whole], Field(max_length=1_000)] = Field(default_factory=dict)
    secrets: Annotated[list[Plain], Field(max_length=100)] = Field(default_factory=list)
    source: Annotated[StrictStr, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    outputs: Annotated[list[Annotated[Text, checked(_pattern)]], Field(max_length=100)] = Field(default_factory=list)
    checkpoint: CheckpointFile = Field(default_factory=CheckpointFile)
    held: StrictBool = False
    after: After = Field(default_factory=list)
    priority: Annotated[StrictInt, Field(ge=-PRIORITY_MOST, le=PRIORITY_MOST)] = 0
    constraint: ConstraintFile = Field(default_factory=ConstraintFile)
    data: DataFile = Field(default_factory=DataFile)
    volumes: Volumes = Field(default_factory=dict)
    roles: Roles | None = None

    def to_spec(self) -> JobSpec:
        """The job in the domain's words. Raises Invalid with everything that is wrong."""
        faults = Faults()
        nodes = self.resources.nodes if self.roles is None else sum(role.nodes for role in self.roles)
        resources = _resources(self.resources, nodes, faults)
        _check_runs(self, faults)
        constraint = to_constraint(self.constraint, self.data, faults)
        faults.done()
        return JobSpec(
            project=self.project,
            name=self.name,
            resources=resources,
            run=self.run,
            command=tuple(self.command or ()),
            array=None if self.array is None else read_array(self.array),
            qos=self.qos,
            image=self.image,
            env=dict(self.env),
            secrets=tuple(dict.fromkeys(self.secrets)),
            source=self.source,
            outputs=tuple(self.outputs),
            restartable=self.checkpoint.restartable,
            stop_signal=self.checkpoint.signal,
            grace_ms=parse_duration(self.checkpoint.grace, "checkpoint.grace"),
            held=self.held,
            after=tuple(dict.fromkeys(map(parse_dependency, self.after))),
            priority=self.priority,
            constraint=constraint,
            volumes=dict(self.volumes),
            roles=tuple(role.to_role() for role in self.roles or ()),
        )


def _resources(given: ResourcesFile, nodes: int, faults: Faults) -> Resources:
    flavors = _flavors(given, faults)
    gpus = given.gpus if given.gpus is not None else (0 if flavors == (CPU_FLAVOR,) else 1)
    if flavors == (CPU_FLAVOR,) and gpus:
        faults.add(
            "resources.flavor", f"asks {gpus} GPUs and names none of a flavor", "name a flavor such as a100-80gb"
        )
    if CPU_FLAVOR not in flavors and gpus == 0:
        fix = "ask for 1 or more, or use the flavor cpu"
        faults.add("resources.gpus", f"asks 0 GPUs of {flavors[0]}, a flavor of GPUs", fix)
    memory_bytes = parse_bytes(given.memory, "resources.memory")
    walltime_ms = parse_duration(given.walltime, "resources.walltime")
    return Resources(flavors, gpus, nodes, given.cpus, memory_bytes, walltime_ms)


def _flavors(given: ResourcesFile, faults: Faults) -> tuple[str, ...]:
    flavors = tuple(dict.fromkeys(given.flavor or ())) or (CPU_FLAVOR,)
    if CPU_FLAVOR in flavors and len(flavors) > 1:
        faults.add("resources.flavor", "cpu cannot be an alternative to GPUs", "name GPU flavors, or cpu alone")
    return flavors


def read_array(text: str) -> Array:
    """``7``, ``0-19``, ``0-19:2`` or ``0-19%4``. Raises Invalid."""
    match = _ARRAY.fullmatch(text)
    if match is None:
        raise Invalid(f"{text[:40]!r} is no array", "array", fix="write one such as 0-19, 0-19:2 or 0-19%4")
    first = int(match[1])
    last = first if match[2] is None else int(match[2])
    step = 1 if match[3] is None else int(match[3])
    parallel = None if match[4] is None else int(match[4])
    if last < first or step < 1 or parallel == 0:
        raise Invalid(f"{text[:40]!r} has no tasks", "array", fix="write the first index, then the last: 0-19")
    if len(range(first, last + 1, step)) > MAX_TASKS:
        raise Invalid(f"{text[:40]!r} has too many tasks", "array", fix=f"use {MAX_TASKS} tasks or fewer")
    if last >= 10**9:
        raise Invalid(f"{text[:40]!r} has an index that is too large", "array", fix="use indices below 1000000000")
    return Array(first, last, step, parallel)


def _check_runs(given: JobFile, faults: Faults) -> None:
    """What it runs: a script, a command, or what its roles say."""
    env_bytes = check_env(given.env, given.secrets, "", faults)
    if given.roles is None:
        check_command(given.run, given.command, "", faults)
        return
    check_roles(given.roles, env_bytes, faults)
    if given.run is not None or given.command is not None:
        faults.add("roles", "a job with roles has no run or command of its own", "give each role its own")
    if given.array is not None:
        faults.add("roles", "an array has no roles", "submit a job for each, or leave the roles out")
    nodes = sum(role.nodes for role in given.roles)
    if "nodes" in given.resources.model_fields_set and given.resources.nodes != nodes:
        told = f"asks {given.resources.nodes} nodes, and the roles {nodes} in all"
        faults.add("resources.nodes", told, f"write {nodes}, or leave it out")
    if nodes > MAX_NODES:
        faults.add("roles", f"ask {nodes} nodes in all", f"use {MAX_NODES} or fewer")


def show_spec(spec: JobSpec) -> dict[str, Any]:
    """The job file that would be read as this spec, defaults filled in."""
    r = spec.resources
    return {
        "project": spec.project,
        "name": spec.name,
        "resources": {
            "gpus": r.gpus,
            "flavor": list(r.flavors),
            "nodes": r.nodes,
            "cpus": r.cpus,
            "memory": format_bytes(r.memory_bytes),
            "walltime": format_duration(r.walltime_ms),
        },
        **show_roles(spec),
        "array": None if spec.array is None else str(spec.array),
        "qos": spec.qos,
        "image": spec.image,
        "env": spec.env,
        "secrets": list(spec.secrets),
        "source": spec.source,
        "outputs": list(spec.outputs),
        "checkpoint": {
            "signal": spec.stop_signal,
            "grace": format_duration(spec.grace_ms),
            "restartable": spec.restartable,
        },
        "held": spec.held,
        **show_wishes(spec),
    }


class JobPatch(Body):
    """What may be changed of a job that waits."""

    priority: Annotated[StrictInt, Field(ge=-PRIORITY_MOST, le=PRIORITY_MOST)]


class BatchFile(Body):
    """Many jobs in one request: all are taken, or none."""

    jobs: Annotated[list[JobFile], Field(min_length=1, max_length=1_000)]
