"""The first message of a WebSocket into a running job. Later ones are bytes, or ``Told``."""

from typing import Annotated

from pydantic import Field, StrictBool, StrictInt

from api.http.schemas.base import Body, Plain, Prose

Size = Annotated[StrictInt, Field(ge=1, le=10_000)]
Rank = Annotated[StrictInt, Field(ge=0, le=4_096)]
Why = Annotated[Prose, Field(min_length=1, max_length=500, description="why support goes into another's job")]


class ShellIn(Body):
    """`{"command": ["bash"], "tty": true}`."""

    command: Annotated[list[Annotated[Plain, Field(max_length=32_768)]], Field(min_length=1, max_length=1_000)]
    tty: StrictBool = False
    columns: Size = 80
    rows: Size = 24
    rank: Rank = 0
    reason: Why | None = None


class ForwardIn(Body):
    """`{"port": 8888}`. With `probe` it only asks whether it may."""

    port: Annotated[StrictInt, Field(ge=1, le=65_535)]
    rank: Rank = 0
    reason: Why | None = None
    probe: StrictBool = False


class Told(Body):
    """What is said beside the bytes: the terminal's new size, or that no more will be typed."""

    columns: Size | None = None
    rows: Size | None = None
    end: StrictBool = False
