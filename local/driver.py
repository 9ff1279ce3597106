"""The local driver: attempts as real processes on this machine. Implements ``lifecycle.driving.Driver``.

``start`` lays an attempt down on disk and sends its order to the warden, which forks a supervisor for it; from then
on the disk tells all (see ``claim`` and ``tracking``). So a driver that comes after a crash reads the markers of
``live/``, looks at each attempt, and goes on where the last one ended.
"""

import hashlib
import os
import pwd
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from domain.clusters import Tenancy
from domain.errors import NotFound, Unavailable
from domain.fleet import Inventory, LogChunk
from domain.ids import AttemptId
from domain.jobs import Launch, Sight
from lifecycle.driving import Channel
from lifecycle.ports import Clock
from local.gpus import Machine, visible_names
from local.keeper import Keeper
from local.limits import find_limits
from local.orders import DEFAULT_PATH, OrderBook
from local.places import Places, closed_to_others
from local.reading import read_log, read_output
from local.shells import open_port, open_shell

_MIB = 1 << 20
_ELSEWHERE = Path("/var/lib")


class LocalDriver:
    """Construct one for each root directory; it does nothing there before the first call that needs it.

    - ``machine``: nodes and devices, from ``local.gpus``.
    - ``wake`` is called from any thread, and must only note that there is something to observe.
    - ``sources`` gives the path of a stored source by its sha256, or raises NotFound.
    - ``uid_base``: as root, project 7 runs as user and group ``uid_base + 7``. None: as the service's own user.
    - ``work_root``: where the jobs' own directories lie. None: under ``root``; but where the users of projects may not
      pass through to there, as with a root below /root, under /var/lib.
    - ``search_path``: the jobs' PATH.
    """

    def __init__(
        self,
        *,
        root: Path,
        machine: Machine,
        clock: Clock,
        wake: Callable[[], None] = lambda: None,
        sources: Callable[[str], Path] | None = None,
        uid_base: int | None = None,
        work_root: Path | None = None,
        search_path: str = DEFAULT_PATH,
        log_limit_bytes: int = 64 * _MIB,
        output_limit_bytes: int = 256 * _MIB,
        python: str = sys.executable,
    ) -> None:
        self._nodes = machine.nodes
        self._uid_base = uid_base if os.geteuid() == 0 else None
        self._tag = f"baray-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:12]}"
        self._places = Places(root.absolute(), work_root or self._open_way(root))
        self._limits = find_limits(self._tag, machine.nodes, real_gpus=bool(machine.visible))
        self._book = OrderBook(
            limits=self._limits,
            visible=visible_names(machine),
            sources=sources or _no_sources,
            uid_base=self._uid_base,
            search_path=search_path,
            log_limit=log_limit_bytes,
            output_limit=output_limit_bytes,
        )
        self._clock = clock
        self._wake = wake
        self._python = python
        self._lock = Lock()
        self._kept: Keeper | None = None
        self._closed = False

    def inventory(self) -> Inventory:
        images = "Images are ignored: jobs run on this machine's own system."
        return Inventory(self._nodes, (*self._limits.notes(), *self._user_notes(), images))

    def start(self, launch: Launch) -> None:
        self._keeper().start(launch)

    def stop(self, attempt: AttemptId, grace_ms: int) -> None:
        self._keeper().stop(attempt, grace_ms)

    def extend(self, attempt: AttemptId, walltime_ms: int) -> None:
        self._keeper().extend(attempt, walltime_ms)

    def observe(self) -> Sight:
        return Sight(self._keeper().observe())

    def forget(self, attempt: AttemptId) -> None:
        self._keeper().forget(attempt)

    def logs(self, attempt: AttemptId, rank: int, offset: int, limit: int) -> LogChunk:
        return read_log(self._places.of(attempt), rank, offset, limit)

    def output(self, attempt: AttemptId, path: str, offset: int, limit: int) -> bytes | None:
        return read_output(self._places.of(attempt), path, offset, limit)

    def preview(self, launch: Launch) -> tuple[Mapping[str, Any], ...]:  # noqa: ARG002 - a process is no object
        return ()

    def tend(self, tenancy: Tenancy) -> tuple[str, ...]:  # noqa: ARG002 - users are all that projects need here
        return ()

    def exec(self, attempt: AttemptId, rank: int, command: Sequence[str], *, tty: bool) -> Channel:
        return open_shell(self._keeper().order_of(attempt, rank), rank, command, self._python, tty=tty)

    def forward(self, attempt: AttemptId, rank: int, port: int) -> Channel:
        self._keeper().order_of(attempt, rank)
        return open_port(port)

    def discard(self, attempt: AttemptId) -> None:
        """Remove all files of an attempt that was forgotten long ago."""
        self._places.of(attempt).discard()

    def forget_order(self, attempt: AttemptId) -> None:
        """Remove what a forgotten attempt was started with."""
        place = self._places.of(attempt)
        if not place.marker.exists():
            place.spec.unlink(missing_ok=True)

    def close(self) -> None:
        with self._lock:
            keeper, self._kept, self._closed = self._kept, None, True
        if keeper is not None:
            keeper.close()

    def _keeper(self) -> Keeper:
        """Made by the first who needs it. Raises Unavailable while another process keeps this root."""
        with self._lock:
            if self._closed:
                raise Unavailable("The local cluster was let go: Baray is shutting down.")
            if self._kept is None:
                self._kept = Keeper(self._places, self._book, self._clock, self._wake, self._python)
            return self._kept

    def _open_way(self, root: Path) -> Path | None:
        """Another place for the jobs' own, where it is needed: a project's user must be able to get to it."""
        if self._uid_base is None or closed_to_others(root) is None:
            return None
        return _ELSEWHERE / self._tag

    def _user_notes(self) -> list[str]:
        if self._uid_base is not None:
            closed = closed_to_others(self._places.root)
            if closed is None:
                return []
            return [f"Jobs run in {self._places.fronts}, since their users may not pass through {closed}."]
        try:
            user = pwd.getpwuid(os.geteuid()).pw_name
        except KeyError:  # as in a container
            user = str(os.geteuid())
        return [f"All jobs run as the user {user}: serve only people who trust each other with everything."]


def _no_sources(sha256: str) -> Path:
    raise NotFound(f"no source {sha256} is kept here")
