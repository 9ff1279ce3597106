"""The consumer's side: a registry of institutions behind the Security Server, asked about one number at a time.

The Security Server is reached over mutual TLS with a certificate of ours, and trusted by a certificate authority that is
configured. An answer is bounded in time and size, redirects are not followed, and it counts only if it says of itself
that it answers this very message: an old one that is sent again is none.
"""

import contextlib
import hashlib
import json
import re
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from domain.accounts import TENANT_KINDS
from domain.errors import BarayError, CannotStart, Invalid, NotFound, Unavailable
from lifecycle.registry import FIELDS, Extract, check_number
from lifecycle.rights import client_id
from lifecycle.words import check_line, check_title

NUMBER = "{number}"

_LONGEST = 200  # characters of a field
_MOST_BYTES = 256 * 1024
_CHUNK = 64 * 1024
_CLIENT, _MESSAGE_ID, _ERROR = "X-Road-Client", "X-Road-Id", "X-Road-Error"
_UNSEEN = re.compile(r"[^\x20-\x7e]")
_PROVINCE = re.compile(r"[A-Z]{2}-[0-9A-Z]{1,3}")


@dataclass(frozen=True, slots=True)
class RegistryConfig:
    """``url`` is the service's on our Security Server, with ``/r1/`` and, where the number goes, ``{number}``.

    ``fields`` maps our fields (and ``number`` and ``status``) to dotted places in the answer; ``kinds`` the registry's
    words to kinds of tenants; ``in_force`` has its words for an institution that is registered now.
    """

    url: str
    client: str
    cert: Path
    key: Path
    ca: Path
    fields: Mapping[str, str] = field(default_factory=lambda: {name: name for name in (*FIELDS, "number", "status")})
    kinds: Mapping[str, str] = field(default_factory=dict)
    in_force: frozenset[str] = frozenset({"active", "registered"})
    timeout_s: float = 10.0


class XroadRegistry:
    """See ``lifecycle.registry.Registry``. Raises CannotStart for a configuration that cannot work."""

    def __init__(self, config: RegistryConfig) -> None:
        self._config = config
        self._client = _checked_client(config.client)
        self._host, self._port, self._path = _checked_address(config.url)
        self._context = _context(config)
        unknown = sorted(set(config.fields) - {*FIELDS, "number", "status"})
        wrong = sorted(set(config.kinds.values()) - set(TENANT_KINDS))
        if unknown or wrong or "number" not in config.fields:
            what = f"no such field: {', '.join(unknown)}" if unknown else f"no such kind of tenant: {', '.join(wrong)}"
            raise CannotStart(
                f"the mapping of the registry's answers is wrong: {what if unknown or wrong else 'number is missing'}",
                fix="mend BARAY_REGISTRY_FIELDS and BARAY_REGISTRY_KINDS, see docs/x-road.md",
            )

    @property
    def name(self) -> str:
        """The service as members of X-Road call it: instance/class/member/…/service."""
        return self._path.partition("/r1/")[2].partition(f"/{NUMBER}")[0]

    def fetch(self, number: str) -> Extract:
        check_number(number)
        message_id = str(UUID(bytes=secrets.token_bytes(16), version=4))
        status, headers, body = self._get(self._path.replace(NUMBER, quote(number, safe="")), message_id)
        if (fault := headers.get(_ERROR)) is not None:
            raise _refused(f"X-Road could not pass the question on: {_shown(fault)}")
        if headers.get(_MESSAGE_ID) != message_id or not self._is_ours(headers.get(_CLIENT)):
            raise _refused("what came back is no answer to this question")
        if status == 404:
            raise NotFound(
                f"the registry {self.name} knows no number {number}", "registration", fix="check the number"
            )  # fmt: skip
        if status != 200:
            raise _refused(f"the registry {self.name} answered with status {status}")
        return self._read(number, body, message_id)

    def _is_ours(self, client: str | None) -> bool:
        try:
            return client is not None and client_id(client) == self._client
        except Invalid:
            return False

    def _get(self, path: str, message_id: str) -> tuple[int, HTTPMessage, bytes]:
        asked = {"Accept": "application/json", _CLIENT: self._client, _MESSAGE_ID: message_id, "Connection": "close"}
        try:
            with self._connected() as (connection, is_over):
                connection.request("GET", path, headers=asked)
                with connection.getresponse() as answer:
                    body = _bounded(answer)
                if is_over():
                    raise TimeoutError(None, "timed out")
                return answer.status, answer.headers, body
        except ssl.SSLError as error:
            raise _refused(f"no trusted connection to the Security Server: {_words(error)}") from None
        except (HTTPException, OSError, ValueError) as error:
            limit = f"{self._config.timeout_s:g} s"
            raise _refused(f"the Security Server gave no answer within {limit}: {_words(error)}") from None

    @contextlib.contextmanager
    def _connected(self) -> Iterator[tuple[HTTPConnection, Callable[[], bool]]]:
        """A connection that is shut at the deadline, however slowly the other side speaks, and whether that happened."""
        bare = socket.create_connection((self._host, self._port), self._config.timeout_s)
        with self._context.wrap_socket(bare, server_hostname=self._host, do_handshake_on_connect=False) as secured:
            gone = threading.Event()
            over = threading.Timer(self._config.timeout_s, _shut, [secured, gone])
            over.daemon = True
            over.start()
            try:
                secured.do_handshake()
                with contextlib.closing(HTTPConnection(self._host, self._port)) as connection:
                    connection.sock = secured
                    yield connection, gone.is_set
            finally:
                over.cancel()

    def _read(self, number: str, body: bytes, message_id: str) -> Extract:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            raise _refused(f"the registry {self.name} answered with something that is no JSON") from None
        found = {name: _at(document, place) for name, place in self._config.fields.items()}
        if found.pop("number") != number:
            raise _refused(f"the registry {self.name} answered about another number than {number}")
        status = found.pop("status", None)
        if (kind := found.get("kind")) is not None:
            kind = self._config.kinds.get(kind, kind)
            found["kind"] = kind if kind in TENANT_KINDS else None
        if (province := found.get("province")) is not None and not _PROVINCE.fullmatch(province):
            found["province"] = None
        fields = {name: value for name, value in found.items() if value is not None}
        try:
            for name, value in fields.items():
                (check_title if name == "title" else check_line)(value, name)
        except BarayError as error:
            raise _refused(
                f"the registry {self.name} answered with a {error.faults[0].field} that {error.message}"
            ) from None
        in_force = status is None or status.casefold() in {word.casefold() for word in self._config.in_force}
        digest = hashlib.sha256(body).hexdigest()
        return Extract(self.name, number, fields, status, in_force, message_id, digest)


