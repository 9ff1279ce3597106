"""How long it takes to find out whether somebody may: on the deepest tree, for somebody who holds roles all over it."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

from api.http.call import Call
from api.http.services import Services
from domain.access import Permission, Role
from domain.accounts import MOST_DEEP, Account, AccountKind
from domain.people import Caller, Token, User
from lifecycle.founding import found
from lifecycle.ports import UnitOfWork
from store.engine import open_engine
from store.schema import migrate
from store.unit_of_work import Store

_CHECKS = 20_000
_PROJECTS = 1_000  # on each of which the caller holds some role


def permission_check(runs: int) -> list[float]:
    """Microseconds of one check of a route: whether a service may control a job of a project 16 accounts deep.

    It may, by a role on the centre, so that all accounts above are looked at; its owner's roles are looked at as well.
    """
    with _deep() as (uow, caller):
        # What a check needs of a request is its caller and the tree; nothing of the services.
        call = Call(cast(Services, None), uow, caller, Permission.JOB_CONTROL, 0)
        paths = call.directory.tree.paths
        lowest = call.directory.tree.accounts[max(paths, key=lambda one: len(paths[one]))]
        assert len(paths[lowest.id]) == MOST_DEEP, "the tree is as deep as may be"
        return [_took_us(call, lowest) for _ in range(max(runs, 3))]


def _took_us(call: Call, account: Account) -> float:
    begun = time.perf_counter()
    for _ in range(_CHECKS):
        call.need(account, "job 1")
    return (time.perf_counter() - begun) / _CHECKS * 1e6


@contextmanager
def _deep() -> Iterator[tuple[UnitOfWork, Caller]]:
    with tempfile.TemporaryDirectory() as root:
        engine = open_engine(f"sqlite:///{Path(root) / 'baray.db'}")
        migrate(engine)
        store = Store(engine)
        with store.write() as uow:
            found(uow, 0)
            _grow(uow)
        with store.read() as uow:
            tree = uow.directory().tree
            top = next(one.id for one in tree.accounts.values() if one.parent_id is None)
            roles = {one: frozenset({Role.MEMBER, Role.REPORTER}) for one in tree.accounts}
            roles |= {one: frozenset({Role.REPORTER}) for one in tree.path(max(tree.accounts))}
            roles[top] = frozenset({Role.AUDITOR, Role.SUPPORT})
            user = User(2, "robot", "Robot")
            yield uow, replace(Caller(user, Token(1, 2, "bench", 0), roles), owner_roles=roles)
        engine.dispose()


def _grow(uow: UnitOfWork) -> None:
    top = uow.directory().by_name["centre"].id
    tenant = uow.accounts.add(Account(0, top, AccountKind.TENANT, "tenant", "", tenant_kind="university"))
    for number in range(_PROJECTS):
        uow.accounts.add(Account(0, tenant.id, AccountKind.PROJECT, f"project-{number}", ""))
    parent = tenant.id
    for depth in range(MOST_DEEP - 3):
        parent = uow.accounts.add(Account(0, parent, AccountKind.GROUP, f"group-{depth}", "")).id
    uow.accounts.add(Account(0, parent, AccountKind.PROJECT, "lowest", ""))
