"""Who is let in: people who wait are admitted by a focal point of their tenant, or refused; users are suspended and resumed."""

from dataclasses import replace

from domain.access import Role
from domain.accounts import Account, AccountKind, AccountState
from domain.errors import Conflict, Refused
from domain.people import User, UserKind, UserState
from lifecycle.accounts import CENTRE
from lifecycle.people import NEXT
from lifecycle.ports import UnitOfWork
from lifecycle.tokens import OF_LOGINS


def admit(uow: UnitOfWork, user: User, tenant: Account) -> User:
    """The user belongs to the tenant from now on, and may be given roles. Raises Conflict if they do not wait."""
    _check_waiting(user)
    if tenant.kind is not AccountKind.TENANT or tenant.state is not AccountState.ACTIVE:
        raise Refused(f"{tenant.name} is no active tenant", "tenant", fix="name an active one", code="no-tenant")
    return uow.people.save_user(replace(user, state=UserState.ACTIVE, tenant_id=tenant.id))


def refuse(uow: UnitOfWork, user: User) -> User:
    """The user is not of the tenant that they named. They go on waiting, where only administrators see them."""
    _check_waiting(user)
    return uow.people.save_user(replace(user, tenant_id=None))


def suspend(uow: UnitOfWork, user: User, now_ms: int) -> User:
    """Nothing of theirs is let in from the next request on, nor of the services that they answer for. Sessions and logins
    end for good; other tokens rest, until the user is resumed.
    """
    uow.take_turn()
    if user.state is UserState.SUSPENDED:
        raise Conflict(f"{user.name} is suspended already", "state")
    if user.state is UserState.ERASED:
        raise _erased(user)
    suspended = uow.people.save_user(replace(user, state=UserState.SUSPENDED))
    check_administered(uow, now_ms)
    uow.people.revoke_tokens(user.id, now_ms, OF_LOGINS)
    return suspended


def resume(uow: UnitOfWork, user: User) -> User:
    """Back to active, also for who was suspended while they waited. Raises Conflict for who is not suspended, and Refused for a service whose owner is not active."""
    if user.state is UserState.ERASED:
        raise _erased(user)
    if user.state is not UserState.SUSPENDED:
        raise Conflict(f"{user.name} is {user.state}, not suspended", "state", fix=NEXT.get(user.state))
    owner = None if user.owner_id is None else uow.people.user_of(user.owner_id)
    if user.kind is UserKind.SERVICE and (owner is None or owner.state is not UserState.ACTIVE):
        raise Refused(
            f"the person who answers for {user.name} is not active",
            "state",
            fix="hand it over first",
            code="not-active",
        )
    return uow.people.save_user(replace(user, state=UserState.ACTIVE))


def check_administered(uow: UnitOfWork, now_ms: int) -> None:
    """Raises Refused if no active user would be administrator of the centre any more."""
    if not uow.people.holders(uow.directory().by_name[CENTRE].id, Role.CENTRE_ADMIN, now_ms):
        raise Refused(
            "nobody would be left who administers the centre", "state", code="last-admin",
            fix="make somebody else centre-admin first",
        )  # fmt: skip


def _check_waiting(user: User) -> None:
    if user.state is not UserState.WAITING:
        raise Conflict(f"{user.name} is {user.state} and does not wait", "user", code="not-waiting")


def _erased(user: User) -> Refused:
    return Refused(f"{user.name} was erased, which is for good", "state", fix="add a new user", code="erased")
