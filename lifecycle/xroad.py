"""What the centre answers to other governments' systems over X-Road: use by tenant and month, and whether an allocation
is valid. Nobody is asked about a person, and nothing here names one.

Each request leaves an audit entry. Who stood behind it at the other end, and for which case, is in its personal part.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.accounts import Account, AccountKind
from domain.allocations import OVER, Allocation, AllocationState
from domain.errors import Conflict, Invalid, NotAllowed, NotFound
from domain.money import BookKind
from domain.months import month_end_ms, month_of, month_span
from lifecycle.accounts import account_named
from lifecycle.ports import Directory, UnitOfWork
from lifecycle.report import usage
from lifecycle.rights import Right, Service, client_id
from lifecycle.witness import witness
from quotas.leaves import PublicKey, TreeHead

MOST_MONTHS = 12
_DECIDED = frozenset({AllocationState.APPROVED, AllocationState.ACTIVE, AllocationState.SUSPENDED}) | OVER


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, as the Security Server says. ``user_id`` and ``issue`` may lead to a person."""

    client: str
    message_id: str
    user_id: str | None = None
    issue: str | None = None
    represented: str | None = None


@dataclass(frozen=True, slots=True)
class MonthOfTenant:
    """The use of a tenant's projects in a month. GPU-milliseconds by flavor; micro-SU."""

    month: str
    tenant: Account
    gpu_ms: Mapping[str, int]
    charged: int
    final: bool  # the month's books are closed: it will not change any more


@dataclass(frozen=True, slots=True)
class Verified:
    """What is true of an allocation. ``one`` is None for ``unknown``; amounts in micro-SU."""

    status: str  # valid, upcoming, suspended, over or unknown
    one: Allocation | None = None
    project: Account | None = None
    tenant: Account | None = None
    consumed: int = 0
    available: int = 0


def allow(uow: UnitOfWork, client: str, service: Service, tenant: str | None, now_ms: int) -> Right:
    """Let a client ask a service about one tenant, or about all. Raises Conflict if it may already."""
    tenant_id = None if tenant is None else account_named(uow.directory(), tenant, AccountKind.TENANT).id
    right = uow.rights.add(client_id(client), service, tenant_id, now_ms)
    if right is None:
        about = "all tenants" if tenant is None else f"tenant {tenant}"
        raise Conflict(
            f"{client_id(client)} may ask {service} about {about} already", "client",
            fix="see baray admin xroad list", code="already-exists",
        )  # fmt: skip
    return right


def right_of(uow: UnitOfWork, right_id: int) -> Right:
    """Raises NotFound."""
    right = uow.rights.get(right_id)
    if right is None:
        raise NotFound(f"there is no right {right_id}", "right", fix="see baray admin xroad list")
    return right


def revoke(uow: UnitOfWork, right_id: int) -> Right:
    """What was revoked."""
    right = right_of(uow, right_id)
    uow.rights.remove(right_id)
    return right


def tenants_of(uow: UnitOfWork, client: str, service: Service) -> frozenset[int] | None:
    """The tenants that the client may ask the service about; None for all. Raises NotAllowed if there are none."""
    tenants = frozenset(uow.rights.tenants(client, service))
    if not tenants:
        raise NotAllowed(f"{client} may not ask the service {service}", fix="ask the centre for the right")
    return None if None in tenants else frozenset(one for one in tenants if one is not None)


