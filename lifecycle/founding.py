"""The first start of a centre: its root account, and an administrator with a first token."""

from domain.access import Role
from domain.accounts import Account, AccountKind
from domain.people import Token
from lifecycle.accounts import CENTRE
from lifecycle.people import add_user
from lifecycle.ports import UnitOfWork
from lifecycle.tokens import keep

ADMIN = "admin"


def found(uow: UnitOfWork, now_ms: int) -> str | None:
    """Found the centre if there is none yet. Answers the administrator's token then, which is shown this once."""
    if CENTRE in uow.directory().by_name:
        return None
    centre = uow.accounts.add(Account(0, None, AccountKind.CENTRE, CENTRE, "The centre"))
    admin = add_user(uow, ADMIN, "Centre administrator", None, now_ms)
    uow.people.grant(admin.id, centre.id, Role.CENTRE_ADMIN, now_ms)
    _, text = keep(uow, Token(0, admin.id, "first", now_ms))
    return text
