"""Erasing a person: everything that names them goes, by the register, and every total stays what it was.

One transaction. What they did stays under a number: usage, ledger, decisions, and what the audit tree is sealed of. Their
files are seen to by the next retention run, which finds them by the row that their request left.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from domain.access import Role
from domain.accounts import AccountState
from domain.errors import Conflict, Fault, Invalid, Refused
from domain.people import Caller, User, UserState
from domain.personal import pseudonym
from lifecycle.custody import ErasureRequest
from lifecycle.holds import check_free
from lifecycle.naming import Names
from lifecycle.people import user_named
from lifecycle.ports import UnitOfWork
from lifecycle.trail import erase_person

_NAMED_MOST = 100
_ROLES = {Role.LEAD: "lead", Role.CENTRE_ADMIN: "administrator"}


@dataclass(frozen=True, slots=True)
class Erased:
    """Who they are from now on, how many rows of what kind went or changed, and audit entries in which others still
    name them in a reason: these are for people to look at, since who and why of an entry only go together.
    """

    user: User
    counts: Mapping[str, int]
    named_in: tuple[int, ...]


def ask(uow: UnitOfWork, user: User, reason: str, now_ms: int) -> ErasureRequest:
    """A person asks to be erased: administrators see it."""
    asked = ErasureRequest(user.id, now_ms, reason)
    if not uow.custody.ask_erasure(asked):
        raise Conflict("you asked for it already", fix="wait for the answer, or withdraw it", code="already-exists")
    return asked


def erase(uow: UnitOfWork, caller: Caller, name: str, reason: str, now_ms: int) -> Erased:
    """Erase a person for good."""
    uow.take_turn()
    user = user_named(uow, name)
    if user.id == caller.user.id:
        raise Refused("nobody erases themselves", "user", fix="ask another administrator", code="own-request")
    check_erasable(uow, user, now_ms)
    if Names(user, "").inside(reason):
        raise Invalid("the reason names the person, and it stays", "reason", fix="write it without name and e-mail")
    return erase_checked(uow, user, now_ms)


def check_erasable(uow: UnitOfWork, user: User, now_ms: int) -> None:
    """Raises Refused with all that stands in the way."""
    if user.state is UserState.ERASED:
        raise Conflict(f"{user.name} is erased already", "user", code="already-over")
    uow.custody.lock(user.id)
    check_free(uow, user)
    faults = []
    if count := uow.custody.unfinished(user.id):
        faults.append(Fault(f"{count} of their jobs are not over", "user", "cancel them, or let them end"))
    accounts = uow.directory().tree.accounts
    for account_id, roles in sorted(uow.people.roles(user.id, now_ms).items()):
        account = accounts[account_id]
        for role in sorted(roles & _ROLES.keys()):
            others = uow.people.holders(account_id, role, now_ms) - (user.state is UserState.ACTIVE)
            if account.state is not AccountState.CLOSED and others < 1:
                word = f"they are the only {_ROLES[role]} of {account.name}"
                faults.append(Fault(word, "user", "give the role to somebody else first, or close it"))
    faults += [
        Fault(f"they answer for the service {service.name}", "user", "erase it first, or hand it over")
        for service in uow.people.services_of(user.id)
        if service.state is not UserState.ERASED
    ]
    if faults:
        error = Refused(f"{user.name} cannot be erased yet", "user", code="not-erasable")
        error.faults = tuple(faults)
        raise error


def erase_checked(uow: UnitOfWork, user: User, now_ms: int) -> Erased:
    for account_id, roles in uow.people.roles(user.id, now_ms).items():
        for role in roles:
            uow.people.revoke(user.id, account_id, role, now_ms)
    counts = {"audit": erase_person(uow, user.id, now_ms)}  # before the name goes: old entries are found by it
    name = pseudonym(user.id)
    counts |= uow.custody.forget(user, name)
    uow.custody.withdraw_erasure(user.id)
    uow.custody.ask_erasure(ErasureRequest(user.id, now_ms))  # for the retention run: their files
    gone = replace(
        user, name=name, title="erased", email=None, affiliation=None, assurance=0, tenant_id=None,
        state=UserState.ERASED,
    )  # fmt: skip
    found = tuple(uow.custody.entries_naming(Names(user, name).words, _NAMED_MOST))
    told = {kind: count for kind, count in sorted(counts.items()) if count}
    return Erased(uow.people.save_user(gone), told, found)
