"""What browsers are told with every answer, so that nothing of the API can be framed, guessed at, run or kept.

An answer that sets one of these headers itself keeps its own: so pages have a content security policy of theirs.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"

_HEADERS = tuple(
    (name.lower().encode(), value.encode())
    for name, value in (
        ("Content-Security-Policy", POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
        ("Cache-Control", "no-store"),
    )
)
# A year. Not for subdomains: they are not the centre's to speak for.
_OVER_TLS = (*_HEADERS, (b"strict-transport-security", b"max-age=31536000"))
_STARTS = frozenset({"http.response.start", "websocket.http.response.start"})


class Protection:
    """Adds the headers that an answer does not bring itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] in _STARTS:
                given = message.get("headers", ())
                names = {name for name, _ in given}
                wanted = _OVER_TLS if scope["scheme"] in {"https", "wss"} else _HEADERS
                message["headers"] = [*given, *(pair for pair in wanted if pair[0] not in names)]
            await send(message)

        await self._app(scope, receive, sent)
