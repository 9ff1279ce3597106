"""One request, as handlers see it: its caller, its transaction, the checks it asks for, and what it says of the answer."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from api.http.services import Services
from domain.access import OF_FUNDERS, Permission
from domain.accounts import Account
from domain.errors import NotAllowed, NotFound
from domain.oversight import FourEyes
from domain.people import Caller
from lifecycle.accounts import CENTRE
from lifecycle.impartial import check_no_part
from lifecycle.oversight import four_eyes
from lifecycle.ports import Directory, UnitOfWork


class NeedsApproval(Exception):
    """What is asked for takes a second person: the guard keeps the request until one agrees. Never reaches a client."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        super().__init__("this needs a second person")
        self.facts = dict(facts)


@dataclass
class Call:
    """One request.

    ``approver`` is the second person who agreed to it, where one was needed: every check that holds for the caller
    holds for them too.
    """

    services: Services
    uow: UnitOfWork
    caller: Caller
    permission: Permission
    now_ms: int
    if_match: int | None = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    wakes: bool = False
    checked: bool = False
    on_behalf: int | None = None  # the user whose own thing this is about, if that is not the caller
    rehearsed: bool = False  # nothing was changed after all, so no audit entry is left
    nameless: bool = False  # the address names whom this erases: it stays out of the entry
    ahead: Any = None  # what the route found out before its transaction began
    facts: dict[str, Any] = field(default_factory=dict)  # for the audit entry; never anything that names a person
    about: set[int] = field(default_factory=set)  # users whose data this touches, for their own log
    approver: Caller | None = None
    request: Any = None  # the HTTP request itself, for what is carried out within another

    def of_user(self, user_id: int) -> None:
        """What is touched is this user's own. Whoever touches another's leaves an audit entry, always."""
        self.on_behalf = user_id if user_id != self.caller.user.id or self.caller.acting_by is not None else None

    @property
    def directory(self) -> Directory:
        return self.uow.directory()

    @property
    def people(self) -> tuple[Caller, ...]:
        """All who must have the permission."""
        return (self.caller,) if self.approver is None else (self.caller, self.approver)

    @cached_property
    def funders(self) -> frozenset[int]:
        """The funders whose officer the caller is: they see what these funders' money did, whatever their roles."""
        caller = self.caller
        if self.permission not in OF_FUNDERS or not caller.covers(self.permission):
            return frozenset()
        if caller.token.account_id is not None or caller.acting_by is not None:  # a funder is no account
            return frozenset()
        return self.uow.oversight.funders_of(self.caller.user.id)

    def need(self, account: Account, what: str) -> None:
        """Require the route's permission on the account. Who has no role there at all is told that it is not there."""
        path = self.directory.path_of(account)
        self.checked = True
        for who in self.people:
            if who.may(self.permission, path):
                continue
            if any(who.roles.get(above) for above in path):
                raise NotAllowed(
                    f"{who.user.name} has no role on {account.kind} {account.name} that allows {self.permission}",
                    fix="ask the project's lead or the centre for the role",
                )
            raise NotFound(f"there is no {what}", what.partition(" ")[0])

    def need_any(self, account: Account | None, what: str) -> None:
        """The same for what may not be there at all: who has no role on the centre is told the same in both cases."""
        if account is not None:
            self.need(account, what)
            return
        self.checked = True
        centre = self.directory.by_name[CENTRE].id
        if not all(who.roles.get(centre) for who in self.people):
            raise NotFound(f"there is no {what}", what.partition(" ")[0])
        self.need_centre()

    def need_centre(self) -> None:
        """Require the route's permission on the whole centre."""
        self.checked = True
        for who in self.people:
            if not who.may(self.permission, (self.directory.by_name[CENTRE].id,)):
                raise NotAllowed(
                    f"{who.user.name} has no role on the centre that allows {self.permission}",
                    fix="ask a centre administrator",
                )

    def visible(self) -> frozenset[int] | None:
        """The projects on which the caller has the route's permission; None if that is all of them."""
        self.checked = True
        directory = self.directory
        if self.caller.may(self.permission, (directory.by_name[CENTRE].id,)):
            return None
        paths = directory.tree.paths
        return frozenset(account for account, path in paths.items() if self.caller.may(self.permission, path))

    def take_two(
        self, needed: Callable[[FourEyes], bool], *, projects: Collection[int] = (), users: Collection[int] = (),
        **facts: Any,
    ) -> None:  # fmt: skip
        """Require a second person if the centre's rules say so; ``facts`` tell why, and name nobody.

        Call it where all is done, so that what cannot be is refused first: all of it is undone until somebody agrees, and
        then done anew. Who agrees has no part in the ``projects``, and is none of the ``users`` whom it is about.
        """
        if self.approver is None:
            if needed(four_eyes(self.uow, self.now_ms)):
                raise NeedsApproval(facts)
            return
        check_no_part(self.uow, self.approver, projects, self.now_ms)
        if self.approver.user.id in users:
            raise NotAllowed("nobody approves what is about themselves", fix="let another person decide")

    def version(self, version: int) -> None:
        """Tell the caller which version they see."""
        self.headers["ETag"] = f'"{version}"'
