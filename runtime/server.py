"""One process: the API in the main thread's event loop, the controller in a thread beside it, and X-Road's door in another."""

import gc
import socket
import sys
import threading
from collections.abc import Callable

import uvicorn

from domain.errors import CannotStart
from runtime.edge import tls_of
from runtime.protocol import BoundedHttp
from runtime.wiring import Centre
from runtime.xroad import Door

_BACKLOG = 512
_TURN_S = 0.0005


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises CannotStart if the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"cannot listen on {host}, port {port}: {error.strerror}",
            fix="choose another with --port, or 0 for a free one",
        ) from error
    return listener


def serve(centre: Centre, listener: socket.socket, ready: Callable[[], None], door: Door | None = None) -> None:
    """Run until a signal ends it; ``ready`` is called once requests are answered. ``door`` is opened beside it."""
    tls = tls_of(centre.settings)
    config = uvicorn.Config(
        centre.app,
        http=BoundedHttp,
        log_config=None,
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=3,
        server_header=False,
        proxy_headers=False,
        ws_max_size=1 << 20,
        ws_per_message_deflate=False,
        ssl_context_factory=None if tls is None else lambda _config, _default: tls,
    )
    server = _Server(config, ready)
    # API and controller share the interpreter: hand it over sooner than by default, so that neither waits 5 ms a turn.
    sys.setswitchinterval(_TURN_S)
    # What is built by now lives to the end: the collector need not walk it again and again.
    gc.collect()
    gc.freeze()
    controller = threading.Thread(target=centre.controller.run, name="controller", daemon=True)
    controller.start()
    if door is not None and centre.facade is not None:
        door.open(centre.facade)
    try:
        server.run(sockets=[listener])
    finally:
        if door is not None:
            door.close()
        centre.controller.stop()
        controller.join(timeout=10)
        centre.close()


class _Server(uvicorn.Server):
    """Tells when it has started."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()
