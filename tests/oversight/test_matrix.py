"""Every route in the hands of every role, on one's own tenant and on another's, as the permission matrix says.

The table of ``tests.api.test_roles`` is the entry of a route, written by hand: what somebody without a role is told there
says where the route asks. From the matrix follows what each role is told; the service must tell the same.
"""

from dataclasses import replace
from pathlib import Path

import pytest

import api.http.app
from api.http.declare import DECLARED
from api.http.matrix import MEANINGS, matrix, page
from domain.access import ACTABLE, ACTABLE_CHANGES, MATRIX, OPEN_TO_ALL, OPEN_TO_WAITING, Permission, Role
from domain.people import Token, UserKind, UserState
from domain.scopes import FOR_PEOPLE
from lifecycle import oversight, people, tokens
from lifecycle.ports import UnitOfWork
from tests.api.test_roles import BODIES, Line, furnished, lines, mark, opened, path_of
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import NOBODY, OFFICERS, ROLES
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

assert furnished, "the same centre"
assert api.http.app, "all routes are declared"

pytestmark = pytest.mark.promise(8)

ROOT = Path(__file__).parents[2]
TENANTS = {"own": "cadt", "other": "itc"}
NEEDS = {(one["method"], one["path"]): Permission(one["permission"]) for one in matrix()["routes"]}

# Where a route asks, by what somebody without a role is told: an account of cadt's, the centre, or nothing at all.
ACCOUNT, CENTRE, POD = "4", "3", "1"

# What the rule above does not say of a route, with what it asks instead.
ANYWHERE = {"GET /users", "GET /admissions", "POST /sources"}  # the permission on any account: it shows what is there
WHERE_THEY_ARE = {
    "GET /users/{name}",
    "POST /users/{name}/admit",
    "POST /users/{name}/refuse",
    "POST /acting",
}  # a user
HIDDEN = {
    "GET /service-accounts/{name}",
    "PATCH /service-accounts/{name}",
    "GET /reservations/{name}",
}  # refused: not there
OF_WHO_ASKED = {"POST /allocation-changes/{change_id}/withdraw"}  # of all who may, only who asked
OF_OTHERS_TOO = {"PATCH /jobs/{job}": {Role.CENTRE_ADMIN, Role.LEAD}}  # of all who may, those for jobs of others too
OWN = {"DELETE /tokens/{token_id}": "3", "DELETE /me/erase-request": "4"}  # nary's own: what all others are told
SECOND = {
    "POST /approvals/{approval_id}/approve",
    "POST /approvals/{approval_id}/decline",
}  # asked by admin: not by them


def needs(line: Line) -> Permission:
    return NEEDS[line.method, line.route]


def by_matrix(line: Line, role: Role, whose: str) -> str:
    """What someone who holds the role on a tenant is told, of a thing of cadt's or of the centre's."""
    asks, allowed, route = line.expected[NOBODY], role in MATRIX[needs(line)], str(line)
    if route in OWN:
        return OWN[route]
    if needs(line) in OPEN_TO_ALL:
        return asks
    if route in ANYWHERE:
        return "+" if allowed else "3"
    if route in WHERE_THEY_ARE:
        return "3" if not allowed else "4" if whose == "other" else "+"
    if asks == ACCOUNT:
        return "4" if whose == "other" else on_account(route, role, allowed=allowed)
    return "4" if route in HIDDEN and not allowed else asks


def on_account(route: str, role: Role, *, allowed: bool) -> str:
    """The same of who holds it where the route asks."""
    if not allowed:
        return "4" if route in HIDDEN else "3"
    others = route not in OF_WHO_ASKED and role in OF_OTHERS_TOO.get(route, {role})
    return "+" if others else "3"


def add(uow: UnitOfWork, centre: Centre, name: str, tenant: str) -> int:
    home = uow.directory().by_name[tenant].id
    user = people.add_user(uow, name, name.title(), None, NEW_YEAR_MS, home)
    _, centre.population.tokens[name] = tokens.keep(uow, Token(0, user.id, "test", NEW_YEAR_MS))
    return user.id


@pytest.fixture
def peopled(furnished: Centre) -> Centre:
    """With a user for each role on each tenant, one who waits, a service of the lead's, and support acting for the lead."""
    with furnished.store.write() as uow:
        for whose, tenant in TENANTS.items():
            for role in Role:
                if role is not Role.FUNDER:
                    add(uow, furnished, f"{whose}-{role}", tenant)
                    people.give_role(uow, f"{whose}-{role}", tenant, role, NEW_YEAR_MS)
        add(uow, furnished, "waits", "cadt")
        uow.people.save_user(replace(people.user_named(uow, "waits"), state=UserState.WAITING))
        add(uow, furnished, "machine", "cadt")
        people.give_role(uow, "machine", "speech", Role.LEAD, NEW_YEAR_MS)
        owner = people.user_named(uow, "dara").id
        uow.people.save_user(replace(people.user_named(uow, "machine"), kind=UserKind.SERVICE, owner_id=owner))
    return furnished


