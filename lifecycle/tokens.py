"""Tokens: made, narrowed, listed and revoked. A token's text is shown once; only its SHA-256 is kept."""

import secrets

from domain.people import Token
from lifecycle.people import TOKEN_PREFIX, digest
from lifecycle.ports import UnitOfWork


def keep(uow: UnitOfWork, token: Token) -> tuple[Token, str]:
    """Write a new token down. Answers it and its text, which cannot be had again."""
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    return uow.people.add_token(token, digest(text)), text
