"""One attempt in its supervisor: prepare, start the ranks, wait for whatever comes, leave nothing behind.

``run`` is the story. Everything waits in one place, ``_turn``: for output of the ranks, the end of a child, a request
to stop, a deadline. ``verdict`` then says how it ended.
"""

# No pathlib here: it would be copied into every fork.
# ruff: noqa: PTH102, PTH123

import math
import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from local.forked import bell, cgroups
from local.forked.crew import Crew
from local.forked.files import write_all
from local.forked.journal import Journal
from local.forked.masking import Masker
from local.forked.order import STOP, WALLTIME, Order, log_name, script_name
from local.forked.pump import Pump
from local.forked.ranks import become_rank
from local.forked.unpack import unpack

_LONGEST_WAIT = 3_600.0  # seconds; poll counts in an int of milliseconds


class Attempt:
    """What happened so far. ``ending`` is the state it was made to end in, or empty; the first reason stands."""

    def __init__(self, order: Order, secrets: dict[str, str], journal: Journal, rung: bell.Bell) -> None:
        self.order = order
        self.crew = Crew()
        self.ranks: list[int] = []  # pids
        self.pumps: list[Pump] = []
        self.ending = ""
        self.killed = False
        self.problem = ""  # why it cannot run: the job's fault
        self.breakdown = ""  # why it cannot run: the centre's fault
        self.first_failed: int | None = None  # rank
        self.survivors = False  # a process that not even SIGKILL ends
        self.started_ms: int | None = None
        self.ended_ms: int | None = None
        self._born = time.time_ns()  # a supervisor is where the machine's clock comes in
        self._born_monotonic = time.monotonic()
        self._secrets = secrets
        self._journal = journal
        self._bell = rung
        self._poll = select.poll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._status: int | None = None  # where ranks tell that they could not start
        self._stop_signal: int = 0  # 0: nobody is there yet who could take it
        self._walltime_from = math.inf  # since when it counts
        self._walltime_at = self._kill_at = math.inf

    def run(self) -> None:
        """Live it. Afterwards nothing of the job runs any more."""
        self._watch(self._bell.fd, self._answer_bell)
        self._heed_stop_file()
        self._heed_walltime_file()
        if self._furnish() and self._unpack_source():
            self._start_ranks()
        while self.crew.alive:
            self._turn()
        while self._status is not None:
            self._hear_ranks()
        self.survivors = not self.crew.kill_rest()
        self.ended_ms = self.now_ms()
        for pump in self.pumps:
            pump.finish()

    def close(self) -> None:
        """Let go of what refers back to us: the collector of cycles is off."""
        self._handlers.clear()

    def now_ms(self) -> int:
        """Counted from one reading of the clock, so that a step of it never makes an attempt end before it began."""
        return self._born // 1_000_000 + int((time.monotonic() - self._born_monotonic) * 1_000)

    def _furnish(self) -> bool:
        """The working directory, the script and the control groups."""
        if self.ending:
            return False
        order, uid = self.order, self.order["uid"]
        try:
            for directory in filter(None, (order["work"], order.get("scratch"))):
                os.mkdir(directory, 0o700)
                if uid >= 0:
                    os.chown(directory, uid, uid)
            for number, script in _scripts(order).items():
                self._write_script(f"{order['front']}/{script_name(number)}", script)
            for part in order["ranks"]:
                for group in part["cgroups"]:
                    cgroups.make(group)
        except OSError as error:
            self.breakdown = f"The place of the job could not be prepared: {error}."
        return not self.breakdown

    def _write_script(self, path: str, text: str) -> None:
        """Readable and runnable for the project alone, and not to be changed by it."""
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            write_all(file, text.encode(errors="surrogatepass"))
            if self.order["uid"] >= 0:
                os.fchown(file, -1, self.order["uid"])
            os.fchmod(file, 0o550)
        finally:
            os.close(file)

    def _unpack_source(self) -> bool:
        """A child does it, as the project's user. A request to stop and the walltime hold for it, too."""
        source = self.order["source"]
        if source is None:
            return True
        try:
            archive = os.open(source, os.O_RDONLY)
        except OSError as error:
            self.breakdown = f"The source could not be read: {error.strerror}."
            return False
        heard, report = os.pipe()
        pid = self.crew.spawn(partial(unpack, archive, self.order["work"], self.order["uid"], report))
        os.close(report)
        os.close(archive)
        self._stop_signal = signal.SIGKILL
        self._set_walltime()
        while self.crew.alive:
            self._turn()
        self._stop_signal = 0
        sentence = os.read(heard, 4096).decode(errors="replace")
        os.close(heard)
        if self.crew.ends[pid] != 0 and not self.ending:
            self.problem = f"The source could not be unpacked: {sentence or 'the unpacking process died'}."
        return not self.problem and not self.ending

    def _start_ranks(self) -> None:
        """Fork every rank. The status pipe tells, by its end, when all have become the user's program."""
        self._status, status = os.pipe()
        secrets: list[bytes] = []
        for value in self._secrets.values():
            with suppress(UnicodeEncodeError):  # it cannot get into an environment either
                secrets.append(value.encode(errors="surrogateescape"))
        self.started_ms = self.now_ms()
        self._set_walltime()
        for rank in range(len(self.order["ranks"])):
            output, pipe = os.pipe()
            pump = Pump(output, f"{self.order['place']}/{log_name(rank)}", self.order["log_limit"], Masker(secrets))
            body = partial(become_rank, self.order, rank, self._secrets, pipe, status)
            self.ranks.append(self.crew.spawn(body))
            os.close(pipe)
            self.pumps.append(pump)
            self._watch(output, partial(self._pump, pump))
        os.close(status)
        self._watch(self._status, self._hear_ranks)

    def _set_walltime(self) -> None:
        self._walltime_from = time.monotonic()
        self._walltime_at = self._walltime_from + self.order["walltime_ms"] / 1_000

    def _turn(self) -> None:
        """Wait for the next thing, and deal with it."""
        wait = min(self._walltime_at, self._kill_at) - time.monotonic()
        for descriptor, _ in self._poll.poll(math.ceil(max(0.0, min(wait, _LONGEST_WAIT)) * 1_000)):
            self._handlers[descriptor]()
        now = time.monotonic()
        if now >= self._walltime_at:
            self._end("timed_out", self.order["grace_ms"])
        if now >= self._kill_at:
            self._kill_at, self.killed = math.inf, True
            self.crew.signal(signal.SIGKILL)

    def _watch(self, descriptor: int, handler: Callable[[], None]) -> None:
        self._handlers[descriptor] = handler
        self._poll.register(descriptor, select.POLLIN)

    def _pump(self, pump: Pump) -> None:
        if not pump.read():
            self._poll.unregister(pump.pipe)

    def _hear_ranks(self) -> None:
        """A rank that could not start says so here; the end of the stream says that nobody is left to say it."""
        assert self._status is not None
        if told := os.read(self._status, 1 << 16):
            for line in told.decode(errors="replace").splitlines():
                _rank, kind, sentence = line.split(" ", 2)
                if kind == "exec":
                    self.problem = self.problem or sentence
                else:
                    self.breakdown = self.breakdown or sentence
            return
        self._poll.unregister(self._status)
        os.close(self._status)
        self._status = None
        self._stop_signal = self.order["stop_signal"]
        if self.ending:
            self.crew.signal(self._stop_signal)
        elif self.crew.alive and not self.problem and not self.breakdown:
            self._journal.note("running", self.started_ms)

    def _answer_bell(self) -> None:
        heard = self._bell.heard()
        for pid in self.crew.reap():
            if pid in self.ranks and self.crew.ends[pid] != 0 and self.first_failed is None and not self.ending:
                self.first_failed = self.ranks.index(pid)
        if self.first_failed is not None and self.crew.alive and not self.ending:
            self._end("failed", self.order["grace_ms"])
        if bell.SHUTDOWN in heard:
            self._end("node_failed", self.order["grace_ms"])
        if bell.REQUEST in heard:
            self._heed_stop_file()
            self._heed_walltime_file()

    def _heed_stop_file(self) -> None:
        try:
            with open(f"{self.order['place']}/{STOP}") as request:
                self._end("cancelled", int(request.read()))
        except FileNotFoundError:
            return

    def _heed_walltime_file(self) -> None:
        """A longer walltime counts from the same moment. It only ever grows; what has ended stays so."""
        try:
            with open(f"{self.order['place']}/{WALLTIME}") as extension:
                text, _, words = extension.read().partition(" ")
        except FileNotFoundError:
            return
        walltime_ms = int(text)
        if walltime_ms > self.order["walltime_ms"]:
            self.order["walltime_ms"], self.order["walltime"] = walltime_ms, words
            if self._walltime_at != math.inf:
                self._walltime_at = self._walltime_from + walltime_ms / 1_000

    def _end(self, state: str, grace_ms: int) -> None:
        """The stop signal now, SIGKILL after the grace. Asked again, only a shorter grace changes anything."""
        if not self.ending:
            self.ending = state
            self._walltime_at = math.inf
            self._journal.note("stopping", self.started_ms)
            if self._stop_signal:
                self.crew.signal(self._stop_signal)
        if not self.killed:
            self._kill_at = min(self._kill_at, time.monotonic() + grace_ms / 1_000)


def _scripts(order: Order) -> dict[int | None, str]:
    """Those to be written down: the one of all ranks (None), or by number those of the roles."""
    roles = [role for rank in order["ranks"] if (role := rank.get("role")) is not None]
    found: dict[int | None, str | None] = {None: order["script"], **{role["number"]: role["script"] for role in roles}}
    return {number: text for number, text in found.items() if text is not None}
