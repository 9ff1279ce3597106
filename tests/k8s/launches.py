"""Launches and a site to make manifests of."""

from typing import Any

from hypothesis import strategies as st

from domain.clusters import ClusterConfig
from domain.fleet import CPU_FLAVOR
from domain.ids import AttemptId
from domain.jobs import Array, Bundle, JobSpec, Launch, Placement, Resources, Role
from k8s.manifests.build import needs_pass
from k8s.manifests.site import Site

GIB = 1 << 30
H100 = "h100-80gb"
IMAGE = "registry.centre.example/pytorch:2.13"
DIGEST = "@sha256:" + "0123456789abcdef" * 4
NODES = tuple(f"n{number}" for number in range(1, 9))
GANG: dict[str, Any] = {"nodes": 4}

CONFIG = ClusterConfig(
    centre_url="https://baray.centre.example",
    volumes={"dataset/khmer-ocr@v3": "khmer-ocr-v3", "shared": "shared"},
)


def launch(
    *, attempt: AttemptId | None = None, flavor: str = H100, nodes: int = 1, gpus: int = 2, cpus: int = 8,
    memory: int = 32 * GIB, walltime_ms: int = 3_600_000, placed: tuple[str, ...] = NODES,
    secrets: dict[str, str] | None = None, bundle: Bundle | None = None, **spec: Any,
) -> Launch:  # fmt: skip
    """A launch on the first nodes; ``spec`` is the rest of its job file."""
    gpus = 0 if flavor == CPU_FLAVOR else gpus
    if not {"run", "command", "roles"} & set(spec):
        spec["run"] = "python train.py\n"
    given = {"project": "speech", "name": "train", "image": IMAGE, **spec}
    given["resources"] = Resources((flavor,), gpus, nodes, cpus, memory, walltime_ms)
    given["secrets"] = tuple(secrets or ())
    placements = tuple(Placement(node, tuple(range(gpus))) for node in placed[:nodes])
    return Launch(attempt or AttemptId(1842, None, 1), JobSpec(**given), flavor, placements, 7, secrets or {}, bundle)


def bundle(count: int = 3, *, skipped: tuple[int, ...] = (), first: int = 5, placed: tuple[str, ...] = NODES, **spec: Any) -> Launch:  # fmt: skip
    """The launch of the first of so many tasks that were committed together, one a node."""
    members = tuple(
        (AttemptId(1842, first + 2 * index, 1 + index % 2), (Placement(placed[index % len(placed)], (0, 1)),))
        for index in range(count)
    )
    told = frozenset(members[index][0] for index in skipped)
    array = Array(first, first + 2 * (count - 1), 2)
    return launch(attempt=members[0][0], array=array, bundle=Bundle(members, told), **spec)


ROLES = (
    Role("learner", 1, run="python learner.py", env={"ROLE_LR": "1"}),
    Role("actor", 3, command=("python", "actor.py"), image="registry.centre.example/actor:1"),
)


def site(given: Launch, config: ClusterConfig = CONFIG, **more: Any) -> Site:
    """Of a cluster whose nodes have NVIDIA's GPUs, with the passes that the launch needs."""
    passes = {attempt: f"pass-of-{attempt}" for attempt in needs_pass(given)}
    site = {"resources": dict.fromkeys(NODES, "nvidia.com/gpu"), "jobset": True, "passes": passes, **more}
    return Site("c0ffee", "baray-speech", config, **site)


_texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=30)
_env = st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), _texts, max_size=3)
_signals = st.sampled_from(["SIGTERM", "SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGQUIT"])
_volumes = st.dictionaries(
    st.sampled_from(["/data", "/scratch", "/a/b", "/tmp", "/dev/shm"]),
    st.sampled_from(["scratch", "shared", "dataset/khmer-ocr@v3"]),
    max_size=3,
)


@st.composite
def launches(draw: st.DrawFn) -> Launch:
    """Jobs of every kind: with a script or a command, one node or several, arrays, bundles and roles."""
    kind = draw(st.sampled_from(["one", "task", "gang", "bundle", "roles"]))
    spec: dict[str, Any] = {
        "project": draw(st.text(min_size=1, max_size=80)),
        "name": draw(st.text(min_size=1, max_size=80)),
        "env": draw(_env),
        "image": draw(st.sampled_from([IMAGE, "ubuntu", "ubuntu:24.04", f"team/app{DIGEST}", "localhost:5000/a/b_c:1-2"])),
        "flavor": draw(st.sampled_from([H100, CPU_FLAVOR])),
        "secrets": draw(_env),
        "source": draw(st.none() | st.just("ab" * 32)),
        "outputs": draw(st.sampled_from([(), (), ("results/**", "*.log")])),
        "volumes": draw(_volumes),
        "stop_signal": draw(_signals),
        "grace_ms": draw(st.sampled_from([0, 1, 10_000, 3_600_000])),
        "walltime_ms": draw(st.sampled_from([1_000, 3_600_000, 31 * 86_400_000])),
        "cpus": draw(st.integers(1, 256)),
        "memory": draw(st.sampled_from([1, GIB, 1 << 40])),
    }  # fmt: skip
    words = draw(st.lists(_texts.filter(bool), min_size=1, max_size=3))
    run = draw(st.none() | _texts.filter(str.strip))
    if kind == "roles":
        names = draw(st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=3, unique=True))
        sizes = draw(st.lists(st.integers(1, 2), min_size=len(names), max_size=len(names)))
        spec["roles"] = tuple(
            Role(name, size, run, () if run else tuple(words), None, draw(_env))
            for name, size in zip(names, sizes, strict=True)
        )
        return launch(nodes=sum(sizes), **spec)
    spec |= {"run": run} if run is not None else {"command": tuple(words)}
    if kind == "bundle":
        return bundle(draw(st.integers(1, 5)), skipped=draw(st.sampled_from([(), (0,)])), **spec)
    if kind == "task":
        spec |= {"attempt": AttemptId(1842, 7, 2), "array": Array(0, 9)}
    return launch(nodes=draw(st.integers(2, 5)) if kind == "gang" else 1, **spec)


configs = st.builds(
    ClusterConfig,
    centre_url=st.just("https://baray.centre.example"),
    volumes=st.just(CONFIG.volumes),
    priority_class=st.sampled_from(["", "batch"]),
    runtime_class=st.sampled_from(["", "gvisor"]),
    pull_secret=st.sampled_from(["", "{}"]),
    tolerations=st.sampled_from([(), ("dedicated", "team=speech", "spot:NoSchedule", "a=b:NoExecute")]),
)