def monthly(
    uow: UnitOfWork, tenants: frozenset[int] | None, tenant: str | None, first: str, last: str
) -> list[MonthOfTenant]:
    """The use of ``tenant``, or of all that the client may ask about, in each of the months from ``first`` to ``last``.

    Raises NotFound for a tenant that is not there, or that the client may not ask about: it cannot tell which.
    """
    directory = uow.directory()
    wanted = tenants
    if tenant is not None:
        found = directory.by_name.get(tenant)
        if found is None or found.kind is not AccountKind.TENANT or (tenants is not None and found.id not in tenants):
            raise NotFound(f"there is no tenant {tenant[:80]!r}", "tenant")
        wanted = frozenset({found.id})
    projects = None if wanted is None else frozenset[int]().union(*(directory.tree.below(one) for one in wanted))
    rows = []
    for month in _months(first, last):
        from_ms, until_ms = month_span(month)
        closed = directory.closed_at(from_ms) is not None
        rows += [
            MonthOfTenant(month, directory.by_name[line.key], line.gpu_ms, line.charged, closed)
            for line in usage(uow, "tenant", from_ms, until_ms, projects).lines
        ]
    return rows


def verify(
    uow: UnitOfWork,
    tenants: frozenset[int] | None,
    number: int,
    project: str | None,
    tenant: str | None,
    now_ms: int,
) -> Verified:
    """Whether the allocation is there, of that project or tenant, and may be spent now.

    Another project's, one of a tenant that the client may not ask about, one that was never granted and none at all are
    ``unknown`` alike.
    """
    if project is None and tenant is None:
        raise Invalid("say whose allocation it should be", "project", fix="give project or tenant")
    one, directory = uow.allocations.get(number), uow.directory()
    owner = None if one is None else directory.tree.accounts[one.project_id]
    above = None if owner is None else directory.tree.tenant_of(owner.id)
    mine = above is not None and (tenants is None or above.id in tenants)
    if one is None or owner is None or above is None or not mine or one.state not in _DECIDED:
        return Verified("unknown")
    if project not in {None, owner.name} or tenant not in {None, above.name}:
        return Verified("unknown")
    left = uow.ledger.balances([one.id])
    return Verified(
        _status(directory, one, now_ms), one, owner, above,
        left.get((one.id, BookKind.CONSUMED), 0), left.get((one.id, BookKind.ALLOCATION), 0),
    )  # fmt: skip


def sealed_head(uow: UnitOfWork) -> tuple[TreeHead, PublicKey] | None:
    """The newest signed head of the tree over ledger and audit trail, with its key; None before the first."""
    head = uow.seals.last_head()
    keys = {key.id: key for key in uow.seals.public_keys()}
    return None if head is None else (head, keys[head.key_id])


def note(uow: UnitOfWork, asked: Asked, service: Service, query: Mapping[str, Any], status: int, now_ms: int) -> None:
    """Leave the entry of a request: which system asked what, and how it was answered."""
    facts = {"client": asked.client, "message_id": asked.message_id, "service": service.value, "status": status}
    if asked.represented is not None:
        facts["represented"] = asked.represented
    behind = {"user_id": asked.user_id, "issue": asked.issue}
    personal = {"query": dict(query), **{name: value for name, value in behind.items() if value is not None}}
    witness(uow.audit, now_ms, f"xroad_{service}", f"/xroad/{asked.client}/{service}", facts, personal)


def _status(directory: Directory, one: Allocation, now_ms: int) -> str:
    if one.state in OVER or one.ends_ms <= now_ms:
        return "over"
    if one.state is AllocationState.SUSPENDED or not directory.tree.active(one.project_id):
        return "suspended"
    return "upcoming" if now_ms < one.starts_ms else "valid"


def _months(first: str, last: str) -> list[str]:
    from_ms, last_ms = month_span(first, "from")[0], month_span(last, "until")[0]
    if last_ms < from_ms:
        raise Invalid(f"{last} is before {first}", "until", fix="let the period end after it begins")
    months = [first]
    while months[-1] != last and len(months) <= MOST_MONTHS:
        months.append(month_of(month_end_ms(month_span(months[-1])[0])))
    if len(months) > MOST_MONTHS:
        raise Invalid(
            f"from {first} to {last} are more than {MOST_MONTHS} months", "until", fix="ask for one year at a time"
        )  # fmt: skip
    return months
