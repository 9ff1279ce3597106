"""The shape of names and texts that people choose: what is shown to others must look like what it is."""

import re
import unicodedata

from domain.errors import Invalid

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")

# Characters that turn the direction of what follows: with them a text reads otherwise than it is written (Unicode TR 36).
# Joiners and the zero-width space stay allowed: Khmer needs them.
_TURNS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_NO_LINE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\U000e0000-\U000e007f]")
_NO_PROSE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\U000e0000-\U000e007f]")

# Alphabets whose letters look like one another's.
_ALIKE = frozenset({"ARMENIAN", "CHEROKEE", "CYRILLIC", "GREEK", "LATIN"})


def check_name(text: str, field: str = "name") -> str:
    """A name fit for addresses, labels and command lines. Raises Invalid."""
    if not _NAME.fullmatch(text):
        raise Invalid(
            f"{text[:80]!r} is no name", field, fix="use 1 to 63 of a-z, 0-9, '-', '_' and '.', beginning and ending with a letter or digit"
        )  # fmt: skip
    return text


def check_env_name(text: str, field: str) -> str:
    """A name for an environment variable or a secret. Raises Invalid."""
    if not _ENV_NAME.fullmatch(text):
        raise Invalid(
            f"{text[:80]!r} is no name of a variable",
            field,
            fix="use letters, digits and '_', not beginning with a digit",
        )
    return text


def check_line(text: str, field: str = "title") -> str:
    """One line that is shown to others: no control characters, none that turn the direction, and not blank. Raises Invalid."""
    if not text.strip():
        raise Invalid("is blank", field, fix="write something that can be seen")
    return _check_shown(text, field, _NO_LINE)


def check_prose(text: str, field: str = "reason") -> str:
    """The same for a text of several lines, which may be blank. Raises Invalid."""
    return _check_shown(text, field, _NO_PROSE)


def check_title(text: str, field: str = "title") -> str:
    """The title of an institution: a line without words that mix look-alike alphabets (Unicode TR 39). Raises Invalid."""
    check_line(text, field)
    for word in re.findall(r"[^\W\d_]+", text):
        alphabets = {unicodedata.name(letter, "").partition(" ")[0] for letter in word} & _ALIKE
        if len(alphabets) > 1:
            mixed = " and ".join(sorted(name.capitalize() for name in alphabets))
            raise Invalid(f"{word[:40]!r} mixes {mixed} letters", field, fix="write each word in one alphabet")
    return text


def _check_shown(text: str, field: str, unseen: re.Pattern[str]) -> str:
    found = unseen.search(text) or _TURNS.search(text)
    if found is not None:
        code = f"U+{ord(found[0]):04X}"
        raise Invalid(f"holds a character that is not seen, {code}", field, fix=f"remove {code}")
    return text
