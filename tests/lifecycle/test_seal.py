"""Sealing: every row once, in order, without a gap; heads in time; one sealer."""

import itertools
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from domain.errors import CannotStart, StaleLeader
from lifecycle.events import SecurityEvent
from lifecycle.keys import OVERLAP_MS, follow, list_key, overlapping
from lifecycle.seal import HEAD_MS, BrokenTree, Sealer
from lifecycle.witness import witness
from quotas.leaves import AuditEntry, Kind
from quotas.merkle import TILE
from quotas.notes import signed_note, verifier_key
from runtime.logs import tell
from store.append_only import unprotect
from store.signer import FileSigner, make_key
from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.sealing import NAME, Sealed


@pytest.fixture
def sealed(centre: Centre, tmp_path: Path) -> Sealed:
    return Sealed.on(centre, tmp_path)


def heads(sealed: Sealed) -> list[tuple[int, int]]:
    with sealed.centre.store.read() as uow:
        return [(head.number, head.size) for head in uow.seals.heads(0, 1_000)]


def leaves(sealed: Sealed) -> list[tuple[int, str, int]]:
    with sealed.centre.store.read() as uow:
        return [(leaf.index, leaf.kind, leaf.row) for leaf in uow.seals.leaves(0, 10_000)]


@pytest.mark.promise(8)
def test_every_posting_and_every_entry_is_sealed_once_and_in_order(sealed: Sealed) -> None:
    sealed.centre.submit(spec())
    sealed.centre.run()
    sealed.note("first")
    sealed.note("second")
    posted = [row.id for row in sealed.centre.database.rows("SELECT id FROM ledger_transaction ORDER BY id")]
    sealed.seal()
    found = leaves(sealed)
    assert [index for index, _, _ in found] == list(range(len(found)))
    assert [row for _, kind, row in found if kind == Kind.LEDGER] == posted
    assert [row for _, kind, row in found if kind == Kind.AUDIT][-2:] == sorted(
        row.id for row in sealed.centre.database.rows("SELECT id FROM audit_entry WHERE action IN ('first', 'second')")
    )
    assert sealed.wrong() is None
    before = len(found)
    assert sealed.seal() == 0
    assert len(leaves(sealed)) == before


@pytest.mark.parametrize("batch", [1, 7, 1_000])
def test_batches_make_one_tree(centre: Centre, tmp_path: Path, batch: int) -> None:
    sealed = Sealed.on(centre, tmp_path, batch)
    for number in range(20):
        sealed.note(f"act-{number}")
    sealed.seal()
    assert sealed.wrong() is None
    with centre.store.read() as uow:
        assert uow.seals.waiting(9) == [] or {one.kind for one in uow.seals.waiting(9)} == {Kind.HEAD}


def test_a_head_is_signed_at_once_and_then_every_minute_as_long_as_there_is_something_new(sealed: Sealed) -> None:
    sealed.seal()
    first = heads(sealed)
    assert [number for number, _ in first] == [1]
    sealed.note("within the minute")
    sealed.seal()
    assert heads(sealed) == first
    sealed.centre.clock.advance(ms=HEAD_MS)
    sealed.seal()
    assert [number for number, _ in heads(sealed)] == [1, 2]
    for _ in range(5):  # nothing new: a head alone is no reason for the next
        sealed.centre.clock.advance(ms=HEAD_MS)
        sealed.seal()
    assert [number for number, _ in heads(sealed)] == [1, 2]
    sealed.note("once more")
    sealed.seal()
    assert [number for number, _ in heads(sealed)] == [1, 2, 3]
    assert sealed.wrong() is None


def test_a_thousand_leaves_are_a_head(sealed: Sealed) -> None:
    sealed.seal()
    with sealed.centre.store.write() as uow:
        for number in range(2_100):
            uow.audit.add(_entry(number))
    sealed.seal()
    sizes = [size for _, size in heads(sealed)]
    assert len(sizes) == 3
    assert all(late - early >= 1_000 for early, late in itertools.pairwise(sizes))
    assert sealed.wrong() is None
    with sealed.centre.store.read() as uow:
        assert uow.seals.tile_count() == uow.seals.size() // TILE


