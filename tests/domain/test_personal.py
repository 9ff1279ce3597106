"""The register of personal data has every column that could hold something about a person, once, and no other."""

import pytest
from sqlalchemy import JSON, LargeBinary, String, Text

from domain.impersonal import NOT_PERSONAL, reasons
from domain.personal import AUDIT, PLACES, RECORDS, Goes, pseudonym
from domain.retention import DEFAULTS, UNSWEPT, Keep, terms_of
from store.tables import Base
from tests.personal_data import PAGE, page

PEOPLE = {"user", "token"}


def could_be_personal() -> set[tuple[str, str]]:
    """Columns of text, JSON or bytes, and those that point at a person."""
    found = set()
    for table in Base.metadata.tables.values():
        for column in table.columns:
            free = isinstance(column.type, String | Text | JSON | LargeBinary)
            points = any(key.column.table.name in PEOPLE for key in column.foreign_keys)
            if free or points or column.name.endswith("user_id"):
                found.add((table.name, column.name))
    return found


PERSONAL = [(record.table, field.column) for record in (*RECORDS, AUDIT) for field in record.fields]


@pytest.mark.promise(8)
def test_every_column_that_could_be_personal_is_in_the_register_or_has_a_reason_not_to_be() -> None:
    missing = could_be_personal() - set(PERSONAL) - set(reasons())
    assert not missing, (
        f"say in domain/personal.py what becomes of {sorted(missing)}, or in domain/impersonal.py why not"
    )


@pytest.mark.promise(8)
def test_no_column_is_in_both_nor_twice_nor_gone() -> None:
    assert not set(PERSONAL) & set(reasons())
    assert len(PERSONAL) == len(set(PERSONAL))
    listed = [(t, c) for tables in NOT_PERSONAL.values() for t, columns in tables.items() for c in columns]
    assert len(listed) == len(set(listed))
    there = {(table.name, column.name) for table in Base.metadata.tables.values() for column in table.columns}
    assert set(PERSONAL) | set(listed) <= there


def test_every_record_says_what_for_how_long_and_whose() -> None:
    for record in (*RECORDS, AUDIT):
        assert record.says.endswith("."), record.kind
        assert record.purpose, record.kind
        assert record.keep in DEFAULTS, record.kind
        assert all(field.says for field in record.fields), record.kind
        table = Base.metadata.tables[record.table]
        assert set(record.whose) <= {column.name for column in table.columns}, record.kind
        assert {field.by for field in record.fields} - {""} <= set(record.whose), record.kind
    assert len({record.kind for record in RECORDS}) == len(RECORDS)
    assert all(place.goes and place.purpose for place in PLACES)


def test_a_row_goes_whole_or_its_columns_one_by_one() -> None:
    for record in RECORDS:
        ways = {field.goes for field in record.fields}
        assert Goes.ROW not in ways or ways == {Goes.ROW}, record.kind


def test_a_document_overrides_what_it_names_and_nothing_else() -> None:
    terms = terms_of({"audit": {"days": 7, "source": "Prakas 12"}, "work": {"basis": "legal duty", "source": "a law"}})
    assert (terms[Keep.AUDIT].days, terms[Keep.AUDIT].source) == (7, "Prakas 12")
    assert terms[Keep.AUDIT].basis is DEFAULTS[Keep.AUDIT].basis
    assert (terms[Keep.WORK].basis, terms[Keep.WORK].days) == ("legal duty", None)
    assert {keep for keep in Keep if terms[keep] == DEFAULTS[keep]} == set(Keep) - {Keep.AUDIT, Keep.WORK}
    assert {keep for keep, term in DEFAULTS.items() if term.days is None} == UNSWEPT


def test_whoever_is_erased_has_a_name_that_tells_nothing() -> None:
    assert pseudonym(7) == "erased-7"


def test_the_page_of_the_register_is_true() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: make personal-data"
