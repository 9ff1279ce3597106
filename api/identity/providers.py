"""The identity providers, as an administrator wrote them into a TOML file: see docs/login.md.

Everything that is wrong with the file is told at once, each with its key.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from api.identity.mapping import LEVELS, ClaimsMapping, Match, Rule
from domain.errors import CannotStart, Fault, Invalid
from lifecycle.words import check_line, check_name

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_TEXT = re.compile(r"[\x21-\x7e]{1,200}")
_AUTH = ("client_secret_basic", "client_secret_post")
_FILE_BYTES, _MOST = 256 * 1024, 50
_KEYS = frozenset(
    {
        "name", "title", "issuer", "client_id", "client_secret_file", "client_auth", "scopes", "again_acr", "again_level",
        "logout", "claims", "tenant", "affiliation", "level",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Provider:
    """One identity provider.

    ``name`` stands in addresses. Without ``secret`` the centre is a public client. ``again_acr`` is what a decision's
    fresh login asks for and must get, if there is any; ``again_level`` the level that such a login must reach.
    ``logout``: who logs out here is sent on to log out there.
    """

    name: str
    title: str
    issuer: str
    client_id: str
    secret: str | None = field(default=None, repr=False)
    client_auth: str = "client_secret_basic"
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    again_acr: tuple[str, ...] = ()
    again_level: int = 0
    logout: bool = True
    mapping: ClaimsMapping = field(default_factory=ClaimsMapping)


def read_providers(path: Path) -> tuple[Provider, ...]:
    """All providers of the file. Raises CannotStart with every mistake in it."""
    try:
        data = path.read_bytes()
        if len(data) > _FILE_BYTES:
            raise CannotStart(f"{path} is larger than {_FILE_BYTES // 1024} KiB", "login_file")
        document = tomllib.loads(data.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CannotStart(
            f"BARAY_LOGIN_FILE: {path} cannot be read: {error}", "login_file",
            fix="mend the file, or unset the setting: then nobody logs in through a provider",
        ) from error  # fmt: skip
    reader = _Reader(path)
    providers = reader.providers(document)
    if reader.faults:
        lines = "; ".join(f"{one.field}: {one.message}" for one in reader.faults)
        refusal = CannotStart(f"{path}: {lines}")
        refusal.faults = tuple(reader.faults)
        raise refusal
    return providers


class _Reader:
    """Reads a file and keeps what is wrong with it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.faults: list[Fault] = []

    def providers(self, document: Mapping[str, Any]) -> tuple[Provider, ...]:
        self._only(document, frozenset({"provider"}), "")
        tables = self._tables(document, "provider", "")
        if not tables:
            self._fault("provider", "there is none", "write one [[provider]] for each")
        found = [self._provider(table, f"provider[{at}]") for at, table in enumerate(tables[:_MOST])]
        for what in ("name", "issuer"):
            seen: set[str] = set()
            for at, one in enumerate(found):
                value = getattr(one, what)
                if value in seen and value:
                    self._fault(f"provider[{at}].{what}", f"{value[:80]!r} is there twice", "give each its own")
                seen.add(value)
        return tuple(found)

    def _provider(self, table: Mapping[str, Any], at: str) -> Provider:
        self._only(table, _KEYS, at)
        scopes = self._list(table, "scopes", at, ("openid", "profile", "email"))
        if "openid" not in scopes:
            self._fault(f"{at}.scopes", "has no 'openid'", "add it: without it this is no login")
        auth = self._text(table, "client_auth", at, _AUTH[0])
        if auth not in _AUTH:
            self._fault(
                f"{at}.client_auth", f"{auth[:40]!r} is no way to log in as a client", f"use {' or '.join(_AUTH)}"
            )
        level = table.get("again_level", 0)
        if not _is_level(level):
            self._fault(f"{at}.again_level", "is no level", "use 0, 1, 2 or 3")
        logout = table.get("logout", True)
        if not isinstance(logout, bool):
            self._fault(f"{at}.logout", "must be true or false")
        return Provider(
            name=self._checked(table, "name", at, check_name),
            title=self._checked(table, "title", at, check_line),
            issuer=self._issuer(table, at),
            client_id=self._visible(self._text(table, "client_id", at), f"{at}.client_id"),
            secret=self._secret(table, at),
            client_auth=auth,
            scopes=scopes,
            again_acr=self._list(table, "again_acr", at, ()),
            again_level=level if _is_level(level) else 0,
            logout=bool(logout),
            mapping=self._mapping(table, at),
        )

    def _issuer(self, table: Mapping[str, Any], at: str) -> str:
        issuer = self._text(table, "issuer", at)
        try:
            parts = urlsplit(issuer)
            plain = parts.scheme == "http" and parts.hostname in _LOOPBACK
            sound = (parts.scheme == "https" or plain) and bool(parts.hostname) and not (parts.query or parts.fragment)
        except ValueError:
            sound = False
        if issuer and (not sound or not _TEXT.fullmatch(issuer)):
            self._fault(f"{at}.issuer", f"{issuer[:80]!r} is no issuer", "write its https:// address, without a query")
        return issuer

    def _secret(self, table: Mapping[str, Any], at: str) -> str | None:
        if "client_secret_file" not in table:
            return None
        file = self._path.parent / self._text(table, "client_secret_file", at)
        try:
            secret = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError, ValueError) as error:
            self._fault(
                f"{at}.client_secret_file", f"cannot be read: {type(error).__name__}", "name a file with the secret"
            )
            return None
        if not _TEXT.fullmatch(secret):
            self._fault(f"{at}.client_secret_file", "holds no secret", "put the client's secret into it, on one line")
        return secret

    def _mapping(self, table: Mapping[str, Any], at: str) -> ClaimsMapping:
        claims = table.get("claims", {})
        if not isinstance(claims, dict):
            self._fault(f"{at}.claims", "must be a table", f"write [{at.partition('[')[0]}.claims]")
            claims = {}
        inside, usual = f"{at}.claims", ClaimsMapping()
        self._only(claims, frozenset({"name", "title", "email"}), inside)
        return ClaimsMapping(
            self._list(claims, "name", inside, usual.name),
            self._list(claims, "title", inside, usual.title),
            self._list(claims, "email", inside, usual.email),
            self._rules(table, "tenant", at),
            self._rules(table, "affiliation", at),
            self._rules(table, "level", at),
        )

    def _rules(self, table: Mapping[str, Any], kind: str, at: str) -> tuple[Rule, ...]:
        given = self._tables(table, kind, at)
        return tuple(self._rule(one, kind, f"{at}.{kind}[{number}]") for number, one in enumerate(given))

    def _rule(self, table: Mapping[str, Any], kind: str, at: str) -> Rule:
        self._only(table, frozenset({"claim", kind, *Match}), at)
        ways = [match for match in Match if match in table]
        if len(ways) != 1:
            self._fault(at, "compares in no way, or in several", "give one of equals, ends_with and in")
        match = ways[0] if ways else Match.EQUALS
        given = table.get(match, [])
        values = tuple(given) if isinstance(given, list) else (given,)
        if not all(isinstance(value, str) and value for value in values) or (ways and not values):
            self._fault(f"{at}.{match}", "must be a text, or with 'in' a list of texts")
            values = ()
        if match is Match.ENDS_WITH and not all(value.startswith((".", "@")) for value in values):
            self._fault(f"{at}.{match}", "would end other names too", "let it begin with '.' or '@'")
        return Rule(
            self._visible(self._text(table, "claim", at), f"{at}.claim"), match, values, self._result(table, kind, at)
        )

    def _result(self, table: Mapping[str, Any], kind: str, at: str) -> str | int:
        if kind != "level":
            return self._checked(table, kind, at, check_name if kind == "tenant" else check_line)
        level: Any = table.get("level")
        if _is_level(level):
            return int(level)
        self._fault(f"{at}.level", "is no level", "use 0, 1, 2 or 3")
        return 0

    def _tables(self, table: Mapping[str, Any], key: str, at: str) -> list[Mapping[str, Any]]:
        given = table.get(key, [])
        if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
            place = f"{at}.{key}" if at else key
            self._fault(place, "must be tables", f"write [[{'provider.' if at else ''}{key}]] for each")
            return []
        return given

    def _text(self, table: Mapping[str, Any], key: str, at: str, usual: str | None = None) -> str:
        value = table.get(key, usual)
        if not isinstance(value, str) or not value:
            self._fault(f"{at}.{key}", "is missing" if value is None else "must be a text")
            return ""
        return value

    def _list(self, table: Mapping[str, Any], key: str, at: str, usual: tuple[str, ...]) -> tuple[str, ...]:
        given = table.get(key, list(usual))
        values = given if isinstance(given, list) else [given]
        if not all(isinstance(one, str) and _TEXT.fullmatch(one) for one in values) or len(values) > _MOST:
            self._fault(f"{at}.{key}", "must be a list of texts without spaces")
            return usual
        return tuple(values)

    def _visible(self, text: str, at: str) -> str:
        if text and not _TEXT.fullmatch(text):
            self._fault(at, "holds spaces, or what is not ASCII, or is too long")
        return text

    def _checked(self, table: Mapping[str, Any], key: str, at: str, check: Any) -> str:
        text = self._text(table, key, at)
        try:
            return str(check(text[:200], f"{at}.{key}")) if text else ""
        except Invalid as error:
            self.faults.extend(error.faults)
            return ""

    def _only(self, table: Mapping[str, Any], keys: frozenset[str], at: str) -> None:
        for key in sorted(table.keys() - keys):
            self._fault(f"{at}.{key}".lstrip("."), "there is no such key", "remove it, or mend its spelling")

    def _fault(self, at: str, message: str, fix: str | None = None) -> None:
        self.faults.append(Fault(message, at, fix))


def _is_level(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in LEVELS
