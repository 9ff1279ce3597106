"""The stand-in as tests start it: ``with KubeServer() as server: Client(server.access())``.

It serves on 127.0.0.1 as soon as it is made. A thread of its own lets controllers act on whatever changed; with
``auto=False`` nothing moves before ``settle``. With a clock that stands still, ``advance`` moves it.
"""

import json
import shutil
import tempfile
import threading
import traceback
from collections import Counter
from pathlib import Path
from typing import Any, Self

from lifecycle.ports import Clock
from runtime.clock import SystemClock
from tests.support.kube import access, discovery, failure, machines
from tests.support.kube.admission import Admission
from tests.support.kube.controllers.base import Controller, World
from tests.support.kube.controllers.garbage import Garbage, Namespaces
from tests.support.kube.controllers.jobs import Jobs
from tests.support.kube.controllers.jobsets import JobSets, complete
from tests.support.kube.controllers.kubelet import Behave, Kubelet
from tests.support.kube.controllers.kueue import Kueue
from tests.support.kube.controllers.nodes import NodeLifecycle, Quotas
from tests.support.kube.controllers.runners import Behaviour, Processes
from tests.support.kube.controllers.scheduling import Scheduler
from tests.support.kube.faults import Faults
from tests.support.kube.objects import Obj, Objects
from tests.support.kube.podparts import PodParts
from tests.support.kube.store import Store
from tests.support.kube.table import JOBSETS, NAMESPACES, NODES, PODS, QUEUES, REVIEWS, WHOAMI, Resource, by_path
from tests.support.kube.verbs import Strange, Verbs, read
from tests.support.kube.watching import Tampering
from tests.support.kube.web import Cut, Reply, Request, Web, certificates

ADMIN = "admin-token"
_ROUNDS = 10_000
_IDLE_S = 5.0


def by_annotation(pod: Obj, container: Obj) -> Behaviour:
    """``stand-in/runs-ms``, ``stand-in/exit`` and so on of the pod; else done at once."""
    said = pod["metadata"].get("annotations") or {}
    runs = said.get("stand-in/runs-ms", "0")
    return Behaviour(
        runs_ms=None if runs == "forever" else int(runs),
        exit_code=int(said.get("stand-in/exit", "0")),
        starts_after_ms=int(said.get("stand-in/starts-after-ms", "0")),
        stops_after_ms=int(said.get("stand-in/stops-after-ms", "0")),
        prints=said.get("stand-in/prints", "").encode(),
        out_of_memory="stand-in/oom" in said,
    )


