"""Logins of a device (RFC 8628): shown, approved elsewhere, claimed once."""

import json
from dataclasses import replace

import pytest

from domain.errors import Conflict, Invalid, NotAllowed, NotFound, Refused
from domain.logins import DeviceState
from domain.people import Caller, Token, TokenKind, UserKind, UserState
from domain.quantities import DAY_MS
from lifecycle import devices, passwords, people, tokens
from lifecycle.devices import ALPHABET, INTERVAL_MS, LASTS_MS, MOST_WAITING, SLOWER_MS
from lifecycle.paging import Page
from lifecycle.witness import EntryFilter
from tests.support.centre import Centre
from tests.support.marks import on_sqlite

HOME = "192.0.2.7"


def begin(centre: Centre, address: str = HOME) -> tuple[str, str]:
    """The user code and the device code."""
    with centre.store.write() as uow:
        device, text = devices.begin(uow, "a laptop", address, centre.clock.now_ms())
    return device.user_code, text


def session(centre: Centre, user: str = "dara", **fields: object) -> Caller:
    now_ms = centre.clock.now_ms()
    with centre.store.write() as uow:
        who = people.user_named(uow, user)
        token = Token(0, who.id, "browser", now_ms, kind=TokenKind.SESSION, login_ms=now_ms - 7, level=2)
        _, text = tokens.keep(uow, replace(token, **fields))  # type: ignore[arg-type]
    with centre.store.read() as uow:
        return people.authenticate(uow, text, now_ms)


def decide(centre: Centre, code: str, caller: Caller | None = None, *, approve: bool = True) -> None:
    caller = caller or session(centre)
    with centre.store.write() as uow:
        devices.decide(uow, code, caller, approve, centre.clock.now_ms())


def claim(centre: Centre, code: str) -> tuple[Token, str]:
    return devices.claim(centre.store, code, centre.clock.now_ms(), 30 * DAY_MS)


def refused(centre: Centre, code: str) -> str:
    with pytest.raises(Conflict) as error:
        claim(centre, code)
    return error.value.code


def test_an_approved_login_becomes_a_token_of_who_approved_it(centre: Centre) -> None:
    shown, code = begin(centre)
    assert refused(centre, code) == "authorization_pending"
    approved_ms = centre.clock.now_ms()
    decide(centre, shown.lower().replace("-", " "))
    centre.clock.advance(ms=INTERVAL_MS)
    token, text = claim(centre, code)
    assert (token.kind, token.name, token.login_ms, token.level) == (TokenKind.LOGIN, "a laptop", approved_ms - 7, 2)
    assert token.expires_ms == centre.clock.now_ms() + 30 * DAY_MS
    assert token.scopes is None
    with centre.store.read() as uow:
        assert people.authenticate(uow, text, centre.clock.now_ms()).user.name == "dara"


@pytest.mark.promise(8)
def test_a_device_code_is_worth_one_token(centre: Centre) -> None:
    shown, code = begin(centre)
    decide(centre, shown)
    claim(centre, code)
    for _ in range(3):
        centre.clock.advance(ms=INTERVAL_MS)
        assert refused(centre, code) == "expired_token"
    with centre.store.read() as uow:
        dara = people.user_named(uow, "dara")
        assert [one.kind for one in uow.people.tokens(dara.id)].count(TokenKind.LOGIN) == 1


def test_who_asks_too_soon_waits_longer_from_then_on(centre: Centre) -> None:
    shown, code = begin(centre)
    assert refused(centre, code) == "authorization_pending"
    centre.clock.advance(ms=INTERVAL_MS - 1)
    assert refused(centre, code) == "slow_down"
    decide(centre, shown)
    centre.clock.advance(ms=INTERVAL_MS + SLOWER_MS - 1)
    assert refused(centre, code) == "slow_down", "an approved one too"
    centre.clock.advance(ms=INTERVAL_MS + 2 * SLOWER_MS)
    assert claim(centre, code)[0].kind is TokenKind.LOGIN


def test_a_denied_login_stays_denied(centre: Centre) -> None:
    shown, code = begin(centre)
    decide(centre, shown, approve=False)
    assert refused(centre, code) == "access_denied"
    with pytest.raises(NotFound):
        decide(centre, shown)
    assert refused(centre, code) == "access_denied"


@pytest.mark.promise(8)
def test_after_its_time_a_login_is_nothing(centre: Centre) -> None:
    shown, code = begin(centre)
    centre.clock.advance(ms=LASTS_MS)
    assert refused(centre, code) == "expired_token"
    with pytest.raises(NotFound) as gone:
        decide(centre, shown)
    with pytest.raises(NotFound) as never:
        decide(centre, "BCDF-GHJK")
    assert gone.value.message == never.value.message
    shown, code = begin(centre)
    decide(centre, shown)
    centre.clock.advance(ms=LASTS_MS)
    assert refused(centre, code) == "expired_token", "approved, and never claimed"


