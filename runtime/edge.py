"""How the centre meets the network: TLS, proxies, rate limits and the rest, from its settings."""

import os
import re
import ssl
from ipaddress import ip_address, ip_network

from api.http.addresses import Network
from api.http.edge import Edge
from api.http.rates import Limits, Rate
from domain.errors import CannotStart
from runtime.settings import Settings

_ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::\d{1,5})?")
_RATE = re.compile(r"(\d{1,7}(?:\.\d{1,3})?)/(\d{1,7})")
# With TLS 1.2 only what forward secrecy and authenticated encryption have; TLS 1.3 has nothing else.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def edge_of(settings: Settings) -> Edge:
    """What stands around the API. Raises CannotStart for what cannot be meant."""
    limits = Limits(
        _rate("RATE_PER_TOKEN", settings.rate_per_token),
        _rate("RATE_PER_ADDRESS", settings.rate_per_address),
        _rate("RATE_FAILURES", settings.rate_failures),
    )
    origins = tuple(map(_origin, settings.cors_origins.split()))
    return Edge(settings.access_log, limits, origins, tuple(map(_network, settings.trusted_proxies.split())))


def scheme(settings: Settings) -> str:
    return "http" if settings.tls_cert is None else "https"


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """TLS 1.2 or newer, if there is a certificate. Raises CannotStart for one that cannot be used."""
    cert, key = settings.tls_cert, settings.tls_key
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise CannotStart(
            "TLS needs a certificate and its key, and only one of them is given",
            fix="set both BARAY_TLS_CERT and BARAY_TLS_KEY, or neither",
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    try:
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise CannotStart(
            f"the certificate or its key cannot be used: {error}",
            fix="check BARAY_TLS_CERT and BARAY_TLS_KEY: PEM files, the key without a password",
        ) from error
    return context


def check_host(settings: Settings) -> None:
    """Who may be served at all. Raises CannotStart.

    Without root all jobs share the service's user, so only this machine may be served. And tokens do not cross a network
    in the clear: whoever listens on one has TLS, or a proxy in front that has.
    """
    if is_loopback(settings.host):
        return
    if os.geteuid() != 0:
        raise CannotStart(
            f"without root the centre serves loopback only, not {settings.host}: all jobs would share this user",
            fix="start it as root, which gives each project its own user id, or leave BARAY_HOST alone",
        )
    if settings.tls_cert is None and not settings.behind_proxy:
        raise CannotStart(
            f"without TLS the centre serves loopback only, not {settings.host}: tokens would cross the network in the clear",
            fix="set BARAY_TLS_CERT and BARAY_TLS_KEY, or BARAY_BEHIND_PROXY=true if a proxy in front of it speaks TLS",
        )


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _rate(name: str, text: str) -> Rate | None:
    if text == "0":
        return None
    found = _RATE.fullmatch(text)
    if found is None or float(found[1]) <= 0 or int(found[2]) < 1:
        raise CannotStart(
            f"BARAY_{name}: {text[:40]!r} is no rate",
            fix="write requests a second and a burst, such as 100/500; 0: no limit",
        )
    return Rate(float(found[1]), int(found[2]))


def _origin(text: str) -> str:
    if _ORIGIN.fullmatch(text) is None:
        raise CannotStart(
            f"BARAY_CORS_ORIGINS: {text[:80]!r} is no origin",
            fix="name each one in full and in lower case, such as https://portal.example; there is no * for all",
        )
    return text


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise CannotStart(
            f"BARAY_TRUSTED_PROXIES: {text[:80]!r} is no network: {error}", fix="write such as 10.1.0.0/24 or 10.1.0.7"
        ) from error
