"""What the API needs, made by ``runtime.wiring`` and handed to every request."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from domain.errors import Unavailable
from lifecycle.driving import Driver, Gateway, Passes, Shelf
from lifecycle.lookout import Lookout
from lifecycle.passwords import Hasher
from lifecycle.ports import Clock, Sources, Store, Vault
from lifecycle.registry import Registry
from lifecycle.tokens import Lifetimes


class Bell:
    """Lets requests wait for "something changed", rung from any thread. A waiter may miss nothing that is rung after
    it asked for its turn; waking without cause is allowed.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def ring(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, set()
        for loop, event in waiting:
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)

    def turn(self) -> asyncio.Event:
        """An event that the next ring sets. Ask for it before looking at the state it guards."""
        event = asyncio.Event()
        with self._lock:
            self._waiting.add((asyncio.get_running_loop(), event))
        return event


def _no_gateway() -> Gateway:
    raise Unavailable("this process reaches no clusters")


@dataclass(frozen=True, slots=True)
class LineLimits:
    """How long a shell or a forwarded connection may be silent, and last; how often it is asked whether it may still be."""

    idle_s: float = 30 * 60.0
    longest_s: float = 12 * 3_600.0
    look_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Services:
    """``wake`` asks the controller for a cycle; ``metrics`` renders the Prometheus page.

    ``gateway`` makes what reaches clusters far away when it is first needed; ``exec_plugins``: their kubeconfigs may
    start programs of this machine, where an administrator allows it. Pods speak to ``shelf`` with what ``passes`` issued.
    ``registry`` is asked about institutions by their registration number. ``passwords``: None where nobody logs in with one.
    """

    store: Store
    lookout: Lookout
    drivers: Mapping[str, Driver]
    vault: Vault
    sources: Sources
    clock: Clock
    wake: Callable[[], None]
    metrics: Callable[[], bytes]
    observe_request: Callable[[str, str, int, float], None]
    version: str
    gateway: Callable[[], Gateway] = _no_gateway
    exec_plugins: bool = False
    shelf: Shelf | None = None
    passes: Passes | None = None
    registry: Registry | None = None
    passwords: Hasher | None = None
    lifetimes: Lifetimes = field(default_factory=Lifetimes)
    public_url: str = ""  # the address under which people reach the centre; empty: the one that was asked
    line_limits: LineLimits = LineLimits()
    notes: tuple[str, ...] = ()
    step_up_ms: int = 0  # how long ago a login may be for decisions; 0: as long as the token lasts
    bell: Bell = field(default_factory=Bell)
    privacy_contact: str = ""  # where to turn to about one's data; every answer on it says so
    used_tokens: dict[int, int] = field(default_factory=dict)  # token id -> last use, written down by the controller
