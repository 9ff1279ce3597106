"""What is sealed of each kind of row: the whole of it, in one text, and never what may be erased."""

import json

import pytest

from domain.canonical import canonical
from quotas.leaves import AuditEntry, LedgerLeaf, PublicKey, TreeHead, commitment, missing

COLUMNS = {"at_ms": 5, "attempt_id": None, "kind": "charge", "name": 'charge/1.1/"ក"'}
LEDGER = LedgerLeaf(7, COLUMNS, (("held/0/1/1/uSU", "uSU", -(10**17)), ("consumed/0/1/1/uSU", "uSU", 10**17)))


def test_a_transaction_is_its_columns_and_what_it_moved() -> None:
    assert json.loads(LEDGER.text()) == {
        "entries": [["consumed/0/1/1/uSU", "100000000000000000"], ["held/0/1/1/uSU", "-100000000000000000"]],
        "leaf": "ledger",
        "transaction": {"at_ms": 5, "kind": "charge", "name": 'charge/1.1/"ក"'},
        "v": 1,
    }
    assert LEDGER.fault() is None


@pytest.mark.parametrize(
    "record",
    [
        LEDGER,
        AuditEntry(1, 5, "act", "/x", '{"n":1}', b"c" * 32, "{}", b"s"),
        TreeHead(1, 2, b"r" * 32, 3, 4, b"s" * 64),
        PublicKey(1, "tree", b"p" * 32, 5),
    ],
)
def test_every_leaf_is_canonical_and_says_its_kind_and_version(record: LedgerLeaf) -> None:
    told = json.loads(record.text())
    assert canonical(told) == record.text()
    assert told["v"] == 1
    assert told["leaf"] in {"ledger", "audit", "head", "key"}


def test_a_column_that_is_added_one_day_changes_no_leaf_of_before() -> None:
    assert LedgerLeaf(7, {**COLUMNS, "added": None}, LEDGER.entries).text() == LEDGER.text()
    assert LedgerLeaf(7, {**COLUMNS, "added": 1}, LEDGER.entries).text() != LEDGER.text()


def test_a_transaction_that_leaves_something_is_at_fault() -> None:
    assert LedgerLeaf(7, COLUMNS, (("a", "uSU", 1), ("b", "ms:h100", -1))).fault() == "leaves 1 uSU"


def test_who_and_why_are_committed_to_and_not_told() -> None:
    personal, salt = '{"by":"dara"}', b"salt"
    entry = AuditEntry(1, 5, "act", "/x", "{}", commitment(salt, personal), personal, salt)
    assert entry.fault() is None
    assert b"dara" not in entry.text()
    erased = AuditEntry(1, 5, "act", "/x", "{}", entry.commitment)
    assert erased.fault() is None
    assert erased.text() == entry.text()


@pytest.mark.parametrize(
    ("facts", "personal", "salt", "said"),
    [
        ("{ }", None, None, "another form"),
        ("no JSON", None, None, "nothing can read"),
        ("1.5", None, None, "nothing can read"),
        ("{}", "{}", None, "has lost"),
        ("{}", None, b"s", "has lost"),
        ("{}", "{}", b"t", "another who or why"),
    ],
)
def test_faults_of_an_entry(facts: str, personal: str | None, salt: bytes | None, said: str) -> None:
    entry = AuditEntry(1, 5, "act", "/x", facts, commitment(b"s", "{}"), personal, salt)
    assert said in (entry.fault() or "")


def test_what_is_missing_is_of_one_row() -> None:
    assert len({missing("audit", 1), missing("audit", 2), missing("ledger", 1)}) == 3
