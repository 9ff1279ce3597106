"""Rules of house-keeping that a linter does not know."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKSHOPS = {"tests"}
FILE_LINES = 400
FUNCTION_LINES = 60
MOCKED_SHARE = 0.03

# Words that mark what is not finished, assembled so that this file does not hold them.
UNFINISHED = re.compile("|".join(("TO" + "DO", "FIX" + "ME", "X" + "XX")))


def _sources(tests: bool) -> Iterator[Path]:
    for path in sorted(ROOT.glob("*/**/*.py")):
        parts = path.relative_to(ROOT).parts
        if parts[0].startswith(".") or {"versions", "node_modules"} & set(parts) or parts[0] in {"build", "dist"}:
            continue
        if (parts[0] in WORKSHOPS) is tests:
            yield path


@pytest.mark.parametrize("path", list(_sources(tests=False)), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= FILE_LINES
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = {node.name: node.end_lineno - node.lineno for node in functions if node.end_lineno is not None}
    assert {name: lines for name, lines in long.items() if lines > FUNCTION_LINES} == {}


def test_nothing_is_left_unfinished() -> None:
    marked = [path for path in (*_sources(tests=False), *_sources(tests=True)) if UNFINISHED.search(path.read_text())]
    assert marked == []


def test_tests_use_real_parts() -> None:
    word = re.compile(r"\b(Mock|MagicMock|mocker|monkeypatch|unittest\.mock)\b")
    tests, mocked = 0, []
    for path in _sources(tests=True):
        text = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
                tests += 1
                body = ast.get_source_segment(text, node) or ""
                if word.search(body) and path != Path(__file__):
                    mocked.append(f"{path.name}:{node.name}")
    assert len(mocked) <= MOCKED_SHARE * tests, mocked


def test_every_room_says_what_it_is() -> None:
    silent = [path for path in _sources(tests=False) if not ast.get_docstring(ast.parse(path.read_text()))]
    assert silent == []
