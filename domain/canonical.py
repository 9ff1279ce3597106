"""Canonical JSON by the rules of RFC 8785, of what the centre writes into it: one text for one value, for ever.

Integers and strings only (with null, booleans, lists and objects): a float has no one text that everybody agrees on,
and an integer beyond 2^53 is not the same number for everybody, so both are refused. Large amounts go in as strings.
"""

import json
from typing import Any

_LARGEST = 2**53 - 1
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def canonical(value: Any) -> bytes:
    """The value's only text, in UTF-8. Raises TypeError or ValueError for what has none."""
    return _encode(_ordered(value)).encode()


def _ordered(value: Any) -> Any:
    """The value with the keys of its objects in the order of their UTF-16 code units."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        if abs(value) > _LARGEST:
            raise ValueError(f"{value} is not the same number for everybody: write it as a string")
        return value
    if isinstance(value, list | tuple):
        return [_ordered(one) for one in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of an object are strings")
        return {key: _ordered(value[key]) for key in sorted(value, key=_utf16)}
    raise TypeError(f"canonical JSON has no {type(value).__name__}")


def _utf16(key: str) -> bytes:
    return key.encode("utf-16-be", "surrogatepass")
