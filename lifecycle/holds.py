"""Legal holds: what they cover stays, whatever its time and whoever asks."""

from dataclasses import dataclass

from domain.errors import Conflict, Invalid, NotFound, Refused
from domain.people import Caller, User
from lifecycle.custody import Held
from lifecycle.identity import LegalHold
from lifecycle.people import user_named
from lifecycle.ports import UnitOfWork


@dataclass(frozen=True, slots=True)
class Covers:
    """What a hold is to cover: a user, an account with all below it, or (neither is named) everybody."""

    user: str | None = None
    account: str | None = None


def set_hold(uow: UnitOfWork, caller: Caller, covers: Covers, reason: str, now_ms: int) -> LegalHold:
    if covers.user is not None and covers.account is not None:
        raise Invalid("a hold is on a user or on an account", "account", fix="set two holds")
    uow.take_turn()
    user = None if covers.user is None else user_named(uow, covers.user).id
    account = None
    if covers.account is not None:
        found = uow.directory().by_name.get(covers.account)
        if found is None:
            raise Invalid(f"there is no account {covers.account[:80]!r}", "account")
        account = found.id
    return uow.privacy.add_hold(LegalHold(0, user, account, reason, caller.user.id, now_ms))


def lift_hold(uow: UnitOfWork, caller: Caller, hold_id: int, now_ms: int) -> LegalHold:
    """What was passed over meanwhile is looked at again by the next retention run."""
    uow.take_turn()
    found = next((one for one in uow.privacy.holds() if one.id == hold_id), None)
    if found is None:
        raise NotFound(f"there is no legal hold {hold_id}", "hold")
    if not uow.privacy.lift_hold(hold_id, caller.user.id, now_ms):
        raise Conflict(f"legal hold {hold_id} was lifted already", "hold", code="already-over")
    uow.custody.set_mark(FILES, 0)
    return next(one for one in uow.privacy.holds() if one.id == hold_id)


# The stamp that tells how far the files of ended attempts are swept: the last attempt's row.
FILES = "files-swept"


def held(uow: UnitOfWork) -> Held:
    """What holds cover now, with all people of held accounts and their services."""
    standing = [one for one in uow.privacy.holds() if one.lifted_ms is None]
    if any(one.user_id is None and one.account_id is None for one in standing):
        return Held(everything=True)
    tree = uow.directory().tree
    tops = {one.account_id for one in standing} - {None}
    accounts = frozenset(account for account, path in tree.paths.items() if not tops.isdisjoint(path))
    users = {one.user_id for one in standing if one.user_id is not None}
    if accounts:
        users |= uow.custody.people_of(accounts)
    services = {service.id for user in users for service in uow.people.services_of(user)}
    return Held(False, frozenset(users | services), accounts)


def check_free(uow: UnitOfWork, user: User) -> None:
    """Raises Refused for somebody whom a hold covers."""
    now = held(uow)
    if now.everything or user.id in now.users:
        raise Refused(
            f"{user.name} is under a legal hold", "user", fix="have the hold lifted first", code="legal-hold"
        )  # fmt: skip


def check_entry_free(uow: UnitOfWork, entry_id: int) -> None:
    """Raises Refused for an audit entry by, for or about somebody whom a hold covers; and for any where an account is held,
    since nobody can say of which accounts an entry is.
    """
    now, named = held(uow), {user_id for user_id, _ in uow.privacy.people_of([entry_id]).get(entry_id, [])}
    if now.everything or now.accounts or not now.users.isdisjoint(named):
        raise Refused(
            f"audit entry {entry_id} is under a legal hold", "entry_id",
            fix="have the hold lifted first", code="legal-hold",
        )  # fmt: skip
