"""Canonical JSON: RFC 8785's own examples, as far as they hold no floats, and what is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.canonical import canonical

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


def test_keys_are_in_the_order_of_their_utf16_code_units() -> None:
    """RFC 8785, 3.2.3: a pair of surrogates comes before U+FB33, though its character is a larger number."""
    given = {
        "\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
        "\U0001f600": "Emoji: Grinning Face", "\u0080": "Control", "\u00f6": "Latin Small Letter O With Diaeresis",
    }  # fmt: skip
    assert list(json.loads(canonical(given)).values()) == [
        "Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
        "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh",
    ]  # fmt: skip


def test_texts_are_escaped_as_little_as_possible() -> None:
    """RFC 8785, 3.2.2.2."""
    assert canonical('\u20ac$\u000f\nA\'B"\\\\"/\x7f\b\t\f\r') == (
        '"\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f\\b\\t\\f\\r"'.encode()
    )


def test_there_is_no_white_space() -> None:
    assert canonical({"b": [1, None, True, False], "a": {"x": -1}}) == b'{"a":{"x":-1},"b":[1,null,true,false]}'


@pytest.mark.parametrize("value", [1.0, {"a": [0.5]}, float("nan"), b"x", {1: "x"}, {"s": {1}}])
def test_what_has_no_one_text_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        canonical(value)


@pytest.mark.parametrize("value", [2**53, -(2**53), "\ud800", ["\udc00"]])
def test_what_is_not_the_same_for_everybody_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        canonical(value)


@given(VALUES)
def test_it_says_the_same_value_and_always_in_the_same_way(value: Any) -> None:
    text = canonical(value)
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text
