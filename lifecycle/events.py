"""Security events: what whoever watches for intruders hears of the audit trail, as it is sealed.

An event has a stable name and numbers of users; who they are, and why, is in the entry that it points to. Each is told
once by the leader, a second or two after its commit; after a crash one may be missing, in the trail none is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lifecycle.ports import UnitOfWork
from quotas.leaves import AuditEntry

# What the audit trail calls it → the event's name.
EVENTS: Mapping[str, str] = {
    "add_hold": "legal-hold",
    "add_member": "role-given",
    "add_officer": "role-given",
    "add_service": "service-added",
    "add_user": "user-added",
    "admit_user": "user-admitted",
    "approve": "approval-decided",
    "approve_allocation": "approval-decided",
    "approve_change": "approval-decided",
    "approve_device": "login",
    "backchannel_logout": "logout",
    "begin_acting": "acting-begun",
    "change_password": "password-changed",
    "change_service": "service-changed",
    "change_user": "user-changed",
    "decline": "approval-decided",
    "decline_allocation": "approval-decided",
    "decline_change": "approval-decided",
    "decline_device": "login-refused",
    "end_acting": "acting-ended",
    "erase_entry": "erased",
    "erase_person": "erased",
    "erase_user": "erased",
    "export_entries": "exported",
    "export_person": "exported",
    "first_login": "login",
    "give_role": "role-given",
    "issue_token": "token-issued",
    "lift_hold": "legal-hold",
    "login": "login",
    "login_refused": "login-refused",
    "logout": "logout",
    "put_four_eyes": "four-eyes-changed",
    "refuse_user": "user-refused",
    "remove_member": "role-taken",
    "remove_officer": "role-taken",
    "revoke_token": "token-revoked",
    "revoke_tokens": "token-revoked",
    "rotate_key": "key-rotated",
    "set_password": "password-changed",
    "take_role": "role-taken",
}


@dataclass(frozen=True, slots=True)
class SecurityEvent:
    """``by``, ``on_behalf`` and ``about`` are numbers of users; two are ``by`` where one asked and one approved."""

    name: str
    entry: int
    at_ms: int
    action: str
    by: tuple[int, ...]
    on_behalf: tuple[int, ...]
    about: tuple[int, ...]
    status: int | None
    request: str | None


def events_of(uow: UnitOfWork, entries: Sequence[AuditEntry]) -> list[SecurityEvent]:
    """The events among entries of the trail."""
    chosen = [entry for entry in entries if entry.action in EVENTS]
    people = uow.privacy.people_of([entry.id for entry in chosen]) if chosen else {}
    return [_event(entry, people.get(entry.id, ())) for entry in chosen]


def _event(entry: AuditEntry, people: Sequence[tuple[int, str]]) -> SecurityEvent:
    facts = json.loads(entry.facts)
    by, on_behalf, about = (tuple(user for user, part in people if part == one) for one in ("by", "for", "about"))
    return SecurityEvent(
        EVENTS[entry.action], entry.id, entry.at_ms, entry.action, by, on_behalf, about, facts.get("status"),
        facts.get("request"),
    )  # fmt: skip
