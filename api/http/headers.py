"""What headers of a request mean beside its token: see ``guard``."""

from fastapi import Request

from domain.errors import Invalid

_KEY_LENGTH = 200
_VERSION_DIGITS = 18  # what fits into the database, and more than anything was ever changed


def idempotency_key(request: Request) -> str | None:
    key = request.headers.get("idempotency-key")
    if key is not None and not (0 < len(key) <= _KEY_LENGTH and key.isprintable()):
        raise Invalid(f"an Idempotency-Key is 1 to {_KEY_LENGTH} printable characters", "Idempotency-Key")
    return key


def if_match(request: Request) -> int | None:
    """The version that the caller has seen; None if they named none."""
    text = request.headers.get("if-match")
    if text is None or text.strip() == "*":
        return None
    number = text.strip().removeprefix("W/").strip('"').partition("-")[0]  # what follows is ``etags``'s digest
    if not (number.isdecimal() and len(number) <= _VERSION_DIGITS):
        raise Invalid("If-Match takes the ETag of an earlier answer", "If-Match")
    return int(number)
