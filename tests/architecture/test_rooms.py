"""The rooms are what they are said to be: on disk, in the wheel, in the contracts and in the type checker."""

import importlib
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = sorted(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])

# Packages of the repository that are no rooms: they are not shipped.
WORKSHOPS = {"bench", "tests"}


def test_the_packages_on_disk_are_those_of_the_wheel() -> None:
    on_disk = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert sorted(on_disk - WORKSHOPS) == ROOMS


def test_every_room_is_under_the_contracts() -> None:
    assert sorted(PROJECT["tool"]["importlinter"]["root_packages"]) == ROOMS


def test_every_room_is_type_checked() -> None:
    assert sorted(PROJECT["tool"]["mypy"]["packages"]) == sorted([*ROOMS, "bench"])


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_is_ours_and_no_strangers(room: str) -> None:
    file = importlib.import_module(room).__file__
    assert file is not None
    assert Path(file).is_relative_to(ROOT)
    assert set(packages_distributions().get(room, ["baray"])) == {"baray"}
