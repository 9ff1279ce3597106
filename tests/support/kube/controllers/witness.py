"""Watches that no cluster is made to do what no cluster may: what it finds are ``violations``, which tests look at."""

from collections import Counter
from collections.abc import Iterable

from tests.support.kube.controllers.base import World, controller_of
from tests.support.kube.controllers.jobpods import INDEX
from tests.support.kube.controllers.life import Life
from tests.support.kube.controllers.scheduling import requests
from tests.support.kube.objects import Obj
from tests.support.kube.quantities import milli, written
from tests.support.kube.table import NODES


class Witness:
    """``runs`` counts the pods that started, by the name of their Job."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.runs: Counter[str] = Counter()

    def started(self, life: Life, pod: Obj, lives: Iterable[Life]) -> None:
        """The first of a pod's own containers begins."""
        owner = controller_of(pod)
        self.runs[str(owner["name"] if owner else pod["metadata"]["name"])] += 1
        alive = [
            other for other in lives if other is not life and any(entry.state == "running" for entry in other.mains)
        ]
        twins = [other for other in alive if self.identity(other.pod) == self.identity(pod)]
        for twin in twins:
            names = f"{pod['metadata']['name']} and {twin.key[1]}"
            self._world.violations.append(f"two pods of one rank are alive: {names}")
        self._weigh(life.node, [pod, *(other.pod for other in alive if other.node == life.node)])

    @staticmethod
    def identity(pod: Obj) -> tuple[str, str]:
        """Of what there may be one alive: an index of a Job; a pod otherwise."""
        owner = controller_of(pod)
        index = (pod["metadata"].get("annotations") or {}).get(INDEX)
        if owner is None or index is None:
            return "", str(pod["metadata"]["uid"])
        return f"{pod['metadata']['namespace']}/{owner['name']}", str(index)

    def _weigh(self, name: str, pods: list[Obj]) -> None:
        node = self._world.store.get(NODES, ("", name))
        if node is None:
            return
        held: Counter[str] = Counter()
        for pod in pods:
            held.update(requests(pod["spec"]))
        for resource, amount in ((node.get("status") or {}).get("allocatable") or {}).items():
            if held[resource] > milli(amount):
                self._world.violations.append(
                    f"{name} has {amount} {resource}, and its pods hold {written(held[resource])}"
                )
