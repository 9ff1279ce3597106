"""A second pair of eyes: the rules in force, and acting on behalf of users."""

from domain.access import Permission, Role, allows
from domain.errors import NotAllowed
from domain.oversight import FourEyes
from domain.people import Caller, UserKind, UserState
from lifecycle.ports import UnitOfWork


def four_eyes(uow: UnitOfWork, now_ms: int) -> FourEyes:
    """What needs a second person now. A centre that never said so needs none."""
    document = uow.oversight.four_eyes(now_ms)
    return FourEyes(
        micro_su=document.get("micro_su"),
        milli=document.get("milli"),
        roles=frozenset(Role(role) for role in document.get("roles", ())),
        rates=bool(document.get("rates")),
    )


def acting_for(uow: UnitOfWork, caller: Caller, name: str, now_ms: int) -> Caller:
    """The user whom the caller acts for, with what they may there: never more than the user, nor beyond the accounts
    on which the caller is support. Raises NotAllowed without leave that is open now.
    """
    user = uow.people.user(name)
    leave = None if user is None else uow.oversight.acting(caller.user.id, user.id, now_ms)
    if user is None or leave is None or user.state is not UserState.ACTIVE or user.kind is not UserKind.PERSON:
        raise NotAllowed(
            f"{caller.user.name} has no leave to act for {name[:80]!r}",
            fix="take it first, with a reason: baray admin act USER --reason TEXT", code="no-leave",
        )  # fmt: skip
    at = frozenset(account for account, roles in caller.roles.items() if allows(Permission.ACT, roles))
    return Caller(user, caller.token, uow.people.roles(user.id, now_ms), caller.user, at)
