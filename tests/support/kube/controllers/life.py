"""What a kubelet knows of a pod on its node, and of each container in it."""

from dataclasses import dataclass

from tests.support.kube.controllers.output import Output
from tests.support.kube.controllers.runners import Exit, Run
from tests.support.kube.controllers.sandbox import Sandbox
from tests.support.kube.objects import Obj
from tests.support.kube.store import Key


@dataclass(slots=True)
class Container:
    """How one container does. ``state``: waiting, running, terminated."""

    spec: Obj
    sidecar: bool = False
    initial: bool = False
    state: str = "waiting"
    reason: str = "PodInitializing"
    message: str = ""
    run: Run | None = None
    output: Output | None = None
    started_ms: int = 0
    ended_ms: int = 0
    exit: Exit | None = None
    restarts: int = 0
    serial: int = 0  # of the run, so that a late end of an earlier one is known
    told: bool = False  # to stop
    oom: bool = False

    @property
    def over(self) -> bool:
        return self.state == "terminated"


@dataclass(slots=True)
class Life:
    """A pod on its node."""

    key: Key
    uid: str
    node: str
    sandbox: Sandbox
    containers: list[Container]
    grace_ms: int
    pod: Obj  # as it was when it came here
    prepared: bool = False
    stopping: bool = False
    killed_at_ms: int | None = None  # when SIGKILL comes
    final: tuple[str, str] | None = None  # reason and message of a pod that the kubelet itself ended

    @property
    def mains(self) -> list[Container]:
        return [entry for entry in self.containers if not entry.initial]
