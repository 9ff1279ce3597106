"""Who asks, by the headers that the Security Server sets. Only the listener that it alone can reach may believe them."""

import re
from collections.abc import Iterable

from domain.errors import Invalid, NotLoggedIn
from lifecycle.rights import client_id
from lifecycle.xroad import Asked

_MESSAGE_ID = re.compile(r"[!-~]{1,100}")
_LONGEST = 200
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ufeff]")


def read(headers: Iterable[tuple[bytes, bytes]]) -> Asked:
    """Raises NotLoggedIn without a client, and Invalid for headers that no Security Server sends."""
    given: dict[str, list[bytes]] = {}
    for name, value in headers:
        given.setdefault(name.decode("latin-1").lower(), []).append(value)

    def one(name: str) -> str | None:
        values = given.get(name.lower(), [])
        if len(values) > 1:
            raise Invalid(f"the header {name} is there more than once", name, fix="send it once")
        return _text(name, values[0]) if values else None

    client, message_id = one("X-Road-Client"), one("X-Road-Id")
    if client is None:
        raise NotLoggedIn("there is no header X-Road-Client", "X-Road-Client", fix="ask through a Security Server")
    if message_id is None or not _MESSAGE_ID.fullmatch(message_id):
        raise Invalid("there is no X-Road-Id of 1 to 100 characters", "X-Road-Id", fix="ask through a Security Server")
    return Asked(
        client_id(client, "X-Road-Client"),
        message_id,
        one("X-Road-UserId"),
        one("X-Road-Issue"),
        one("X-Road-Represented-Party"),
    )


def _text(name: str, value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise Invalid(f"the header {name} is no UTF-8", name, fix="write UTF-8") from error
    if name != "X-Road-Client" and len(text) > _LONGEST:
        raise Invalid(f"the header {name} is longer than {_LONGEST} characters", name, fix="write less")
    if not text or _UNSEEN.search(text):
        raise Invalid(
            f"the header {name} is empty, or holds a character that is not seen", name, fix="write plain text"
        )
    return text
