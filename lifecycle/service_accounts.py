"""Logins of programs. A person answers for each: it may nothing that they may not, and rests when they are suspended."""

from collections.abc import Mapping
from dataclasses import replace

from domain.access import Permission, Role, allows
from domain.accounts import Account
from domain.errors import Conflict, Invalid, NotAllowed, Refused
from domain.people import Caller, User, UserKind
from domain.scopes import FOR_PEOPLE
from lifecycle.accounts import CENTRE
from lifecycle.people import check_active, user_named
from lifecycle.ports import UnitOfWork
from lifecycle.words import check_name, check_title

MOST_OWNED = 100  # services that one person may answer for

_HUMBLE = frozenset({Role.MEMBER, Role.REPORTER})  # what anybody may give a program
_NEVER = frozenset({Role.CENTRE_ADMIN, Role.FOCAL_POINT, Role.FUNDER})  # what nobody may


def add(uow: UnitOfWork, caller: Caller, name: str, title: str, account: Account, role: str, now_ms: int) -> User:
    """A service with a role on the account, for which the caller answers."""
    check_name(name)
    check_title(title)
    if role not in set(Role):
        raise Invalid(f"{role[:40]!r} is no role", "role", fix=f"use one of {', '.join(_HUMBLE)}")
    if role in _NEVER or (role not in _HUMBLE and not _administers(uow, caller)):
        raise NotAllowed(f"a service is not made {role}", "role", fix=f"use one of {', '.join(sorted(_HUMBLE))}")
    if uow.people.user(name) is not None:
        raise Conflict(f"there is a user {name!r} already", "name", code="already-exists")
    owner = caller.user
    _check_owner(uow, owner, [account.id], caller.roles)
    tenant = uow.directory().tree.tenant_of(account.id)
    made = User(
        0, name, title, kind=UserKind.SERVICE, owner_id=owner.id, created_ms=now_ms,
        tenant_id=None if tenant is None else tenant.id,
    )  # fmt: skip
    made = uow.people.add_user(made)
    uow.people.grant(made.id, account.id, role, now_ms)
    return made


def hand_over(uow: UnitOfWork, service: User, owner: str, now_ms: int) -> User:
    """Another person answers for it, who must have a role wherever it has one. Its tokens are revoked: whoever has them
    would get from them what the new owner may.
    """
    new = user_named(uow, owner)
    check_active(new, "owner")
    _check_owner(uow, new, list(uow.people.roles(service.id, now_ms)), uow.people.roles(new.id, now_ms))
    if new.id != service.owner_id:
        uow.people.revoke_tokens(service.id, now_ms)
    return uow.people.save_user(replace(service, owner_id=new.id))


def check_no_more(uow: UnitOfWork, caller: Caller, service: User, now_ms: int) -> None:
    """Raises NotAllowed if with a token of the service the caller could do what they may not themselves. Of one that they
    answer for they cannot: it may nothing that they may not.
    """
    if service.owner_id == caller.user.id:
        return
    tree = uow.directory().tree
    for account_id, roles in uow.people.roles(service.id, now_ms).items():
        own = frozenset[Role]().union(*(caller.roles.get(above, frozenset()) for above in tree.path(account_id)))
        if any(allows(one, roles) and not allows(one, own) for one in Permission if one not in FOR_PEOPLE):
            raise NotAllowed(
                f"{service.name} may do more on {tree.accounts[account_id].name} than {caller.user.name}",
                code="wider-token", fix="let who answers for it make the token",
            )  # fmt: skip


def manages(uow: UnitOfWork, caller: Caller, service: User, permission: Permission, now_ms: int) -> bool:
    """True for the person who answers for a service, and for who has the permission wherever it has a role."""
    if service.kind is not UserKind.SERVICE or not caller.covers(permission):
        return False
    if service.owner_id == caller.user.id and caller.acting_by is None:
        return True
    paths = uow.directory().tree.paths
    held = uow.people.roles(service.id, now_ms) or {uow.directory().by_name[CENTRE].id: frozenset()}
    return all(caller.may(permission, paths[account_id]) for account_id in held)


def _check_owner(uow: UnitOfWork, owner: User, accounts: list[int], roles: Mapping[int, frozenset[Role]]) -> None:
    if owner.kind is not UserKind.PERSON:
        raise NotAllowed("a program answers for nothing", "owner", fix="name a person")
    paths = uow.directory().tree.paths
    if any(roles.keys().isdisjoint(paths[account_id]) for account_id in accounts):
        raise Refused(
            f"{owner.name} has no role where the service has one", "owner", code="no-role",
            fix="only who has a role there can answer for it",
        )  # fmt: skip
    if len(uow.people.services_of(owner.id)) >= MOST_OWNED:
        raise Refused(
            f"{owner.name} answers for {MOST_OWNED} services already", "owner", code="too-many-services",
            fix="suspend those that are not used, or hand them over",
        )  # fmt: skip


def _administers(uow: UnitOfWork, caller: Caller) -> bool:
    return caller.may(Permission.ROLE_WRITE, (uow.directory().by_name[CENTRE].id,))
