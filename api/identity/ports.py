"""Logins through identity providers, as the pages see them. What speaks to providers is loaded where there are any."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn, Protocol

from api.identity.providers import Provider
from domain.errors import NotFound, Unavailable
from domain.logins import Profile

LOGOUT_TOKEN_S = 300  # how old a provider's message that a session is over may be
SKEW_S = 60  # how far apart clocks may be


class ProviderAway(Unavailable):
    """The provider does not answer, or not as one does. People with sessions go on."""

    code = "provider-away"

    def __init__(self, title: str, why: str) -> None:
        super().__init__(f"{title} {why}", fix="try again in a while; who is logged in already can go on")


class Forged(Exception):
    """A token that proves nothing. Says what is wrong, and never what it held."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login that was begun: what must come back, and what proves that it was us. ``again_ms``: a decision asked for it
    then, so the person must have proved who they are since.
    """

    provider: str
    state: str
    nonce: str
    verifier: str
    again_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """Who came back, and their ID token, which the provider wants to see when they log out."""

    profile: Profile
    id_token: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A provider says that a session is over: one (``sid``), or all of a person. ``jti`` is the message's own id."""

    issuer: str
    jti: str
    sid: str | None
    subject: str | None


class Providers(Protocol):
    """All identity providers of the centre. What they do not answer raises ProviderAway, and who is none NotFound."""

    @property
    def all(self) -> tuple[Provider, ...]: ...
    def named(self, name: str) -> Provider: ...
    def begin(self, name: str, again_ms: int | None = None) -> tuple[Attempt, str]:
        """A new attempt, and the provider's address where it goes on."""
        ...

    def finish(self, attempt: Attempt, given: Mapping[str, str], now_ms: int) -> Proof:
        """Who came back with these parameters. Raises NotLoggedIn for what proves nothing."""
        ...

    def ended(self, name: str, text: str, now_ms: int) -> Ended:
        """What a logout token tells. Raises Forged."""
        ...

    def farewell(self, name: str, id_token: str | None, state: str) -> str | None:
        """Where to log out of the provider too; None if it has no such place, or is away."""
        ...


class NoProviders:
    """See ``Providers``: a centre where people have passwords, or tokens alone."""

    all: tuple[Provider, ...] = ()

    def named(self, name: str) -> NoReturn:
        raise no_such(name)

    def begin(self, name: str, again_ms: int | None = None) -> NoReturn:  # noqa: ARG002 - the port's
        raise no_such(name)

    def finish(self, attempt: Attempt, given: Mapping[str, str], now_ms: int) -> NoReturn:  # noqa: ARG002
        raise no_such(attempt.provider)

    def ended(self, name: str, text: str, now_ms: int) -> NoReturn:  # noqa: ARG002
        raise no_such(name)

    def farewell(self, name: str, id_token: str | None, state: str) -> None:  # noqa: ARG002
        return None


def no_such(name: str) -> NotFound:
    return NotFound(f"there is no provider {name[:80]!r}", "provider", fix="choose one on the login page")
