"""Logins that were refused leave an audit entry each, but no more than so many, so that nobody floods the trail."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from api.http.rates import note_failure
from api.http.request_id import request_id
from api.http.turnstile import Allowances
from api.portal.visit import Visit
from domain.errors import BarayError, NotAllowed, NotLoggedIn
from domain.people import User
from lifecycle.login import note, note_nobody


class Refusals:
    """How many are written: a hundred at once, and then one every ten seconds; all of them are in the log."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._allowances = Allowances(0.1, 100)

    @contextmanager
    def kept(self, visit: Visit, provider: str, user: User | None = None) -> Iterator[None]:
        """What is refused within counts against the address, and is written down."""
        try:
            yield
        except (NotLoggedIn, NotAllowed) as error:
            note_failure(visit.request)
            self._write(visit, provider, error, user)
            raise

    def _write(self, visit: Visit, provider: str, error: BarayError, user: User | None) -> None:
        with self._lock:
            if self._allowances.take("all", time.monotonic()) < 1.0:
                return
        facts = {"method": visit.request.method, "request": request_id(visit.request), "why": error.code}
        with visit.portal.services.store.write() as uow:
            if user is None:
                note_nobody(uow, "login_refused", provider, facts, visit.now_ms)
            else:
                note(uow, "login_refused", provider, {user.id: user.name}, facts, visit.now_ms)
