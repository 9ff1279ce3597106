"""Whoever has seen an answer already is told 304 in place of the same again.

Every JSON answer to a GET has an ETag. Of a thing with a version it is ``"7-5d41402a"``: the version, which ``If-Match``
is compared with, and a digest of the content, which holds more than what the version counts, such as what was spent.
Anything else has the digest alone, as a weak one.
"""

import hashlib

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_DIGITS = 16
# What a 304 keeps of the headers: all but those of the body that is not there.
_OF_BODY = frozenset({b"content-length", b"content-type"})
_MOST_TAGS = 64


class ETags:
    """Answers that are streamed, or no JSON, go through as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            await self._app(scope, receive, send)
            return
        start: Message | None = None

        async def sent(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _is_json(message):
                start = message
                return
            if start is not None:
                begun, start = start, None
                message = _tag(scope, begun, message)
                await send(begun)
            await send(message)

        await self._app(scope, receive, sent)


def _is_json(start: Message) -> bool:
    return start["status"] == 200 and (b"content-type", b"application/json") in start["headers"]


def _tag(scope: Scope, start: Message, body: Message) -> Message:
    """Gives the answer its ETag, and takes its body away if the caller has it. Answers the body to send."""
    if body.get("more_body"):
        return body
    headers = dict(start["headers"])
    tag = _tag_of(headers.get(b"etag"), body.get("body", b""))
    headers[b"etag"] = tag
    if _has(scope, tag):
        start["status"] = 304
        headers = {name: value for name, value in headers.items() if name not in _OF_BODY}
        body = {**body, "body": b""}
    start["headers"] = list(headers.items())
    return body


def _tag_of(version: bytes | None, body: bytes) -> bytes:
    digest = hashlib.sha256(body).hexdigest()[:_DIGITS].encode()
    return b'W/"%s"' % digest if version is None else b'"%s-%s"' % (version.strip(b'"'), digest)


def _has(scope: Scope, tag: bytes) -> bool:
    """Whether ``If-None-Match`` names the tag; by RFC 9110 it is compared weakly."""
    given = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
    if not given:
        return False
    opaque = tag.removeprefix(b"W/")
    tags = [one.strip() for one in given.split(b",", _MOST_TAGS)]
    return tags == [b"*"] or any(one.removeprefix(b"W/") == opaque for one in tags)
