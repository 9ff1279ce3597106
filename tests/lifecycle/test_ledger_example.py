"""The example of docs/ledger.md, worked by hand there, against what the real code posts."""

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from domain.months import month_span
from domain.quantities import MICRO, format_su
from lifecycle import fleet
from lifecycle.report import usage
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import H100, resources, spec

DOCS = Path(__file__).parents[2] / "docs" / "ledger.md"
HERE = timezone(timedelta(hours=7))

Table = list[list[str]]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=HERE).timestamp() * 1_000)


def tables() -> dict[str, Table]:
    """Every table of the example, by the first cell of its head; cells as they are written."""
    example = DOCS.read_text(encoding="utf-8").partition("## An example, by hand")[2]
    found: dict[str, Table] = {}
    for block in re.findall(r"(?:^\|.*\|\n)+", example, re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in block.splitlines()]
        found[rows[0][0]] = rows
    return found


@pytest.fixture
def lived(centre: Centre) -> Centre:
    """The job has run as the page tells."""
    centre.clock.set(at("2026-01-31 22:00"))
    with centre.store.write() as uow:
        fleet.add_rate(uow, H100, at("2026-02-01 00:30"), 3 * MICRO, centre.clock.now_ms())
    centre.clock.set(at("2026-01-31 23:00"))
    centre.submit(spec(needs=resources(3, walltime="3h"), command="run 2h"))
    centre.settle()
    centre.clock.set(at("2026-02-01 00:40"))
    centre.settle()
    centre.run()
    return centre


def posted(centre: Centre) -> dict[str, Table]:
    """What was posted for the attempt, in the page's own form."""
    rows = centre.database.rows(
        "SELECT t.id, t.name, t.at_ms, b.kind, b.unit, g.name AS payer, SUM(e.amount) AS amount"
        " FROM ledger_transaction t JOIN ledger_entry e ON e.transaction_id = t.id JOIN book b ON b.id = e.book_id"
        " LEFT JOIN funder_grant g ON g.id = b.grant_id WHERE t.attempt_id IS NOT NULL"
        " GROUP BY t.id, t.name, t.at_ms, b.kind, b.unit, g.name ORDER BY t.id"
    )
    found: dict[str, dict[str, dict[str | None, int]]] = {}
    for row in rows:
        when = datetime.fromtimestamp(row.at_ms / 1_000, UTC).astimezone(HERE)
        head = f"`{row.name}` of {when:%Y-%m-%d %H:%M:%S}.{row.at_ms % 1_000:03}"
        book = f"{row.kind}, {'SU' if row.unit == 'uSU' else 'GPU-ms'}"
        found.setdefault(head, {}).setdefault(book, {})[row.payer] = int(row.amount)
    return {head: [_line(book, amounts) for book, amounts in books.items()] for head, books in found.items()}


def _line(book: str, amounts: dict[str | None, int]) -> list[str]:
    def written(amount: int) -> str:
        return format_su(amount) if book.endswith("SU") else str(amount)

    own = [written(amounts[payer]) if payer in amounts else "" for payer in ("moeys-2026", "wb-77")]
    return [book, *own, written(sum(amounts.values()))]


@pytest.mark.promise(4)
def test_the_page_shows_what_is_posted(lived: Centre) -> None:
    told, real = tables(), posted(lived)
    assert [head for head in told if head != "month"] == list(real)
    for head, lines in real.items():
        assert told[head][0][1:] == ["moeys-2026", "wb-77", "together"]
        assert sorted(told[head][2:]) == sorted(lines), head
    assert_sound(lived.database, lived.store)


@pytest.mark.promise(4)
def test_the_page_shows_what_each_month_sums_up_to(lived: Centre) -> None:
    for month, *amounts in tables()["month"][2:]:
        with lived.store.read() as uow:
            told = usage(uow, "funder", *month_span(month), None)
        assert [format_su(line.charged) for line in told.lines] == amounts[:2]
        assert format_su(told.total.charged) == amounts[2]
        assert told.agrees
