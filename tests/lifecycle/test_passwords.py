"""Passwords of built-in users: what a failure tells (nothing), how often one may try, and what may be chosen."""

import threading
from dataclasses import replace

import pytest
from argon2 import PasswordHasher
from sqlalchemy import event

from api.identity.passwords import LANES, MEMORY_KIB, PASSES, Argon2Hasher
from domain.errors import Invalid, NotLoggedIn, Refused, Unavailable
from domain.people import Token, TokenKind, UserKind, UserState
from lifecycle import passwords, tokens
from lifecycle.passwords import FIRST_LOCK_MS, FREE_FAILURES, LONGEST_LOCK_MS, Hasher
from tests.support.centre import Centre
from tests.support.marks import on_sqlite

RIGHT = "five blue rivers going home"


class Counting(Argon2Hasher):
    """Counts its work: one entry a password that was compared, with whether there was a hash to compare with."""

    def __init__(self) -> None:
        super().__init__(memory_kib=64, passes=1)
        self.work: list[bool] = []

    def verify(self, hashed: str | None, password: str) -> bool:
        self.work.append(hashed is not None)
        return super().verify(hashed, password)


@pytest.fixture
def hasher() -> Counting:
    return Counting()


@pytest.fixture
def known(centre: Centre, hasher: Counting) -> Centre:
    """The small centre; dara has a password."""
    with centre.store.write() as uow:
        dara = uow.people.user("dara")
        assert dara is not None
        passwords.put(uow, dara, hasher.hash(RIGHT), centre.clock.now_ms())
    return centre


def check(centre: Centre, hasher: Hasher, name: str = "dara", password: str = RIGHT) -> str:
    return passwords.check(centre.store, hasher, name, password, centre.clock.now_ms()).name


def fail(centre: Centre, hasher: Hasher, name: str = "dara", password: str = "wrong") -> NotLoggedIn:
    with pytest.raises(NotLoggedIn) as refused:
        check(centre, hasher, name, password)
    return refused.value


def change(centre: Centre, name: str, **fields: object) -> None:
    with centre.store.write() as uow:
        user = uow.people.user(name)
        assert user is not None
        uow.people.save_user(replace(user, **fields))  # type: ignore[arg-type]


