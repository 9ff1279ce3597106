"""The ports of ``lifecycle.identity`` that have to do with logging in, on both databases."""

from dataclasses import replace

from domain.logins import DeviceLogin, DeviceState, Identity, Password, Session
from domain.people import Token, TokenKind
from lifecycle.ports import UnitOfWork
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS

NOW = NEW_YEAR_MS


def dara(uow: UnitOfWork) -> int:
    user = uow.people.user("dara")
    assert user is not None
    return user.id


class TestLogins:
    def test_an_identity_is_found_by_issuer_and_subject_alone(self, uow: UnitOfWork) -> None:
        issuer = "https://idp.example"
        made = uow.logins.add_identity(Identity(0, dara(uow), issuer, "s-1", "camdigikey", NOW, NOW))
        assert uow.logins.identity(issuer, "s-1") == made
        for other in ((issuer, "S-1"), (issuer, "s-1 "), ("https://IdP.example", "s-1"), (f"{issuer}/", "s-1")):
            assert uow.logins.identity(*other) is None
        uow.logins.touch_identity(made.id, NOW + 5)
        assert uow.logins.identity(issuer, "s-1") == replace(made, last_ms=NOW + 5)

    def test_there_is_one_password_a_user(self, uow: UnitOfWork) -> None:
        user_id = dara(uow)
        assert uow.logins.password(user_id) is None
        for kept in (Password(user_id, "a", NOW), Password(user_id, "b", NOW + 1, 3, NOW + 9)):
            uow.logins.put_password(kept)
            assert uow.logins.password(user_id) == uow.logins.password(user_id, lock=True) == kept

    def test_sessions_are_found_as_the_provider_names_them(self, uow: UnitOfWork) -> None:
        made = []
        for number, (subject, sid) in enumerate((("s-1", "a"), ("s-1", "b"), ("s-2", "a"))):
            token = uow.people.add_token(Token(0, dara(uow), "t", NOW, kind=TokenKind.SESSION), bytes([number]))
            made.append(Session(token.id, "camdigikey", "https://idp.example", subject, sid, b"sealed"))
            uow.logins.add_session(made[-1])
        assert uow.logins.session(made[1].token_id) == made[1]
        assert uow.logins.session(99_999) is None
        assert uow.logins.sessions_of("https://idp.example", subject="s-1") == made[:2]
        assert uow.logins.sessions_of("https://idp.example", sid="a") == [made[0], made[2]]
        assert uow.logins.sessions_of("https://idp.example", sid="a", subject="s-2") == [made[2]]
        assert uow.logins.sessions_of("https://other.example", sid="a") == []

    def test_a_device_is_found_by_either_code(self, uow: UnitOfWork) -> None:
        begun = DeviceLogin(0, "BCDF-GHJK", "a laptop", "192.0.2.7", NOW, NOW + 60_000, 5_000)
        made = uow.logins.add_device(begun, b"digest")
        assert made == replace(begun, id=made.id)
        assert uow.logins.device(b"digest") == uow.logins.device_of("BCDF-GHJK") == made
        assert uow.logins.device(b"other") is None
        assert uow.logins.device_of("bcdf-ghjk") is None
        approved = replace(made, state=DeviceState.APPROVED, user_id=dara(uow), login_ms=NOW, level=2, polled_ms=NOW)
        uow.logins.save_device(approved)
        assert uow.logins.device(b"digest", lock=True) == uow.logins.device_of("BCDF-GHJK", lock=True) == approved

    def test_those_that_wait_are_counted_by_address(self, uow: UnitOfWork) -> None:
        for number, (address, ends_ms, state) in enumerate(
            (("a", 9, "waiting"), ("a", 1, "waiting"), ("a", 9, "approved"), ("b", 9, "waiting"), ("a", 5, "waiting"))
        ):
            begun = DeviceLogin(0, f"CODE-{number}", "x", address, NOW, NOW + ends_ms, 5_000, DeviceState(state))
            uow.logins.add_device(begun, bytes([number]))
        assert uow.logins.devices_waiting("a", NOW + 1) == 2
        assert uow.logins.devices_waiting("c", NOW) == 0

    def test_what_may_be_used_once_is_used_once(self, uow: UnitOfWork) -> None:
        assert uow.logins.spend(b"token", NOW)
        assert not uow.logins.spend(b"token", NOW + 1)
        assert uow.logins.spend(b"another", NOW)

    def test_what_is_written_for_nobody_stays_one_row(self, uow: UnitOfWork, centre: Centre) -> None:
        for ms in range(3):
            uow.logins.stir(b"stranger", NOW + ms)
        assert not uow.logins.spend(b"stranger", NOW)


class TestPeopleByTenant:
    """What ``test_ports.TestPeople`` leaves out: who is shown to whom, and tokens that live."""

    def test_live_tokens_are_neither_revoked_nor_over(self, uow: UnitOfWork) -> None:
        user_id = dara(uow)
        before = uow.people.live_tokens(user_id, NOW)
        for number, (expires_ms, revoked_ms) in enumerate(((None, None), (NOW + 1, None), (NOW, None), (None, NOW))):
            uow.people.add_token(Token(0, user_id, "t", NOW, expires_ms, revoked_ms), bytes([number]))
        assert uow.people.live_tokens(user_id, NOW) == before + 2

    def test_all_tokens_of_some_kinds_are_revoked_but_one(self, uow: UnitOfWork) -> None:
        kinds = (TokenKind.SESSION, TokenKind.LOGIN, TokenKind.PERSONAL, TokenKind.SESSION)
        made = [
            uow.people.add_token(Token(0, dara(uow), kind, NOW, kind=kind), bytes([number]))
            for number, kind in enumerate(kinds)
        ]
        assert uow.people.revoke_tokens(dara(uow), NOW, frozenset(kinds[:2]), but=made[3].id) == 2
        assert [one.revoked_ms for one in map(uow.people.token, [t.id for t in made]) if one] == [NOW, NOW, None, None]
