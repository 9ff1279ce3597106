"""The centre's typical jobs, for the placement score."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from domain.fleet import CPU_FLAVOR
from scheduler.score import Mix, Shape
from scheduler.snapshot import State


@dataclass(frozen=True)
class Typical(Mapping[str, Mix]):
    """By flavor, what waits for it and what holds it now, each as often as it has nodes. A job array counts once.

    Counted when first asked for: most plans place nothing.
    """

    state: State

    def __getitem__(self, flavor: str) -> Mix:
        return self._mixes[flavor]

    def __iter__(self) -> Iterator[str]:
        return iter(self._mixes)

    def __len__(self) -> int:
        return len(self._mixes)

    @cached_property
    def _mixes(self) -> dict[str, Mix]:
        state = self.state
        counts: Counter[tuple[str, int, int, int]] = Counter(state.live.shapes)
        for demand, jobs in zip(state.queue.demands, state.queue.counts, strict=True):
            asked = demand.resources
            for flavor in asked.flavors if jobs else ():
                counts[flavor, asked.gpus, asked.cpus, asked.memory_bytes] += jobs * asked.nodes
        by_flavor: dict[str, list[tuple[Shape, int]]] = {}
        for (flavor, gpus, cpus, memory), count in counts.items():
            if flavor != CPU_FLAVOR:
                by_flavor.setdefault(flavor, []).append((Shape(gpus, cpus, memory), count))
        return {flavor: Mix.of(pairs) for flavor, pairs in by_flavor.items()}
