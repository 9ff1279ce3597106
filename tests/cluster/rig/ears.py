"""The kubelets' own servers, as far as logs go: kwok follows a log for ever, a kubelet until its container has ended.

All nodes point here. What is asked for is read off the pod: ``KWOK_PRINT`` is what it prints as it starts, with ``%i``
for its completion index, ``KWOK_PRINT_END`` as it ends. Everything else, such as exec, is passed on to kwok.
"""

import asyncio
import contextlib
import datetime as dt
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.cluster.rig.calls import Answered, Calls

_PIECE = 1 << 16
_LOOK_S = 0.1


class Ears:
    def __init__(self, calls: Calls, certificate: Path, key: Path, kwok: int) -> None:
        self._calls, self._kwok = calls, kwok
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate, key)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="ears", daemon=True)
        self._listening = threading.Event()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._take, "127.0.0.1", 0, ssl=self._tls))
        self.port = server.sockets[0].getsockname()[1]
        self._listening.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0.05))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            target = urlsplit(head.split(b" ", 2)[1].decode())
            words = [unquote(word) for word in target.path.split("/")[1:]]
            if words[0] == "containerLogs" and len(words) == 4:
                query = {name: values[0] for name, values in parse_qs(target.query).items()}
                await self._answer(words[1], words[2], words[3], query, writer)
            else:
                await self._pass_on(head, reader, writer)
        writer.transport.abort()

    async def _answer(
        self, namespace: str, pod: str, container: str, query: dict[str, str], writer: asyncio.StreamWriter
    ) -> None:
        lines = self._lines(
            f"/api/v1/namespaces/{namespace}/pods/{pod}", container, follow=query.get("follow") == "true"
        )
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        since = query.get("sinceTime", "")
        async for stamp, text in lines:
            if since and stamp[:19] < since[:19]:
                continue
            line = (f"{stamp} {text}\n" if query.get("timestamps") == "true" else f"{text}\n").encode()
            writer.write(b"%x\r\n%s\r\n" % (len(line), line))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def _lines(self, path: str, container: str, *, follow: bool) -> AsyncIterator[tuple[str, str]]:
        """(time, text) of each line. Of a pod that is gone there is no more."""
        begun = False
        while True:
            found = await self._loop.run_in_executor(None, self._look, path, container)
            if found is None:
                return
            state, index, env = found
            at = state.get("running") or state.get("terminated")
            if at and not begun:
                begun = True
                for line in _printed(env.get("KWOK_PRINT", ""), at["startedAt"], index, 1):
                    yield line
            if "terminated" in state:
                for line in _printed(env.get("KWOK_PRINT_END", ""), at["finishedAt"], index, 500_000_000):
                    yield line
                return
            if not follow:
                return
            await asyncio.sleep(_LOOK_S)

    def _look(self, path: str, container: str) -> tuple[dict[str, Any], str, dict[str, str]] | None:
        try:
            pod = self._calls.find(path)
        except (Answered, OSError):
            return None
        if pod is None:
            return None
        states = {one["name"]: one["state"] for one in pod["status"].get("containerStatuses", [])}
        env = {
            one["name"]: one.get("value", "")
            for spec in pod["spec"]["containers"] if spec["name"] == container
            for one in spec.get("env", [])
        }  # fmt: skip
        index = (pod["metadata"].get("annotations") or {}).get("batch.kubernetes.io/job-completion-index", "0")
        return states.get(container, {}), index, env

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        trust = ssl.create_default_context()
        trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE  # ours, on this machine, as the nodes' are
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._kwok, ssl=trust)
        far_writer.write(head)
        ways = [
            asyncio.ensure_future(_pass(reader, far_writer)),
            asyncio.ensure_future(_pass(far_reader, writer)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        far_writer.transport.abort()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            await writer.drain()


def _printed(text: str, at: str, index: str, first: int) -> list[tuple[str, str]]:
    """Lines of one second, a nanosecond after the other: what is printed first has the earlier stamp."""
    moment = dt.datetime.fromisoformat(at).astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S")
    lines = text.replace("%i", index).splitlines()
    return [(f"{moment}.{number:09d}Z", line) for number, line in enumerate(lines, first)]
