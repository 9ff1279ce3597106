"""The terms of an allocation as people write them, by names of grants; read into what the domain knows, or refused."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.allocations import DatedShares, Instalment, Source, check_shares
from domain.errors import Invalid, Refused
from domain.grants import Grant
from domain.quantities import format_su
from lifecycle.exchange import left_for
from lifecycle.grants import check_amount, check_grant
from lifecycle.ports import UnitOfWork
from quotas import funding

INSTALMENTS_MOST = 100


@dataclass(frozen=True, slots=True)
class PartAsked:
    """What a grant, by name, is to pay: so many micro-SU, or a share of the whole in millionths."""

    grant: str
    micro_su: int | None = None
    share: int | None = None


@dataclass(frozen=True, slots=True)
class InstalmentAsked:
    """``due_ms`` None with ``on_report``: when a report is accepted. The first has neither: it is paid at once."""

    micro_su: int
    due_ms: int | None = None
    on_report: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """``micro_su`` is the whole, needed where parts are shares of it; ``shares``: (from when, grant → millionths)."""

    sources: tuple[PartAsked, ...]
    starts_ms: int
    ends_ms: int
    micro_su: int | None = None
    shares: tuple[tuple[int, Mapping[str, int]], ...] = ()
    instalments: tuple[InstalmentAsked, ...] = ()


def read_sources(
    uow: UnitOfWork,
    project_id: int,
    asked: Sequence[PartAsked],
    whole: int | None,
    starts_ms: int,
    ends_ms: int,
    now_ms: int,
) -> tuple[Source, ...]:
    """What each grant pays. Refused if one has less left; nobody else takes of it until the transaction ends."""
    if not asked:
        raise Invalid("an allocation needs a grant that pays it", "sources", fix="name a grant and how much of it")
    found = [_grant(uow, place, part.grant) for place, part in enumerate(asked)]
    if len({grant.id for grant in found}) < len(found):
        raise Invalid("a grant is named twice", "sources", fix="add its parts up")
    amounts = amounts_of(asked, whole)
    for place, (grant, micro_su) in enumerate(zip(found, amounts, strict=True)):
        if micro_su <= 0:
            raise Invalid("a grant's part is more than 0 SU", f"sources.{place}.su")
        check_grant(uow.directory(), grant, project_id, f"sources.{place}.grant")
        check_pays(grant, starts_ms, ends_ms, f"sources.{place}.grant")
    check_amount(sum(amounts), "sources", starts_ms, ends_ms)
    uow.ledger.grant_balances([grant.id for grant in found], lock=True)  # all of them in one order
    for place, (grant, micro_su) in enumerate(zip(found, amounts, strict=True)):
        if micro_su > (rest := left_for(uow, grant, project_id, now_ms)):
            raise Refused(
                f"grant {grant.name} has {format_su(rest)} SU left, not {format_su(micro_su)}",
                f"sources.{place}.su", fix=f"take {format_su(rest)} SU or less", code="grant-exceeded",
            )  # fmt: skip
    return tuple(Source(grant.id, micro_su) for grant, micro_su in zip(found, amounts, strict=True))


def amounts_of(asked: Sequence[PartAsked], whole: int | None) -> list[int]:
    """Each part in micro-SU: as it is given, or its share of the whole by largest remainder."""
    for place, part in enumerate(asked):
        if (part.micro_su is None) == (part.share is None):
            raise Invalid("a grant pays an amount or a share of the whole", f"sources.{place}", fix="give su or share")
    amounts = [part.micro_su for part in asked if part.micro_su is not None]
    shares = [part.share for part in asked if part.share is not None]
    if amounts and shares:
        raise Invalid("some grants pay amounts and some pay shares", "sources", fix="give su for all, or share for all")
    if shares:
        if whole is None:
            raise Invalid("shares are of a whole, which is missing", "su", fix="give the whole as su")
        check_shares(shares, "sources")
        return list(funding.split(whole, dict(enumerate(shares))).values())
    if whole is not None and sum(amounts) != whole:
        raise Invalid(
            f"the grants pay {format_su(sum(amounts))} SU together, not {format_su(whole)}",
            "sources", fix="let them add up, or leave su out",
        )  # fmt: skip
    return amounts


def check_pays(grant: Grant, starts_ms: int, ends_ms: int, field: str) -> None:
    """Raises Invalid unless the grant may pay for an allocation between these times."""
    if starts_ms < grant.starts_ms or ends_ms > grant.ends_ms:
        raise Invalid(
            f"grant {grant.name} does not cover all of the allocation's time", field, fix="see baray admin grant list"
        )


def read_shares(
    uow: UnitOfWork, terms: Terms, sources: Sequence[Source], starts_ms: int, ends_ms: int
) -> tuple[DatedShares, ...]:
    """How holds are split, from which days on: of the allocation's grants only, each time exactly one in all."""
    names = uow.grants.grant_names([source.grant_id for source in sources])
    known = {name: grant_id for grant_id, name in names.items()}
    found: list[DatedShares] = []
    for place, (from_ms, shares) in enumerate(terms.shares):
        where = f"shares.{place}"
        for name in shares:
            if name not in known:
                raise Invalid(
                    f"grant {name[:80]!r} does not pay this allocation", f"{where}.shares",
                    fix=f"its grants are: {', '.join(sorted(known))}",
                )  # fmt: skip
        check_shares(list(shares.values()), f"{where}.shares")
        if not starts_ms <= from_ms < ends_ms:
            raise Invalid(
                "the shares begin outside the allocation's time", f"{where}.from_ms", fix="choose a day of it"
            )
        if any(dated.from_ms == from_ms for dated in found):
            raise Invalid("two shares begin at the same time", f"{where}.from_ms", fix="leave one of them out")
        found.append(DatedShares(from_ms, {known[name]: share for name, share in shares.items()}))
    return tuple(sorted(found, key=lambda dated: dated.from_ms))