def _entry(number: int) -> AuditEntry:
    return AuditEntry(0, number, "act", "/things", "{}")


@pytest.mark.promise(8)
def test_another_process_goes_on_where_the_first_one_ended(sealed: Sealed) -> None:
    for number in range(5):
        sealed.note(f"act-{number}")
        sealed.centre.clock.advance(ms=HEAD_MS)
        sealed.seal()
        sealed.again()
    assert len(heads(sealed)) == 5
    assert sealed.wrong() is None


@pytest.mark.promise(8)
def test_who_no_longer_leads_seals_nothing(sealed: Sealed) -> None:
    sealed.note("act")
    sealed.seal()
    old, sealer = sealed.centre.epoch, sealed.sealer
    sealed.note("later")
    sealed.centre.restart()
    with pytest.raises(StaleLeader):
        sealer.step(old, sealed.centre.clock.now_ms())
    before = leaves(sealed)
    sealed.again()
    sealed.seal()
    assert leaves(sealed)[: len(before)] == before
    assert sealed.wrong() is None


def test_a_transaction_that_is_undone_leaves_nothing_to_seal(sealed: Sealed) -> None:
    sealed.seal()
    before = leaves(sealed)
    with pytest.raises(RuntimeError), sealed.centre.store.write() as uow:
        uow.audit.add(_entry(1))
        raise RuntimeError
    sealed.seal()
    assert leaves(sealed) == before


@pytest.mark.promise(8)
def test_no_head_is_signed_over_what_was_altered(sealed: Sealed) -> None:
    """A sealer that starts anew holds the stored tree against the last head."""
    for number in range(5):
        sealed.note(f"act-{number}")
    sealed.seal()
    with sealed.centre.database.connect(writes=True) as connection:
        unprotect(connection)
        connection.exec_driver_sql("UPDATE leaf SET hash = (SELECT hash FROM leaf WHERE idx = 1) WHERE idx = 0")
    sealed.note("later")
    sealed.again()
    with pytest.raises(BrokenTree):
        sealed.seal()


def test_a_row_that_is_gone_before_it_is_sealed_is_sealed_as_missing(sealed: Sealed) -> None:
    entry = sealed.note("act")
    with sealed.centre.database.connect(writes=True) as connection:
        unprotect(connection)
        connection.exec_driver_sql(f"DELETE FROM audit_entry WHERE id = {entry.id}")
    sealed.seal()
    found = sealed.wrong()
    assert found is not None
    assert (found.kind, found.row, found.what) == (Kind.AUDIT, entry.id, "was taken away before it could be sealed")


def test_what_nothing_can_read_keeps_nobody_waiting(sealed: Sealed) -> None:
    entry = sealed.note("act")
    with sealed.centre.database.connect(writes=True) as connection:
        unprotect(connection)
        connection.exec_driver_sql(f"UPDATE audit_entry SET facts = 'no JSON' WHERE id = {entry.id}")
    sealed.note("later")
    sealed.seal()
    found = sealed.wrong()
    assert found is not None
    assert (found.kind, found.row) == (Kind.AUDIT, entry.id)


