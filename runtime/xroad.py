"""X-Road's own door: a second listener in the same process, open to the Security Server alone, and the registry it leads to.

Off unless it is configured, and nothing starts with half a configuration.
"""

import socket
import ssl
import threading
from dataclasses import dataclass
from typing import Any

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from domain.errors import CannotStart
from lifecycle.ports import Clock, Store
from lifecycle.registry import Registry
from runtime.settings import Settings

_TOGETHER = ("xroad_cert", "xroad_key", "xroad_client_ca")
_ALONE = ("xroad_host", "xroad_port", "xroad_url")
_REGISTRY = ("registry_url", "registry_client", "registry_cert", "registry_key", "registry_ca")
_REGISTRY_ALONE = ("registry_fields", "registry_kinds", "registry_in_force", "registry_timeout_ms")

_MOST_AT_ONCE = 64
_BACKLOG = 64
_HEADER_BYTES = 16 * 1024


def is_on(settings: Settings) -> bool:
    """Whether other governments are answered. Raises CannotStart for half a configuration."""
    return _whole(settings, _TOGETHER, _ALONE, "the X-Road listener")


def registry_of(settings: Settings) -> Registry | None:
    """The registry of institutions, if one is configured. Raises CannotStart."""
    if not _whole(settings, _REGISTRY, _REGISTRY_ALONE, "the registry"):
        return None
    from api.identity.xroad.registry import RegistryConfig, XroadRegistry  # what is off costs nothing

    cert, key, ca = settings.registry_cert, settings.registry_key, settings.registry_ca
    assert cert is not None
    assert key is not None
    assert ca is not None
    return XroadRegistry(
        RegistryConfig(
            settings.registry_url,
            settings.registry_client,
            cert,
            key,
            ca,
            settings.registry_fields,
            settings.registry_kinds,
            frozenset(settings.registry_in_force),
            settings.registry_timeout_ms / 1_000,
        )
    )


def facade_of(settings: Settings, store: Store, clock: Clock) -> FastAPI | None:
    """What answers behind the listener, if it is configured."""
    if not is_on(settings):
        return None
    from api.identity.xroad.app import create_facade

    return create_facade(store, clock, address_of(settings))


def address_of(settings: Settings) -> str:
    """Where the Security Server reaches the services."""
    host = f"[{settings.xroad_host}]" if ":" in settings.xroad_host else settings.xroad_host
    return settings.xroad_url or f"https://{host}:{settings.xroad_port}"


@dataclass(slots=True)
class Door:
    """The listener. It listens from the first, and answers once it is opened."""

    listener: socket.socket
    context: ssl.SSLContext
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    def open(self, app: ASGIApp) -> None:
        """Answer, in a thread and a loop of its own."""
        config = uvicorn.Config(
            app,
            http="h11",  # which bounds the headers of a request; X-Road speaks HTTP/1.1 alone
            h11_max_incomplete_event_size=_HEADER_BYTES,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            limit_concurrency=_MOST_AT_ONCE,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=3,
            server_header=False,
            proxy_headers=False,
            ssl_context_factory=lambda _config, _default: self.context,
        )
        self._server = uvicorn.Server(config)
        options: dict[str, Any] = {"sockets": [self.listener]}
        self._thread = threading.Thread(target=self._server.run, kwargs=options, name="x-road", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """What is being answered is answered; then nothing listens any more."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(timeout=10)
        self.listener.close()


def door_of(settings: Settings) -> Door | None:
    """The listener, if it is configured. Raises CannotStart."""
    if not is_on(settings):
        return None
    context = _context(settings)
    family = socket.AF_INET6 if ":" in settings.xroad_host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.xroad_host, settings.xroad_port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"cannot listen for X-Road on {settings.xroad_host}, port {settings.xroad_port}: {error.strerror}",
            fix="choose another with BARAY_XROAD_HOST and BARAY_XROAD_PORT",
        ) from error
    return Door(listener, context)


def _context(settings: Settings) -> ssl.SSLContext:
    """TLS 1.2 or newer; who shows no certificate of the Security Server's is not spoken to."""
    cert, key, client_ca = settings.xroad_cert, settings.xroad_key, settings.xroad_client_ca
    assert cert is not None
    assert client_ca is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    # A Security Server's own certificate may be given as its authority: it often is signed by itself.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(client_ca)
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise CannotStart(
            f"the certificates of the X-Road listener cannot be used: {error}",
            fix="check BARAY_XROAD_CERT, BARAY_XROAD_KEY and BARAY_XROAD_CLIENT_CA: PEM files, the key without a password",
        ) from error
    return context


def _whole(settings: Settings, needed: tuple[str, ...], alone: tuple[str, ...], what: str) -> bool:
    """True if all that is needed is given, False if nothing at all is."""
    given = {name for name in needed if getattr(settings, name)}
    if not given and not settings.model_fields_set.intersection(alone):
        return False
    if missing := [f"BARAY_{name.upper()}" for name in needed if name not in given]:
        raise CannotStart(
            f"{what} is configured by half: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            fix="give all of them, or none, see baray settings and docs/x-road.md",
        )
    return True
