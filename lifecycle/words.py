"""The shape of names that people choose."""

import re

from domain.errors import Invalid

_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


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