def test_the_parameters_are_not_below_what_is_advised() -> None:
    assert MEMORY_KIB >= 19 * 1024
    assert PASSES >= 2
    assert LANES == 1
    assert Argon2Hasher().hash(RIGHT).startswith(f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$")


def test_who_knows_the_password_is_let_in(known: Centre, hasher: Counting) -> None:
    assert check(known, hasher) == "dara"
    change(known, "dara", state=UserState.WAITING)
    assert check(known, hasher) == "dara"


@pytest.mark.promise(8)
def test_a_failure_tells_nothing_and_takes_the_same_work(known: Centre, hasher: Counting) -> None:
    """The same words, one hash and as many statements: for a wrong password, nobody, no password, and a lock."""
    statements: list[str] = []

    def count(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    def tried(name: str, password: str = "wrong") -> tuple[object, ...]:
        hasher.work.clear()
        statements.clear()
        refused = fail(known, hasher, name, password)
        writes = sum(one.startswith(("INSERT", "UPDATE")) for one in statements)
        return refused.message, refused.fixes, refused.code, len(hasher.work), writes

    event.listen(known.database.engine, "before_cursor_execute", count)
    try:
        wrong = tried("dara")
        assert wrong[3:] == (1, 1)
        assert tried("nobody-at-all") == tried("sok") == tried("x" * 5_000) == tried("") == wrong
        for _ in range(FREE_FAILURES):
            tried("dara")
        assert tried("dara") == tried("dara", RIGHT) == wrong, "the right one, while it is locked"
    finally:
        event.remove(known.database.engine, "before_cursor_execute", count)


@pytest.mark.promise(8)
@on_sqlite
def test_each_further_failure_locks_for_twice_as_long(known: Centre, hasher: Counting) -> None:
    for _ in range(FREE_FAILURES):
        fail(known, hasher)
    lock_ms = FIRST_LOCK_MS
    for _ in range(8):
        known.clock.advance(ms=lock_ms - 1)
        fail(known, hasher, password=RIGHT)
        known.clock.advance(ms=1)
        fail(known, hasher)  # not locked any more, and wrong
        lock_ms = min(2 * lock_ms, LONGEST_LOCK_MS)
    known.clock.advance(ms=lock_ms)
    assert check(known, hasher) == "dara"
    for _ in range(FREE_FAILURES - 1):
        fail(known, hasher)
    assert check(known, hasher) == "dara", "who was right begins anew"


@pytest.mark.promise(8)
def test_many_tries_at_once_count_one_after_another(known: Centre, hasher: Counting) -> None:
    """However many guesses are under way together, no more than the free ones are worth anything."""
    hasher = Counting()
    outcomes: list[str] = []

    def guess(number: int) -> None:
        try:
            outcomes.append(check(known, hasher, password=RIGHT if number == FREE_FAILURES + 3 else "wrong"))
        except (NotLoggedIn, Unavailable):
            outcomes.append("no")

    for number in range(FREE_FAILURES):
        guess(number)
    threads = [threading.Thread(target=guess, args=(FREE_FAILURES + number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(outcomes) == {"no"}


@pytest.mark.promise(8)
@on_sqlite
@pytest.mark.parametrize(
    "fields", [{"state": UserState.SUSPENDED}, {"state": UserState.ERASED}, {"kind": UserKind.SERVICE}]
)
def test_who_may_not_log_in_is_told_what_everybody_is(known: Centre, hasher: Counting, fields: dict) -> None:
    said = fail(known, hasher, "nobody").message
    change(known, "dara", **fields)
    assert fail(known, hasher, password=RIGHT).message == said


@on_sqlite
def test_a_hash_of_other_parameters_is_made_anew(known: Centre, hasher: Counting) -> None:
    stronger = Argon2Hasher(memory_kib=128, passes=1)
    assert check(known, stronger) == "dara"
    with known.store.read() as uow:
        kept = uow.logins.password(known.caller().user.id)
    assert kept is not None
    assert "m=128," in kept.hash
    assert check(known, stronger) == "dara"


@on_sqlite
def test_a_broken_hash_is_no_way_in(known: Centre, hasher: Counting) -> None:
    with known.store.write() as uow:
        passwords.put(uow, known.caller().user, "no hash at all", known.clock.now_ms())
    fail(known, hasher, password="no hash at all")


def test_a_flood_waits_or_is_turned_away() -> None:
    """Two at once, a few in the queue: what comes beyond is told to come back, and takes neither memory nor time."""
    inside, most, outcomes, lock = [0], [0], [], threading.Lock()

    class Watched(PasswordHasher):
        def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            try:
                return super().hash(password, salt=salt)
            finally:
                with lock:
                    inside[0] -= 1

    slow = Argon2Hasher(at_once=2)
    slow._hasher = Watched(8, 8 * 1024, 1)

    def ask() -> None:
        try:
            slow.hash(RIGHT)
            outcomes.append("done")
        except Unavailable as error:
            outcomes.append(error.code if error.retry_after_s else "when?")

    threads = [threading.Thread(target=ask) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= 2
    assert outcomes.count("busy") >= 20
    assert outcomes.count("done") >= 18
    assert slow.hash(RIGHT), "its places are free again"


@on_sqlite
@pytest.mark.parametrize(
    "bad",
    [
        "short", "x" * 11, "x" * 257, "passwordpassword", "Password1234", "qwertyuiopasdf", "1234567890123", "aaaaaaaaaaaaaaaa",
        "CorrectHorseBatteryStaple", "admin123456!!", "dara dara dara", "dara1234567", "angkorwat2026!",
    ],
)  # fmt: skip
def test_what_is_tried_first_cannot_be_chosen(known: Centre, bad: str) -> None:
    with pytest.raises(Invalid) as refused:
        passwords.check_new(known.caller().user, bad)
    assert refused.value.faults[0].field == "new"
    assert bad not in str(refused.value.faults)


@on_sqlite
@pytest.mark.parametrize(
    "good", [RIGHT, "aaaaaaaaaaab cd", "ស្រុកខ្មែរជាទឹកដីរបស់យើង", "123456 rivers run", "no digits here"]
)
def test_length_is_all_that_is_asked_for(known: Centre, good: str) -> None:
    passwords.check_new(known.caller().user, good)


@on_sqlite
def test_the_same_letters_composed_otherwise_are_the_same_password(known: Centre, hasher: Counting) -> None:
    with known.store.write() as uow:
        passwords.put(uow, known.caller().user, hasher.hash("caf\u00e9 by the river"), known.clock.now_ms())
    assert check(known, hasher, password="cafe\u0301 by the river") == "dara"


def test_choosing_another_needs_the_old_one_and_ends_other_logins(known: Centre, hasher: Counting) -> None:
    now_ms = known.clock.now_ms()
    user = known.caller().user
    with known.store.write() as uow:
        kinds = (TokenKind.SESSION, TokenKind.LOGIN, TokenKind.SESSION, TokenKind.PERSONAL)
        made = [tokens.keep(uow, Token(0, user.id, kind, now_ms, kind=kind))[0] for kind in kinds]
    new = "nine green lamps at night"
    with pytest.raises(NotLoggedIn):
        passwords.renewed(known.store, hasher, user, "wrong", new, now_ms)
    with pytest.raises(Invalid, match="is the old one"):
        passwords.renewed(known.store, hasher, user, RIGHT, RIGHT, now_ms)
    hashed = passwords.renewed(known.store, hasher, user, RIGHT, new, now_ms)
    with known.store.write() as uow:
        passwords.put(uow, user, hashed, now_ms, but=made[0].id)
        assert [one.revoked_ms is None for one in map(uow.people.token, [t.id for t in made]) if one] == [
            True, False, False, True,
        ]  # fmt: skip
    fail(known, hasher, password=RIGHT)
    assert check(known, hasher, password=new) == "dara"


def test_a_one_time_password_lets_its_user_choose_and_nothing_else(known: Centre, hasher: Counting) -> None:
    for _ in range(FREE_FAILURES + 1):
        fail(known, hasher)
    text, user = passwords.one_time(), known.caller().user
    with known.store.write() as uow:
        assert passwords.session_scopes(uow, user.id) is None
        passwords.set_one_time(uow, user, hasher.hash(text), known.clock.now_ms())
        assert passwords.session_scopes(uow, user.id) == frozenset()
    assert check(known, hasher, password=text) == "dara", "what was locked is open"
    hashed = passwords.renewed(known.store, hasher, user, text, RIGHT, known.clock.now_ms())
    with known.store.write() as uow:
        passwords.put(uow, user, hashed, known.clock.now_ms())
        assert passwords.session_scopes(uow, user.id) is None


@on_sqlite
def test_a_service_has_no_password(known: Centre) -> None:
    change(known, "sok", kind=UserKind.SERVICE, owner_id=known.caller().user.id)
    with known.store.write() as uow:
        sok = uow.people.user("sok")
        assert sok is not None
        with pytest.raises(Refused) as refused:
            passwords.set_one_time(uow, sok, "hash", known.clock.now_ms())
    assert refused.value.code == "no-login"
