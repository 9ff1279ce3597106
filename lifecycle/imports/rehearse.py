"""An import from files to deed: read, planned, and, if it is what was rehearsed, carried out in one transaction."""

from collections.abc import Callable, Mapping

from domain.accounts import TENANT_KINDS
from domain.errors import Conflict, Invalid
from domain.grants import GrantState
from domain.people import Caller
from lifecycle.brought import Batch
from lifecycle.impartial import parts_of
from lifecycle.imports import coldfront, csvfiles, sacct
from lifecycle.imports.carry import carry_out
from lifecycle.imports.past import plan_runs
from lifecycle.imports.plan import GrantThere, Plan, There, plan
from lifecycle.imports.words import Bundle, Faults, Funder, Options, Place
from lifecycle.paging import Page
from lifecycle.ports import UnitOfWork
from lifecycle.words import check_line, check_name, check_title

_READERS: Mapping[str, Callable[[Mapping[str, str], Options], Bundle]] = {
    "csv": csvfiles.read,
    "coldfront": coldfront.read,
    "sacct": sacct.read,
}
_ALL = Page(None, 10**9)


def read(kind: str, files: Mapping[str, str], options: Options) -> Bundle:
    """What the files say. Raises Invalid with every fault of them and of the options."""
    check_options(kind, options)
    return _READERS[kind](files, options)


def check_options(kind: str, options: Options) -> None:
    check_name(options.origin, "options.origin")
    for field in ("tenant", "funder"):
        if (name := getattr(options, field)) is not None:
            check_name(name, f"options.{field}")
    for field in ("tenants", "projects", "users", "gpus"):
        for said, name in getattr(options, field).items():
            check_name(name, f"options.{field}.{said[:40]}")
    if options.tenant_kind not in TENANT_KINDS:
        fix = f"use one of {', '.join(TENANT_KINDS)}"
        raise Invalid(f"{options.tenant_kind!r} is no kind of tenant", "options.tenant_kind", fix=fix)
    if kind == "sacct" and options.funder is None:
        raise Invalid("nobody pays for the past", "options.funder", fix="name a funder with --funder")


def rehearse(uow: UnitOfWork, caller: Caller, bundle: Bundle, options: Options, now_ms: int) -> Plan:
    """What an import of this would do. Nothing is changed."""
    there = look(uow, caller, bundle, options, now_ms)
    found = plan(bundle, there)
    if bundle.runs:
        plan_runs(found, bundle.runs, there, options)
    if found.runs and options.funder is not None and options.funder not in there.funders:
        found.funders.append(Funder(options.funder, options.funder, Place("--funder", 1)))
    _check_titles(found)
    return found


def _check_titles(found: Plan) -> None:
    """What would be added is shown to others under its title. Raises Invalid with the place of each that will not do."""
    faults = Faults()
    said: list[tuple[Place, Callable[[str], str], str]] = [
        *((one.place, check_title, one.title) for one in found.tenants),
        *((one.place, check_title, one.title) for one in found.people),
        *((one.place, check_title, one.title) for one in found.funders),
        *((one.place, check_line, one.title) for one in found.projects),
    ]
    for place, check, title in said:
        faults.catch(place, "title", check, title)
    faults.done()


def apply(
    uow: UnitOfWork, caller: Caller, kind: str, bundle: Bundle, options: Options, digest: str, reason: str, now_ms: int
) -> tuple[Plan, Batch | None]:
    """Carry out what was rehearsed under ``digest``: all of it, or Conflict. Nothing to do is done, under any digest."""
    uow.take_turn()  # what is planned is compared with what nobody else is changing
    found = rehearse(uow, caller, bundle, options, now_ms)
    if found.empty:
        return found, None
    name = found.digest(kind, options)
    if digest != name:
        raise Conflict(
            f"this is not what was rehearsed: its digest is {name}, not {digest[:80]}", "digest",
            fix="rehearse it again: the files, the options or the centre have changed", code="not-rehearsed",
        )  # fmt: skip
    counts = {what: len(added) for what, added in found.adds.items() if added}
    batch = Batch(0, kind, options.origin, name, caller.user.id, reason, now_ms, counts)
    return found, carry_out(uow, found, batch, options, now_ms)


def look(uow: UnitOfWork, caller: Caller, bundle: Bundle, options: Options, now_ms: int) -> There:
    """What the centre has of what the files speak of."""
    directory, own = uow.directory(), parts_of(uow, caller, now_ms)
    users = {user.name: user for user in uow.people.users(_ALL)}
    roles: dict[tuple[str, str], frozenset[str]] = {}
    spoken = {member.project for member in bundle.members} | {budget.project for budget in bundle.budgets}
    for project in sorted(spoken & directory.by_name.keys()):
        for user, role in uow.people.members(directory.by_name[project].id, now_ms):
            roles[project, user] = roles.get((project, user), frozenset()) | {role}
    return There(
        now_ms=now_ms,
        accounts=directory.by_name,
        users=users,
        roles=roles,
        funders=frozenset(funder.name for funder in uow.grants.funders(_ALL)),
        grants=_grants(uow) if bundle.grants or bundle.budgets else {},
        things={key: thing.facts for key, thing in uow.imports.things(options.origin, "allocation").items()},
        flavors=directory.flavors,
        rates=directory.rates,
        runs=uow.imports.runs(options.origin, *_span(bundle)) if bundle.runs else {},
        closed=[(period.name, period.from_ms, period.until_ms) for period in directory.closed],
        importer=caller.user.name,
        own=frozenset(directory.tree.accounts[one].name for one, path in directory.tree.paths.items() if own & {*path}),
    )


def _grants(uow: UnitOfWork) -> dict[str, GrantThere]:
    grants = uow.grants.grants(_ALL)
    funders = uow.grants.funder_names([grant.funder_id for grant in grants])
    left = uow.ledger.grant_balances([grant.id for grant in grants])
    return {
        grant.name: GrantThere(
            funders[grant.funder_id],
            grant.amount,
            left.get(grant.id, 0),
            grant.starts_ms,
            grant.ends_ms,
            grant.state is GrantState.ACTIVE and grant.currency is None,
        )
        for grant in grants
    }


def _span(bundle: Bundle) -> tuple[int, int]:
    starts = [run.started_ms for run in bundle.runs]
    return min(starts), max(starts)
