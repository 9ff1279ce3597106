"""The files that retention removes: what attempts left on this machine and on the shelf, and sources."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from domain.ids import AttemptId
from local.driver import LocalDriver
from store.shelf import FileShelf
from store.sources import FileSources


@dataclass(frozen=True, slots=True)
class FileLeavings:
    """See ``lifecycle.custody.Leavings``."""

    shelf: FileShelf
    local: LocalDriver
    kept: FileSources

    def discard(self, attempts: Sequence[AttemptId]) -> None:
        for attempt in attempts:
            self.shelf.discard(attempt)
            self.local.discard(attempt)

    def forget_orders(self, attempts: Sequence[AttemptId]) -> None:
        for attempt in attempts:
            self.local.forget_order(attempt)

    def sources(self, before_ms: int) -> Iterator[str]:
        return self.kept.old(before_ms)

    def discard_sources(self, sources: Sequence[str], before_ms: int) -> None:
        for sha256 in sources:
            self.kept.discard(sha256, before_ms)