class Desk:
    """Asks each route, and puts the centre back as it was where something was done."""

    def __init__(self, centre: Centre, api: Api) -> None:
        self.centre, self.api = centre, api
        self.rows = centre.database.dump()
        self.paths = {str(line): path_of(line, centre) for line in lines()}
        self.wrong: list[str] = []

    def ask(self, line: Line, who: str, expected: str, headers: dict[str, str] | None = None) -> None:
        caller = self.api.as_(self.centre.population.tokens[who])
        path = self.paths[str(line)]
        answer: Answer
        if line.method == "SOCKET":
            answer = opened(caller, path)
        else:
            data = b"\x1f\x8b..." if line.route == "/sources" else None
            answer = caller.call(line.method, path, BODIES.get(str(line)), data=data, headers=headers)
        if mark(answer) != expected:
            self.wrong.append(
                f"{line} for {who}: {mark(answer)} {answer.status}, not {expected}: {answer.body[:150]!r}"
            )
        if line.method != "GET" and answer.status < 300:
            self.centre.database.empty()
            self.centre.database.load(self.rows)

    def done(self) -> None:
        assert not self.wrong, "\n".join(self.wrong)


@on_sqlite
@pytest.mark.parametrize("whose", TENANTS)
def test_every_route_answers_every_role_of_each_tenant_as_the_matrix_says(
    peopled: Centre, api: Api, whose: str
) -> None:
    desk = Desk(peopled, api)
    for line in lines():
        for role in Role:
            if role is not Role.FUNDER:
                who = f"{whose}-{role}"
                desk.ask(line, who, by_matrix(line, role, whose))
    desk.done()


@on_sqlite
def test_every_route_answers_who_waits_programs_and_who_acts_for_another(peopled: Centre, api: Api) -> None:
    """Who waits has their own data alone; a program is a member like any other, and never what takes a person; support has
    what the user has, of what may be done for another.
    """
    with peopled.store.write() as uow:
        leave = uow.oversight.acting_of(1)
    assert leave is not None, "support has leave to act for the lead"
    desk = Desk(peopled, api)
    for line in lines():
        needed, nothing, lead = needs(line), line.expected[NOBODY], line.expected["dara"]
        if nothing == POD:
            continue
        waits = nothing if needed in OPEN_TO_WAITING else "3"
        machine = "3" if needed in FOR_PEOPLE else lead
        changes = line.method not in {"GET", "SOCKET"} and line.route not in LOOKS
        actable = needed in (ACTABLE_CHANGES if changes else ACTABLE)
        desk.ask(line, "waits", OWN.get(str(line), waits))
        desk.ask(line, "machine", DARAS.get(str(line), machine))
        if line.method != "SOCKET":
            desk.ask(line, "sophea", lead if actable else "3", {"Baray-On-Behalf-Of": "dara"})
    desk.done()


# What is dara's own, and not her program's: what it is told.
DARAS = {"POST /allocation-changes/{change_id}/withdraw": "3", "DELETE /acting/{acting_id}": "4"}

# Routes that are asked with POST and change nothing.
LOOKS = frozenset({"/policy/check", "/imports/check", "/clusters/check", "/clusters/{name}/check"})


def test_the_table_and_the_matrix_say_the_same_of_roles_on_the_centre() -> None:
    """Where a route asks for its permission on an account or the centre, who holds a role there is let in by the matrix."""
    wrong = []
    for line in lines():
        if line.expected[NOBODY] not in {ACCOUNT, CENTRE} or needs(line) in OPEN_TO_ALL:
            continue  # what everybody may is about the caller's own things
        for user, (role, account) in {"admin": (Role.CENTRE_ADMIN, "centre"), **ROLES}.items():
            if account == "centre":
                expected = on_account(str(line), role, allowed=role in MATRIX[needs(line)])
                if user == "admin" and str(line) in SECOND:
                    expected = "3"
                if line.expected[user] != expected:
                    wrong.append(f"{line} for {user}: {line.expected[user]}, not {expected}")
    assert not wrong, "\n".join(wrong)


def test_every_permission_has_a_meaning_and_the_page_is_the_matrix() -> None:
    assert set(MEANINGS) == set(Permission) == set(MATRIX)
    assert (ROOT / "docs/permissions.md").read_text(encoding="utf-8") == page(), "make permissions"


def test_the_matrix_has_every_route_of_the_table() -> None:
    assert set(NEEDS) == {(line.method, line.route) for line in lines()}
    assert set(NEEDS) - set(DECLARED) == {("GET", "/status"), ("GET", "//metrics")}


def test_a_funder_is_no_role_on_an_account() -> None:
    assert {one for one, roles in MATRIX.items() if Role.FUNDER in roles} == OPEN_TO_ALL


@on_sqlite
def test_the_matrix_is_open_to_everybody(api: Api, centre: Centre) -> None:
    answer = api.as_(centre.population.tokens[NOBODY]).get("/permissions")
    assert answer.status == 200
    assert answer.json == matrix()


@on_sqlite
def test_officers_are_who_was_made_one(centre: Centre) -> None:
    with centre.store.read() as uow:
        for name, funder in OFFICERS.items():
            assert uow.people.user_names(uow.oversight.officers(oversight.funder_named(uow, funder).id)) == {
                people.user_named(uow, name).id: name
            }
