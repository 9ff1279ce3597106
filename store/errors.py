"""The database's failures in the centre's own words, translated here and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from domain.errors import BarayError, Conflict, Unavailable


@contextmanager
def translated() -> Iterator[None]:
    """Raise Unavailable for a full disk or an absent database, Conflict where a constraint refused a write."""
    try:
        yield
    except IntegrityError as error:
        raise Conflict(
            "somebody else changed the same thing at the same time", fix="read it again, then repeat"
        ) from error
    except (OperationalError, DBAPIError) as error:
        raise _translate(error) from error


def _translate(error: DBAPIError) -> BarayError:
    text = str(error.orig).lower()
    if "full" in text or "no space left" in text:
        return Unavailable(
            "the disk is full; nothing was changed", fix="ask the centre to free space", code="disk-full"
        )
    return Unavailable("the database does not answer; nothing was changed", fix="try again in a moment")
