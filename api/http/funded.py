"""What an officer of a funder sees: what the funder's own money does, and nothing of anybody else's."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from api.http.call import Call
from domain.allocations import Allocation
from domain.errors import NotFound


def own_grants(call: Call) -> frozenset[int]:
    """The grants of the funders whose officer the caller is."""
    return call.uow.grants.grants_of(call.funders) if call.funders else frozenset()


def needed_allocation(call: Call, allocation_id: int) -> Allocation:
    """An allocation that the caller may look at: by a role on its project, or because their funder pays for it."""
    one = call.uow.allocations.get(allocation_id)
    if one is None:
        call.checked = True
        raise NotFound(f"there is no allocation {allocation_id}", "allocation")
    if own_grants(call).isdisjoint(source.grant_id for source in one.sources):
        call.need(call.directory.tree.accounts[one.project_id], f"allocation {allocation_id}")
    call.checked = True
    return one


def sees_whole(call: Call, allocation: Allocation) -> bool:
    """True if the caller has a role that shows them all of it, what others pay too."""
    return call.caller.may(call.permission, call.directory.tree.path(allocation.project_id))


def part_of(one: Allocation, grants: frozenset[int]) -> Allocation:
    """As if there were no other grants, and without what is about all of it."""
    shares = (
        replace(dated, shares={grant: share for grant, share in dated.shares.items() if grant in grants})
        for dated in one.shares
    )
    sources = tuple(source for source in one.sources if source.grant_id in grants)
    return replace(one, sources=sources, shares=tuple(shares), instalments=(), asked=None, requested_by=None)


def own_facts(facts: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Of a decision's facts, what these grants paid, and the dates."""
    kept = {name: value for name, value in facts.items() if name in {"ends_ms", "before_ms", "instalment", "kind"}}
    sources = {name: su for name, su in facts.get("sources", {}).items() if name in names}
    return kept | ({"sources": sources} if sources else {})
