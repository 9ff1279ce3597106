"""What limits on jobs count, for admission: unfinished jobs, and those submitted within the last minute.

Only accounts that have such a limit are counted, and locked first, so that two submissions cannot both be the last one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from domain.accounts import Limits
from domain.quantities import MINUTE_MS
from lifecycle.ports import Directory, UnitOfWork


@dataclass(slots=True)
class Counts:
    """Within one transaction, by account; ``own`` and ``own_sent`` are the user's. What is admitted is added at once."""

    uow: UnitOfWork
    user_id: int
    now_ms: int
    queued: dict[int, int] = field(default_factory=dict)
    own: dict[int, int] = field(default_factory=dict)
    sent: dict[int, int] = field(default_factory=dict)
    own_sent: dict[int, int] = field(default_factory=dict)
    oldest_ms: int | None = None  # of those submitted within the minute, where that is limited

    def look(self, directory: Directory, path: Sequence[int]) -> None:
        """Count for each account of the path that limits it and was not counted yet, and keep others from adding."""
        limits = {account: directory.tree.accounts[account].limits for account in path}
        wanted: list[tuple[Callable[[Limits], int | None], dict[int, int], Callable[[list[int]], int]]] = [
            (lambda one: one.queued_jobs, self.queued, self.uow.jobs.unfinished),
            (lambda one: one.user_queued_jobs, self.own, lambda below: self.uow.jobs.unfinished(below, self.user_id)),
            (lambda one: one.submissions_per_minute, self.sent, lambda below: self._sent(below, None)),
            (lambda one: one.user_submissions_per_minute, self.own_sent, lambda below: self._sent(below, self.user_id)),
        ]
        asked = [
            (account, counts, count)
            for limit, counts, count in wanted
            for account in path
            if limit(limits[account]) is not None and account not in counts
        ]
        if not asked:
            return
        self.uow.accounts.lock(sorted({account for account, _, _ in asked}))
        for account, counts, count in asked:
            counts[account] = count(sorted(directory.tree.below(account)))

    def one_more(self, path: Sequence[int]) -> None:
        """A job was admitted below these accounts."""
        for account in path:
            for counts in (self.queued, self.own, self.sent, self.own_sent):
                if account in counts:
                    counts[account] += 1

    def wait_s(self) -> int:
        """After how many seconds one more may be submitted, at the earliest."""
        left_ms = MINUTE_MS if self.oldest_ms is None else self.oldest_ms + MINUTE_MS - self.now_ms
        return max(1, -(-left_ms // 1000))

    def _sent(self, projects: list[int], user_id: int | None) -> int:
        count, oldest_ms = self.uow.jobs.submitted(projects, self.now_ms - MINUTE_MS, user_id)
        if oldest_ms is not None and (self.oldest_ms is None or oldest_ms < self.oldest_ms):
            self.oldest_ms = oldest_ms
        return count
