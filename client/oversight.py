"""A second pair of eyes: what takes two persons, acting on behalf of users, officers of funders, and who may what."""

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

from client.transport import Transport, segment


class FourEyes(TypedDict):
    """What takes a second person; None and nothing: one is enough."""

    su: str | None
    gpus: float | int | None
    roles: list[str]
    rates: bool


class Approval(TypedDict):
    """A request that waits for a second person (``state``: waiting), or what became of it."""

    id: int
    action: str
    subject: str
    request: dict[str, Any]
    facts: dict[str, Any]
    state: str
    asked_by: str | None
    asked_ms: int
    expires_ms: int
    decided_by: str | None
    decided_ms: int | None
    reason: str | None


class Approved(TypedDict):
    """``result``: what the request was answered with in the end."""

    approval: Approval
    result: Any


class Acting(TypedDict):
    """Leave of ``by`` to act for ``user``; ``open``: it may be used now."""

    id: int
    by: str
    user: str
    reason: str
    from_ms: int
    until_ms: int
    ended_ms: int | None
    open: bool


class Officer(TypedDict):
    funder: str
    user: str


class Oversight:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def four_eyes(self) -> tuple[FourEyes, str | None]:
        """What takes a second person now, with its ETag."""
        return self._transport.get_tagged("/four-eyes")

    def set_four_eyes(
        self, reason: str, *, su: str | None = None, gpus: int | None = None, roles: Sequence[str] = (),
        rates: bool = False, if_match: str | None = None,
    ) -> FourEyes:  # fmt: skip
        """Other rules, at once. Raises ApprovalNeededError where any are in force."""
        body: dict[str, Any] = {"reason": reason, "roles": list(roles), "rates": rates}
        body |= {name: value for name, value in (("su", su), ("gpus", gpus)) if value is not None}
        rules: FourEyes = self._transport.put("/four-eyes", body, if_match=if_match)
        return rules

    def approvals(self, state: str | None = None) -> Iterator[Approval]:
        """All, or one's own, the newest first."""
        return self._transport.pages("/approvals", {"state": state})

    def approval(self, approval: int | str) -> Approval:
        found: Approval = self._transport.get(f"/approvals/{segment(approval)}")
        return found

    def approve(self, approval: int | str, reason: str) -> Approved:
        """Let it be done, as the second person."""
        done: Approved = self._transport.post(f"/approvals/{segment(approval)}/approve", {"reason": reason})
        return done

    def decline(self, approval: int | str, reason: str) -> Approval:
        found: Approval = self._transport.post(f"/approvals/{segment(approval)}/decline", {"reason": reason})
        return found

    def withdraw(self, approval: int | str, reason: str) -> Approval:
        """Take one's own request back."""
        found: Approval = self._transport.post(f"/approvals/{segment(approval)}/withdraw", {"reason": reason})
        return found

    def act(self, user: str, reason: str, minutes: int = 60) -> Acting:
        """Leave to act for a user: then ``Baray(..., on_behalf_of=user)``."""
        body = {"user": user, "reason": reason, "minutes": minutes}
        acting: Acting = self._transport.post("/acting", body)
        return acting

    def actings(self, whose: str = "me") -> Iterator[Acting]:
        """``me``: who acts for the caller; ``mine``: for whom the caller acts; ``all``: for auditors."""
        return self._transport.pages("/acting", {"whose": whose})

    def end_acting(self, acting: int | str) -> None:
        self._transport.delete(f"/acting/{segment(acting)}")

    def officers(self, funder: str) -> Iterator[Officer]:
        return self._transport.pages(f"/funders/{segment(funder)}/officers")

    def add_officer(self, funder: str, user: str) -> Officer:
        """They see from then on what the funder's money does."""
        added: Officer = self._transport.post(f"/funders/{segment(funder)}/officers", {"user": user})
        return added

    def remove_officer(self, funder: str, user: str) -> None:
        self._transport.delete(f"/funders/{segment(funder)}/officers/{segment(user)}")

    def permissions(self) -> dict[str, Any]:
        """What each permission is for, who has it, and which route needs it."""
        found: dict[str, Any] = self._transport.get("/permissions")
        return found
