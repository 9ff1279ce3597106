"""Shapes of the audit trail, its signed heads and proofs."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api.http.schemas.base import Body, Prose, Shape

Reason = Annotated[Prose, Field(min_length=1, max_length=1000, examples=["asked for by the person, 3 May"])]
Hex = Annotated[str, Field(description="32 bytes in hex", examples=["6e340b9c…"])]


class EraseIn(Body):
    reason: Reason


class EntryOut(Shape):
    id: int
    at_ms: int
    action: str
    subject: str
    facts: dict[str, Any]
    commitment: str | None = Field(description="SHA-256 of the salt and the personal text; all that is sealed of it")
    personal: str | None = Field(description="who, why and for whom, as canonical JSON; null once it is erased")
    salt: str | None


class OneEntryOut(EntryOut):
    leaf: int | None = Field(description="the leaf under which it is sealed; null while it waits for that")
    signed: bool = Field(description="whether a signed head is over that leaf")


class LogOut(Shape):
    """What was done by a user, on their behalf, or to what is theirs."""

    id: int
    at_ms: int
    action: str
    subject: str
    status: int | None = Field(description="the answer's status; null for what was no request")
    how: list[Literal["by", "for", "about"]] = Field(description="what you are in it")
    by: str | None = Field(description="who did it; null once that is erased, or if it is not yours to know")
    reason: str | None = Field(description="why, where they said so; null once that is erased")
    request: str | None = Field(description="the request's id, as its answer's X-Request-Id said")


class HeadOut(Shape):
    number: int
    size: int = Field(description="how many leaves")
    root: Hex
    at_ms: int
    key: int
    note: str = Field(description="the head as a C2SP signed note, to be kept outside the centre")


class KeyOut(Shape):
    id: int
    name: str
    key: str = Field(description="C2SP verifier key")
    from_ms: int
    until_ms: int | None


class InclusionOut(Shape):
    """What the standalone verifier reads, see docs/audit.md."""

    format: Literal["baray-proof/1"]
    type: Literal["inclusion"]
    kind: str
    row: int
    index: int
    leaf: str = Field(description="the leaf itself, canonical JSON")
    path: list[Hex]
    note: str
    key: str


class ConsistencyOut(Shape):
    """What the standalone verifier reads, see docs/audit.md."""

    format: Literal["baray-proof/1"]
    type: Literal["consistency"]
    path: list[Hex]
    old_note: str
    old_key: str
    note: str
    key: str
