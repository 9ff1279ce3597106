"""Rights of people over their data, how long it is kept, and what holds it."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict

from client.transport import Transport, segment

_CHUNK = 64 * 1024


class Me(TypedDict):
    """``contact`` is where to turn to if an answer is not right."""

    name: str
    title: str
    email: str | None
    state: str
    tenant: str | None
    affiliation: str | None
    assurance: int
    erasure_asked_ms: int | None
    contact: str


class Change(TypedDict):
    """``before`` is what the field was until then."""

    id: int
    field: str
    before: str
    changed_ms: int
    by: str | None


class ErasureRequest(TypedDict):
    user: str
    asked_ms: int
    reason: str
    contact: str


class Erased(TypedDict):
    """``named_in``: audit entries in which others wrote of them, to be looked at."""

    user: str
    counts: dict[str, int]
    named_in: list[int]
    contact: str


class Hold(TypedDict):
    id: int
    user: str | None
    account: str | None
    reason: str
    by: str | None
    from_ms: int
    lifted_ms: int | None
    lifted_by: str | None


class Sweep(TypedDict):
    id: int | None
    at_ms: int | None
    removed: dict[str, int]


class Privacy:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def register(self) -> dict[str, Any]:
        """What is kept about people, what for, how long, and what becomes of it."""
        found: dict[str, Any] = self._transport.get("/personal-data")
        return found

    def me(self) -> Me:
        found: Me = self._transport.get("/me")
        return found

    def correct(self, changes: Mapping[str, str | None]) -> Me:
        """Of one's own: ``title`` or ``email``; never over a correction that one has not seen."""
        _, tag = self._transport.get_tagged("/me")
        found: Me = self._transport.patch("/me", dict(changes), if_match=tag)
        return found

    def correct_user(self, name: str, changes: Mapping[str, str | None], reason: str) -> dict[str, Any]:
        body = {**changes, "reason": reason}
        found: dict[str, Any] = self._transport.patch(f"/users/{segment(name)}", body)
        return found

    def changes(self, name: str | None = None) -> Iterator[Change]:
        """One's own, or somebody's."""
        return self._transport.pages("/me/changes" if name is None else f"/users/{segment(name)}/changes")

    def data(self, target: Path, name: str | None = None, reason: str | None = None) -> int:
        """Bring all data about oneself, or about somebody for a reason, to ``target``: whole, or not at all. Bytes."""
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        call = (
            ("GET", "/me/data", None) if name is None else ("POST", f"/users/{segment(name)}/data", {"reason": reason})
        )
        method, path, body = call
        response = self._transport.open(method, path, body=body, headers={"Accept": "*/*"}, stream=True)
        try:
            with contextlib.closing(response), part.open("wb") as file:
                part.chmod(0o600)
                for piece in response.stream(_CHUNK):
                    file.write(piece)
            size = part.stat().st_size
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        return size

    def ask_erasure(self, reason: str = "") -> ErasureRequest:
        found: ErasureRequest = self._transport.post("/me/erase-request", {"reason": reason})
        return found

    def withdraw_erasure(self) -> None:
        self._transport.delete("/me/erase-request")

    def erase_requests(self) -> Iterator[ErasureRequest]:
        return self._transport.pages("/erase-requests")

    def erase(self, name: str, reason: str) -> Erased:
        """For good."""
        found: Erased = self._transport.post(f"/users/{segment(name)}/erase", {"reason": reason})
        return found

    def retention(self) -> dict[str, Any]:
        found: dict[str, Any] = self._transport.get("/retention")
        return found

    def set_retention(self, document: Mapping[str, Any], reason: str, from_ms: int | None = None) -> dict[str, Any]:
        body = {"document": dict(document), "reason": reason} | ({} if from_ms is None else {"from_ms": from_ms})
        found: dict[str, Any] = self._transport.put("/retention", body)
        return found

    def holds(self) -> Iterator[Hold]:
        return self._transport.pages("/legal-holds")

    def hold(self, reason: str, *, user: str | None = None, account: str | None = None) -> Hold:
        """On a user, an account and all below it, or everybody."""
        body = {"user": user, "account": account, "reason": reason}
        found: Hold = self._transport.post("/legal-holds", body)
        return found

    def lift(self, hold: int, reason: str) -> Hold:
        found: Hold = self._transport.post(f"/legal-holds/{segment(hold)}/lift", {"reason": reason})
        return found

    def sweeps(self) -> Iterator[Sweep]:
        """What retention runs removed, newest first."""
        return self._transport.pages("/sweeps")

    def check_sweep(self) -> Sweep:
        """What a run would remove now, at least."""
        found: Sweep = self._transport.post("/sweeps/check")
        return found

    def run_sweep(self) -> None:
        """Have the leader run it at once."""
        self._transport.post("/sweeps")
