"""A kubeconfig as it is sent to the centre: one context of it, with the files that it names put in.

The centre reads no files of those who ask it, and needs to know no other cluster of theirs. It is the judge of the rest.
"""

import base64
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cli.failures import USAGE, CliError

MOST_BYTES: Final = 256 << 10
_FILES: Final = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}
_TOKEN_FILE: Final = "tokenFile"  # noqa: S105 - a key of a kubeconfig


def read_kubeconfig(name: str, context: str | None) -> str:
    """The file's text, reduced to what the context needs. What makes no sense is sent as it is: it will be refused."""
    text = _text(name)
    document = _parsed(text, name)
    chosen = context or document.get("current-context")
    found = _named(document, "contexts", chosen)
    inner = found.get("context") if found is not None else None
    if not isinstance(inner, Mapping):
        return text
    base = Path.cwd() if name == "-" else Path(name).resolve().parent
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": chosen,
            "contexts": [found],
            "clusters": _filled(_named(document, "clusters", inner.get("cluster")), "cluster", base),
            "users": _filled(_named(document, "users", inner.get("user")), "user", base),
        }
    )


def read_secret(name: str, option: str, most: int) -> str:
    """The text of a file of at most so many bytes."""
    return _bounded(name, option, most)


def _text(name: str) -> str:
    return _bounded(name, "--kubeconfig", MOST_BYTES)


def _bounded(name: str, option: str, most: int) -> str:
    try:
        if name == "-":
            data = sys.stdin.buffer.read(most + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(most + 1)
        text = data.decode()
    except OSError as error:
        raise CliError(f"{option}: {name}: {error.strerror}", USAGE, fixes=["name a file that can be read"]) from None
    except UnicodeDecodeError:
        raise CliError(f"{option}: {name} is no text", USAGE) from None
    if len(data) > most:
        raise CliError(f"{option}: {name} is longer than {most >> 10} KiB", USAGE)
    return text


def _parsed(text: str, name: str) -> Mapping[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        document = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError):
        document = None
    if not isinstance(document, Mapping):  # nothing of it is shown: it may be a secret
        raise CliError(
            f"--kubeconfig: {name} is no kubeconfig", USAGE, fixes=["give one that kubectl --kubeconfig reads"]
        )
    return document


def _named(document: Mapping[str, Any], section: str, name: Any) -> Mapping[str, Any] | None:
    entries = document.get(section)
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, Mapping) and entry.get("name") == name:
            return entry
    return None


def _filled(entry: Mapping[str, Any] | None, kind: str, base: Path) -> list[Mapping[str, Any]]:
    """The entry with its files put in, as a list; none if there is none."""
    inner = None if entry is None else entry.get(kind)
    if entry is None or not isinstance(inner, Mapping):
        return [] if entry is None else [entry]
    filled = dict(inner)
    for key, data_key in _FILES.items():
        path = filled.pop(key, None)
        if path and data_key not in filled:
            data = _bounded(str(base / str(path)), f"--kubeconfig: {key}", MOST_BYTES)
            filled[data_key] = base64.b64encode(data.encode()).decode()
    token = filled.pop(_TOKEN_FILE, None)
    if token and "token" not in filled:
        filled["token"] = _bounded(str(base / str(token)), f"--kubeconfig: {_TOKEN_FILE}", MOST_BYTES).strip()
    return [{**entry, kind: filled}]
