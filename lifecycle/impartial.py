"""Nobody decides what benefits a project of their own."""

from domain.access import Role
from domain.errors import NotAllowed
from domain.people import Caller
from lifecycle.ports import Directory

_OWN = frozenset({Role.LEAD, Role.MEMBER})


def must_be_impartial(directory: Directory, caller: Caller, project_id: int, what: str) -> None:
    """Raises NotAllowed if the caller is lead or member of the project, or of a group above it."""
    roles = (caller.roles.get(account, frozenset()) for account in directory.tree.path(project_id))
    if any(held & _OWN for held in roles):
        name = directory.tree.accounts[project_id].name
        raise NotAllowed(
            f"{caller.user.name} belongs to project {name} and cannot {what} it",
            fix="ask another allocator of the centre", code="own-project",
        )  # fmt: skip
