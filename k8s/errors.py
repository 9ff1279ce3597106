"""What may go wrong when a cluster is asked for something. Raised by ``k8s.client``; none of these leaves the room.

The driver and the gateway turn them into ``domain.errors``. A message is the cluster's own, cut to a bounded length;
it never holds what was sent.
"""

_LENGTH = 600


class ClusterError(Exception):
    """The cluster did not do what it was asked. ``code`` is HTTP's, 0 if there was no answer; ``reason`` is its token."""

    def __init__(self, message: str, code: int = 0, reason: str = "", retry_after: float | None = None) -> None:
        text = " ".join(message.split())
        self.message = text if len(text) <= _LENGTH else f"{text[:_LENGTH]} …"
        super().__init__(self.message)
        self.code = code
        self.reason = reason
        self.retry_after = retry_after  # seconds


class Missing(ClusterError):
    """There is no such object or path, or not the namespace to put it into (404)."""


class Exists(ClusterError):
    """The name is taken (409 on create)."""


class Outdated(ClusterError):
    """Somebody else changed the object meanwhile, or owns a field of it (409)."""


class Gone(ClusterError):
    """The version that a watch or a page asked for is no longer kept (410): list again."""


class Denied(ClusterError):
    """Not allowed, or over a quota (401, 403)."""


class Unprocessable(ClusterError):
    """The object is not valid, or an admission rule of the cluster's refuses it (400, 413, 422)."""


class TooMany(ClusterError):
    """The cluster is busy (429): nothing was done, try again after ``retry_after``."""


class Unreachable(ClusterError):
    """No answer, or none that says what became of the request: time-out, refused or cut connection, TLS, 5xx."""


def error_for(
    code: int, reason: str, message: str, retry_after: float | None, *, creating: bool = False
) -> ClusterError:
    """The error that an answer of the cluster's stands for."""
    kind: type[ClusterError]
    match code:
        case 401 | 403:
            kind = Denied
        case 404:
            kind = Missing
        case 409:
            kind = Exists if reason == "AlreadyExists" or (creating and not reason) else Outdated
        case 410:
            kind = Gone
        case 429:
            kind = TooMany
        case _ if 400 <= code < 500:
            kind = Unprocessable
        case _:
            kind = Unreachable
    return kind(message or f"the cluster answered {code}", code, reason, retry_after)
