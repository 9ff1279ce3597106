"""Tenants, projects, members, grants and allocations from CSV files: their columns are in docs/import.md."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from domain.access import Role
from domain.accounts import TENANT_KINDS, AccountState
from domain.errors import Invalid
from domain.quantities import format_su, parse_su
from lifecycle.grants import check_amount
from lifecycle.imports.table import Col, Row, read_table
from lifecycle.imports.words import (
    Budget,
    Bundle,
    Faults,
    Funder,
    GrantOf,
    Member,
    Options,
    Person,
    Place,
    Project,
    Tenant,
    first_ms,
    last_ms,
    read_day,
    slug,
)
from lifecycle.words import check_name

_WEIGHT_MOST = 1_000_000
_TITLE_LENGTH = 200
_SECTOR_LENGTH = 63
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}")


def _name(text: str) -> str:
    try:
        return check_name(text)
    except Invalid as error:
        near = slug(text)
        raise Invalid(error.message, fix=f"write {near!r}" if near else error.fixes[0]) from None


def _one_of(*words: str) -> Any:
    def read(text: str) -> str:
        if text.lower() not in words:
            raise Invalid(f"{text[:40]!r} is not known", fix=f"use one of {', '.join(words)}")
        return text.lower()

    return read


def _at_most(length: int) -> Any:
    def read(text: str) -> str:
        if len(text) > length:
            raise Invalid(f"is {len(text)} letters long", fix=f"use {length} at most")
        return text

    return read


def _weight(text: str) -> int:
    if not re.fullmatch(r"\d{1,7}", text) or not 1 <= int(text) <= _WEIGHT_MOST:
        raise Invalid(f"{text[:40]!r} is no weight", fix=f"write a whole number from 1 to {_WEIGHT_MOST}")
    return int(text)


def _email(text: str) -> str:
    if not _EMAIL.fullmatch(text):
        raise Invalid(f"{text[:80]!r} is no address of mail", fix="write one such as dara@cadt.example")
    return text


def _su(text: str) -> int:
    if "," in text:
        raise Invalid(f"{text[:40]!r} has a comma", fix="write 1500.25: a point before the decimals, nothing else")
    amount = parse_su(text, "su")
    check_amount(amount, "su", 0, 1)
    return amount


_TITLE = _at_most(_TITLE_LENGTH)

COLUMNS: Mapping[str, Mapping[str, Col]] = {
    "tenants.csv": {
        "name": Col(_name), "title": Col(_TITLE), "kind": Col(_one_of(*TENANT_KINDS)),
        "sector": Col(_at_most(_SECTOR_LENGTH), None), "province": Col(_at_most(_SECTOR_LENGTH), None),
        "weight": Col(_weight, None),
    },
    "projects.csv": {
        "name": Col(_name), "tenant": Col(_name), "title": Col(_TITLE), "lead": Col(_name, None),
        "weight": Col(_weight, None), "state": Col(_one_of(*AccountState), None),
    },
    "members.csv": {
        "project": Col(_name), "user": Col(_name), "role": Col(_one_of(Role.LEAD, Role.MEMBER), Role.MEMBER.value),
        "name": Col(_TITLE, None), "email": Col(_email, None),
    },
    "grants.csv": {
        "name": Col(_name), "funder": Col(_name), "funder_title": Col(_TITLE, None), "su": Col(_su),
        "first_day": Col(read_day), "last_day": Col(read_day),
    },
    "allocations.csv": {
        "project": Col(_name), "grant": Col(_name, None), "funder": Col(_name, None), "su": Col(_su),
        "first_day": Col(read_day), "last_day": Col(read_day),
    },
}  # fmt: skip


def read(files: Mapping[str, str], options: Options) -> Bundle:
    """All that the files say. Raises Invalid with every fault of every file."""
    faults, bundle = Faults(), Bundle()
    for name in sorted(set(files) - set(COLUMNS)):
        faults.add(Place(name[:80], 1), None, "is not a file that is known", f"use {', '.join(COLUMNS)}")
    tables = {
        name: read_table(name, files[name], columns, faults, bundle.notes) if name in files else []
        for name, columns in COLUMNS.items()
    }
    _tenants(bundle, tables["tenants.csv"], faults)
    _projects(bundle, tables["projects.csv"], faults)
    _members(bundle, tables["projects.csv"], tables["members.csv"], faults)
    _grants(bundle, tables["grants.csv"], options, faults)
    _budgets(bundle, tables["allocations.csv"], options, faults)
    faults.done()
    return bundle


def _each_once(rows: Sequence[Row], columns: tuple[str, ...], faults: Faults) -> list[Row]:
    """The rows, those told of that repeat an earlier one's key."""
    seen: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        key = tuple(row[column] for column in columns)
        if key in seen:
            faults.add(row.place, columns[0], f"is there in row {seen[key].place.row} already", "leave one out")
        else:
            seen[key] = row
    return list(seen.values())


def _tenants(bundle: Bundle, rows: Sequence[Row], faults: Faults) -> None:
    for row in _each_once(rows, ("name",), faults):
        bundle.tenants.append(
            Tenant(row["name"], row["title"], row["kind"], row["sector"], row["province"], row["weight"], row.place)
        )


