"""The home-made contract does bark."""

import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

from tests.architecture.pure import PureContract

CALM = "import json\nfrom collections import deque\nfrom dataclasses import dataclass\n"


@pytest.fixture
def package(tmp_path: Path) -> Iterator[Path]:
    """An importable package of two modules."""
    made = tmp_path / "tinyroom"
    made.mkdir()
    (made / "__init__.py").write_text("")
    (made / "calm.py").write_text(CALM)
    sys.path.insert(0, str(tmp_path))
    yield made
    sys.path.remove(str(tmp_path))


def wild(allowed: list[str]) -> list[tuple[str, str]]:
    graph = grimp.build_graph("tinyroom", include_external_packages=True, cache_dir=None)
    options = {"package": "tinyroom", "allowed": allowed}
    check = PureContract(name="pure", session_options={}, contract_options=options).check(graph, verbose=False)
    assert check.kept == (not check.metadata["wild"])
    return check.metadata["wild"]


def test_calm_modules_and_the_package_itself_are_allowed(package: Path) -> None:
    (package / "other.py").write_text("from tinyroom import calm\n")
    assert wild(["tinyroom"]) == []


@pytest.mark.parametrize("name", ["time", "random", "os", "socket", "sqlalchemy", "datetime", "numpy"])
def test_all_else_is_not(package: Path, name: str) -> None:
    (package / "wild.py").write_text(f"import {name}\n")
    assert wild(["tinyroom"]) == [("tinyroom.wild", name)]
    assert wild(["tinyroom", name]) == []
