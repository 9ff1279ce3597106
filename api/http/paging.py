"""Pages of a list, by cursor."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import Path, Query

from lifecycle.paging import Page

Item = TypeVar("Item")

Cursor = Annotated[int | None, Query(ge=0, le=2**62, description="`next` of the page before")]
Number = Annotated[int, Path(ge=1, le=2**53)]
Limit = Annotated[int, Query(ge=1, le=1000, description="how many items at the most")]


def page(cursor: int | None, limit: int) -> Page:
    """One more than asked for, to know whether there is a next page."""
    return Page(cursor, limit + 1)


def answer(
    items: Sequence[Item], limit: int, key: Callable[[Item], int], show: Callable[[Item], dict[str, Any]]
) -> dict[str, Any]:
    shown = items[:limit]
    more = len(items) > limit
    return {"items": [show(item) for item in shown], "next": str(key(shown[-1])) if more else None}