def read_instalments(terms: Terms, whole: int, starts_ms: int, ends_ms: int, now_ms: int) -> tuple[Instalment, ...]:
    """The plan in which the whole is paid: the first at once, the others each on a day or when a report is accepted."""
    if not terms.instalments:
        return ()
    if len(terms.instalments) > INSTALMENTS_MOST:
        raise Invalid(f"there are more than {INSTALMENTS_MOST} instalments", "instalments", fix="make them larger")
    total = sum(one.micro_su for one in terms.instalments)
    if total != whole:
        raise Invalid(
            f"the instalments sum to {format_su(total)} SU, the allocation is {format_su(whole)}",
            "instalments", fix="let them add up",
        )  # fmt: skip
    found: list[Instalment] = []
    for place, one in enumerate(terms.instalments):
        where = f"instalments.{place}"
        if one.micro_su <= 0:
            raise Invalid("an instalment is more than 0 SU", f"{where}.su")
        dated = one.due_ms is not None
        if place == 0 and (dated or one.on_report):
            raise Invalid(
                "the first instalment is paid at once", f"{where}.due_ms", fix="leave due_ms and on_report out"
            )
        if place and dated == one.on_report:
            raise Invalid("it is not said when this is paid", f"{where}.due_ms", fix="give due_ms or on_report")
        if one.due_ms is not None and not starts_ms < one.due_ms < ends_ms:
            raise Invalid("it is due outside the allocation's time", f"{where}.due_ms", fix="choose a day of it")
        found.append(Instalment(place + 1, one.micro_su, one.due_ms, None if place else now_ms))
    return tuple(found)


def _grant(uow: UnitOfWork, place: int, name: str) -> Grant:
    grant = uow.grants.grant_named(name)
    if grant is None:
        raise Invalid(f"there is no grant {name[:80]!r}", f"sources.{place}.grant", fix="see baray admin grant list")
    return grant
