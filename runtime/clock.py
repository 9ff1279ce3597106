"""The machine's clock, the one source of time in the running system."""

import time


class SystemClock:
    """See ``lifecycle.ports.Clock``."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000
