"""A second pair of eyes: the rules in force, what waits for a second person, and acting on behalf of users."""

from dataclasses import replace

from domain.access import Permission, Role, allows
from domain.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from domain.money import Funder
from domain.oversight import Acting, Approval, ApprovalState, FourEyes
from domain.people import Caller, User, UserKind, UserState
from domain.quantities import MINUTE_MS
from lifecycle.paging import Page
from lifecycle.people import user_named
from lifecycle.ports import Store, UnitOfWork

_AT_ONCE = 10_000  # more than ever wait


def four_eyes(uow: UnitOfWork, now_ms: int) -> FourEyes:
    """What needs a second person now. A centre that never said so needs none."""
    document = uow.oversight.four_eyes(now_ms)
    return FourEyes(
        micro_su=document.get("micro_su"),
        milli=document.get("milli"),
        roles=frozenset(Role(role) for role in document.get("roles", ())),
        rates=bool(document.get("rates")),
    )


def set_four_eyes(uow: UnitOfWork, caller: Caller, rules: FourEyes, reason: str, now_ms: int) -> int:
    """Put other rules in force, at once. Answers their version."""
    before = uow.oversight.four_eyes(now_ms)
    version = int(before.get("version", 0)) + 1
    document = {
        "micro_su": rules.micro_su, "milli": rules.milli, "roles": sorted(rules.roles), "rates": rules.rates,
        "version": version,
    }  # fmt: skip
    uow.oversight.add_four_eyes(now_ms, document, caller.user.id, reason)
    return version


def begin_acting(uow: UnitOfWork, caller: Caller, name: str, reason: str, minutes: int, now_ms: int) -> Acting:
    """Leave for the caller to act for a user, for so many minutes. One at a time for each user."""
    if not caller.anywhere(Permission.ACT):
        raise NotAllowed(f"{caller.user.name} has no role that allows {Permission.ACT}", fix="ask support to help")
    user = uow.people.user(name)
    if user is None or not _may_act_for(uow, caller, user, now_ms):
        raise NotFound(f"there is no user {name[:80]!r}", "user")
    if user.id == caller.user.id:
        raise Invalid("nobody acts on their own behalf", "user", fix="do it yourself, without any leave")
    if caller.user.kind is not UserKind.PERSON:
        raise NotAllowed("a service acts for nobody", fix="let a person of support do it")
    if user.kind is not UserKind.PERSON or user.state is not UserState.ACTIVE:
        raise Refused(
            f"{user.name} is no active person", "user", fix="act for people who can log in", code="not-active"
        )
    uow.take_turn()
    if (there := uow.oversight.acting(caller.user.id, user.id, now_ms)) is not None:
        raise Conflict(
            f"you may act for {user.name} already, by leave {there.id}", "user",
            fix=f"use it, or end it first: baray admin act --end {there.id}", code="already-exists",
        )  # fmt: skip
    return uow.oversight.add_acting(Acting(0, caller.user.id, user.id, reason, now_ms, now_ms + minutes * MINUTE_MS))


def end_acting(uow: UnitOfWork, caller: Caller, acting_id: int, now_ms: int) -> Acting:
    """End it before its time: by who acts, or by the user for whom they do. To all others it is not there."""
    found = uow.oversight.acting_of(acting_id)
    if found is None or caller.user.id not in {found.user_id, found.for_id}:
        raise NotFound(f"there is no leave {acting_id}", "acting")
    if not uow.oversight.end_acting(acting_id, now_ms):
        raise Conflict(f"leave {acting_id} is over already", "acting", code="already-over")
    return replace(found, ended_ms=now_ms)


def _may_act_for(uow: UnitOfWork, caller: Caller, user: User, now_ms: int) -> bool:
    """True if the caller is support for all, or where the user has a role."""
    tree = uow.directory().tree
    held = uow.people.roles(user.id, now_ms)
    whole = next(one.id for one in tree.accounts.values() if one.parent_id is None)
    return any(caller.may(Permission.ACT, tree.path(account)) for account in (whole, *held))


def acting_for(uow: UnitOfWork, caller: Caller, name: str, now_ms: int) -> Caller:
    """The user whom the caller acts for, with what they may there: never more than the user, nor beyond the accounts
    on which the caller is support. Raises NotAllowed without leave that is open now, or when they are support no more.
    """
    user = uow.people.user(name)
    leave = None if user is None else uow.oversight.acting(caller.user.id, user.id, now_ms)
    at = frozenset(account for account, roles in caller.roles.items() if allows(Permission.ACT, roles))
    fit = bool(at) and caller.covers(Permission.ACT)
    if user is None or leave is None or not fit or user.state is not UserState.ACTIVE:
        raise NotAllowed(
            f"{caller.user.name} has no leave to act for {name[:80]!r}",
            fix="take it first, with a reason: baray admin act USER --reason TEXT", code="no-leave",
        )  # fmt: skip
    return Caller(user, caller.token, uow.people.roles(user.id, now_ms), caller.user, at)


