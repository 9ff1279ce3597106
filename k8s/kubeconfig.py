"""Reads a kubeconfig that an administrator gave (gateway → here), and reduces it to what opens one cluster. Pure.

The text comes over the API: nothing that it names on this machine is read, and no program that it names is started
unless that was allowed for the cluster. No message holds a secret, nor any text that could be one.
"""

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from domain.clusters import ClusterConfig
from domain.errors import Fault, Invalid, TooLarge

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_FLATTEN = "give the output of: kubectl config view --flatten --minify"
_BYTES_MOST = 256 << 10
_EVENTS_MOST = 20_000
_DEPTH_MOST = 32
_NAMES_SHOWN = 10
_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")
_CLUSTER_FILES = ("certificate-authority",)
_USER_FILES = ("client-certificate", "client-key", "tokenFile")
_PLUGIN_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_CERTIFICATE, _KEY = "client-certificate-data", "client-key-data"
_FOREVER_MS = 253_402_300_800_000  # the end of the calendar
_TRUE = ("true", True)


class _Wrong(Exception):
    """What stops the reading at once."""

    def __init__(self, message: str, field: str, fix: str) -> None:
        super().__init__(message)
        self.fault = Fault(message, field, fix)


def read(
    text: str, context: str | None, config: ClusterConfig, now_ms: int, service_account: Path = SERVICE_ACCOUNT
) -> str:
    """The access in a kubeconfig: one cluster, user and context, all inlined, in JSON. A secret.

    ``{"inCluster": true}`` stands for the service account of the pod that the centre runs in. Raises Invalid with all
    that is wrong, TooLarge.
    """
    if len(text.encode(errors="surrogatepass")) > _BYTES_MOST:
        raise TooLarge(f"a kubeconfig has at most {_BYTES_MOST >> 10} KiB", "kubeconfig", fix=_FLATTEN)
    try:
        document = _parse(text)
        if document.get("inCluster") in _TRUE:
            return _in_cluster(service_account)
        name, cluster, user = _chosen(document, context)
    except _Wrong as wrong:
        raise Invalid.many([wrong.fault]) from None
    faults: list[Fault] = []
    kept_cluster = _cluster(cluster, faults)
    kept_user = _user(user, config, now_ms, faults)
    if faults:
        raise Invalid.many(faults)
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": "cluster", "user": "user"}}],
            "clusters": [{"name": "cluster", "cluster": kept_cluster}],
            "users": [{"name": "user", "user": kept_user}],
        },
        sort_keys=True,
    )


def ends_ms(access: str) -> int | None:
    """When the certificate or token of an access ends; None if it does not say."""
    document = json.loads(access)
    if document.get("inCluster"):
        return None  # renewed on disk, again and again
    user = document["users"][0]["user"]
    if _CERTIFICATE in user:
        return _ms(_certificates(_decoded(user[_CERTIFICATE]))[0].not_valid_after_utc)
    span = _token_span(user.get("token", ""))
    return span[1] if span else None


def _parse(text: str) -> Mapping[str, Any]:
    """The document, as far as it is a mapping. YAML's own messages may quote the text, so only their place is told."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - only who adds a cluster pays for it
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415
    from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent  # noqa: PLC0415

    try:
        if text.lstrip().startswith("{"):
            document = json.loads(text)
        else:
            depth = 0
            for count, event in enumerate(YAML(typ="safe", pure=True).parse(text)):
                depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
                if count > _EVENTS_MOST or depth > _DEPTH_MOST or isinstance(event, AliasEvent):
                    raise _Wrong("the kubeconfig has aliases, or is too deep or too long", "kubeconfig", _FLATTEN)
            document = YAML(typ="safe", pure=True).load(text)
    except json.JSONDecodeError as error:
        raise _unreadable(f", line {error.lineno}, column {error.colno}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _unreadable(f", line {mark.line + 1}, column {mark.column + 1}" if mark else "") from None
    except (YAMLError, RecursionError, ValueError):
        raise _unreadable("") from None
    if not isinstance(document, Mapping):
        raise _unreadable("")
    return document


def _unreadable(where: str) -> _Wrong:
    return _Wrong(f"the kubeconfig is no readable YAML or JSON{where}", "kubeconfig", _FLATTEN)


def _in_cluster(directory: Path) -> str:
    missing = [name for name in ("token", "ca.crt") if not (directory / name).is_file()]
    if missing:
        fix = "mount the service account's token into the centre's pod, or give a kubeconfig"
        raise _Wrong("the centre does not run in a pod with a service account", "kubeconfig", fix)
    return json.dumps({"inCluster": True})


def _chosen(document: Mapping[str, Any], context: str | None) -> tuple[str, Mapping[str, Any], Mapping[str, Any]]:
    """The context's name, its cluster and its user."""
    contexts = dict(_named(document, "contexts", "context"))
    name = context or str(document.get("current-context") or "")
    if not name:
        raise _Wrong("the kubeconfig has no current context", "context", f"choose one of: {_shown(contexts)}")
    if name not in contexts:
        there = f"choose one of: {_shown(contexts)}" if contexts else _FLATTEN
        raise _Wrong(f"the kubeconfig has no context {name[:80]!r}", "context", there)
    parts = []
    for kind in ("cluster", "user"):
        wanted = str(contexts[name].get(kind) or "")
        found = dict(_named(document, f"{kind}s", kind))
        if wanted not in found:
            said = f"context {name[:80]!r} means the {kind} {wanted[:80]!r}, which is not there"
            raise _Wrong(said, f"kubeconfig.{kind}s", _FLATTEN)
        parts.append(found[wanted])
    return name, parts[0], parts[1]


