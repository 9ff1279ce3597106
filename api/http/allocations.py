"""Allocations, changes and decisions between JSON and what the steps take and answer."""

from collections.abc import Iterable, Sequence
from typing import Any

from api.http.call import Call
from api.http.funded import own_facts, own_grants, part_of, sees_whole
from api.http.schemas.allocations import DatedSharesIn, InstalmentIn, SourceIn, TermsIn
from api.http.schemas.base import su
from domain.allocations import Allocation, Change, Decision, parse_share
from domain.grants import Bargain
from domain.money import BookKind
from domain.quantities import format_su
from lifecycle.effects import Wish
from lifecycle.notices import run_out
from lifecycle.terms import InstalmentAsked, PartAsked, Terms


def read_terms(body: TermsIn, starts_ms: int, ends_ms: int) -> Terms:
    return Terms(
        read_parts(body.sources),
        starts_ms,
        ends_ms,
        None if body.su is None else su(body.su, "su"),
        tuple((dated.from_ms, _shares(place, dated)) for place, dated in enumerate(body.shares)),
        tuple(_instalment(place, one) for place, one in enumerate(body.instalments)),
    )


def read_parts(sources: Sequence[SourceIn]) -> tuple[PartAsked, ...]:
    return tuple(
        PartAsked(
            source.grant,
            None if source.su is None else su(source.su, f"sources.{place}.su"),
            None if source.share is None else parse_share(source.share, f"sources.{place}.share"),
        )
        for place, source in enumerate(sources)
    )


def _shares(place: int, dated: DatedSharesIn) -> dict[str, int]:
    return {name: parse_share(share, f"shares.{place}.shares.{name}") for name, share in dated.shares.items()}


def _instalment(place: int, one: InstalmentIn) -> InstalmentAsked:
    return InstalmentAsked(su(one.su, f"instalments.{place}.su"), one.due_ms, one.on_report)


def show_allocations(call: Call, found: Sequence[Allocation]) -> list[dict[str, Any]]:
    """In a fixed number of queries. Officers of a funder are shown its part alone."""
    partly = {one.id for one in found if not sees_whole(call, one)}
    own = own_grants(call) if partly else frozenset[int]()
    balances = call.uow.ledger.balances([one.id for one in found if one.id not in partly])
    balances |= call.uow.ledger.balances(sorted(partly), own)
    found = [part_of(one, own) if one.id in partly else one for one in found]
    grants = call.uow.grants.grant_names([source.grant_id for one in found for source in one.sources])
    users = _users(call, [one.requested_by for one in found])
    out = run_out(call.uow, [one.id for one in found], call.now_ms)
    bought = call.uow.budgets.bargains_of([one.id for one in found])

    def left(allocation: Allocation, kind: BookKind) -> str:
        return format_su(balances.get((allocation.id, kind.value), 0))

    return [
        {
            "id": one.id,
            "project": call.directory.tree.accounts[one.project_id].name,
            "su": format_su(one.micro_su),
            "state": one.state.value,
            "starts_ms": one.starts_ms,
            "ends_ms": one.ends_ms,
            "asked_su": None if one.asked is None else format_su(one.asked),
            "purpose": one.purpose,
            "requested_by": users.get(one.requested_by or 0),
            "sources": [
                {
                    "grant": grants[p.grant_id], "su": format_su(p.micro_su), "returned_su": format_su(p.returned),
                    **_cost(bought.get((one.id, p.grant_id))),
                }
                for p in one.sources
            ],
            "shares": [
                {
                    "from_ms": dated.from_ms,
                    "shares": {grants[grant]: format_su(share) for grant, share in dated.shares.items()},
                }
                for dated in one.shares
            ],
            "instalments": [
                {
                    "number": part.number,
                    "su": format_su(part.micro_su),
                    "due_ms": part.due_ms,
                    "on_report": part.number > 1 and part.due_ms is None,
                    "released_ms": part.released_ms,
                }
                for part in one.instalments
            ],
            "committed_su": left(one, BookKind.COMMITTED),
            "available_su": left(one, BookKind.ALLOCATION),
            "held_su": left(one, BookKind.HELD),
            "consumed_su": left(one, BookKind.CONSUMED),
            "returned_su": format_su(one.returned),
            "runs_out_ms": None if one.id in partly else out.get(one.id),
            "version": one.version,
        }
        for one in found
    ]  # fmt: skip


def _cost(bargain: Bargain | None) -> dict[str, str | None]:
    """What the SU that were not returned were bought for, if the grant is in money."""
    if bargain is None:
        return {"money": None, "currency": None}
    return {"money": format_su(bargain.kept(bargain.out)), "currency": bargain.unit}


def show_decisions(call: Call, one: Allocation, found: Sequence[Decision]) -> list[dict[str, Any]]:
    """The record of one allocation. Officers of a funder are told of the funder's part alone."""
    users = _users(call, [step.user_id for step in found])
    whole = sees_whole(call, one)
    names = frozenset() if whole else frozenset(call.uow.grants.grant_names(sorted(own_grants(call))).values())
    return [
        {
            "id": step.id, "step": step.step.value, "by": users.get(step.user_id or 0), "reason": step.reason,
            "at_ms": step.at_ms, "facts": dict(step.facts if whole else own_facts(step.facts, names)),
        }
        for step in found
    ]  # fmt: skip


def show_changes(call: Call, found: Sequence[Change]) -> list[dict[str, Any]]:
    """In a fixed number of queries."""
    users = _users(call, [user for one in found for user in (one.requested_by, one.decided_by)])
    of = call.uow.allocations.many([one.allocation_id for one in found])
    accounts = call.directory.tree.accounts
    return [
        {
            "id": one.id,
            "allocation": one.allocation_id,
            "project": accounts[of[one.allocation_id].project_id].name,
            "kind": one.kind.value,
            "state": one.state.value,
            **_wished(Wish.read(one.payload), {number: account.name for number, account in accounts.items()}),
            "reason": one.reason,
            "requested_by": users.get(one.requested_by),
            "requested_ms": one.requested_ms,
            "decided_by": users.get(one.decided_by or 0),
            "decided_ms": one.decided_ms,
            "answer": one.answer,
        }
        for one in found
    ]


def _wished(wish: Wish, names: dict[int, str]) -> dict[str, Any]:
    return {
        "su": _optional(wish.micro_su),
        "to": wish.to,
        "to_project": names.get(wish.project_id or 0),
        "starts_ms": wish.starts_ms,
        "ends_ms": wish.ends_ms,
        "instalment": wish.number,
        "sources": [
            {"grant": part.grant, "su": _optional(part.micro_su), "share": _optional(part.share)}
            for part in wish.sources
        ],
    }


def _optional(amount: int | None) -> str | None:
    return None if amount is None else format_su(amount)


def _users(call: Call, ids: Iterable[int | None]) -> dict[int, str]:
    return call.uow.people.user_names([one for one in ids if one is not None])
