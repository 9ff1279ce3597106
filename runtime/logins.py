"""What people log in with, as the settings say."""

from typing import TypedDict

from domain.quantities import DAY_MS, MINUTE_MS
from lifecycle.passwords import Hasher
from lifecycle.tokens import Lifetimes
from runtime.pages import public_url
from runtime.settings import Settings


class Logins(TypedDict):
    passwords: Hasher | None
    lifetimes: Lifetimes
    step_up_ms: int
    public_url: str


def logins_of(settings: Settings) -> Logins:
    """For ``Services``."""
    hasher: Hasher | None = None
    if settings.builtin_login:
        from api.identity.passwords import Argon2Hasher

        hasher = Argon2Hasher()
    days = (settings.login_days, settings.token_days, settings.token_longest_days)
    return Logins(
        passwords=hasher,
        lifetimes=Lifetimes(*(count * DAY_MS for count in days)),
        step_up_ms=settings.step_up_minutes * MINUTE_MS,
        public_url=public_url(settings) if settings.public_url else "",
    )
