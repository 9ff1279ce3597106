"""Logging in where there is no browser: a code is shown here, and approved in a browser anywhere (RFC 8628)."""

import platform
import sys
import time
from typing import TYPE_CHECKING, Final

from cli.failures import NOT_ALLOWED, CliError
from cli.words import clean

if TYPE_CHECKING:
    from client import Baray

_SLOWER_S: Final = 5  # RFC 8628, 3.5


def log_in(centre: "Baray") -> str | None:
    """The token of a login that somebody approved; None if the centre offers no such logins."""
    from client import InvalidRequestError, NotFoundError, NotLoggedInError, UnreachableError

    try:
        begun = centre.logins.begin(f"baray on {platform.node() or 'a computer'}"[:100])
    except (NotFoundError, NotLoggedInError):
        return None  # an older one: it does not know the address, or wants a token even there
    _tell(f"open  {clean(begun['verification_uri_complete'])}")
    _tell(f"there compare the code, and approve:  {clean(begun['user_code'])}")
    _tell(f"waiting up to {begun['expires_in'] // 60} minutes; ctrl-C gives up")
    interval_s, ends_s = begun["interval"], time.monotonic() + begun["expires_in"]
    while time.monotonic() < ends_s:
        time.sleep(interval_s)
        try:
            return centre.logins.claim(begun["device_code"])["access_token"]
        except InvalidRequestError as error:
            if error.code == "slow_down":
                interval_s += _SLOWER_S
            elif error.code == "access_denied":
                raise CliError("the login was denied", NOT_ALLOWED) from None
            elif error.code != "authorization_pending":
                break
        except UnreachableError:
            interval_s += _SLOWER_S  # RFC 8628, 3.5: a centre that does not answer is asked less often
    raise CliError("nobody approved the login in time", NOT_ALLOWED, fixes=["begin anew: baray login"])


def _tell(text: str) -> None:
    """Shown whatever is quiet: without it nobody can approve."""
    print(text, file=sys.stderr, flush=True)
