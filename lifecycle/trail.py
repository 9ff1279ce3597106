"""The audit trail and the people in it: what names somebody can be erased, and what was done stays."""

import json
from dataclasses import dataclass
from typing import Any

from domain.people import User
from lifecycle.paging import Page
from lifecycle.ports import UnitOfWork
from lifecycle.witness import witness
from quotas.leaves import AuditEntry, Kind

_BATCH = 1_000
_NAMES = ("approved_by", "by", "on_behalf", "user")  # fields of the personal part that hold the name of a user


def erase_person(uow: UnitOfWork, user_id: int, now_ms: int) -> int:
    """Erase who and why of every entry by, for or about a user. Answers how many those were.

    The entries keep their commitments, which nobody can guess back without the salt, so the tree still holds. Who else
    an entry is by stays known by number. Call it before the user's own name is erased: entries of the time before
    there was an index of people are found by it. An entry of its own says how many were erased.
    """
    count = 0
    while found := uow.privacy.entries_naming(user_id, _BATCH):
        uow.audit.erase(found)
        uow.privacy.unname(user_id, found)
        count += len(found)
    name = uow.people.user_names([user_id]).get(user_id)
    cursor = None
    while name is not None and (entries := uow.privacy.entries_unnoted(name, Page(cursor, _BATCH))):
        found = [entry.id for entry in entries if _names(entry, name)]
        uow.audit.erase(found)
        count += len(found)
        cursor = entries[-1].id
    witness(uow.audit, now_ms, "erase_person", "/audit/entries", {"entries": count})
    return count


@dataclass(frozen=True, slots=True)
class LogLine:
    """An entry as one of the people in it may see it; ``how``: it is by, for or about them."""

    id: int
    at_ms: int
    action: str
    subject: str
    status: int | None
    how: tuple[str, ...]
    by: str | None
    reason: str | None
    request: str | None


def log_of(uow: UnitOfWork, user: User, page: Page) -> list[LogLine]:
    """The entries by, for or about a user, newest first.

    Of others they say who it was that acted on the user, and why, and nothing more: who somebody acted for is that
    person's to know, and so is why somebody asked for what the user only approved.
    """
    how: dict[int, list[str]] = {}
    for entry_id, part in uow.privacy.entries_of(user.id, page):
        how.setdefault(entry_id, []).append(part)
    entries = uow.seals.records([(Kind.AUDIT, entry_id) for entry_id in how])
    found = (entries.get((Kind.AUDIT, entry_id)) for entry_id in how)
    return [_line(entry, tuple(how[entry.id]), user.name) for entry in found if isinstance(entry, AuditEntry)]


def _line(entry: AuditEntry, how: tuple[str, ...], name: str) -> LogLine:
    facts, personal = json.loads(entry.facts), json.loads(entry.personal or "{}")
    told = personal if personal.get("by") == name or {"for", "about"} & set(how) else {}
    return LogLine(
        entry.id, entry.at_ms, entry.action, entry.subject, facts.get("status"), how, told.get("by"),
        told.get("reason"), facts.get("request"),
    )  # fmt: skip


def _names(entry: AuditEntry, name: str) -> bool:
    """Whether the personal part of an entry says a user's name, and not only a text that holds it."""
    told: dict[str, Any] = json.loads(entry.personal or "{}")
    path, _, _ = str(told.get("path", "")).partition("?")
    return name in path.split("/") or name in (told.get(field) for field in _NAMES)