@on_sqlite
@pytest.mark.parametrize("code", ["", "x", "bry_" + "x" * 43, "a" * 101, "../../etc", "\0", "ខ្មែរ" * 5, "x" * 10_000])
def test_forged_device_codes_are_told_what_expired_ones_are(centre: Centre, code: str) -> None:
    assert refused(centre, code) == "expired_token"


@on_sqlite
@pytest.mark.parametrize("code", ["", "-", "AEIO-UAEI", "BCDF-GHJ", "BCDF-GHJKL", "' OR 1=1", "\0" * 8, "x" * 100_000])
def test_forged_user_codes_are_told_what_wrong_ones_are(centre: Centre, code: str) -> None:
    begin(centre)
    with centre.store.read() as uow, pytest.raises(NotFound, match="no login waits with this code"):
        devices.look_up(uow, code, centre.clock.now_ms())


@pytest.mark.promise(8)
@on_sqlite
def test_only_a_person_approves_in_a_session_of_their_own(centre: Centre) -> None:
    shown, code = begin(centre)
    good = session(centre)
    bad = [
        centre.caller("dara"),  # a token made by hand
        session(centre, kind=TokenKind.LOGIN),
        session(centre, scopes=frozenset()),  # of a one-time password
        session(centre, account_id=centre.population.projects["speech"]),
        replace(good, acting_by=centre.caller("sophea").user),
        replace(good, user=replace(good.user, kind=UserKind.SERVICE)),
    ]
    for caller in bad:
        with pytest.raises(NotAllowed):
            decide(centre, shown, caller)
    assert refused(centre, code) == "authorization_pending"
    decide(centre, shown, good)


@pytest.mark.promise(8)
@on_sqlite
def test_who_was_suspended_meanwhile_gets_no_token(centre: Centre) -> None:
    shown, code = begin(centre)
    decide(centre, shown)
    with centre.store.write() as uow:
        uow.people.save_user(replace(people.user_named(uow, "dara"), state=UserState.SUSPENDED))
    assert refused(centre, code) == "access_denied"
    assert refused(centre, code) == "expired_token"


@pytest.mark.promise(8)
def test_a_login_that_was_approved_before_all_logins_ended_is_none(centre: Centre) -> None:
    """Whoever had the session that approved it gets no token after the password was changed, or all were revoked."""
    shown, code = begin(centre)
    decide(centre, shown)
    with centre.store.write() as uow:
        passwords.put(uow, people.user_named(uow, "dara"), "a hash", centre.clock.now_ms())
    assert refused(centre, code) == "access_denied"


def test_a_claim_is_in_the_audit_trail(centre: Centre) -> None:
    shown, code = begin(centre)
    decide(centre, shown)
    token, _ = claim(centre, code)
    with centre.store.read() as uow:
        (entry,) = uow.audit.page(Page(None, 10), EntryFilter(action="claim_device"))
        assert uow.privacy.people_of([entry.id]) == {entry.id: [(token.user_id, "by")]}
    assert json.loads(entry.facts)["token"] == token.id
    assert "dara" not in entry.facts + entry.subject


@on_sqlite
def test_one_address_cannot_fill_the_table(centre: Centre) -> None:
    for _ in range(MOST_WAITING):
        begin(centre)
    with pytest.raises(Refused) as full:
        begin(centre)
    assert (full.value.code, full.value.retry_after_s) == ("rate-limited", 600)
    begin(centre, "192.0.2.8")
    centre.clock.advance(ms=LASTS_MS)
    begin(centre)


@on_sqlite
@pytest.mark.parametrize("client", ["", "  ", "x" * 101, "two\nlines", "turned \u202e around"])
def test_what_people_see_of_a_device_is_one_honest_line(centre: Centre, client: str) -> None:
    with centre.store.write() as uow, pytest.raises(Invalid):
        devices.begin(uow, client, HOME, centre.clock.now_ms())


@on_sqlite
def test_codes_are_of_letters_that_nobody_mistakes(centre: Centre) -> None:
    shown = [begin(centre, f"192.0.2.{number}")[0] for number in range(50)]
    assert all(len(code) == 9 and code[4] == "-" and set(code) <= {*ALPHABET, "-"} for code in shown)
    assert len(set(shown)) == 50
    assert not set(ALPHABET) & set("AEIOUY01")


def test_a_login_is_decided_once(centre: Centre) -> None:
    shown, _ = begin(centre)
    decide(centre, shown)
    for approve in (True, False):
        with pytest.raises(NotFound):
            decide(centre, shown, session(centre, "sok"), approve=approve)
    with centre.store.read() as uow:
        device = uow.logins.device_of(shown)
    assert device is not None
    assert device.state is DeviceState.APPROVED
