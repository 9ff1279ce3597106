"""A WebSocket into a running job, once it is let in: bytes both ways until either end, a limit or the centre ends it.

From the client come bytes for the program, and ``Told`` as JSON. To it go bytes, each message begun by 1 for output or
2 for error output, and one message of JSON: first ``{"open": true}``, at last ``{"exit": code}`` or ``{"closed": why}``.
A channel's calls wait, so each line has two threads of its own while it lasts.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from pydantic import ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.http.schemas.shells import Told
from api.http.services import LineLimits
from lifecycle.driving import Channel, Heard

_READ_S = 1.0
_PIECE = 65_536


class Line:
    """``still`` raises, or answers a sentence, once the line may no longer be."""

    def __init__(
        self, socket: WebSocket, channel: Channel, limits: LineLimits, still: Callable[[], Awaitable[str]]
    ) -> None:
        self._socket = socket
        self._channel = channel
        self._limits = limits
        self._still = still
        self._begun = self._stirred = time.monotonic()
        self._pool = ThreadPoolExecutor(2, "baray-line")

    async def live(self) -> None:
        """Until it ends; tells the client why, and lets go of the channel whatever happens."""
        tasks: list[asyncio.Future[dict[str, Any]]] = []
        said = None
        try:
            await say(self._socket, {"open": True})  # the client may have gone while it was opened
            tasks += [asyncio.ensure_future(part) for part in (self._outward(), self._inward(), self._watch())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            said = await next(iter(done))
        except WebSocketDisconnect:
            pass
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.get_running_loop().run_in_executor(self._pool, self._channel.close)
            self._pool.shutdown(wait=False, cancel_futures=True)
        if said is not None:
            with suppress(RuntimeError, WebSocketDisconnect):  # it has gone meanwhile
                await say(self._socket, said)
                await self._socket.close()

    async def _outward(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        while True:
            heard = await loop.run_in_executor(self._pool, self._channel.read, _READ_S)
            if heard is None:
                continue
            if heard.data:
                self._stirred = time.monotonic()
                mark = b"\2" if heard.error else b"\1"
                for start in range(0, len(heard.data), _PIECE):
                    await self._socket.send_bytes(mark + heard.data[start : start + _PIECE])
            if heard.ended:
                return _end(heard)

    async def _inward(self) -> dict[str, Any]:
        loop = asyncio.get_running_loop()
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code", 1000))
            self._stirred = time.monotonic()
            if data := message.get("bytes"):
                await loop.run_in_executor(self._pool, self._channel.write, data)
                continue
            try:
                told = Told.model_validate_json(message.get("text") or "")
            except ValidationError:
                return {"closed": "the client said what nobody understands"}
            if told.columns and told.rows:
                await loop.run_in_executor(self._pool, self._channel.resize, told.columns, told.rows)
            if told.end:
                await loop.run_in_executor(self._pool, self._channel.end_input)

    async def _watch(self) -> dict[str, Any]:
        while True:
            await asyncio.sleep(self._limits.look_s)
            now = time.monotonic()
            if now - self._stirred > self._limits.idle_s:
                return {"closed": f"nothing was said for {self._limits.idle_s:.0f} seconds"}
            if now - self._begun > self._limits.longest_s:
                return {"closed": f"it was open for {self._limits.longest_s:.0f} seconds"}
            if why := await self._still():
                return {"closed": why}


async def say(socket: WebSocket, what: dict[str, Any]) -> None:
    await socket.send_text(json.dumps(what, ensure_ascii=False))


def _end(heard: Heard) -> dict[str, Any]:
    if heard.exit_code is not None:
        return {"exit": heard.exit_code}
    return {"closed": heard.problem}
