"""Amounts as Kubernetes writes them (``500m``, ``64Gi``, ``1e3``), as whole numbers of thousandths. Pure."""

import re
from fractions import Fraction
from functools import lru_cache

MILLI = 1_000

_QUANTITY = re.compile(r"([+-]?(?:\d{1,20}\.?\d{0,9}|\.\d{1,9}))(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d{1,2}))?")
_UNITS = {
    "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000), "": Fraction(1),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12),
    "P": Fraction(10**15), "E": Fraction(10**18),
    "Ki": Fraction(2**10), "Mi": Fraction(2**20), "Gi": Fraction(2**30), "Ti": Fraction(2**40),
    "Pi": Fraction(2**50), "Ei": Fraction(2**60),
}  # fmt: skip


@lru_cache(maxsize=4096)
def thousandths(text: str | float) -> int:
    """The amount in thousandths, rounded up as Kubernetes does. What is no amount counts nothing: it is others' text."""
    match = _QUANTITY.fullmatch(str(text))
    if match is None:
        return 0
    number, unit, exponent = match.groups()
    exact = Fraction(number) * _UNITS[unit or ""] * Fraction(10) ** int(exponent or 0) * MILLI
    return -(-exact.numerator // exact.denominator)


def whole(text: str | float) -> int:
    """The amount in whole units, rounded down."""
    return thousandths(text) // MILLI


def same_amount(one: object, other: object) -> bool:
    """Whether both are amounts, and the same one: servers write 20000 as 20k."""
    if not isinstance(one, str | int) or not isinstance(other, str | int):
        return False
    amounts = _QUANTITY.fullmatch(str(one)), _QUANTITY.fullmatch(str(other))
    return all(amounts) and thousandths(one) == thousandths(other)
