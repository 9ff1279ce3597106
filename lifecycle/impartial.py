"""Nobody decides for a project of their own: not while they have a part in it, nor a while after.

Who leads a project or is a member of it, or of an account above it, has a part in it, and keeps it for ``PART_KEPT_MS``
after the role has ended, so that leaving, deciding and coming back is no way around.
"""

from collections.abc import Collection

from domain.access import Role
from domain.errors import NotAllowed, Refused
from domain.people import Caller
from domain.quantities import DAY_MS
from lifecycle.ports import UnitOfWork

# A quarter of a year: what a project asks for is decided well within it, and no allocation is planned by who left before.
PART_KEPT_MS = 90 * DAY_MS

_OWN = frozenset({Role.LEAD, Role.MEMBER})


def parts_of(uow: UnitOfWork, caller: Caller, now_ms: int) -> frozenset[int]:
    """The accounts in which the caller has a part, or had one not long ago; of a program, also who answers for it."""
    people = {caller.user.id, caller.user.owner_id} - {None}
    spells = [spell for one in people if one for spell in uow.people.spells(one, now_ms - PART_KEPT_MS)]
    return frozenset(spell.account_id for spell in spells if spell.role in _OWN)


def has_part(uow: UnitOfWork, caller: Caller, project_id: int, now_ms: int) -> bool:
    """True if the caller has a part in the project, or in an account above it."""
    return not parts_of(uow, caller, now_ms).isdisjoint(uow.directory().tree.path(project_id))


def check_no_part(uow: UnitOfWork, caller: Caller, project_ids: Collection[int], now_ms: int) -> None:
    """Raises Refused if the caller has a part in one of the projects: nobody decides for themselves."""
    for project_id in project_ids:
        if has_part(uow, caller, project_id, now_ms):
            name = uow.directory().tree.accounts[project_id].name
            raise Refused(
                f"{caller.user.name} is or was lately lead or member of project {name}, "
                "and nobody decides for their own project",
                "project", fix="let another allocator decide", code="own-decision",
            )  # fmt: skip


def must_be_impartial(uow: UnitOfWork, caller: Caller, project_id: int, what: str, now_ms: int) -> None:
    """The same for what is corrected afterwards. Raises NotAllowed."""
    if has_part(uow, caller, project_id, now_ms):
        name = uow.directory().tree.accounts[project_id].name
        raise NotAllowed(
            f"{caller.user.name} belongs to project {name}, or did lately, and cannot {what} it",
            fix="ask another allocator of the centre", code="own-project",
        )  # fmt: skip
