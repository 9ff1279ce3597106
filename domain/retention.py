"""How long data about people is kept: classes, each with a basis, a period and where both are from.

No law fixes bases or periods for this centre yet. So these are defaults, and a dated policy of the centre takes over as
soon as one does: a document of the same classes, in force from a day on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from domain.quantities import DAY_MS

LONGEST_DAYS = 36_500
_DEFAULT = "a default of Baray: no law fixes it yet"


class Basis(StrEnum):
    """Why data about a person may be kept at all."""

    CONSENT = "consent"
    CONTRACT = "contract"  # the terms of use: without it nobody could be served
    PUBLIC_TASK = "public task"
    LEGAL_DUTY = "legal duty"
    INTEREST = "legitimate interest"  # safety of the service and of those who use it


class Keep(StrEnum):
    """A class of data that is kept equally long."""

    LOGIN = "login"
    WAITING = "waiting"
    TOKEN = "token"  # noqa: S105 - a class's name
    ATTEMPT = "attempt"
    CHANGE = "change"
    ACTING = "acting"
    AUDIT = "audit"
    ANSWER = "answer"
    NOTICE = "notice"
    FILE = "file"
    WORK = "work"
    OFFICE = "office"


@dataclass(frozen=True, slots=True)
class Term:
    """``days`` after the moment that ``since`` tells; None: no period, it goes as the register says, or never."""

    basis: Basis
    days: int | None
    since: str
    source: str = _DEFAULT

    @property
    def ms(self) -> int | None:
        return None if self.days is None else self.days * DAY_MS


DEFAULTS: Mapping[Keep, Term] = {
    Keep.LOGIN: Term(Basis.CONTRACT, None, "while the person has a login here; erased on request"),
    Keep.WAITING: Term(Basis.CONSENT, 90, "the first login of somebody whom no institution admitted"),
    Keep.TOKEN: Term(Basis.INTEREST, 90, "the end of a token or a session"),
    Keep.ATTEMPT: Term(Basis.INTEREST, 7, "the end of a login from a device, used or not"),
    Keep.CHANGE: Term(Basis.LEGAL_DUTY, 365, "the correction"),
    Keep.ACTING: Term(Basis.INTEREST, 3 * 365, "the end of the leave to act for somebody"),
    Keep.AUDIT: Term(Basis.LEGAL_DUTY, 10 * 365, "what was done; the sealed rest stays for good"),
    Keep.ANSWER: Term(Basis.CONTRACT, 7, "the request that was answered"),
    Keep.NOTICE: Term(Basis.CONTRACT, 365, "the end of the allocation that it is about"),
    Keep.FILE: Term(Basis.CONTRACT, 365, "the end of the job, or the last upload of a source"),
    Keep.WORK: Term(Basis.PUBLIC_TASK, None, "with the accounts of the centre; under a number once the person is erased"),
    Keep.OFFICE: Term(Basis.PUBLIC_TASK, None, "with the accounts of the centre; under a number once the person is erased"),
}  # fmt: skip

# Classes that nothing sweeps: what is in them goes by erasure, or belongs to the accounts of the centre.
UNSWEPT = frozenset(keep for keep, term in DEFAULTS.items() if term.days is None)


def terms_of(document: Mapping[str, Any]) -> dict[Keep, Term]:
    """The terms in force under a policy's document: its own, and the defaults for classes that it leaves out."""
    found = dict(DEFAULTS)
    for name, given in document.items():
        term = found[Keep(name)]
        found[Keep(name)] = replace(
            term,
            basis=Basis(given.get("basis", term.basis)),
            days=given.get("days", term.days),
            source=given.get("source", term.source),
        )
    return found
