"""How lists are asked for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """Where a list goes on (items before this id when newest first, after it otherwise) and how many it may hold."""

    cursor: int | None = None
    limit: int = 100
