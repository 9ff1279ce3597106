"""Amounts of resources, as Kubernetes writes them."""

import re

_SCALE = {
    "n": 10**-9, "u": 10**-6, "m": 10**-3, "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18,
    "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50, "Ei": 1 << 60,
}  # fmt: skip
_FORM = re.compile(r"([+-]?[0-9.]+)(?:([eE][+-]?[0-9]+)|([numkMGTPE]|[KMGTPE]i)?)")


def milli(text: object) -> int:
    """Thousandths, rounded up. Raises ValueError."""
    found = _FORM.fullmatch(str(text))
    if not found:
        raise ValueError(f"no quantity: {text!r}")
    number, exponent, suffix = found.groups()
    if exponent or suffix in ("n", "u"):
        return -int(-float(number + (exponent or "")) * _SCALE[suffix or ""] * 1000 // 1)
    if suffix == "m":
        return -int(-float(number) // 1)
    if "." in number:
        return -int(-float(number) * _SCALE[suffix or ""] * 1000 // 1)
    return int(number) * int(_SCALE[suffix or ""]) * 1000


def written(amount: int) -> str:
    """Thousandths as a quantity."""
    return str(amount // 1000) if amount % 1000 == 0 else f"{amount}m"
