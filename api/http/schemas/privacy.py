"""Shapes of people's rights over their data, of retention and of legal holds."""

from typing import Annotated, Any

from pydantic import Field

from api.http.schemas.base import Body, Ms, Name, Plain, Prose, Shape, Title
from api.http.schemas.people import Reason, UserOut

Word = Annotated[Prose, Field(max_length=1_000)]


class MeOut(UserOut):
    """`erasure_asked_ms` is when they asked to be erased; `contact` where to turn to if an answer is not right."""

    erasure_asked_ms: int | None
    contact: str


class MeIn(Body):
    """What is left out stays as it is; `email: null` takes the address away."""

    title: Title | None = Field(default=None, description="the name in full", examples=["Sok Dara"])
    email: Plain | None = Field(default=None, max_length=254, examples=["dara@cadt.example"])


class DataIn(Body):
    reason: Reason


class EraseIn(Body):
    reason: Reason = Field(description="without the person's name: it stays", examples=["they asked for it on 3 May"])


class AskIn(Body):
    reason: Word = Field(default="", examples=["I have left the institute"])


class ChangeOut(Shape):
    """`before` is what the field was until then."""

    id: int
    field: str
    before: str
    changed_ms: int
    by: str | None


class ErasureRequestOut(Shape):
    user: str
    asked_ms: int
    reason: str
    contact: str


class ErasedOut(Shape):
    """`counts`: rows that went or changed, by kind. `named_in`: audit entries in which others wrote of them, to look at."""

    user: str
    counts: dict[str, int]
    named_in: list[int]
    contact: str


class FieldOut(Shape):
    column: str
    says: str
    erased: str = Field(description="what becomes of it when the person is erased")
    exported: bool
    why_not: str | None


class RecordOut(Shape):
    """A kind of data about people; `kind` is its name in the export."""

    kind: str
    table: str
    says: str
    purpose: str
    basis: str
    days: int | None = Field(description="how long it is kept; null: no fixed time")
    since: str
    source: str = Field(description="where basis and period are from")
    fields: list[FieldOut]


class PlaceOut(Shape):
    """What lies beside the database."""

    name: str
    says: str
    purpose: str
    days: int | None
    erased: str


class RegisterOut(Shape):
    records: list[RecordOut]
    places: list[PlaceOut]
    contact: str


class TermOut(Shape):
    keep: str
    basis: str
    days: int | None
    since: str
    source: str


class RetentionOut(Shape):
    """Bases and periods in force, and the rules that are to come or were."""

    terms: list[TermOut]
    rules: list["RetentionRuleOut"]


class RetentionRuleOut(Shape):
    id: int
    from_ms: int
    document: dict[str, Any]
    by: str | None
    reason: str
    created_ms: int


class RetentionIn(Body):
    """It replaces the whole of the rule before; classes that it leaves out have their defaults."""

    document: dict[Plain, Any] = Field(
        max_length=20,
        description="class → basis, days and the source that says so",
        examples=[{"audit": {"days": 1825, "source": "Prakas 12/2027, article 4"}}],
    )
    from_ms: Ms | None = Field(default=None, description="from when it holds; from now on, if left out")
    reason: Reason


class HoldIn(Body):
    """On a user, or on an account and all below it; on everybody, if neither is named."""

    user: Name | None = None
    account: Name | None = None
    reason: Reason


class LiftIn(Body):
    reason: Reason


class HoldOut(Shape):
    id: int
    user: str | None
    account: str | None
    reason: str
    by: str | None
    from_ms: int
    lifted_ms: int | None
    lifted_by: str | None


class SweepOut(Shape):
    """`removed`: kind → count. `at_ms` null: what a run would remove now, at least."""

    id: int | None
    at_ms: int | None
    removed: dict[str, int]
