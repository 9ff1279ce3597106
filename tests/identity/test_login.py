"""Logging in through a real provider, and out again: who people become, what their sessions are, and how they end."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from domain.people import TokenKind, UserState
from lifecycle.people import digest
from tests.identity.door import PASSWORD, Door
from tests.identity.rig import Provider
from tests.identity.visitor import Visitor
from tests.support.marks import on_sqlite

SOK = {
    "sub": "1", "acrs": ["low", "high"], "name": "Sok Dara", "preferred_username": "sok.dara", "email": "sok@cadt.example",
    "eduperson_scoped_affiliation": ["staff@cadt.example"], "schac_home_organization": "cadt.example",
}  # fmt: skip


@pytest.fixture
def sok(provider: Provider) -> None:
    provider.user("sok", **SOK)


@pytest.fixture
def other() -> Iterator[Provider]:
    """A second provider, with a port and keys of its own."""
    with Provider() as running:
        yield running


def test_a_first_login_makes_a_user_who_waits_and_may_nothing(sok: None, door: Door, visitor: Visitor) -> None:
    page = door.log_in(visitor)
    assert (page.status, page.url) == (200, f"{door.address}/")
    assert "You are not admitted yet" in page.text
    assert "CADT" in page.text
    user = door.user("sok-dara")
    assert user is not None
    tenant = door.ask(lambda uow: uow.directory().by_name["cadt"])
    assert (user.title, user.email, user.state, user.tenant_id) == (
        "Sok Dara", "sok@cadt.example", UserState.WAITING, tenant.id,
    )  # fmt: skip
    assert (user.affiliation, user.assurance) == ("staff", 1)
    caller = door.caller(visitor)
    assert caller is not None
    assert caller.roles == {}
    assert (caller.token.kind, caller.token.level, caller.token.scopes) == (TokenKind.SESSION, 1, None)
    assert caller.token.login_ms is not None
    assert abs(caller.token.login_ms - door.clock.now_ms()) < 30_000
    (entry,) = door.entries("first_login")
    assert "sok" not in entry.subject + entry.facts
    assert "sok-dara" in str(entry.personal)
    door.log_in(door.visitor())
    assert len(door.entries("login")) == 1


def test_the_text_of_a_session_is_kept_nowhere(sok: None, door: Door, visitor: Visitor) -> None:
    door.log_in(visitor)
    text = door.session(visitor)
    assert text is not None
    rows = door.centre.database.rows("SELECT digest FROM token")
    assert digest(text) in [bytes(row.digest) for row in rows]
    (session,) = door.centre.database.rows("SELECT * FROM login_session")
    assert b"eyJ" not in bytes(session.id_token)
    assert "id_token" in session._fields


def test_who_comes_twice_at_once_is_one_user(sok: None, door: Door, provider: Provider) -> None:
    visitors = [door.visitor() for _ in range(4)]
    for visitor in visitors:
        visitor.stops = (f"{door.address}/login/campus/callback",)
    backs = [visitor.log_in(visitor.get(f"{door.address}/login/campus"), "sok").url for visitor in visitors]
    for visitor in visitors:
        visitor.stops = ()
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda visitor, back: visitor.get(back).status, visitors, backs))
    assert found == [200] * 4
    assert {caller.user.name for visitor in visitors if (caller := door.caller(visitor))} == {"sok-dara"}
    assert (len(door.entries("first_login")), len(door.entries("login"))) == (1, 3)


@on_sqlite
def test_what_only_the_userinfo_says_counts_too(sok: None, door: Door, provider: Provider) -> None:
    provider.claims_only_in_userinfo(on=True)
    door.log_in(door.visitor())
    user = door.user("sok-dara")
    assert user is not None
    assert (user.title, user.affiliation, user.email) == ("Sok Dara", "staff", "sok@cadt.example")


@on_sqlite
def test_a_later_login_refreshes_what_the_provider_is_to_say(sok: None, door: Door, provider: Provider) -> None:
    door.log_in(door.visitor())
    provider.user(
        "sok", **{**SOK, "name": "Sok D.", "email": "new@x.example", "preferred_username": "root", "acrs": ["high"]}
    )
    provider.revoke("1")
    door.log_in(door.visitor())
    user = door.user("sok-dara")
    assert user is not None
    assert (user.title, user.email, user.assurance) == ("Sok D.", "sok@cadt.example", 2)
    assert door.user("root") is None


@pytest.mark.promise(8)
@on_sqlite
def test_the_same_mail_under_another_subject_is_another_person(sok: None, door: Door, provider: Provider) -> None:
    provider.user("twin", **{**SOK, "sub": "2"})
    door.log_in(door.visitor())
    door.log_in(door.visitor(), "twin")
    first, second = door.user("sok-dara"), door.user("sok-dara-2")
    assert first is not None
    assert second is not None
    assert first.email == second.email
    assert first.id != second.id


@pytest.mark.promise(8)
@on_sqlite
@pytest.mark.parametrize(
    ("wished", "given"),
    [
        ("admin", "admin-2"), ("\uff41dmin", "admin-2"), ("ADMIN@evil.example", "admin-2"), ("\u0430dmin", "dmin"),
        ("\u1794\u17bc", "user"), ("../../x", "x-2"), ("a" * 500, "a" * 40), (None, "mail"),
    ],
)  # fmt: skip
def test_no_name_is_taken_for_anothers(door: Door, provider: Provider, wished: str | None, given: str) -> None:
    with door.centre.store.write() as uow:
        from lifecycle.people import add_user

        add_user(uow, "x", "X", None, 1)
    claims = {"email": "mail@x.example"} | ({} if wished is None else {"preferred_username": wished})
    provider.user("one", sub="9", **claims)
    door.log_in(door.visitor(), "one")
    if given == "x-2":
        given = "user"  # a single letter is no name
    user = door.user(given)
    assert user is not None
    assert user.state is UserState.WAITING


@on_sqlite
def test_two_providers_at_once_know_different_people(
    sok: None, make_door: Callable[..., Door], other: Provider, visitor: Visitor
) -> None:
    door = make_door(others=[other])
    other.user("sok", **SOK)
    page = visitor.get(f"{door.address}/login")
    assert "Log in with Campus" in page.text
    assert "Log in with Ministry" in page.text
    door.log_in(visitor)
    there = door.visitor()
    assert door.log_in(there, name="ministry").status == 200
    here, away = door.caller(visitor), door.caller(there)
    assert here is not None
    assert away is not None
    assert (here.user.name, away.user.name) == ("sok-dara", "sok-dara-2")  # (issuer, subject), not the subject alone


@pytest.mark.promise(8)
@on_sqlite
@pytest.mark.parametrize("state", ["suspended", "erased"])
def test_who_may_not_log_in_any_more_does_not(sok: None, door: Door, visitor: Visitor, state: str) -> None:
    door.log_in(door.visitor())
    with door.centre.database.connect(writes=True) as connection:
        connection.exec_driver_sql(f"UPDATE user SET state = '{state}' WHERE name = 'sok-dara'")
    page = door.log_in(visitor)
    assert page.status == 403
    assert "cannot log in" in page.text
    assert door.session(visitor) is None
    (entry,) = door.entries("login_refused")
    assert '"why":"not-welcome"' in entry.facts


@pytest.mark.promise(8)
def test_a_session_that_the_provider_ends_is_over_at_the_next_click(
    sok: None, door: Door, visitor: Visitor, provider: Provider
) -> None:
    door.log_in(visitor)
    elsewhere = door.visitor()
    door.log_in(elsewhere)
    told = provider.revoke("1")
    assert [one.problem for one in told] == [None, None]
    page = visitor.get(f"{door.address}/")
    assert "Your session has ended" in page.text
    assert door.session(visitor) is None
    assert "Your session has ended" not in visitor.get(f"{door.address}/").text
    assert door.caller(elsewhere) is None
    assert len(door.entries("backchannel_logout")) == 2


@on_sqlite
def test_logging_out_ends_the_session_here_and_at_the_provider(sok: None, door: Door, visitor: Visitor) -> None:
    home = door.log_in(visitor)
    text = door.session(visitor)
    page = door.send(visitor, home)
    assert "You are logged out here" in page.text
    assert door.session(visitor) is None
    assert text is not None
    assert door.ask(lambda uow: uow.people.caller(digest(text), door.clock.now_ms())) is None
    address = page.headers["refresh"].removeprefix("0; url=")
    assert address.startswith(door.provider.issuer)
    assert "id_token_hint=ey" in address
    asked = visitor.get(address)
    assert "Log out" in asked.text
    assert len(door.entries("logout")) == 1
    assert visitor.get(f"{door.address}/logout").url == f"{door.address}/"


@on_sqlite
def test_sessions_end_by_themselves(sok: None, door: Door, visitor: Visitor) -> None:
    door.log_in(visitor)
    door.clock.ahead_ms = 2 * 3_600_000 + 1_000
    assert door.caller(visitor) is None
    assert "Your session has ended" in visitor.get(f"{door.address}/").text


@on_sqlite
def test_a_name_and_a_password_do_too_where_that_is_on(door: Door, visitor: Visitor) -> None:
    door.set_password("dara")
    form = visitor.get(f"{door.address}/login", return_to="/device?user_code=ABC")
    wrong = door.send(visitor, form, name="dara", password="wrong")
    assert wrong.status == 401
    assert "is wrong" in wrong.text
    page = door.send(visitor, wrong, name="dara", password=PASSWORD)
    assert page.url == f"{door.address}/device?user_code=ABC"
    caller = door.caller(visitor)
    assert caller is not None
    assert caller.user.name == "dara"
    assert len(door.entries("login_refused")) == 1
    home = visitor.get(f"{door.address}/")
    assert "speech" in home.text
    out = door.send(visitor, home)
    assert out.url == f"{door.address}/"
    assert "You are logged out." in out.text


@on_sqlite
def test_no_password_is_asked_for_where_that_is_off(make_door: Callable[..., Door], visitor: Visitor) -> None:
    door = make_door(built_in=False)
    page = visitor.get(f"{door.address}/login")
    assert "password" not in page.text
    visitor.get(f"{door.address}/logout")


@on_sqlite
def test_a_decisions_fresh_login_reaches_its_level_and_replaces_the_session(
    sok: None, door: Door, visitor: Visitor, provider: Provider
) -> None:
    door.log_in(visitor)
    before, text = door.caller(visitor), door.session(visitor)
    assert before is not None
    page = door.log_in(visitor, again="1", return_to="/device")
    assert page.url == f"{door.address}/device"
    assert "You proved again who you are" in page.text
    after = door.caller(visitor)
    assert after is not None
    assert (before.token.level, after.token.level) == (1, 2)
    assert door.session(visitor) != text
    assert text is not None
    assert door.ask(lambda uow: uow.people.caller(digest(text), door.clock.now_ms())) is None
    provider.user("twin", **{**SOK, "sub": "2"})
    visitor.cookies = {key: value for key, value in visitor.cookies.items() if key[0] == "127.0.0.1"}
    other = door.log_in(visitor, "twin", again="1")
    assert (other.status, "somebody else" in other.text) == (403, True)


@pytest.mark.promise(8)
@on_sqlite
@pytest.mark.parametrize(
    ("lie", "said"), [({"auth_time": 1_000_000_000}, "did not ask you anew"), ({"acr": "low"}, "not as strong")]
)
def test_a_fresh_login_that_is_not_fresh_or_too_weak_is_none(
    sok: None, door: Door, visitor: Visitor, provider: Provider, lie: dict[str, Any], said: str
) -> None:
    door.log_in(visitor)
    before = door.session(visitor)
    provider.lie(lie)
    page = door.log_in(visitor, again="1")
    assert (page.status, said in page.text) == (401, True)
    assert door.session(visitor) == before
