"""Quotas and limits (what may be held at one time); and funders, grants and prices (where SU come from)."""

from collections.abc import Iterator, Sequence
from typing import Any

from client.accounts import Promise
from client.errors import NotFoundError
from client.models import Limits, Quota
from client.money import Conditions, Funder, Grant, Notice, Price, ReclaimRule
from client.transport import Transport, segment

QUOTA_FIELDS = ("guaranteed", "borrow_limit", "lend_limit")
LIMIT_FIELDS = (
    "running_jobs",
    "queued_jobs",
    "gpus_per_job",
    "walltime",
    "user_running_jobs",
    "user_queued_jobs",
    "submissions_per_minute",
    "user_submissions_per_minute",
)


class Quotas:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def each(self, account: str | None = None) -> Iterator[Quota]:
        return self._transport.pages("/quotas", {"account": account})

    def warnings(self) -> list[str]:
        """Flavors of which more is guaranteed than there is, for whoever may see all quotas."""
        found: list[str] = self._transport.get("/quotas").get("warnings", [])
        return found

    def promises(self) -> list[Promise]:
        """How much of each flavor is guaranteed in all and how much there is, for whoever may see all quotas."""
        found: list[Promise] = self._transport.get("/quotas").get("promises", [])
        return found

    def get(self, account: str, flavor: str) -> Quota:
        quota: Quota = self._transport.get(_quota_path(account, flavor))
        return quota

    def change(self, account: str, flavor: str, **fields: int | None) -> Quota:
        """Set the given fields and leave the others; refused if somebody else changes it meanwhile.

        ``overcommit=True``: more than there is may be guaranteed.
        """
        quota: Quota = _change(self._transport, _quota_path(account, flavor), QUOTA_FIELDS, fields)
        return quota

    def remove(self, account: str, flavor: str) -> None:
        self._transport.delete(_quota_path(account, flavor))

    def limits(self, account: str) -> Limits:
        limits: Limits = self._transport.get(f"/limits/{segment(account)}")
        return limits

    def change_limits(self, account: str, **fields: int | str | None) -> Limits:
        """Set the given fields and leave the others; refused if somebody else changes it meanwhile."""
        limits: Limits = _change(self._transport, f"/limits/{segment(account)}", LIMIT_FIELDS, fields)
        return limits


class Budgets:
    """Funders give grants."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def funders(self) -> Iterator[Funder]:
        return self._transport.pages("/funders")

    def add_funder(self, name: str, title: str) -> Funder:
        funder: Funder = self._transport.post("/funders", {"name": name, "title": title})
        return funder

    def grants(self) -> Iterator[Grant]:
        return self._transport.pages("/grants")

    def grant(self, grant: int | str) -> Grant:
        found: Grant = self._transport.get(f"/grants/{segment(grant)}")
        return found

    def add_grant(
        self, *, name: str, funder: str, starts_ms: int, ends_ms: int, su: str | None = None,
        amount: str | None = None, currency: str | None = None, conditions: Conditions | None = None,
    ) -> Grant:  # fmt: skip
        """Either ``su``, or ``amount`` and ``currency``."""
        body = {
            "name": name, "funder": funder, "su": su, "amount": amount, "currency": currency,
            "starts_ms": starts_ms, "ends_ms": ends_ms, "conditions": conditions,
        }  # fmt: skip
        added: Grant = self._transport.post("/grants", {k: v for k, v in body.items() if v is not None})
        return added

    def set_grant_state(self, grant: int | str, state: str, reason: str) -> Grant:
        """``active``, ``suspended`` or ``closed``; refused if somebody else changes it meanwhile."""
        path = f"/grants/{segment(grant)}"
        _, tag = self._transport.get_tagged(path)
        changed: Grant = self._transport.patch(path, {"state": state, "reason": reason}, if_match=tag)
        return changed

    def notices(self, *, unread: bool = False, limit: int | None = None) -> Iterator[Notice]:
        """What you are told of the budgets of your projects, the newest first."""
        return self._transport.pages("/notices", {"unread": "true"} if unread else None, limit=limit)

    def read(self, notices: Sequence[int]) -> int:
        """Mark notices as read by you. Answers how many there were."""
        found: dict[str, int] = self._transport.post("/notices/read", {"ids": list(notices)})
        return found["read"]

    def reclaim_rules(self) -> Iterator[ReclaimRule]:
        return self._transport.pages("/reclaim-rules")

    def set_reclaim_rule(
        self, reason: str, *, after_percent: int | None = None, used_below_percent: int | None = None,
        keep_percent: int | None = None, notice: str | None = None, from_ms: int | None = None,
    ) -> ReclaimRule:  # fmt: skip
        """When unused SU may be taken back: all four, or none for never."""
        body = {
            "after_percent": after_percent, "used_below_percent": used_below_percent, "keep_percent": keep_percent,
            "notice": notice, "from_ms": from_ms, "reason": reason,
        }  # fmt: skip
        rule: ReclaimRule = self._transport.post("/reclaim-rules", {k: v for k, v in body.items() if v is not None})
        return rule

    def prices(self) -> Iterator[Price]:
        return self._transport.pages("/prices")

    def set_price(
        self, currency: str, amount: str, reason: str, *, tenant_kind: str | None = None, from_ms: int | None = None
    ) -> Price:
        """What an SU costs from a time on (None: now), for a kind of tenant or for all without a price of their own."""
        body = {
            "currency": currency, "amount": amount, "reason": reason, "tenant_kind": tenant_kind, "from_ms": from_ms,
        }  # fmt: skip
        price: Price = self._transport.post("/prices", {k: v for k, v in body.items() if v is not None})
        return price


def _quota_path(account: str, flavor: str) -> str:
    return f"/quotas/{segment(account)}/{segment(flavor)}"


def _change(transport: Transport, path: str, names: Sequence[str], fields: dict[str, Any]) -> Any:
    """Read, change, write under the tag that was read. What is not there yet is written with the given fields alone."""
    try:
        current, tag = transport.get_tagged(path)
    except NotFoundError:
        current, tag = {}, None
    kept = {name: current[name] for name in names if name in current}
    return transport.put(path, kept | fields, if_match=tag)
