"""The family of errors that may reach a person, each with a stable code.

Expected refusals and bad input are raised as one of these; the edges (``api.http.problems``, ``cli``) translate them
once. Anything else that escapes is a bug. A message says what is wrong; ``field`` says where; ``fix`` what to do.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with an input. ``field`` is a dotted path such as ``resources.walltime``."""

    message: str
    field: str | None = None
    fix: str | None = None


class BarayError(Exception):
    """Base of the family. ``code`` is stable and documented; it names the problem's type in the API."""

    code = "error"
    retry_after_s: int | None = None  # when the same would pass, where that is known

    def __init__(
        self, message: str, field: str | None = None, *, fix: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.faults: tuple[Fault, ...] = (Fault(message, field, fix),)
        if code is not None:
            self.code = code

    @property
    def fixes(self) -> tuple[str, ...]:
        return tuple(fault.fix for fault in self.faults if fault.fix)


class Invalid(BarayError):
    """The input cannot be understood or is out of bounds, whatever the state of the centre."""

    code = "invalid"

    @classmethod
    def many(cls, faults: Sequence[Fault]) -> "Invalid":
        """All faults of one input at once."""
        error = cls(faults[0].message if len(faults) == 1 else f"{len(faults)} things are wrong with the request")
        error.faults = tuple(faults)
        return error


class TooLarge(BarayError):
    """The input is larger than the centre takes."""

    code = "too-large"


class NotLoggedIn(BarayError):
    """No token, or one that is unknown, expired or revoked."""

    code = "not-logged-in"


class NotAllowed(BarayError):
    """The caller is known but has no role that covers this."""

    code = "not-allowed"


class NotFound(BarayError):
    """No such thing, or none that the caller may know of."""

    code = "not-found"


class Refused(BarayError):
    """Understood and permitted, but a rule of the centre says no. ``code`` names the rule."""

    code = "refused"


class Conflict(BarayError):
    """The thing is not in a state that allows this, or somebody else changed it meanwhile."""

    code = "conflict"


class Stale(Conflict):
    """The version that the caller saw is no longer the newest (``If-Match`` failed)."""

    code = "stale"


class Unavailable(BarayError):
    """The centre cannot do it now: disk full, database away. Nothing was changed."""

    code = "unavailable"


class StaleLeader(BarayError):
    """A controller that is no longer the leader tried to write. Its write was refused."""

    code = "stale-leader"


class CannotStart(BarayError):
    """The centre cannot start on this machine: port in use, data directory taken or of another version."""

    code = "cannot-start"
