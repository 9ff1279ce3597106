"""What a provider's claims say of a person: a pure function of the claims and a mapping that is data.

Claims are a stranger's words. Whatever they hold, nothing here fails: what cannot be taken is left out, and what is
taken is bounded and holds no characters that are not seen.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from domain.errors import Invalid
from domain.logins import Profile
from lifecycle.words import check_line, check_title

LEVELS = range(4)

_MOST_VALUES, _LONGEST_VALUE = 100, 512
_TITLE, _EMAIL, _SUBJECT = 120, 254, 255
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}")
_LATEST_S = 2**40


class Match(StrEnum):
    """How a rule compares; ``ends_with`` begins with ``.`` or ``@``, so that it ends no other name."""

    EQUALS = "equals"
    ENDS_WITH = "ends_with"
    IN = "in"


@dataclass(frozen=True, slots=True)
class Rule:
    """``result`` holds if any value of the claim matches any of ``values``; case matters."""

    claim: str
    match: Match
    values: tuple[str, ...]
    result: str | int

    def holds(self, claims: Mapping[str, Any]) -> bool:
        found = texts(claims.get(self.claim))
        if self.match is Match.ENDS_WITH:
            return any(text.endswith(self.values) for text in found)
        return not set(self.values).isdisjoint(found)


@dataclass(frozen=True, slots=True)
class ClaimsMapping:
    """Which claims are a person's name, title and e-mail (the first that has something), and the rules for the rest.

    Of the rules for tenant and affiliation the first that holds counts; of those for the level the highest.
    """

    name: tuple[str, ...] = ("preferred_username",)
    title: tuple[str, ...] = ("name",)
    email: tuple[str, ...] = ("email",)
    tenant: tuple[Rule, ...] = ()
    affiliation: tuple[Rule, ...] = ()
    level: tuple[Rule, ...] = ()


def texts(value: Any) -> tuple[str, ...]:
    """The texts that a claim holds: itself, or those of its list. All else is none."""
    given = value if isinstance(value, list | tuple) else [value]
    return tuple(one for one in given[:_MOST_VALUES] if isinstance(one, str) and 0 < len(one) <= _LONGEST_VALUE)


def subject_of(claims: Mapping[str, Any]) -> str | None:
    """Who it is, as the provider says it; None if that cannot be an identity."""
    sub = claims.get("sub")
    return sub if isinstance(sub, str) and 0 < len(sub) <= _SUBJECT and _shown(sub) == sub else None


def profile_of(provider: str, issuer: str, claims: Mapping[str, Any], mapping: ClaimsMapping) -> Profile | None:
    """What the claims say of a person; None if they do not say who it is."""
    subject = subject_of(claims)
    if subject is None:
        return None
    sid = claims.get("sid")
    return Profile(
        provider=provider,
        issuer=issuer,
        subject=subject,
        login_ms=_seconds(claims.get("auth_time")) * 1_000,
        name=_first(claims, mapping.name, _line),
        title=_first(claims, mapping.title, _title),
        email=_first(claims, mapping.email, _email),
        tenant=_found(claims, mapping.tenant),
        affiliation=_found(claims, mapping.affiliation),
        level=max((int(rule.result) for rule in mapping.level if rule.holds(claims)), default=0),
        sid=sid if isinstance(sid, str) and 0 < len(sid) <= _SUBJECT and _shown(sid) == sid else None,
    )


def _first(claims: Mapping[str, Any], names: Sequence[str], read: Any) -> str | None:
    values = (read(text) for name in names for text in texts(claims.get(name))[:1])
    return next((value for value in values if value), None)


def _found(claims: Mapping[str, Any], rules: Sequence[Rule]) -> str | None:
    return next((str(rule.result) for rule in rules if rule.holds(claims)), None)


def _seconds(value: Any) -> int:
    """Seconds since the epoch, 0 for what is none."""
    sound = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < _LATEST_S
    return int(value) if sound else 0


def _line(text: str) -> str | None:
    """One line without characters that are not seen, in Unicode's composed form."""
    line = " ".join(unicodedata.normalize("NFC", text).split())[:_TITLE].strip()
    return _shown(line)


def _shown(line: str) -> str | None:
    try:
        line.encode()
        return check_line(line)
    except (Invalid, UnicodeEncodeError):
        return None


def _title(text: str) -> str | None:
    line = _line(text)
    try:
        return line and check_title(line)
    except Invalid:
        return None


def _email(text: str) -> str | None:
    return text if len(text) <= _EMAIL and _ADDRESS.fullmatch(text) else None