class KubeServer:
    """One API server with its controllers.

    - ``processes``: containers are real processes of this machine; else ``behave`` says how each goes.
      ``kubelets=False``: pods are only what the test writes into their status.
    - ``absent``: groups that are not served, such as ``kueue.x-k8s.io``. ``minor``: of the version it says it is.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        behave: Behave = by_annotation,
        processes: bool = False,
        kubelets: bool = True,
        tls: bool = False,
        auto: bool = True,
        absent: tuple[str, ...] = (),
        minor: int = 36,
        history: int = 50_000,
    ) -> None:
        self.clock = clock or SystemClock()
        self.skew_ms = 0  # what its Date header is ahead of its clock
        self.minor = minor
        self.absent = frozenset(absent)
        self.store = Store(history)
        self.lock = self.store.lock
        self.objects = Objects(self.store, self.clock)
        self.faults, self.watches = Faults(), Tampering()
        self.who = access.Access(self.store)
        self.who.tokens[ADMIN] = access.User("admin", (access.MASTERS,))
        self.strange: list[str] = []  # requests that no test should send
        self._fresh = True
        self._world = World(self.objects, self.absent, notify=self._ring)
        self._root = Path(tempfile.mkdtemp(prefix="stand-in-")) if processes else None
        self._processes = Processes() if processes else None
        self.kubelet = Kubelet(self._world, behave, self._processes, self._root)
        self.controllers: list[Controller] = [*self._made(), *([self.kubelet] if kubelets else [])]
        self._verbs = Verbs(self.objects, self.watches)
        self._parts = PodParts(self.objects, self.kubelet)
        self._closed = False
        self._verbs.alive = lambda: not self._closed
        context, self._ca = certificates() if tls else (None, "")
        self._web = Web(self._handle, lambda: self.clock.now_ms() + self.skew_ms, context)
        self._boot()
        self._worker = threading.Thread(target=self._work, name="stand-in-controllers", daemon=True) if auto else None
        if self._worker is not None:
            self._worker.start()

    def _made(self) -> list[Controller]:
        self.scheduler = Scheduler(self._world)
        admission = Admission(self.store)
        self.objects.mutations.append(admission.mutate)
        self.objects.admissions.append(admission.check)
        world = self._world
        made: list[Controller] = [Namespaces(world)]
        if QUEUES.group not in self.absent:
            kueue = Kueue(world)
            self.objects.mutations.append(kueue.mutate)
            made.append(kueue)
        if JOBSETS.group not in self.absent:
            self.objects.mutations.append(complete)
            made.append(JobSets(world))
        return [*made, Jobs(world), Garbage(world), self.scheduler, NodeLifecycle(world), Quotas(world)]

    def _boot(self) -> None:
        with self.lock:
            for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
                self.objects.create(NAMESPACES, {"metadata": {"name": name}})

    # How to reach it

    @property
    def url(self) -> str:
        return f"{'https' if self._ca else 'http'}://127.0.0.1:{self._web.port}"

    @property
    def runs(self) -> Counter[str]:
        """How many pods started, by the name of their Job: their containers began."""
        return self.kubelet.witness.runs

    @property
    def violations(self) -> list[str]:
        return self._world.violations

    def kubeconfig(self, token: str = ADMIN) -> str:
        return access.kubeconfig(self.url, token, self._ca)

    def access(self, token: str = ADMIN) -> str:
        """What ``k8s.client`` opens it with."""
        return self.kubeconfig(token)

    def user(self, name: str, *groups: str) -> str:
        """A token of a new user, who may do what roles allow."""
        token = f"token-of-{name}"
        self.who.tokens[token] = access.User(name, groups)
        return token

    # What it has

    def add_node(
        self,
        name: str,
        *,
        cpus: int = 16,
        memory: str = "64Gi",
        labels: dict[str, str] | None = None,
        taints: tuple[Obj, ...] = (),
        **resources: int,
    ) -> Obj:
        """A ready node. ``resources``: such as ``**{"nvidia.com/gpu": 8}``."""
        size = {"cpu": str(cpus), "memory": memory, "pods": "110", **{k: str(v) for k, v in resources.items()}}
        body = {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}}, "spec": {}}
        with self.lock:
            self.objects.create(NODES, body)
            ready = machines.ready(size, taints, self.minor, self.objects.now())
            made = self.objects.change(NODES, ("", name), lambda node: node.update(ready))
        assert made is not None
        return made

    def get(self, resource: Resource, name: str, namespace: str = "") -> Obj | None:
        with self.lock:
            return self.store.get(resource, (namespace, name))

    def all(self, resource: Resource, namespace: str = "") -> list[Obj]:
        with self.lock:
            return self.store.all(resource, namespace)

    def edit(self, resource: Resource, name: str, namespace: str, change: Any) -> Obj | None:
        """By hand, past every check: ``change`` edits the object in place."""
        with self.lock:
            return self.objects.change(resource, (namespace, name), change)

    def lose_node(self, name: str) -> None:
        """Its kubelet is out of reach: containers run on, and nobody hears of them."""
        with self.lock:
            self.kubelet.frozen.add(name)
            self.objects.change(NODES, ("", name), lambda node: machines.lose(node, self.objects.now()))

    def find_node(self, name: str) -> None:
        """It is in reach again."""
        with self.lock:
            self.kubelet.thaw(name)
            self.objects.change(NODES, ("", name), lambda node: machines.find(node, self.objects.now()))

    def remove_node(self, name: str) -> None:
        """The machine is gone for good, and with it all that ran there."""
        with self.lock:
            self.kubelet.frozen.discard(name)
            self.objects.delete(NODES, ("", name))

    def evict(self, pod: Obj, message: str = "The node was low on resource: memory.") -> None:
        """By its kubelet, for want of something on the node."""
        with self.lock:
            self.kubelet.end(pod["metadata"]["uid"], "Evicted", message)
            self.store.changed.notify_all()

    def kill(self, pod: Obj, container: str, *, oom: bool = False) -> None:
        """A container by SIGKILL; ``oom``: as the kernel does it for want of memory."""
        with self.lock:
            self.kubelet.kill(pod["metadata"]["uid"], container, oom=oom)

    # How it moves

    def settle(self) -> None:
        """Let controllers act until nothing is left to do now."""
        with self.lock:
            for _ in range(_ROUNDS):
                for controller in self.controllers:
                    controller.step()
                if all(controller.idle for controller in self.controllers):
                    return
        raise AssertionError("the stand-in's controllers do not come to rest")

    def advance(self, ms: int = 0, *, seconds: float = 0) -> None:
        """Move a clock that stands still, stopping wherever something is due."""
        clock: Any = self.clock
        end = clock.now_ms() + ms + round(seconds * 1000)
        with self.lock:
            self.settle()
            while (due := self._due()) is not None and due <= end:
                clock.set(max(due, clock.now_ms()))
                self.settle()
            clock.set(end)
            self.settle()

    def compact(self) -> None:
        """Forget all history: watches and lists from before get 410."""
        with self.lock:
            self.settle()
            self.store.compact()
            self.store.changed.notify_all()

    def restart(self) -> None:
        """Its connections die and it is back at once, with all its data."""
        self._web.refuse()
        self._web.cut()
        self._web.listen()

    def refuse(self) -> None:
        """No connection is taken any more, and those that are open die, until ``accept``."""
        self._web.refuse()
        self._web.cut()

    def accept(self) -> None:
        self._web.listen()

    def bookmarks_every(self, seconds: float) -> None:
        """Of watches that begin from now on."""
        self._verbs.bookmark_s = seconds

    def close_watches(self) -> None:
        with self.lock:
            self.watches.closed += 1
            self.store.changed.notify_all()

    def close(self) -> None:
        with self.lock:
            if self._closed:
                return
            self._closed = True
            self.store.changed.notify_all()
        self.faults.lift()
        self._web.close()
        if self._worker is not None:
            self._worker.join()
        if self._processes is not None:
            self._processes.close()
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _due(self) -> int | None:
        return min((due for controller in self.controllers if (due := controller.due_ms()) is not None), default=None)

    def _ring(self) -> None:
        self._fresh = True

    def _work(self) -> None:
        with self.lock:
            while not self._closed:
                self._fresh = False
                for controller in self.controllers:
                    controller.step()
                if self._fresh or not all(controller.idle for controller in self.controllers):
                    self.store.changed.wait(0)
                    continue
                due = self._due()
                wait = _IDLE_S if due is None else (due - self.clock.now_ms()) / 1000
                self.store.changed.wait(max(0.001, min(_IDLE_S, wait)))

    # What it answers

    def _handle(self, request: Request) -> Reply:
        try:
            return self.faults.around(self._answer, request)
        except failure.Failure as refused:
            headers = {} if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
            return Reply(refused.code, json.dumps(refused.body()).encode(), headers=headers)
        except Cut:
            raise
        except Strange as strange:
            self.strange.append(str(strange))
            why = failure.bad(f"the stand-in does not understand this: {strange}")
            return Reply(400, json.dumps(why.body()).encode())
        except Exception as error:  # noqa: BLE001 - a bug of the stand-in, which the test is to see
            self.strange.append("".join(traceback.format_exception(error)))
            why = failure.Failure(500, "InternalError", f"the stand-in broke: {error!r}")
            return Reply(500, json.dumps(why.body()).encode())

    def _answer(self, request: Request) -> Reply:
        if request.path in ("/livez", "/readyz", "/healthz"):
            return Reply(200, b"ok", "text/plain")
        user = self.who.user(request.headers.get("authorization", ""))
        path = request.path.rstrip("/")
        told = discovery.answer(path, self.minor, self.absent) if request.method == "GET" else None
        if told is not None:
            return Reply(200, json.dumps(told).encode())
        parts = path.strip("/").split("/")
        size = 2 if parts[0] == "api" else 3
        group, rest = ("", parts[2:]) if size == 2 else (parts[1] if len(parts) > 1 else "", parts[3:])
        if (
            parts[0] not in ("api", "apis")
            or not rest
            or discovery.answer("/" + "/".join(parts[:size]), self.minor, self.absent) is None
        ):
            return Reply(404, b"404 page not found\n", "text/plain; charset=utf-8")
        plural = (
            rest[2] if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize") else rest[0]
        )
        resource = by_path(group, parts[size - 1], plural)
        if resource is None or (not resource.namespaced and plural != rest[0]):
            raise failure.no_resource()
        asked = read(request, resource, rest)
        with self.lock:
            if resource is REVIEWS:
                return Reply(201, json.dumps(self.who.review(user, json.loads(asked.body), asked.manager)).encode())
            if resource is WHOAMI:
                return Reply(201, json.dumps(self.who.whoami(user, json.loads(asked.body))).encode())
            self.who.ask(user, asked.verb, resource, asked.namespace, asked.name, asked.part)
        if resource is PODS and asked.part not in ("", "status"):
            return self._parts.do(asked)
        return self._verbs.do(asked)
