"""Shells in pods and ports of pods, over WebSockets: subresources ``exec`` and ``portforward``.

A message's first byte is its channel. Of exec: 0 input, 1 output, 2 errors, 3 how it ended, 4 the terminal's size; with
v5, 255 closes the channel that follows. Of portforward: 2n the bytes of the nth port, 2n + 1 its errors; the first
message of each tells the port.
"""

import base64
import contextlib
import fcntl
import hashlib
import json
import os
import pty
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from typing import Any, BinaryIO

from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, Side, State

from tests.support.kube import failure
from tests.support.kube.controllers.kubelet import Kubelet
from tests.support.kube.objects import Obj
from tests.support.kube.store import Store
from tests.support.kube.verbs import Asked, Strange
from tests.support.kube.web import Reply

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_EXEC = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_FORWARD = ("v4.channel.k8s.io", "portforward.k8s.io")
_PARAMS = {"command", "container", "stdin", "stdout", "stderr", "tty", "ports"}


class Socket:
    """One WebSocket, after its handshake."""

    def __init__(self, connection: socket.socket, reader: BinaryIO) -> None:
        self._connection, self._reader = connection, reader
        self._protocol = Protocol(Side.SERVER, state=State.OPEN, max_size=1 << 24)
        self._lock = threading.Lock()

    def send(self, channel: int, data: bytes) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._protocol.send_binary(bytes([channel]) + data)
            self._flush()

    def messages(self) -> Iterator[bytes]:
        while True:
            try:
                data = self._reader.read1(65_536)  # type: ignore[attr-defined]
            except OSError:
                return
            with self._lock:
                self._protocol.receive_data(data) if data else self._protocol.receive_eof()
                frames = [event for event in self._protocol.events_received() if isinstance(event, Frame)]
                with contextlib.suppress(OSError):
                    self._flush()
            yield from (bytes(frame.data) for frame in frames if frame.opcode in (Opcode.BINARY, Opcode.TEXT))
            if not data or any(frame.opcode is Opcode.CLOSE for frame in frames):
                return

    def close(self) -> None:
        with self._lock, contextlib.suppress(Exception):  # it may be closed already
            self._protocol.send_close(1000)
            self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._connection.sendall(data)


