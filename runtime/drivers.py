"""The drivers of all clusters: this machine's own, and one for each cluster far away that the database knows.

They follow the database: ``refresh`` opens what is new, opens again what is dealt with otherwise or by new credentials,
and closes what was removed. The controller asks for it on its beat; whoever misses a driver has it asked for too.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from dataclasses import dataclass, replace

import structlog

from domain.clusters import ClusterConfig, Tenancy
from domain.errors import BarayError
from lifecycle.clusters import unseal
from lifecycle.driving import Driver, Gateway
from lifecycle.ports import ClusterRecord, Directory, Store, Vault

log = structlog.get_logger(__name__)

_LOOK_S = 1.0  # the database is asked so often at the most
_RETRY_S = 30.0  # one that could not be opened is tried again so often
_SENTENCES_KEPT = 100

_Manner = tuple[ClusterConfig, str]  # how a cluster is dealt with, and by which credentials


@dataclass(frozen=True, slots=True)
class _Open:
    driver: Driver
    manner: _Manner
    keeper: "_Keeper"


class Drivers(Mapping[str, Driver]):
    """By cluster. To iterate and to ask whether one is there is a look; to take one that is missing looks it up."""

    def __init__(
        self,
        own: Mapping[str, Driver],
        store: Store,
        vault: Vault,
        gateway: Callable[[], Gateway],
        wake: Callable[[], None],
        look_s: float = _LOOK_S,
    ) -> None:
        self._look_s = look_s
        self._own, self._store, self._vault, self._gateway, self._wake = own, store, vault, gateway, wake
        self._turn = threading.Lock()  # one refreshes at a time
        self._open: dict[str, _Open] = {}  # replaced whole, so that readers need no lock
        self._all: dict[str, Driver] = dict(own)
        self._troubles: dict[str, str] = {}
        self._sentences: deque[tuple[str, str]] = deque(maxlen=_SENTENCES_KEPT)
        self._seen: Directory | None = None
        self._complete = False  # all that is there was opened, as far as it can be
        self._looked_s = self._tried_s = float("-inf")
        self._closed = False

    # A mapping, as of one moment.

    def __getitem__(self, name: str) -> Driver:
        found = self._all.get(name)
        if found is None:
            self.refresh()
            found = self._all[name]
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, name: object) -> bool:
        return name in self._all

    def keys(self) -> KeysView[str]:
        return self._all.keys()

    def values(self) -> ValuesView[Driver]:
        return self._all.values()

    def items(self) -> ItemsView[str, Driver]:
        return self._all.items()

    @property
    def far(self) -> Mapping[str, Driver]:
        return {name: one.driver for name, one in self._open.items()}

    @property
    def troubles(self) -> Mapping[str, str]:
        """Why those cannot be opened that cannot."""
        return self._troubles

    # Following the database.

    def refresh(self, *, opens: bool = True) -> None:
        """Take in what changed; quick if nothing did. Without ``opens`` only what is open already is kept in step."""
        with self._turn:
            now_s = time.monotonic()
            if self._closed or (now_s - self._looked_s < self._look_s and (self._complete or not opens)):
                return
            self._looked_s = now_s
            retries = opens and bool(self._troubles) and now_s - self._tried_s >= _RETRY_S
            with self._store.read() as uow:
                directory = uow.directory()
                if directory is self._seen and (self._complete or not opens) and not retries:
                    return
                wanted = {name: _manner(one) for name, one in directory.clusters.items() if one.config is not None}
                changed = [
                    name
                    for name, manner in wanted.items()
                    if (opens or name in self._open) and (name not in self._open or self._open[name].manner != manner)
                ]
                sealed = {name: uow.clusters.access(name) for name in changed}
            self._tried_s = now_s
            self._follow(wanted, sealed)
            self._seen, self._complete = directory, opens or (self._complete and wanted.keys() <= self._open.keys())

    def _follow(self, wanted: Mapping[str, _Manner], sealed: Mapping[str, bytes | None]) -> None:
        opened = {name: one for name, one in self._open.items() if name in wanted}
        self._troubles = {name: why for name, why in self._troubles.items() if name in wanted and name not in sealed}
        for name, access in sealed.items():
            try:
                opened[name] = self._opened(name, wanted[name], access)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one of them, the others go on
                # No text of a stranger's is told: it may hold a secret.
                why = error.message if isinstance(error, BarayError) else f"unexpectedly ({type(error).__name__})"
                log.warning("a cluster cannot be opened", cluster=name, why=why)
                self._troubles[name] = why
                opened.pop(name, None)
        before, self._open = self._open, opened
        self._all = {**self._own, **{name: one.driver for name, one in opened.items()}}
        for name, one in before.items():
            if opened.get(name) is not one:
                _close(name, one)

    def _opened(self, name: str, manner: _Manner, sealed: bytes | None) -> _Open:
        access, pull_secret = unseal(self._vault, sealed or b"")
        driver = self._gateway().open(name, access, replace(manner[0], pull_secret=pull_secret), self._wake)
        return _Open(driver, manner, _Keeper(name, driver, self._told))

    # Tending, beside the controller.

    def tend(self, name: str, wanted: Tenancy) -> None:
        """See ``lifecycle.tending.Keepers``: one thread a cluster, from the first time that it is tended."""
        found = self._open.get(name)
        if found is not None:
            found.keeper.tend(wanted)

    def drift(self) -> list[tuple[str, str]]:
        return [self._sentences.popleft() for _ in range(len(self._sentences))]

    def _told(self, cluster: str, sentences: tuple[str, ...]) -> None:
        self._sentences.extend((cluster, sentence) for sentence in sentences)

    def close(self) -> None:
        """Let go of all clusters, this machine's own too. What runs goes on."""
        with self._turn:
            self._closed = True
            before, self._open = self._open, {}
        for name, one in before.items():
            _close(name, one)
        for driver in self._own.values():
            driver.close()


class _Keeper:
    """Tends one cluster in a thread of its own. What was asked for last is what counts."""

    def __init__(self, name: str, driver: Driver, told: Callable[[str, tuple[str, ...]], None]) -> None:
        self._name, self._driver, self._told = name, driver, told
        self._news = threading.Condition()
        self._wanted: Tenancy | None = None
        self._thread: threading.Thread | None = None
        self._ended = False

    def tend(self, wanted: Tenancy) -> None:
        with self._news:
            if self._ended:
                return
            self._wanted = wanted
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=f"tend-{self._name}", daemon=True)
                self._thread.start()
            self._news.notify()

    def end(self) -> None:
        """It finishes what it is at, and nobody waits for that."""
        with self._news:
            self._ended = True
            self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._ended or self._wanted is not None)
                wanted, self._wanted = self._wanted, None
                if self._ended or wanted is None:
                    return
            try:
                self._told(self._name, self._driver.tend(wanted))
            except BarayError as error:
                log.warning("a cluster cannot be tended now", cluster=self._name, why=error.message)
            except Exception:
                log.exception("a cluster cannot be tended", cluster=self._name)


def _manner(cluster: ClusterRecord) -> _Manner:
    assert cluster.config is not None
    return cluster.config, cluster.access


def _close(name: str, one: _Open) -> None:
    one.keeper.end()
    try:
        one.driver.close()
    except Exception:
        log.exception("a cluster was not closed properly", cluster=name)
