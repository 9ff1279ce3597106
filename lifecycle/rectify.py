"""Putting right what the centre knows of a person. What it was before is kept sealed, for a while."""

import re
from dataclasses import replace

from domain.errors import Conflict, Invalid
from domain.people import User, UserState
from lifecycle.identity import PersonChange
from lifecycle.ports import UnitOfWork, Vault
from lifecycle.words import check_title

EMAIL_LENGTH = 254
_EMAIL = re.compile(r"[^\s@<>()\[\],;:\\\"]{1,64}@[^\s@<>()\[\],;:\\\"]{1,189}\.[^\s@<>()\[\],;:\\\".]{2,63}")


def check_email(text: str, field: str = "email") -> str:
    """An address as people have it; whether it reaches anybody, only a letter can tell."""
    if len(text) > EMAIL_LENGTH or not _EMAIL.fullmatch(text) or not text.isprintable():
        raise Invalid(f"{text[:80]!r} is no e-mail address", field, fix="write it as name@institution.example")
    return text


def rectify(
    uow: UnitOfWork, vault: Vault, user: User, changes: dict[str, str | None], by: User, now_ms: int
) -> User:  # fmt: skip
    """Set ``title`` or ``email``; None takes the e-mail away. What it was is kept sealed."""
    if user.state is UserState.ERASED:
        raise Conflict(f"{user.name} is erased: there is nothing to correct", "user", code="already-over")
    if (title := changes.get("title")) is not None:
        check_title(title)
    elif "title" in changes:
        raise Invalid("everybody has a title", "title", fix="write the name in full, or leave it out")
    if (email := changes.get("email")) is not None:
        check_email(email)
    news = {name: value for name, value in changes.items() if value != getattr(user, name)}
    for name in sorted(news):
        before = vault.seal(getattr(user, name) or "")
        uow.privacy.add_change(PersonChange(0, user.id, name, before, now_ms, by.id))
    if not news:
        return user
    title, email = news.get("title"), news.get("email", user.email)
    return uow.people.save_user(replace(user, title=user.title if title is None else title, email=email))
