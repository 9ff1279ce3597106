"""A clock that stands still until it is moved."""

from domain.quantities import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

NEW_YEAR_MS = 1_767_225_600_000  # 2026-01-01, UTC


class FakeClock:
    """See ``lifecycle.ports.Clock``."""

    def __init__(self, now_ms: int = NEW_YEAR_MS) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def set(self, now_ms: int) -> None:
        assert now_ms >= self._now_ms, "time does not run backwards"
        self._now_ms = now_ms

    def advance(self, ms: int = 0, *, days: int = 0, hours: int = 0, minutes: int = 0, seconds: int = 0) -> int:
        """Move on; answers the new time."""
        self.set(self._now_ms + ms + days * DAY_MS + hours * HOUR_MS + minutes * MINUTE_MS + seconds * SECOND_MS)
        return self._now_ms
