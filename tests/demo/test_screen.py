"""Tables on a narrow screen: words are cut, numbers never."""

import io

from rich.console import Console

from runtime.demo.screen import Column, Screen

COLUMNS = (Column("by tenant"), Column("", words=True), Column("all", right=True), Column("SU", right=True))
ROWS = [
    ("land-water", "Ministry of Land and Water", "13,785", "0.005123"),
    ("romduol-ai", "Romduol AI", "7,055", "0.001944"),
]
TOTAL = ("total", "", "20,840", "0.007067")


def shown(width: int) -> list[str]:
    told = io.StringIO()
    Screen(Console(file=told, width=width)).table(COLUMNS, ROWS, TOTAL)
    return told.getvalue().splitlines()


def test_a_wide_screen_shows_all() -> None:
    assert shown(100) == [
        "",
        "  by tenant                                    all         SU",
        "  land-water   Ministry of Land and Water   13,785   0.005123",
        "  romduol-ai   Romduol AI                    7,055   0.001944",
        "  total                                     20,840   0.007067",
    ]


def test_a_narrow_screen_cuts_words_alone() -> None:
    lines = shown(50)
    assert lines[2] == "  land-water   Ministry of La…   13,785   0.005123"
    assert max(map(len, lines)) == 50


def test_a_tiny_screen_still_shows_every_number() -> None:
    assert shown(20)[2] == "  land-water   Ministr…   13,785   0.005123"