class TestKeys:
    def test_the_first_key_is_listed_once(self, sealed: Sealed) -> None:
        with sealed.centre.store.write() as uow:
            list_key(uow, sealed.signer, 5)
            (key,) = uow.seals.public_keys()
        assert (key.name, key.public) == (NAME, sealed.signer.public())

    def test_a_key_that_came_from_nowhere_is_refused(self, sealed: Sealed, tmp_path: Path) -> None:
        make_key(tmp_path / "other.key")
        with pytest.raises(CannotStart, match="not the one"), sealed.centre.store.write() as uow:
            list_key(uow, FileSigner(tmp_path / "other.key", NAME), 5)

    def test_the_next_key_signs_at_once_and_the_old_one_may_for_a_while(self, sealed: Sealed, tmp_path: Path) -> None:
        sealed.note("act")
        sealed.seal()
        now_ms = sealed.centre.clock.advance(ms=HEAD_MS)
        public = make_key(tmp_path / "next.key")
        with sealed.centre.store.write() as uow:
            follow(uow, NAME, public, "yearly", now_ms)
        sealed.seal()  # still with the old one
        (tmp_path / "next.key").replace(tmp_path / "audit.key")
        sealed.centre.clock.advance(ms=HEAD_MS)
        sealed.note("act")
        sealed.seal()
        with sealed.centre.store.read() as uow:
            old, new = uow.seals.public_keys()
            assert [head.key_id for head in uow.seals.heads(0, 10)] == [old.id, old.id, new.id]
        assert sealed.wrong() is None
        assert overlapping(old, [old, new], now_ms + OVERLAP_MS)
        assert not overlapping(old, [old, new], now_ms + OVERLAP_MS + 1)
        assert not overlapping(new, [old, new], now_ms - 1)

    @pytest.mark.promise(8)
    def test_a_head_by_the_old_key_after_its_time_is_found(self, sealed: Sealed, tmp_path: Path) -> None:
        with sealed.centre.store.write() as uow:
            follow(uow, NAME, make_key(tmp_path / "next.key"), "yearly", sealed.centre.clock.now_ms())
        sealed.centre.clock.advance(ms=OVERLAP_MS + HEAD_MS)
        sealed.seal()
        (tmp_path / "next.key").replace(tmp_path / "audit.key")
        found = sealed.wrong()
        assert found is not None
        assert "outside its time" in found.what

    def test_a_head_that_no_listed_key_would_sign_is_not_signed(self, sealed: Sealed, tmp_path: Path) -> None:
        make_key(tmp_path / "other.key")
        sealed.note("act")
        other = Sealer(sealed.centre.store, FileSigner(tmp_path / "other.key", NAME))
        with pytest.raises(BrokenTree, match="not listed"):
            other.step(sealed.centre.epoch, sealed.centre.clock.now_ms())

    def test_heads_and_keys_are_written_as_others_read_them(self, sealed: Sealed) -> None:
        sealed.seal()
        with sealed.centre.store.read() as uow:
            (key,), head = uow.seals.public_keys(), uow.seals.last_head()
        assert head is not None
        lines = signed_note(head, key).split("\n")
        assert lines[0] == NAME
        assert lines[1] == str(head.size)
        assert lines[4] == ""
        assert lines[5].startswith(f"\u2014 {NAME} ")
        assert verifier_key(key).split("+")[0] == NAME


@pytest.mark.promise(8)
def test_security_events_are_told_once_when_their_entries_are_sealed_and_name_nobody(sealed: Sealed) -> None:
    told: list[SecurityEvent] = []
    sealed.sealer.tell = told.append
    with sealed.centre.store.write() as uow:
        given = witness(
            uow.audit, 7, "give_role", "/x", {"request": "r", "status": 201}, {"by": "admin", "reason": "y"}
        )
        uow.privacy.note(given.id, [(1, "by"), (2, "about")])
        refused = witness(uow.audit, 8, "login_refused", "/login/password", {})
        witness(uow.audit, 9, "submit_job", "/jobs", {}, {"by": "admin"})
        witness(uow.audit, 9, "row_written", "/rows/rate/h/1", {"row": {}})
    assert told == []
    sealed.seal()
    sealed.seal()
    assert told == [
        SecurityEvent("role-given", given.id, 7, "give_role", (1,), (), (2,), 201, "r"),
        SecurityEvent("login-refused", refused.id, 8, "login_refused", (), (), (), None, None),
    ]


def test_a_security_event_is_a_line_of_the_log_with_numbers_for_people() -> None:
    with capture_logs() as lines:
        tell(SecurityEvent("login", 4, 7, "login", (3,), (), (), None, None))
    assert lines == [
        {"event": "security.login", "log_level": "info", "entry": 4, "at_ms": 7, "action": "login", "by": (3,)}
    ]