def _named(document: Mapping[str, Any], section: str, inner: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The entries of a list of named things; what is not of that shape is not there."""
    entries: Any = document.get(section)
    for one in entries if isinstance(entries, list) else ():
        if isinstance(one, Mapping) and one.get("name"):
            value = one.get(inner)
            yield str(one["name"]), value if isinstance(value, Mapping) else {}


def _shown(names: Mapping[str, Any]) -> str:
    listed = [name[:80] for name in names]
    return ", ".join(listed[:_NAMES_SHOWN]) + (" …" if len(listed) > _NAMES_SHOWN else "")


def _cluster(cluster: Mapping[str, Any], faults: list[Fault]) -> dict[str, Any]:
    field = "kubeconfig.cluster"
    kept: dict[str, Any] = {}
    server = str(cluster.get("server") or "")
    if fault := _server_fault(server, f"{field}.server"):
        faults.append(fault)
    kept["server"] = server.rstrip("/")
    _refuse_files(cluster, _CLUSTER_FILES, field, faults)
    if cluster.get("insecure-skip-tls-verify") in _TRUE:
        fix = "give the cluster's certificate authority, as certificate-authority-data"
        faults.append(Fault("a connection whose TLS is not checked", f"{field}.insecure-skip-tls-verify", fix))
    if cluster.get("proxy-url"):
        faults.append(Fault("a proxy", f"{field}.proxy-url", "give an address that the centre reaches directly"))
    if data := cluster.get("certificate-authority-data"):
        try:
            _certificates(_decoded(data))
            kept["certificate-authority-data"] = data
        except ValueError:
            faults.append(
                Fault("the certificate authority is no certificate", f"{field}.certificate-authority-data", _FLATTEN)
            )
    if name := cluster.get("tls-server-name"):
        kept["tls-server-name"] = str(name)
    return kept


def _server_fault(server: str, field: str) -> Fault | None:
    try:
        url = urlsplit(server)
        host, port = url.hostname or "", url.port
    except ValueError:
        return Fault("the server is no address", field, "write it as https://host:6443")
    if url.username is not None or url.query or url.fragment:
        return Fault("the server's address has more in it than a host, a port and a path", field, "write https://host:6443")  # fmt: skip
    if not host or url.scheme not in {"https", "http"} or port == 0 or not re.fullmatch(r"[\x21-\x7e]+", server):
        return Fault("the server is no address", field, "write it as https://host:6443")
    if url.scheme == "http" and not _loopback(host):
        return Fault("the server is reached without TLS", field, "use its https:// address")
    return None


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _user(user: Mapping[str, Any], config: ClusterConfig, now_ms: int, faults: list[Fault]) -> dict[str, Any]:
    field = "kubeconfig.user"
    before = len(faults)
    _refuse_files(user, _USER_FILES, field, faults)
    if user.get("auth-provider"):
        fix = "use a token or a client certificate; clusters know auth providers no more"
        faults.append(Fault("an auth provider", f"{field}.auth-provider", fix))
    if any(user.get(key) for key in ("username", "password")):
        faults.append(Fault("a user name with a password", f"{field}.username", "use a token or a client certificate"))
    if any(key == "as" or key.startswith("as-") for key in map(str, user)):
        fix = "give the kubeconfig of the user that it should be"
        faults.append(Fault("a login that acts as somebody else", f"{field}.as", fix))
    kept: dict[str, Any] = {}
    if user.get(_CERTIFICATE) or user.get(_KEY):
        kept |= _certificate_login(user, now_ms, field, faults)
    if token := user.get("token"):
        kept |= _token_login(token, now_ms, field, faults)
    if user.get("exec"):
        kept |= _plugin_login(user["exec"], config, field, faults)
    if not kept and len(faults) == before:
        faults.append(Fault("the user has no token, client certificate or plugin to log in with", field, _FLATTEN))
    return kept


def _refuse_files(entry: Mapping[str, Any], keys: tuple[str, ...], field: str, faults: list[Fault]) -> None:
    said = "names a file, and the centre reads no files of those who ask it"
    faults.extend(Fault(f"{key} {said}", f"{field}.{key}", _FLATTEN) for key in keys if entry.get(key))


def _certificate_login(user: Mapping[str, Any], now_ms: int, field: str, faults: list[Fault]) -> dict[str, Any]:
    pair = {name: user.get(name) for name in (_CERTIFICATE, _KEY)}
    missing = [name for name, value in pair.items() if not value]
    if missing:
        faults.append(Fault(f"{missing[0]} is missing beside its other half", f"{field}.{missing[0]}", _FLATTEN))
        return pair
    public: Any = None
    try:
        certificate = _certificates(_decoded(pair[_CERTIFICATE]))[0]
        begins, ends = _ms(certificate.not_valid_before_utc), _ms(certificate.not_valid_after_utc)
        _check_span("the client certificate", begins, ends, now_ms, f"{field}.{_CERTIFICATE}", faults)
        public = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        faults.append(Fault("the client certificate is no certificate", f"{field}.{_CERTIFICATE}", _FLATTEN))
    try:
        key = serialization.load_pem_private_key(_decoded(pair[_KEY]), password=None)
        if public is not None and public != key.public_key():
            faults.append(Fault("the client key is another certificate's", f"{field}.{_KEY}", _FLATTEN))
    except TypeError:
        faults.append(Fault("the client key is encrypted", f"{field}.{_KEY}", "give it without a password"))
    except (ValueError, UnsupportedAlgorithm):
        faults.append(Fault("the client key is no key", f"{field}.{_KEY}", _FLATTEN))
    return pair


def _token_login(token: Any, now_ms: int, field: str, faults: list[Fault]) -> dict[str, Any]:
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        faults.append(Fault("the token has characters that no token has", f"{field}.token", _FLATTEN))
        return {"token": ""}
    if span := _token_span(token):
        _check_span("the token", span[0], span[1], now_ms, f"{field}.token", faults)
    return {"token": token}


def _plugin_login(plugin: Any, config: ClusterConfig, field: str, faults: list[Fault]) -> dict[str, Any]:
    if not config.exec_plugin:
        fix = "use a token or a client certificate, or allow it for this cluster: --allow-exec-plugin (exec_plugin)"
        faults.append(Fault("a program that the centre would have to start to log in", f"{field}.exec", fix))
        return {"exec": {}}
    given = plugin if isinstance(plugin, Mapping) else {}
    command = str(given.get("command") or "")
    if not command or ("/" in command and not command.startswith("/")):
        fix = "name a program on the centre's PATH, or its absolute path"
        faults.append(Fault("the plugin's command is no program that can be found", f"{field}.exec.command", fix))
    if given.get("apiVersion") not in _PLUGIN_VERSIONS:
        fix = f"use {_PLUGIN_VERSIONS[0]}"
        faults.append(Fault("the plugin speaks a version that is not known", f"{field}.exec.apiVersion", fix))
    if given.get("interactiveMode") == "Always":
        fix = "use a login that asks nobody"
        faults.append(Fault("the plugin asks questions, and nobody is there", f"{field}.exec.interactiveMode", fix))
    try:
        json.dumps(plugin)
    except (TypeError, ValueError):
        faults.append(Fault("the plugin's settings are no plain values", f"{field}.exec", _FLATTEN))
    kept = ("apiVersion", "command", "args", "env", "interactiveMode", "provideClusterInfo")
    return {"exec": {key: given[key] for key in kept if key in given}}


def _check_span(what: str, begins_ms: int | None, ends_ms: int, now_ms: int, field: str, faults: list[Fault]) -> None:
    if ends_ms <= now_ms:
        faults.append(Fault(f"{what} ended on {day(ends_ms)}", field, "get a new one from the cluster"))
    elif begins_ms is not None and begins_ms > now_ms:
        fix = "compare the centre's clock with the cluster's, or wait"
        faults.append(Fault(f"{what} begins only on {day(begins_ms)}", field, fix))


def _token_span(token: str) -> tuple[int | None, int] | None:
    """From when to when a token of the JWT kind is good, as it says itself. Others do not say."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        begins = claims.get("nbf")
        ends = int(claims["exp"] * 1000)
        return (None if begins is None else int(begins * 1000), ends) if 0 < ends < _FOREVER_MS else None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _certificates(data: bytes) -> list[x509.Certificate]:
    """Raises ValueError if there is none, or one that cannot be read."""
    return x509.load_pem_x509_certificates(data)


def _decoded(data: Any) -> bytes:
    try:
        return base64.b64decode("".join(str(data).split()), validate=True)
    except binascii.Error:
        raise ValueError("no base64") from None


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def day(ms: int) -> str:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return "a date out of bounds"
