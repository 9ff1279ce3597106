"""What one person moved alone: many small decisions are one large one, and take a second person as that does."""

import json

from domain.people import User
from domain.quantities import DAY_MS
from lifecycle.paging import Page
from lifecycle.ports import UnitOfWork
from lifecycle.witness import EntryFilter

COUNTED_MS = DAY_MS
_BATCH = 1_000


def moved_alone(uow: UnitOfWork, user: User, fact: str, now_ms: int) -> int:
    """How much a person, with the programs that they answer for, moved in the last 24 h without a second person: the sum of
    a fact of their audit entries. Until the transaction ends none of them is counted anew, so two at once add up too.
    """
    person = user.owner_id or user.id
    uow.people.lock(person)
    moved = 0
    for one in (person, *(service.id for service in uow.people.services_of(person))):
        where, cursor = EntryFilter(from_ms=now_ms - COUNTED_MS, person=one), None
        while entries := uow.audit.page(Page(cursor, _BATCH), where):
            moved += sum(json.loads(entry.facts).get(fact, 0) for entry in entries)
            cursor = entries[-1].id
    return moved
