"""Shared shapes. Bodies are strict: no unknown keys, no numbers in texts, no texts for numbers."""

from collections.abc import Callable
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

from domain.errors import BarayError, Fault, Invalid
from domain.quantities import parse_su
from lifecycle.words import check_line, check_prose

Item = TypeVar("Item")


def checked(check: Callable[[str], str]) -> AfterValidator:
    """A check in the domain's words as one of pydantic's, so that all that is wrong with a body is found at once."""

    def validate(text: str) -> str:
        try:
            return check(text)
        except Invalid as error:
            fault = error.faults[0]
            # The message is no template: braces in what people send stay as they are.
            raise PydanticCustomError("invalid", "{said}", {"said": fault.message, "fix": fault.fix or ""}) from error

    return AfterValidator(validate)


def _encodable(text: str) -> str:
    """JSON can write half of a surrogate pair, which is no character and can be kept nowhere."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise Invalid("holds half a character", fix="write characters, or both halves of a surrogate pair") from error
    return text


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise Invalid("holds a NUL character", fix="remove it")
    return text


Whole = Annotated[StrictStr, checked(_encodable)]
Plain = Annotated[Whole, checked(_no_nul)]
Name = Annotated[Plain, Field(min_length=1, max_length=63, examples=["speech"])]
Title = Annotated[Plain, Field(min_length=1, max_length=200), checked(check_line)]
Prose = Annotated[Plain, checked(check_prose)]
Su = Annotated[Plain, Field(max_length=40, description="service units, a decimal text", examples=["1500", "0.25"])]
Ms = Annotated[StrictInt, Field(ge=0, le=2**53, description="ms since the epoch, UTC", examples=[1767225600000])]
Weight = Annotated[StrictInt, Field(ge=1, le=1_000_000, description="entitled share relative to its siblings")]


class Body(BaseModel):
    """A request's body."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Shape(BaseModel):
    """An answer's shape, for the documentation; a test holds real answers against it. Built when the document is asked for."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class FaultOut(Shape):
    """One thing that is wrong: what, where (a dotted path such as `resources.walltime`) and what to do."""

    message: str
    field: str = ""
    fix: str = ""


class Problem(BaseModel):
    """RFC 9457. `type` is stable: `/problems/<code>`."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FaultOut]
    fixes: list[str]
    request_id: str


class Listing(Shape, Generic[Item]):
    """One page of a list; ``next`` is the cursor of the page after, null at the end."""

    items: list[Item]
    next: str | None


def su(text: str, field: str) -> int:
    """A body's SU as micro-SU."""
    return parse_su(text, field)


class Faults:
    """Gathers what is wrong with a body, so that all of it can be said at once."""

    def __init__(self) -> None:
        self.found: list[Fault] = []

    def add(self, field: str, message: str, fix: str | None = None) -> None:
        self.found.append(Fault(message, field, fix))

    def catch(self, read: Any, *arguments: Any) -> Any:
        """What ``read`` answers; None, and its faults kept, if it refuses."""
        try:
            return read(*arguments)
        except BarayError as error:
            self.found += error.faults
            return None

    def done(self) -> None:
        """Raise Invalid if anything was found."""
        if self.found:
            raise Invalid.many(self.found)
