"""What the rights of people need of the store: all about a person, their erasure, what is old enough to go, and holds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from domain.ids import AttemptId
from domain.people import User
from domain.personal import Record
from domain.retention import Keep
from lifecycle.paging import Page


@dataclass(frozen=True, slots=True)
class RetentionRule:
    """Bases and periods from ``from_ms`` on: see ``domain.retention.terms_of``."""

    id: int
    from_ms: int
    document: Mapping[str, Any]
    user_id: int
    reason: str
    created_ms: int


@dataclass(frozen=True, slots=True)
class ErasureRequest:
    """Somebody asked to be erased. Of a person who is erased it stays until their files are seen to."""

    user_id: int
    asked_ms: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """What legal holds cover now: all, or these users and these accounts. Nothing of it may go."""

    everything: bool = False
    users: frozenset[int] = field(default=frozenset())
    accounts: frozenset[int] = field(default=frozenset())


@dataclass(frozen=True, slots=True)
class Leftover:
    """An ended attempt whose files are old enough to go. ``row`` is its number in the database."""

    row: int
    attempt: AttemptId
    project_id: int
    user_id: int
    created_ms: int
    ended_ms: int | None


class Custody(Protocol):
    """Rows about people, found and removed by the register (``domain.personal``)."""

    def rows(self, record: Record, user: User, accounts: Mapping[int, str]) -> Iterator[dict[str, Any]]:
        """The rows of a kind about a user, as the export shows them, one after the other. Sealed values are bytes."""
        ...

    def entries(self, user: User) -> Iterator[dict[str, Any]]:
        """The audit entries by, for or about a user, with what in them is about nobody else."""
        ...

    def unfinished(self, user_id: int) -> int:
        """How many jobs of the user are not over."""
        ...

    def people_of(self, accounts: frozenset[int]) -> frozenset[int]:
        """The users who belong to these accounts, hold or held a role there, or submitted jobs there."""
        ...

    def lock(self, user_id: int) -> None:
        """Keep all others from changing the user's row until the transaction ends."""
        ...

    def forget(self, user: User, pseudonym: str) -> dict[str, int]:
        """Erase what the register says of the user, but for the user's own row and the audit trail. Kind → count."""
        ...

    def entries_naming(self, words: Sequence[str], limit: int) -> list[int]:
        """Audit entries whose who and why hold one of the words: the newest of them."""
        ...

    def ask_erasure(self, request: ErasureRequest) -> bool: ...
    def withdraw_erasure(self, user_id: int) -> bool: ...
    def erasure_requests(self, page: Page) -> list[ErasureRequest]: ...
    def retention_rules(self) -> list[RetentionRule]:
        """In the order in which they take over."""
        ...

    def add_retention_rule(self, rule: RetentionRule) -> RetentionRule: ...
    def due(self, keep: Keep, before_ms: int, held: Held, limit: int) -> list[int]:
        """Rows of a class whose time is over and that no hold covers: up to ``limit`` of them, in order."""
        ...

    def sweep(self, keep: Keep, rows: Sequence[int]) -> int:
        """Remove them. Answers how many there were."""
        ...

    def sweep_answers(self, before_ms: int, held: Held, limit: int) -> int:
        """First answers to repeatable requests."""
        ...

    def sweep_spent(self, before_ms: int, limit: int) -> int:
        """What could be used once."""
        ...

    def leftovers(self, after: int, limit: int) -> list[Leftover]:
        """Attempts by row from above ``after``."""
        ...

    def leftovers_of(self, user_id: int, after: int, limit: int) -> list[Leftover]: ...
    def drop_outputs(self, rows: Sequence[int]) -> int:
        """Forget which files attempts left."""
        ...

    def mark(self, name: str) -> int:
        """How far a run came; 0 before the first."""
        ...

    def set_mark(self, name: str, value: int) -> None: ...
    def old_sources(self, before_ms: int, limit: int) -> list[str]:
        """Sources that were last sent before then, and that no unfinished job starts from."""
        ...

    def drop_sources(self, sources: Sequence[str]) -> int: ...
    def known_sources(self, sources: Sequence[str]) -> set[str]: ...


class Leavings(Protocol):
    """The files that attempts and uploads leave in the data directory. Whatever is asked twice is done once."""

    def discard(self, attempts: Sequence[AttemptId]) -> None:
        """Remove logs, outputs and all else of ended attempts."""
        ...

    def forget_orders(self, attempts: Sequence[AttemptId]) -> None:
        """Remove what attempts were started with: commands and variables."""
        ...

    def sources(self, before_ms: int) -> Iterator[str]:
        """Sources whose file was last sent before then."""
        ...

    def discard_sources(self, sources: Sequence[str], before_ms: int) -> None:
        """Remove the files, unless they were sent again meanwhile."""
        ...