def _projects(bundle: Bundle, rows: Sequence[Row], faults: Faults) -> None:
    tenants = {tenant.name: tenant for tenant in bundle.tenants}
    for row in _each_once(rows, ("name",), faults):
        if row["name"] in tenants:
            faults.add(row.place, "name", "is a tenant's name too", "choose another")
        bundle.projects.append(
            Project(row["name"], row["tenant"], row["title"], row["weight"], row["state"], row.place)
        )


def _members(bundle: Bundle, projects: Sequence[Row], rows: Sequence[Row], faults: Faults) -> None:
    """Who is in which project; and everybody once, by the first row that tells of them."""
    people: dict[str, Person] = {}
    roles: dict[tuple[str, str], str] = {}
    for row in _each_once(rows, ("project", "user"), faults):
        known = people.get(row["user"])
        for column, before in (("name", known and known.title), ("email", known and known.email)):
            if before and row[column] and row[column] != before:
                faults.add(row.place, column, f"is {before!r} in another row", "say the same of a person everywhere")
        title, email = known and known.title, known and known.email
        people[row["user"]] = Person(
            row["user"], title or row["name"] or "", email or row["email"], known.place if known else row.place
        )
        roles[row["project"], row["user"]] = row["role"]
        bundle.members.append(Member(row["project"], row["user"], row["role"], row.place))
    for row in projects:
        lead = row["lead"]
        if lead is None:
            continue
        people.setdefault(lead, Person(lead, "", None, row.place))
        role = roles.get((row["name"], lead))
        if role is None:
            bundle.members.append(Member(row["name"], lead, Role.LEAD.value, row.place))
        elif role != Role.LEAD:
            faults.add(row.place, "lead", "is a mere member in members.csv", "say lead there, or leave one out")
    bundle.people += [
        Person(one.name, one.title or one.name, one.email, one.place) for one in people.values()
    ]  # fmt: skip


def _grants(bundle: Bundle, rows: Sequence[Row], options: Options, faults: Faults) -> None:
    funders: dict[str, Funder] = {}
    for row in _each_once(rows, ("name",), faults):
        span = _span(row, options, faults)
        funder = funders.setdefault(row["funder"], Funder(row["funder"], row["funder_title"] or "", row.place))
        if row["funder_title"] and funder.title not in {"", row["funder_title"]}:
            faults.add(row.place, "funder_title", f"is {funder.title!r} in another row", "say the same everywhere")
        if row["funder_title"]:
            funders[row["funder"]] = Funder(row["funder"], row["funder_title"], funder.place)
        bundle.grants.append(GrantOf(row["name"], row["funder"], row["su"], *span, row.place))
    bundle.funders += [Funder(one.name, one.title or one.name, one.place) for one in funders.values()]


def _budgets(bundle: Bundle, rows: Sequence[Row], options: Options, faults: Faults) -> None:
    """Each is paid by the grant that it names, or by one of its own of the funder that it names (or that the options do).

    Of one project and grant there is one allocation that begins on a day: that is what it is known by.
    """
    named = {grant.name: grant for grant in bundle.grants}
    funders = {funder.name for funder in bundle.funders}
    spent: dict[str, int] = {}
    for row in _each_once(rows, ("project", "grant", "funder", "first_day"), faults):
        starts_ms, ends_ms = _span(row, options, faults)
        grant, funder = row["grant"], row["funder"] or options.funder
        if grant is None and funder is None:
            faults.add(row.place, "grant", "nobody pays it", "name a grant or a funder, here or with --funder")
            continue
        if grant is None:
            assert funder is not None, "one of them is named"
            grant = slug(f"{funder}-{row['project']}"[:54]) + f"-{row['first_day']:%Y%m%d}"
            bundle.grants.append(GrantOf(grant, funder, row["su"], starts_ms, ends_ms, row.place, own=True))
            if funder not in funders:
                funders.add(funder)
                bundle.funders.append(Funder(funder, funder, row.place))
        elif row["funder"] is not None and grant in named and named[grant].funder != row["funder"]:
            faults.add(row.place, "funder", f"is {named[grant].funder} in grants.csv", "leave it out here")
        if grant in named:
            spent[grant] = spent.get(grant, 0) + row["su"]
            if spent[grant] > named[grant].micro_su:
                said = f"grant {grant} has {format_su(named[grant].micro_su)} SU, its allocations up to here {format_su(spent[grant])}"
                faults.add(row.place, "su", said, "raise the grant, or lower an allocation")
            if starts_ms < named[grant].starts_ms or ends_ms > named[grant].ends_ms:
                faults.add(row.place, "grant", "does not cover all of the allocation's days", "change the days of one")
        key = f"{row['project']}/{grant}/{row['first_day']}"
        bundle.budgets.append(Budget(key, row["project"], grant, row["su"], starts_ms, ends_ms, row.place))


def _span(row: Row, options: Options, faults: Faults) -> tuple[int, int]:
    if row["last_day"] < row["first_day"]:
        faults.add(row.place, "last_day", "lies before the first", "give a day after it")
    return first_ms(row["first_day"], options.zone), last_ms(row["last_day"], options.zone)