class Sockets:
    def __init__(self, store: Store, kubelet: Kubelet) -> None:
        self._store, self._kubelet = store, kubelet

    def do(self, asked: Asked, pod: Obj) -> Reply:
        """Raises Failure, Strange."""
        if unknown := {name for name, _ in asked.pairs} - _PARAMS:
            raise Strange(f"{asked.part} with parameter {', '.join(sorted(unknown))}")
        if pod["status"].get("phase") != "Running" or pod["spec"].get("nodeName") in self._kubelet.frozen:
            raise failure.Failure(
                500, "InternalError", f"unable to upgrade connection: container not found in pod {asked.name}"
            )
        offered = [word.strip() for word in asked.headers.get("sec-websocket-protocol", "").split(",")]
        known = _EXEC if asked.part == "exec" else _FORWARD
        chosen = next((word for word in known if word in offered), None)
        if asked.headers.get("upgrade", "").lower() != "websocket" or chosen is None:
            raise failure.bad("Upgrade request required")
        serve = self._exec if asked.part == "exec" else self._forward
        name = asked.query.get("container") or pod["spec"]["containers"][0]["name"]
        with self._store.lock:
            life = self._kubelet.lives.get(pod["metadata"]["uid"])
            entry = next((c for c in life.containers if c.spec["name"] == name), None) if life else None
        if life is None or entry is None or entry.state != "running":
            raise failure.bad(f"container {name} is not valid for pod {asked.name}")
        words = [value for key, value in asked.pairs if key == "command"]
        spawn = life.sandbox.spawn({**entry.spec, "command": words, "args": []})

        def taken(connection: socket.socket, reader: BinaryIO) -> None:
            key = asked.headers["sec-websocket-key"] + _GUID
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
                     f"Sec-WebSocket-Accept: {accept}", f"Sec-WebSocket-Protocol: {chosen}", "", "")  # fmt: skip
            connection.sendall("\r\n".join(lines).encode())
            link = Socket(connection, reader)
            serve(link, asked, spawn)
            link.close()

        return Reply(101, taken=taken)

    def _exec(self, link: Socket, asked: Asked, spawn: Any) -> None:
        tty = asked.query.get("tty") in ("true", "1")
        master, slave = pty.openpty() if tty else (-1, -1)
        pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), slave if tty else subprocess.PIPE)
        try:
            process = subprocess.Popen(
                spawn.words, env=spawn.env, cwd=spawn.directory, start_new_session=True, bufsize=0, **pipes
            )
        except OSError as error:
            link.send(
                3,
                json.dumps(
                    failure.Failure(
                        500, "InternalError", f"error executing command in container: {error.strerror}"
                    ).body()
                ).encode(),
            )
            return
        finally:
            if tty:
                os.close(slave)
        outs = [(1, master)] if tty else [(1, process.stdout.fileno()), (2, process.stderr.fileno())]  # type: ignore[union-attr]
        pumps = [threading.Thread(target=_pump, args=(link, channel, fd), daemon=True) for channel, fd in outs]
        for pump in pumps:
            pump.start()
        threading.Thread(target=self._feed, args=(link, process, master), daemon=True).start()
        code = process.wait()
        for pump in pumps:
            pump.join(2.0)
        link.send(3, json.dumps(_ended(code)).encode())
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        if tty:
            os.close(master)

    def _feed(self, link: Socket, process: "subprocess.Popen[bytes]", master: int) -> None:
        """What is typed goes in; who hangs up ends the command."""
        for message in link.messages():
            channel, data = message[0], message[1:]
            with contextlib.suppress(OSError, ValueError):
                if channel == 0 and data:
                    os.write(master if master >= 0 else process.stdin.fileno(), data)  # type: ignore[union-attr]
                elif channel == 255 and data == b"\0" and process.stdin is not None:
                    process.stdin.close()
                elif channel == 4 and master >= 0:
                    size = json.loads(data)
                    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", size["Height"], size["Width"], 0, 0))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGHUP if master >= 0 else signal.SIGKILL)

    def _forward(self, link: Socket, asked: Asked, _: Any) -> None:
        ports = [int(value) for key, values in asked.pairs if key == "ports" for value in values.split(",")]
        ends: dict[int, socket.socket] = {}
        for place, port in enumerate(ports):
            for channel in (2 * place, 2 * place + 1):
                link.send(channel, struct.pack("<H", port))
            try:
                ends[2 * place] = socket.create_connection(("127.0.0.1", port), timeout=5)
                ends[2 * place].settimeout(None)
            except OSError as error:
                link.send(2 * place + 1, f"an error occurred forwarding {port}: {error.strerror}".encode())
        for channel, end in ends.items():
            threading.Thread(target=_relay, args=(link, channel, end), daemon=True).start()
        for message in link.messages():
            if message[0] in ends and message[1:]:
                with contextlib.suppress(OSError):
                    ends[message[0]].sendall(message[1:])
        for end in ends.values():
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _pump(link: Socket, channel: int, fd: int) -> None:
    while True:
        try:
            data = os.read(fd, 32_768)
        except OSError:  # a terminal whose other end is closed
            return
        if not data:
            return
        link.send(channel, data)


def _relay(link: Socket, channel: int, end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := end.recv(32_768):
            link.send(channel, data)
    link.close()


def _ended(code: int) -> dict[str, Any]:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    code = code if code > 0 else 128 - code
    causes = [{"reason": "ExitCode", "message": str(code)}]
    message = f"command terminated with non-zero exit code: exit status {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": "NonZeroExitCode",
        "details": {"causes": causes},
    }
