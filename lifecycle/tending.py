"""Tending clusters far away: each keeps a room for every project, and the tenants' quotas, as the centre has them.

A small step of the controller's beat: it says what there must be, and hands it over to whoever does it beside the
controller, since a cluster may be slow. What was found altered by others, and mended, comes back the same way.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from domain.clusters import Tenancy
from lifecycle.clusters import tenancy
from lifecycle.driving import Driver
from lifecycle.ports import Directory, Store

EVERY_MS = 30_000  # what others altered is found so late at the most
SOON_MS = 2_000  # changes of the centre are gathered so long
_SHOWN = 5
_SHOWN_MS = 3_600_000
_LONGEST = 300


class Keepers(Protocol):
    """Tends clusters beside the controller."""

    @property
    def far(self) -> Mapping[str, Driver]:
        """The clusters far away that are open here."""
        ...

    def tend(self, name: str, wanted: Tenancy) -> None:
        """Do so soon; what was asked for before and not begun yet is dropped."""
        ...

    def drift(self) -> list[tuple[str, str]]:
        """What was found since this was asked last: (cluster, sentence)."""
        ...


@dataclass(slots=True)
class Tending:
    """One a controller."""

    store: Store
    keepers: Keepers
    _given: dict[str, tuple[Driver, Tenancy, int]] = field(default_factory=dict)
    _directory: Directory | None = None
    _built_ms: int = -EVERY_MS
    _drift: dict[str, deque[tuple[int, str]]] = field(default_factory=dict)

    def step(self, now_ms: int) -> list[tuple[str, str]]:
        """Hand over what is due. Answers the drift that was found since the last time."""
        found = [(cluster, sentence[:_LONGEST]) for cluster, sentence in self.keepers.drift()]
        for cluster, sentence in found:
            self._drift.setdefault(cluster, deque(maxlen=_SHOWN)).append((now_ms, sentence))
        far = self.keepers.far
        due = [name for name, driver in far.items() if self._due(name, driver, now_ms)]
        if due or (far and now_ms - self._built_ms >= SOON_MS):
            self._hand_over(far, frozenset(due), now_ms)
        return found

    def drift(self, now_ms: int) -> dict[str, tuple[str, ...]]:
        """What was mended of late, by cluster."""
        return {
            cluster: _newest(sentence for at_ms, sentence in found if now_ms - at_ms < _SHOWN_MS)
            for cluster, found in self._drift.items()
        }

    def _due(self, name: str, driver: Driver, now_ms: int) -> bool:
        given = self._given.get(name)
        return given is None or given[0] is not driver or now_ms - given[2] >= EVERY_MS

    def _hand_over(self, far: Mapping[str, Driver], due: frozenset[str], now_ms: int) -> None:
        with self.store.read() as uow:
            directory = uow.directory()
            changed = directory is not self._directory
            names = [name for name in far if (changed or name in due) and name in directory.clusters]
            wanted = {name: tenancy(uow, name) for name in names}
        self._directory, self._built_ms = directory, now_ms
        for name, one in wanted.items():
            if name in due or self._given[name][1] != one:
                self.keepers.tend(name, one)
                self._given[name] = (far[name], one, now_ms)
        self._given = {name: given for name, given in self._given.items() if name in far}


def _newest(sentences: Iterable[str]) -> tuple[str, ...]:
    """Each once, in order."""
    return tuple(dict.fromkeys(sentences))
