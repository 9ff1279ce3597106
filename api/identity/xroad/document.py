"""The service's description as OpenAPI 3.0.3, which Security Servers read. FastAPI writes 3.1: this says the same in 3.0."""

from typing import Any

VERSION = "3.0.3"


def downgraded(document: dict[str, Any], url: str) -> dict[str, Any]:
    """The document in 3.0 words, with the address under which the Security Server reaches the service."""
    return {**_older(document), "openapi": VERSION, "servers": [{"url": url}]}


def _older(part: Any) -> Any:
    """``null`` as ``nullable``, the first of ``examples`` as ``example``, ``const`` as an ``enum`` of one."""
    if isinstance(part, list):
        return [_older(one) for one in part]
    if not isinstance(part, dict):
        return part
    told = {key: _older(value) for key, value in part.items() if key not in {"examples", "const", "anyOf"}}
    if "examples" in part:
        told["example"] = part["examples"][0]
    if "const" in part:
        told["enum"] = [part["const"]]
    choices = [_older(one) for one in part.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) == len(part.get("anyOf", ())):
        return told | ({"anyOf": choices} if choices else {})
    (only,) = choices  # what the service tells is one thing or nothing
    # Beside a reference 3.0 reads nothing else.
    return told | {"nullable": True} | ({"allOf": [only]} if "$ref" in only else only)
