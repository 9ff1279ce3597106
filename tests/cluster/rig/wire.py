"""The wire between a centre and a cluster, which a test may cut, stall or make lose answers while the cluster goes on.

Bytes are passed as they are: TLS goes through from end to end.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Any, Self

_PIECE = 1 << 16


class Mode(Enum):
    WHOLE = "whole"
    CUT = "cut"  # what is open is closed, and nothing new is taken
    STALLED = "stalled"  # nothing passes either way
    MUTE = "mute"  # requests arrive, answers do not


class Wire:
    """Listens on a port of its own and passes all on to ``target``, as ``mode`` allows."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._mode = Mode.WHOLE
        self._loop = asyncio.new_event_loop()
        self._moved = asyncio.Event()
        self._open: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, name="wire", daemon=True)
        self._listening = threading.Event()
        self.port = 0
        self.swallowed = 0  # bytes of answers that were lost

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._do(self._loop.stop)
        self._thread.join(10)

    def kubeconfig(self, of: dict[str, Any]) -> dict[str, Any]:
        """The kubeconfig with this wire between."""
        (named,) = of["clusters"]
        cluster = {**named["cluster"], "server": f"https://127.0.0.1:{self.port}"}
        return {**of, "clusters": [{**named, "cluster": cluster}]}

    def mend(self) -> None:
        """All passes again; what has lost something is closed, as TLS could make nothing of it."""
        self._do(lambda: self._set(Mode.WHOLE))

    def cut(self) -> None:
        self._do(lambda: self._set(Mode.CUT))

    def stall(self) -> None:
        self._do(lambda: self._set(Mode.STALLED))

    def mute(self) -> None:
        self._do(lambda: self._set(Mode.MUTE))

    def _do(self, what: Callable[[], Any]) -> None:
        done = threading.Event()

        def act() -> None:
            what()
            done.set()

        self._loop.call_soon_threadsafe(act)
        assert done.wait(10)

    def _set(self, mode: Mode) -> None:
        if mode is Mode.CUT or self._mode is Mode.MUTE:
            for writer in list(self._open):
                writer.transport.abort()
        self._mode = mode
        self._moved.set()
        self._moved = asyncio.Event()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._take, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            for writer in list(self._open):
                writer.transport.abort()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(asyncio.sleep(0.05))
            self._loop.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is Mode.CUT:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        both = (writer, far_writer)
        self._open.update(both)
        ways = [
            asyncio.ensure_future(self._pass(reader, far_writer, answers=False)),
            asyncio.ensure_future(self._pass(far_reader, writer, answers=True)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._open.difference_update(both)
            for one in both:
                one.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while piece := await reader.read(_PIECE):
                while self._mode is Mode.STALLED:
                    await self._moved.wait()
                if answers and self._mode is Mode.MUTE:
                    self.swallowed += len(piece)
                    continue
                writer.write(piece)
                await writer.drain()
