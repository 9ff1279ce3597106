"""What people write and others read looks like what it is: no hidden characters, no look-alike letters."""

import pytest

from domain.errors import Invalid
from lifecycle.words import check_line, check_name, check_prose, check_title

HIDDEN = ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\u061c", "\u200e", "\u200f", "\u202e", "\u2066", "\u2069"]
ODD = [*HIDDEN, "\ufeff", "\U000e0041"]


@pytest.mark.parametrize(
    "name",
    ["c\u0430dt", "\uff43adt", "\uff43\uff41\uff44\uff54", "café", "CADT", "cadt\u200b", "cadt\u202e", "ca\u0301dt", "cadt ", " cadt", "cadt\n", "\ufb01tc", "\u0131tc", "①", "", "-a", "a-", "a" * 64],
    ids=ascii,
)  # fmt: skip
def test_a_name_is_made_of_letters_that_nobody_mistakes(name: str) -> None:
    """A Cyrillic a, full-width letters, accents, ligatures, and what cannot be seen at all."""
    with pytest.raises(Invalid, match="is no name"):
        check_name(name)


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_nothing_that_others_read_holds_what_cannot_be_seen(odd: str) -> None:
    for check in (check_line, check_prose, check_title):
        with pytest.raises(Invalid, match=rf"not seen, U\+{ord(odd):04X}"):
            check(f"Royal{odd} University", "title")


@pytest.mark.parametrize("odd", ["\n", "\r", "\t", "\u2028", "\u2029"], ids=ascii)
def test_a_line_is_one_line_and_prose_may_be_several(odd: str) -> None:
    with pytest.raises(Invalid, match="not seen"):
        check_line(f"one{odd}two", "title")
    assert check_prose(f"one{odd}two") == f"one{odd}two"


@pytest.mark.parametrize("blank", ["", " ", "\u00a0", "\u3000 "], ids=ascii)
def test_a_line_is_not_blank(blank: str) -> None:
    with pytest.raises(Invalid, match="is blank"):
        check_line(blank, "title")


@pytest.mark.parametrize("title", ["C\u0410DT", "Universit\u0443 of Phnom Penh", "\u0399TC", "R\u043eyal"], ids=ascii)
def test_a_title_does_not_mix_alphabets_whose_letters_look_alike(title: str) -> None:
    with pytest.raises(Invalid, match="mixes .* letters"):
        check_title(title)


@pytest.mark.parametrize(
    "title",
    ["សាកលវិទ្យាល័យ\u200bភូមិន្ទ\u200bភ្នំពេញ", "Institut de Technologie du Cambodge \u2013 ITC", "東京大学", "МГУ Lomonosov", "École β-1", "جامعة", "O'Neil & Co. 2"],
)  # fmt: skip
def test_titles_of_real_institutions_pass(title: str) -> None:
    """Khmer with its zero-width spaces, accents, other scripts, and two alphabets in two words."""
    assert check_title(title) == title