def waiting(uow: UnitOfWork, approval_id: int, now_ms: int) -> Approval:
    """An approval that can still be decided; nobody else decides it until the transaction ends."""
    found = uow.oversight.approval(approval_id, lock=True)
    if found is None:
        raise NotFound(f"there is no approval {approval_id}", "approval")
    state = found.state
    if state is ApprovalState.WAITING and found.expires_ms <= now_ms:
        state = ApprovalState.EXPIRED  # the controller writes it down a little later
    if state is not ApprovalState.WAITING:
        raise Conflict(
            f"approval {approval_id} is {state} already", "approval", fix="ask anew if it is still wanted",
            code="already-decided",
        )  # fmt: skip
    return found


def asker_of(uow: UnitOfWork, approval: Approval, approver: Caller, now_ms: int) -> Caller:
    """Who asked, with what they may do now. Raises NotAllowed if the approver is not another person than they.

    What is done in the end is done with the asker's rights of today, not of the day on which they asked.
    """
    asker = uow.people.user_of(approval.asked_by)
    assert asker is not None, "users are never deleted"
    own = {asker.id, asker.owner_id} & {approver.user.id, approver.user.owner_id} - {None}
    if own:
        raise NotAllowed(
            f"{approver.user.name} asked for approval {approval.id}, and it takes somebody else",
            fix="let another person decide, or withdraw it", code="own-request",
        )  # fmt: skip
    check_person(approver)
    if asker.state is not UserState.ACTIVE:
        raise Refused(
            f"who asked for approval {approval.id} is not active any more", "approval", fix="decline it",
            code="not-active",
        )  # fmt: skip
    # The token only narrows what its user may do, and was looked at when they asked.
    whole = replace(approver.token, id=0, user_id=asker.id, name="approval", scopes=None, account_id=None)
    owned = None if asker.owner_id is None else uow.people.roles(asker.owner_id, now_ms)
    return Caller(asker, whole, uow.people.roles(asker.id, now_ms), owner_roles=owned)


def check_person(approver: Caller) -> None:
    """Raises NotAllowed for a program, and for who acts on somebody's behalf."""
    if approver.user.kind is not UserKind.PERSON or approver.acting_by is not None:
        raise NotAllowed("a second person is a person, for themselves", fix="log in yourself, and decide")


def expire(store: Store, epoch: int, now_ms: int) -> int:
    """End what nobody has approved in time. Answers how many. Repeatable, as every step: what is over is over."""
    with store.read() as uow:
        waits = uow.oversight.approvals(Page(None, _AT_ONCE), state=ApprovalState.WAITING)
    if all(one.expires_ms > now_ms for one in waits):
        return 0
    with store.write() as uow:
        uow.leader.check(epoch)
        return uow.oversight.expire_approvals(now_ms)


def settle(uow: UnitOfWork, approval: Approval, state: ApprovalState, by: User, reason: str, now_ms: int) -> Approval:
    """Write down what became of it."""
    return uow.oversight.save_approval(
        replace(approval, state=state, decided_by=by.id, decided_ms=now_ms, reason=reason)
    )


def funder_named(uow: UnitOfWork, name: str) -> Funder:
    found = uow.grants.funder(name)
    if found is None:
        raise NotFound(f"there is no funder {name[:80]!r}", "funder")
    return found


def add_officer(uow: UnitOfWork, funder: str, user: str, now_ms: int) -> User:
    """From now on the user sees what the funder's money does. Raises Conflict for who does already."""
    found, officer = funder_named(uow, funder), user_named(uow, user)
    if not uow.oversight.add_officer(officer.id, found.id, now_ms):
        raise Conflict(f"{user[:80]} is an officer of {funder[:80]} already", "user", code="already-exists")
    return officer


def remove_officer(uow: UnitOfWork, funder: str, user: str) -> User:
    found, officer = funder_named(uow, funder), user_named(uow, user)
    if not uow.oversight.remove_officer(officer.id, found.id):
        raise NotFound(f"{user[:80]} is no officer of {funder[:80]}", "user")
    return officer
