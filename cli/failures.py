"""What the command line itself finds wrong, before or instead of the centre."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

DONE: Final = 0
ERROR: Final = 1
USAGE: Final = 2
NOT_ALLOWED: Final = 3
NOT_FOUND: Final = 4
REFUSED: Final = 5
UNREACHABLE: Final = 6
JOB_FAILED: Final = 100
JOB_CANCELLED: Final = 103
JOB_OUT_OF_MEMORY: Final = 104
JOB_TIMED_OUT: Final = 105
INTERRUPTED: Final = 130


class CliError(Exception):
    """One message that says what and where, the exit code, and sentences that say what to do."""

    def __init__(self, message: str, code: int = ERROR, *, fixes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.fixes = tuple(fixes)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong with a file or an option. ``where`` is ``file:line:column`` or an option's name."""

    where: str
    message: str
    fix: str | None = None

    def __str__(self) -> str:
        fix = f" ({self.fix})" if self.fix else ""
        return f"{self.where}: {self.message}{fix}"


class FaultyInputError(CliError):
    """Everything that is wrong with an input, at once; under a headline if one says more than the faults do."""

    def __init__(
        self, faults: Sequence[Fault], code: int = USAGE, *, headline: str | None = None, fixes: Sequence[str] = ()
    ) -> None:
        super().__init__("\n".join(map(str, faults)), code, fixes=fixes)
        self.faults = tuple(faults)
        self.headline = headline
