"""Requests that are sent again: with an Idempotency-Key, a repeat gets the first answer and does nothing."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from pydantic import BaseModel

from api.http import trail
from domain.errors import Invalid
from lifecycle.ports import UnitOfWork, Vault


@dataclass(frozen=True, slots=True)
class Repeat:
    """The key of a request and what makes it the same as another; ``vault`` seals the answer of what is told once."""

    key: str | None
    digest: bytes
    vault: Vault | None

    @classmethod
    def of(
        cls, request: Request, arguments: Mapping[str, Any], token: str, key: str | None, vault: Vault | None
    ) -> "Repeat":
        secret = vault is not None or any(map(trail.has_secrets, arguments.values()))
        return cls(key, _digest(request, arguments, token if secret else "") if key else b"", vault)

    def first(self, uow: UnitOfWork, user_id: int) -> Response | None:
        """The first answer, if this is a repeat. Raises Invalid if the key was another request's."""
        found = uow.once.find(user_id, self.key) if self.key else None
        if found is None:
            return None
        kept, status, body = found
        if kept != self.digest:
            raise Invalid(
                "this Idempotency-Key was used for another request",
                "Idempotency-Key", fix="use a new key for a new request", code="idempotency-mismatch",
            )  # fmt: skip
        content = body if self.vault is None else self.vault.open(body).encode()
        media = None if status == 204 else "application/json"
        return Response(content, status, {"Idempotent-Replay": "true"}, media_type=media)

    def keep(self, uow: UnitOfWork, user_id: int, status: int, content: bytes, now_ms: int) -> None:
        if self.key:
            kept = content if self.vault is None else self.vault.seal(content.decode())
            uow.once.keep(user_id, self.key, self.digest, status, kept, now_ms)


def _digest(request: Request, arguments: Mapping[str, Any], salt: str) -> bytes:
    """What makes two requests the same: path, query and body, as understood.

    With secrets in it, or in its answer, the token is the salt: nobody can tell what was sent, and no other token of the
    same user gets what was told to this one.
    """
    told = {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)
        for name, value in arguments.items()
    }
    text = json.dumps([request.url.path, told], sort_keys=True)
    return hashlib.sha256((salt + text).encode()).digest()
