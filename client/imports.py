"""Bringing a centre along: rehearsed first, then applied under the rehearsal's digest."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypedDict

from client.transport import Transport

TIMEOUT_S: Final = 900.0  # the largest import that the centre takes, on a slow disk


class ImportSum(TypedDict):
    what: str
    add: int
    there: int
    differs: int
    unmapped: int


class ImportLine(TypedDict):
    what: str
    name: str
    detail: str
    place: str


class ImportPlan(TypedDict):
    """What an import adds, or would add; the first thousand lines of each list."""

    id: int | None
    kind: str
    origin: str
    digest: str
    applied: bool
    summary: list[ImportSum]
    adds: list[ImportLine]
    differs: list[ImportLine]
    unmapped: list[ImportLine]
    notes: list[str]


class Import(TypedDict):
    id: int
    kind: str
    origin: str
    digest: str
    author: str | None
    reason: str
    created_ms: int
    counts: dict[str, int]


class Imports:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def check(self, kind: str, files: Mapping[str, str], options: Mapping[str, Any] | None = None) -> ImportPlan:
        """What files (name -> text) would add, what differs and what does not map. Nothing is changed."""
        return self._post("/imports/check", _body(kind, files, options))

    def apply(
        self, kind: str, files: Mapping[str, str], digest: str, reason: str, options: Mapping[str, Any] | None = None
    ) -> ImportPlan:
        """Do what was rehearsed, all of it or nothing. Refused if it would be anything else now."""
        return self._post("/imports", {**_body(kind, files, options), "digest": digest, "reason": reason})

    def each(self) -> Iterator[Import]:
        """Every import that was applied, the first one first."""
        return self._transport.pages("/imports")

    def _post(self, path: str, body: Mapping[str, Any]) -> ImportPlan:
        found: ImportPlan = self._transport.post(path, body, timeout_s=TIMEOUT_S)
        return found


def _body(kind: str, files: Mapping[str, str], options: Mapping[str, Any] | None) -> dict[str, Any]:
    sent = [{"name": name, "text": text} for name, text in files.items()]
    return {"kind": kind, "files": sent, "options": dict(options or {})}
