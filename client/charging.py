"""What use costs: charging rules; refunds, adjustments and closed months."""

from collections.abc import Iterator, Mapping
from typing import Any, TypedDict

from client.transport import Transport


class ChargingRules(TypedDict):
    id: int
    state: str
    from_ms: int
    document: dict[str, Any]
    author: str | None
    reason: str
    created_ms: int | None


class Correction(TypedDict):
    """What somebody gave back of what an attempt cost (``su`` below 0) or charged in addition."""

    transaction: str
    kind: str
    attempt: str
    project: str
    su: str
    period: str
    from_ms: int | None
    to_ms: int | None
    su_per_hour: str | None
    author: str | None
    reason: str
    created_ms: int


class Adjustment(TypedDict):
    posted: bool
    count: int
    su: str
    items: list[Correction]


class Period(TypedDict):
    """A closed month."""

    period: str
    from_ms: int
    until_ms: int
    author: str | None
    reason: str
    created_ms: int


class Charging:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def rules(self) -> ChargingRules:
        """Those in force."""
        rules: ChargingRules = self._transport.get("/charging-rules")
        return rules

    def rules_history(self) -> Iterator[ChargingRules]:
        """All that were ever applied, the last ones first."""
        return self._transport.pages("/charging-rules/history")

    def apply_rules(self, document: Mapping[str, Any], reason: str, *, from_ms: int | None = None) -> ChargingRules:
        """Put rules in force, now or from a time to come, for what starts from then on."""
        body = {"document": document, "reason": reason, "from_ms": from_ms}
        rules: ChargingRules = self._transport.post("/charging-rules", {k: v for k, v in body.items() if v is not None})
        return rules

    def refund(self, attempt: str, reason: str, *, su: str | None = None) -> Correction:
        """Give back what an attempt cost, or so much of it; once."""
        body = {"attempt": attempt, "su": su, "reason": reason}
        given: Correction = self._transport.post("/refunds", {k: v for k, v in body.items() if v is not None})
        return given

    def adjust(self, attempt: str, su: str, reason: str, *, dry_run: bool = False) -> Adjustment:
        """Add to what an attempt cost, or take off: ``-2.5``."""
        body = {"attempt": attempt, "su": su, "reason": reason, "dry_run": dry_run}
        posted: Adjustment = self._transport.post("/adjustments", body)
        return posted

    def rerate(
        self, flavor: str, from_ms: int, to_ms: int, su_per_hour: str, reason: str, *, dry_run: bool = False
    ) -> Adjustment:
        """Charge what was used of a flavor in a span as if another rate had been in force."""
        body = {
            "flavor": flavor, "from_ms": from_ms, "to_ms": to_ms, "su_per_hour": su_per_hour, "reason": reason,
            "dry_run": dry_run,
        }  # fmt: skip
        posted: Adjustment = self._transport.post("/adjustments", body)
        return posted

    def corrections(self) -> Iterator[Correction]:
        return self._transport.pages("/corrections")

    def periods(self) -> Iterator[Period]:
        """The months that are closed."""
        return self._transport.pages("/periods")

    def close_period(self, period: str, reason: str) -> Period:
        """Close a month: nothing is posted into it any more."""
        closed: Period = self._transport.post("/periods", {"period": period, "reason": reason})
        return closed
