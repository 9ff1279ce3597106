"""docs/security.md holds: every requirement has its line, and every line a proof that is there, or an honest reason."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
IDS = Path(__file__).with_name("asvs.txt")

_ROW = re.compile(r"\| (\d+\.\d+\.\d+) \| ([12]) \| ([^|]+) \| ([^|]+) \|")
_TEST = re.compile(r"`(tests/[a-z0-9_/]+\.py)::(test_\w+)`")
_LINK = re.compile(r"\[[^]]+\]\(([^)#]*)#([a-z0-9-]+)\)")
_REASON = re.compile(r"(?:^|; )(?:does not apply|not yet): \S.{3,}")

Row = tuple[str, str, str, str]


@cache
def rows() -> list[Row]:
    """Id, level, a few words, and the proof, of every line of the tables."""
    return [found.groups() for line in _list() if (found := _ROW.fullmatch(line))]  # type: ignore[misc]


def _list() -> list[str]:
    """What stands below the list's title."""
    return PAGE.read_text(encoding="utf-8").partition("\n## The list\n")[2].splitlines()


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )  # fmt: skip


@cache
def headings(path: Path) -> frozenset[str]:
    """The places that one may link to, as they are made of headings."""
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles)


def test_every_requirement_of_the_two_levels_has_one_line_in_order() -> None:
    wanted = [tuple(line.split()) for line in IDS.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    assert [(row[0], row[1]) for row in rows()] == wanted
    assert len(wanted) == 253
    assert len(set(wanted)) == len(wanted)


def test_every_line_of_a_table_is_read() -> None:
    odd = [line for line in _list() if line.startswith("|") and not _ROW.fullmatch(line) and not re.fullmatch(r"\|[-| ]+\||\| id \| level \| what \| shown by \|", line)]  # fmt: skip
    assert odd == []


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[0])
def test_a_line_has_a_proof_that_is_there_or_a_reason(row: Row) -> None:
    number, _, words, proof = row
    tests, links = _TEST.findall(proof), _LINK.findall(proof)
    for path, name in tests:
        assert (ROOT / path).is_file(), f"{number}: there is no {path}"
        assert name in names_in(path), f"{number}: {path} has no {name}"
    for page, place in links:
        file = (PAGE.parent / page).resolve() if page else PAGE
        assert place in headings(file), f"{number}: {file.name} has no heading {place}"
    assert tests or links or _REASON.search(proof), f"{number}: neither proof nor reason"
    assert proof.count("tests/") == len(tests), f"{number}: a test is not named as `tests/file.py::test_name`"
    assert len(words) <= 80, "a few words of our own, and not the standard's"


def test_the_page_counts_right() -> None:
    """What the page says of itself at its top."""
    shown = sum(1 for row in rows() if not _REASON.search(row[3]))
    not_yet = sum(1 for row in rows() if "not yet: " in row[3])
    apart = sum(1 for row in rows() if row[3].startswith("does not apply: "))
    said = f"{shown} are shown, {apart} do not apply, {not_yet} are not met yet, wholly or in part"
    assert said in " ".join(PAGE.read_text(encoding="utf-8").split()), said
