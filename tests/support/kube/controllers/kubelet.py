"""The kubelets of all nodes: they start the containers of bound pods, tell how those do, and stop them."""

import signal
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.kube.controllers import podstate
from tests.support.kube.controllers.base import Controller, World, key_of
from tests.support.kube.controllers.life import Container, Life
from tests.support.kube.controllers.output import Output
from tests.support.kube.controllers.runners import Behaviour, Exit, HeartRun, Processes, ProcessRun
from tests.support.kube.controllers.sandbox import Missing, Sandbox
from tests.support.kube.controllers.witness import Witness
from tests.support.kube.objects import Obj, stamp
from tests.support.kube.store import Change, Key
from tests.support.kube.table import CLAIMS, CONFIGMAPS, NODES, PODS, SECRETS

_RESTART_MS = 10_000
_SOURCE = "kubelet"
_READY_MS, _YOUNG_MS = 20, 10_000


Behave = Callable[[Obj, Obj], Behaviour]


class Kubelet(Controller):
    """``processes`` None: containers are run by heart, as ``behave`` says of (pod, container)."""

    def __init__(self, world: World, behave: Behave, processes: Processes | None, root: Path | None) -> None:
        super().__init__(world)
        self.behave, self._processes, self._root = behave, processes, root
        self.lives: dict[str, Life] = {}
        self.outputs: dict[tuple[str, str], Output] = {}
        self.witness = Witness(world)
        self.frozen: set[str] = set()  # nodes that are out of reach
        self.ends: deque[tuple[str, str, int, Exit]] = deque()
        self._later: dict[int, Callable[[], None]] = {}
        self._calls = 0
        self._waiting: set[Key] = set()  # for something they need

    def noticed(self, change: Change) -> None:
        if change.resource is PODS:
            pod = change.last.obj
            if change.new is None:
                self.enqueue(("gone", pod["metadata"]["uid"]))
            elif pod["spec"].get("nodeName"):
                self.enqueue(("pod", change.key))
        elif change.resource in (SECRETS, CONFIGMAPS, CLAIMS):
            for key in self._waiting:
                self.enqueue(("pod", key))
        elif change.resource is NODES and change.old is None:
            for life in self.lives.values():
                self.enqueue(("pod", life.key))

    def at(self, ms: int, call: Callable[[], None]) -> None:
        self._calls += 1
        self._later[self._calls] = call
        self.enqueue_at(self.world.now_ms() + ms, ("call", self._calls))

    @property
    def idle(self) -> bool:
        return not self.ends and super().idle

    def step(self) -> None:
        while self.ends:
            self._ended(*self.ends.popleft())
        super().step()

    def sync(self, key: Any) -> None:
        kind, what = key
        if kind == "call":
            self._later.pop(what)()
        elif kind == "gone":
            self._gone(what)
        else:
            pod = self.store.get(PODS, what)
            if pod is not None and pod["spec"].get("nodeName"):
                self._sync(pod)

    def thaw(self, node: str) -> None:
        """The node is in reach again: it tells what became of its pods, and ends those that nobody wants any more."""
        self.frozen.discard(node)
        for uid, life in list(self.lives.items()):
            if life.node == node:
                pod = self.store.get(PODS, life.key)
                self.enqueue(("pod", life.key) if pod is not None and pod["metadata"]["uid"] == uid else ("gone", uid))

    def _gone(self, uid: str) -> None:
        """Removed from the store without the kubelet's word: what still runs is killed."""
        life = self.lives.get(uid)
        if life is None or life.node in self.frozen:
            return
        running = [entry for entry in life.containers if entry.state == "running"]
        for entry in running:
            if entry.run is not None:
                entry.run.send(signal.SIGKILL)
        if not running:
            del self.lives[uid]

    def _sync(self, pod: Obj) -> None:
        uid, node = pod["metadata"]["uid"], pod["spec"]["nodeName"]
        if node in self.frozen:
            return
        life = self.lives.get(uid)
        leaving = "deletionTimestamp" in pod["metadata"]
        if pod["status"].get("phase") in ("Succeeded", "Failed") and (
            life is None or all(c.state != "running" for c in life.containers)
        ):
            self.lives.pop(uid, None)
            if leaving and pod["metadata"].get("deletionGracePeriodSeconds", 0) > 0:
                self.objects.delete(PODS, key_of(pod), grace=0)
            return
        if life is None:
            if self.store.get(NODES, ("", node)) is None and not leaving:
                return
            life = self._born(pod)
        life.sandbox.refresh(pod)
        if leaving:
            self._stop(life, pod["metadata"]["deletionGracePeriodSeconds"] * 1000)
        else:
            self._advance(life, pod)
        self._tell(life)

    def _born(self, pod: Obj) -> Life:
        spec = pod["spec"]
        made = [
            Container(entry, entry.get("restartPolicy") == "Always", initial=True)
            for entry in spec.get("initContainers") or []
        ]
        reason = "PodInitializing" if made else "ContainerCreating"
        made += [Container(entry, reason=reason) for entry in spec["containers"]]
        sandbox = Sandbox(self.store, pod, self._root)
        life = Life(
            key_of(pod),
            pod["metadata"]["uid"],
            spec["nodeName"],
            sandbox,
            made,
            spec["terminationGracePeriodSeconds"] * 1000,
            pod,
        )
        self.lives[life.uid] = life
        if "activeDeadlineSeconds" in spec:
            self.at(
                spec["activeDeadlineSeconds"] * 1000,
                lambda: self.end(
                    life.uid, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"
                ),
            )
        return life

    def _advance(self, life: Life, pod: Obj) -> None:
        """Start what may start now."""
        if life.stopping:
            return
        if not life.prepared:
            try:
                life.sandbox.prepare()
            except Missing as missing:
                self._waiting.add(life.key)
                self.world.event(pod, "Warning", "FailedMount", str(missing), _SOURCE)
                return
            life.prepared = True
        for entry in life.containers:
            if entry.initial and not entry.over and not (entry.sidecar and entry.state == "running"):
                if entry.state == "waiting":
                    self._start(life, entry, pod)
                if not (entry.over or (entry.sidecar and entry.state == "running")):
                    return
            if entry.initial and not entry.sidecar and entry.exit is not None and entry.exit.code != 0:
                return
        if any(entry.sidecar and self._gets_ready(entry) for entry in life.containers):
            # A runtime takes its time between two containers, in which a sidecar gets ready: here it is waited for.
            self.at(_READY_MS, lambda: self.enqueue(("pod", life.key)))
            return
        for entry in life.mains:
            if entry.state == "waiting":
                self._start(life, entry, pod)

    def _gets_ready(self, entry: Container) -> bool:
        young = self.world.now_ms() - entry.started_ms < _YOUNG_MS
        return young and isinstance(entry.run, ProcessRun) and not entry.run.heeds(signal.SIGTERM)

    def _start(self, life: Life, entry: Container, pod: Obj) -> None:
        name = entry.spec["name"]
        image = entry.spec.get("image", "")
        if "/missing:" in image or image.startswith("missing:"):
            if entry.reason != "ImagePullBackOff":
                entry.reason, entry.message = "ErrImagePull", f'failed to pull and unpack image "{image}": not found'
                self.world.event(pod, "Warning", "Failed", f'Failed to pull image "{image}": not found', _SOURCE)
                self._tell(life)
                entry.reason, entry.message = (
                    "ImagePullBackOff",
                    f'Back-off pulling image "{image}": ErrImagePull: not found',
                )
                self.world.event(pod, "Normal", "BackOff", f'Back-off pulling image "{image}"', _SOURCE)
            return
        behaviour = self.behave(pod, entry.spec) if self._processes is None else Behaviour()
        if behaviour.starts_after_ms and entry.reason != "Pulled":
            if entry.message != "pulling":
                entry.message = "pulling"
                self.at(behaviour.starts_after_ms, lambda: self._pulled(life, entry))
            return
        try:
            spawn = life.sandbox.spawn(entry.spec)
        except Missing as missing:
            entry.reason, entry.message = "CreateContainerConfigError", str(missing)
            self._waiting.add(life.key)
            self.world.event(pod, "Warning", "Failed", f"Error: {missing}", _SOURCE)
            return
        self._waiting.discard(life.key)
        entry.serial += 1
        serial = entry.serial
        output = Output(self.objects.clock)
        self.outputs[life.uid, name] = entry.output = output
        if not entry.initial and not any(other.serial > (other is entry) for other in life.mains):
            self.witness.started(life, pod, self.lives.values())
        entry.state, entry.started_ms, entry.reason, entry.message = "running", self.world.now_ms(), "", ""
        if self._processes is None:
            entry.run = HeartRun(behaviour, output, lambda how: self._ended(life.uid, name, serial, how), self.at)
            return
        begun = self._processes.start(spawn, output, lambda how: self._report(life.uid, name, serial, how))
        if isinstance(begun, Exit):
            output.end()
            self.ends.append((life.uid, name, serial, begun))
        else:
            entry.run = begun

    def _pulled(self, life: Life, entry: Container) -> None:
        entry.reason, entry.message = "Pulled", ""
        self.enqueue(("pod", life.key))

    def _report(self, uid: str, name: str, serial: int, how: Exit) -> None:
        """Called from the thread of the processes."""
        self.ends.append((uid, name, serial, how))
        with self.store.lock:
            self.world.notify()
            self.store.changed.notify_all()

    def _ended(self, uid: str, name: str, serial: int, how: Exit) -> None:
        life = self.lives.get(uid)
        entry = next((c for c in life.containers if c.spec["name"] == name), None) if life else None
        if life is None or entry is None or entry.serial != serial or entry.state != "running":
            return
        entry.state, entry.exit, entry.ended_ms = "terminated", how, max(self.world.now_ms(), entry.started_ms)
        entry.run = None
        entry.message = how.unstartable or life.sandbox.message(entry.spec)
        if (
            not entry.message
            and how.code
            and entry.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError"
            and entry.output
        ):
            entry.message = entry.output.tail(2048).decode(errors="replace")
        pod = self.store.get(PODS, life.key)
        if pod is None or pod["metadata"]["uid"] != uid:
            self._gone(uid)
            return
        if life.node in self.frozen:
            return
        if not life.stopping and self._again(life, entry, pod):
            return
        self._after(life)
        self.enqueue(("pod", life.key))
        self._tell(life)

    def _again(self, life: Life, entry: Container, pod: Obj) -> bool:
        """Whether it is started once more, as the pod's policy says."""
        policy = "Always" if entry.sidecar else pod["spec"]["restartPolicy"]
        if policy == "Never" or (policy == "OnFailure" and entry.exit is not None and entry.exit.code == 0):
            return False
        if entry.sidecar and all(main.over for main in life.mains):
            return False

        def restart() -> None:
            if entry.state == "terminated" and not life.stopping:
                entry.restarts += 1
                entry.state, entry.reason = "waiting", "CrashLoopBackOff"
                self.enqueue(("pod", life.key))

        self.at(_RESTART_MS, restart)
        self._tell(life)
        return True

    def _after(self, life: Life) -> None:
        """When the work is done or cannot begin, what only serves it ends too."""
        broken = any(c.initial and not c.sidecar and c.exit is not None and c.exit.code for c in life.containers)
        if broken or (life.mains and all(entry.over for entry in life.mains)):
            life.stopping = True
            for entry in life.containers:
                if entry.sidecar and entry.state == "running":
                    self._signal(life, entry, life.grace_ms)

    def _signal(self, life: Life, entry: Container, grace_ms: int) -> None:
        run = entry.run
        if run is None or entry.told:
            return
        entry.told = True
        number = getattr(signal, (entry.spec.get("lifecycle") or {}).get("stopSignal", "SIGTERM"))
        hook = ((entry.spec.get("lifecycle") or {}).get("preStop") or {}).get("exec")
        if hook and self._processes is not None:
            spawn = life.sandbox.spawn({**entry.spec, "command": hook["command"], "args": []})
            begun = self._processes.start(spawn, Output(self.objects.clock), lambda _: run.send(number))
            if isinstance(begun, Exit):
                run.send(number)
        else:
            run.send(number)
        self._kill_at(entry, grace_ms)

    def _kill_at(self, entry: Container, ms: int) -> None:
        run, serial = entry.run, entry.serial

        def kill() -> None:
            if entry.serial == serial and entry.state == "running" and run is not None:
                run.send(signal.SIGKILL)

        self.at(ms, kill)

    def _stop(self, life: Life, grace_ms: int) -> None:
        """Asked to end; asked again, with less patience."""
        due = self.world.now_ms() + grace_ms
        if life.killed_at_ms is not None and life.killed_at_ms <= due:
            return
        life.stopping, life.killed_at_ms = True, due
        for entry in life.containers:
            if entry.state == "running" and entry.told:
                self._kill_at(entry, grace_ms)
            elif entry.state == "running":
                self._signal(life, entry, grace_ms)
            elif entry.state == "waiting":
                entry.state, entry.exit = "terminated", Exit(137)
                entry.reason = "ContainerStatusUnknown"
                entry.message = (
                    "The container could not be located when the pod was deleted.  The container used to be Running"
                )
        self.enqueue(("pod", life.key)) if all(entry.over for entry in life.containers) else None

    def end(self, uid: str, reason: str, message: str) -> None:
        """The kubelet's own decision: eviction, deadline."""
        life = self.lives.get(uid)
        if life is not None:
            life.final = (reason, message)
            self._stop(life, 0 if reason == "Evicted" else life.grace_ms)
            self._tell(life)

    def kill(self, uid: str, name: str, *, oom: bool) -> None:
        """One container by SIGKILL; ``oom``: as the kernel does it for want of memory."""
        for entry in self.lives[uid].containers:
            if entry.spec["name"] == name and entry.run is not None:
                entry.oom = oom
                entry.run.send(signal.SIGKILL)

    def _tell(self, life: Life) -> None:
        """Write how it stands into the pod's status."""
        if life.node in self.frozen:
            return
        pod = self.store.get(PODS, life.key)
        if pod is None or pod["metadata"]["uid"] != life.uid:
            return
        status = podstate.status(life, pod, stamp(self.world.now_ms()))
        self.objects.change(PODS, life.key, lambda new: new.update(status=status))
