"""Server-sent events: bytes in, events out. Pure; the connection is somebody else's business."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """``id`` is the last id seen on the stream, for resuming. A comment (a heartbeat) has the name ``:``."""

    name: str
    data: str
    id: str | None


def events(chunks: Iterable[bytes]) -> Iterator[ServerEvent]:
    """Read a stream. An event that is cut off by the end of the stream is dropped, as the standard asks."""
    name, data, last_id = "", list[str](), None
    for line in _lines(chunks):
        if line == "":
            if data or name:
                yield ServerEvent(name or "message", "\n".join(data), last_id)
            name, data = "", []
            continue
        if line.startswith(":"):
            yield ServerEvent(":", line[1:].strip(), last_id)
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            data.append(value)
        elif field == "event":
            name = value
        elif field == "id" and "\0" not in value:
            last_id = value


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Whole lines, ended by LF, CR LF or CR, wherever the chunks are cut."""
    rest = b""
    for chunk in chunks:
        rest += chunk
        held = rest.endswith(b"\r")  # its LF may be in the next chunk
        lines = (rest[:-1] if held else rest).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        rest = lines.pop() + (b"\r" if held else b"")
        for line in lines:
            yield line.decode("utf-8", "replace")
