"""Which centre, and with which token: the contexts file, and the order flags > environment > file.

The file is JSON under XDG_CONFIG_HOME and readable by its owner alone. A token of the file goes to the address it was
given for, never to another.
"""

import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from cli.failures import NOT_ALLOWED, USAGE, CliError

LOGIN_HINT: Final = "run 'baray login --address https://your.centre', or set BARAY_ADDRESS and BARAY_TOKEN"

Environment = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Context:
    """A remembered login. ``token`` is None after a logout."""

    address: str
    token: str | None = field(default=None, repr=False)
    project: str | None = None


@dataclass(frozen=True, slots=True)
class Contexts:
    current: str | None = None
    known: Mapping[str, Context] = field(default_factory=dict)

    def find(self, name: str) -> Context:
        if name not in self.known:
            names = ", ".join(sorted(self.known)) or "none"
            raise CliError(f"there is no context {name!r}; known: {names}", USAGE, fixes=[LOGIN_HINT])
        return self.known[name]

    def put(self, name: str, context: Context) -> "Contexts":
        return Contexts(name, {**self.known, name: context})

    def forget_token(self, name: str) -> "Contexts":
        return replace(self, known={**self.known, name: replace(self.known[name], token=None)})


@dataclass(frozen=True, slots=True)
class Login:
    """What a call needs. ``context`` is the name of the context that the token came from, if it did."""

    address: str
    token: str = field(repr=False)
    context: str | None
    project: str | None


def contexts_path(env: Environment) -> Path:
    base = env.get("XDG_CONFIG_HOME", "")
    home = Path(env["HOME"]) if env.get("HOME") else Path.home()
    return (Path(base) if Path(base).is_absolute() else home / ".config") / "baray" / "contexts.json"


def load(env: Environment) -> Contexts:
    path = contexts_path(env)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Contexts()
    except OSError as error:
        raise CliError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        return _read(json.loads(text))
    except json.JSONDecodeError as error:
        where = f"{path}:{error.lineno}:{error.colno}"
        raise CliError(
            f"{where}: broken JSON: {error.msg}", fixes=["mend or remove the file, then log in again"]
        ) from None
    except (KeyError, TypeError, AttributeError):
        raise CliError(f"{path}: is no contexts file", fixes=["remove it, then log in again"]) from None


def save(env: Environment, contexts: Contexts) -> Path:
    """Write the file whole or not at all, mode 0600 from its first byte."""
    import tempfile

    path = contexts_path(env)
    data = {"current": contexts.current, "contexts": {name: asdict(known) for name, known in contexts.known.items()}}
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".contexts-")  # mkstemp gives mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(data, file, indent=2, ensure_ascii=False)
                file.write("\n")
            Path(name).replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        raise CliError(f"{path}: cannot be written: {error.strerror}") from None
    return path


def resolve(env: Environment, address: str | None, context: str | None) -> Login:
    """Choose address, token and default project; a CliError with exit code 3 if either of the first two is missing."""
    contexts = load(env)
    name = context or contexts.current
    chosen = contexts.find(context) if context else contexts.known.get(name or "")
    from_env = env.get("BARAY_ADDRESS") if context is None else None
    wanted = normal_address(address or from_env or (chosen.address if chosen else ""))
    if not wanted:
        raise CliError("not logged in, and no address given", NOT_ALLOWED, fixes=[LOGIN_HINT])
    if chosen is None or chosen.address != wanted:
        name, chosen = _for_address(contexts, wanted) if context is None else (None, None)
    token = env.get("BARAY_TOKEN") if context is None else None
    if token:
        return Login(wanted, token.strip(), None, chosen.project if chosen else None)
    if chosen is None or chosen.token is None:
        fix = f"run 'baray login --address {wanted}', or set BARAY_TOKEN"
        raise CliError(f"not logged in to {wanted}", NOT_ALLOWED, fixes=[fix])
    return Login(wanted, chosen.token, name, chosen.project)


def normal_address(text: str) -> str:
    """An address as people write it, with its scheme: https, or http for this machine."""
    text = text.strip().rstrip("/")
    if not text or "://" in text:
        return text
    return f"{'http' if _is_local(text) else 'https'}://{text}"


def travels_open(address: str) -> bool:
    """Whether a token sent there could be read on the way."""
    return address.startswith("http://") and not _is_local(address.removeprefix("http://"))


def _is_local(rest: str) -> bool:
    host = rest.split("/", 1)[0]
    return host.split(":", 1)[0] in {"localhost", "127.0.0.1"} or host.startswith("[::1]")


def _for_address(contexts: Contexts, address: str) -> tuple[str | None, Context | None]:
    return next(((name, known) for name, known in contexts.known.items() if known.address == address), (None, None))


def _read(data: Any) -> Contexts:
    known = {
        name: Context(str(entry["address"]), entry.get("token"), entry.get("project"))
        for name, entry in data["contexts"].items()
    }
    current = data.get("current")
    return Contexts(current if current in known else None, known)
