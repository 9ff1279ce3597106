"""How much an attempt would break a node up: the fragmentation gradient, as a score from 0 to 100, smaller is better.

A free GPU is a fragment for a job that cannot use it: too few devices beside it, too little left of it, or no cores or
memory to go with it. Weng et al. ("Beware of Fragmentation", USENIX ATC'23) take the centre's typical jobs and place each
arrival where the expected fragments grow least. They ask of the typical jobs one at a time, and so see a shortage of
cores only when the next job would not fit. Here a second part is added: what would stay free if the node were filled
with the average job. It sends jobs that need few cores to nodes with few cores a GPU from the start.

Scores are integers, so that small differences do not spread jobs over many nodes; of equal nodes the caller takes the
fullest, then the first. Cores and memory may be in any unit, the same one everywhere. All is exact: no floating point.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

WHOLE = 1000
MIDDLE = 50
_HALF_WAY = 2000  # milli: growing by this much scores half way from MIDDLE to the end


@dataclass(frozen=True, slots=True, order=True)
class Shape:
    """What an attempt takes of one node: ``devices``, ``milli`` thousandths of each (a part only of one device)."""

    devices: int
    cpus: int
    memory: int
    milli: int = WHOLE


@dataclass(frozen=True, slots=True)
class Free:
    """What is free on a node. ``devices`` has the free thousandths of each of its devices, ascending."""

    cpus: int
    memory: int
    devices: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Fit:
    """A way to place a shape: its score, and how many thousandths are free now on the devices that it takes."""

    score: int
    device: int


@dataclass(frozen=True, slots=True)
class Mix:
    """The centre's typical shapes with how often each is seen, the most frequent first; jobs without GPUs left out.

    ``milli``, ``cpus`` and ``memory`` are the sums over all of them: the average job, times ``weight``.
    """

    shapes: tuple[tuple[Shape, int], ...]
    weight: int
    milli: int
    cpus: int
    memory: int
    _usable: dict[tuple[int, ...], tuple[int, ...]] = field(default_factory=dict, init=False, compare=False, repr=False)

    @classmethod
    def of(cls, counts: Iterable[tuple[Shape, int]], most: int = 20) -> "Mix":
        """The ``most`` most frequent shapes. A shape may come several times: its counts are added."""
        seen: Counter[Shape] = Counter()
        for shape, count in counts:
            if shape.devices and count > 0:
                seen[shape] += count
        kept = tuple(sorted(seen.items(), key=lambda pair: (-pair[1], pair[0]))[:most])
        return cls(
            kept,
            sum(count for _, count in kept),
            sum(shape.devices * shape.milli * count for shape, count in kept),
            sum(shape.cpus * count for shape, count in kept),
            sum(shape.memory * count for shape, count in kept),
        )

    def usable(self, devices: tuple[int, ...]) -> tuple[int, ...]:
        """For each shape, the free thousandths on devices that could serve it; 0 where too few devices could."""
        known = self._usable.get(devices)
        if known is None:
            known = self._usable[devices] = tuple(_usable(shape, devices) for shape, _ in self.shapes)
        return known


def fragments(mix: Mix, free: Free) -> int:
    """Free thousandths of GPU on a node that the mix could not use: by one job more, plus by filling the node up.

    The first part is the mean over the mix; the second what stays free if the average job took all cores or memory.
    """
    total = sum(free.devices)
    if not total or not mix.shapes:
        return 0
    cpus, memory = free.cpus, free.memory
    used = 0
    for (shape, count), usable in zip(mix.shapes, mix.usable(free.devices), strict=True):
        if shape.cpus <= cpus and shape.memory <= memory:
            used += usable * count
    filled = total
    if mix.cpus:
        filled = min(filled, cpus * mix.milli // mix.cpus)
    if mix.memory:
        filled = min(filled, memory * mix.milli // mix.memory)
    return total - used // mix.weight + total - filled


def gradient(mix: Mix, shape: Shape, free: Free) -> Fit | None:
    """The best way to place a shape on a node: the one whose fragments grow least; None if it does not fit.

    Of equal ways the fullest device. A score below MIDDLE mends fragments, above it makes some.
    """
    before = fragments(mix, free)
    best: Fit | None = None
    for device in ways(shape, free):
        score = rounded(fragments(mix, after(shape, free, device)) - before)
        if best is None or score < best.score:
            best = Fit(score, device)
    return best


def ways(shape: Shape, free: Free) -> tuple[int, ...]:
    """The different devices that could serve, by what is free on them; 0 stands for none asked; empty: no way."""
    if shape.cpus > free.cpus or shape.memory > free.memory:
        return ()
    if shape.devices == 0:
        return (0,)
    if shape.milli == WHOLE:
        return (WHOLE,) if free.devices.count(WHOLE) >= shape.devices else ()
    return tuple(dict.fromkeys(milli for milli in free.devices if milli >= shape.milli))


def after(shape: Shape, free: Free, device: int) -> Free:
    """What is free once the shape was placed on devices with so many thousandths free (one of ``ways``)."""
    devices = list(free.devices)
    for _ in range(shape.devices):
        devices.remove(device)
        devices.append(device - shape.milli)
    return Free(free.cpus - shape.cpus, free.memory - shape.memory, tuple(sorted(devices)))


def rounded(growth: int) -> int:
    """A growth of fragments as a score from 0 to 100: a step is 40 thousandths near no growth, and wider far from it."""
    return MIDDLE + MIDDLE * growth // (_HALF_WAY + abs(growth))


def _usable(shape: Shape, devices: tuple[int, ...]) -> int:
    able = [milli for milli in devices if milli >= shape.milli]
    return sum(able) if len(able) >= shape.devices else 0
