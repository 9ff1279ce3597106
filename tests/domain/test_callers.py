"""What a caller may at all: a service nothing that the person who answers for it may not."""

import pytest

from domain.access import Permission, Role
from domain.people import Caller, Token, User, UserKind

BOT = User(7, "bot", "Bot", kind=UserKind.SERVICE, owner_id=1)
MEMBER = {3: frozenset({Role.MEMBER})}


@pytest.mark.promise(8)
@pytest.mark.parametrize(("owner", "may"), [(MEMBER, True), ({}, False), ({4: frozenset({Role.LEAD})}, True)])
def test_a_service_may_somewhere_what_its_owner_may_somewhere(owner: dict[int, frozenset[Role]], may: bool) -> None:
    bot = Caller(BOT, Token(1, 7, "t", 0), MEMBER, owner_roles=owner)
    assert bot.anywhere(Permission.JOB_SUBMIT) is may
    assert bot.may(Permission.JOB_SUBMIT, (3,)) is (owner == MEMBER), "on an account it is that account's roles"


def test_a_person_answers_for_themselves() -> None:
    dara = Caller(User(1, "dara", "Dara"), Token(2, 1, "t", 0), MEMBER)
    assert dara.anywhere(Permission.JOB_SUBMIT)
    assert not dara.anywhere(Permission.QUOTA_WRITE)