def _checked_client(text: str) -> str:
    try:
        return client_id(text)
    except Invalid as error:
        raise CannotStart(f"BARAY_REGISTRY_CLIENT: {error.message}", fix=error.fixes[0]) from error


def _checked_address(url: str) -> tuple[str, int, str]:
    """Host, port and path of the service, the path with a place for the number."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
    except ValueError:
        parts, host, port = urlsplit(""), None, 0
    path = parts.path if NUMBER in parts.path else f"{parts.path.rstrip('/')}/{NUMBER}"
    told = path.partition("/r1/")[2].split("/")
    plain = not (parts.query or parts.fragment or parts.username or parts.password) and path.count(NUMBER) == 1
    if parts.scheme != "https" or not host or not plain or len(told) < 5 or not all(told):
        raise CannotStart(
            "BARAY_REGISTRY_URL is no address of a service on a Security Server",
            fix="write https://SERVER/r1/INSTANCE/CLASS/MEMBER/SUBSYSTEM/SERVICE, with {number} where the number goes",
        )
    return host, port, path


def _context(config: RegistryConfig) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks the certificate and the name in it
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(config.ca)
        context.load_cert_chain(config.cert, config.key)
    except (OSError, ValueError) as error:
        raise CannotStart(
            f"the certificates for the registry cannot be used: {_words(error)}",
            fix="check BARAY_REGISTRY_CERT, BARAY_REGISTRY_KEY and BARAY_REGISTRY_CA",
        ) from error
    return context


def _bounded(answer: HTTPResponse) -> bytes:
    body, promised = b"", answer.length
    while chunk := answer.read1(_CHUNK):
        body += chunk
        if len(body) > _MOST_BYTES:
            raise _refused(f"the registry's answer is longer than {_MOST_BYTES // 1024} KiB")
    if promised is not None and len(body) < promised:
        raise IncompleteRead(b"", promised - len(body))
    return body


def _shut(secured: ssl.SSLSocket, gone: threading.Event) -> None:
    """End a connection under who reads from it."""
    gone.set()
    with contextlib.suppress(OSError):
        socket.socket.shutdown(secured, socket.SHUT_RDWR)


def _at(document: Any, place: str) -> str | None:
    """The text at a dotted place; a number as text; None if there is none, or it is empty or too long to be a field."""
    for step in place.split("."):
        document = document.get(step) if isinstance(document, dict) else None
    if isinstance(document, int) and not isinstance(document, bool):
        document = str(document)
    text = document.strip() if isinstance(document, str) else ""
    return text if 0 < len(text) <= _LONGEST else None


def _shown(text: str) -> str:
    return _UNSEEN.sub("?", text[:200])


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return getattr(error, "verify_message", "") or error.reason or "TLS failed"
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _refused(message: str) -> Unavailable:
    return Unavailable(
        message, "registration", fix="try again later, or give title and kind yourself without the registration",
        code="registry-unavailable",
    )  # fmt: skip
