"""Who is let in: waiting people, focal points who see their own, suspension, and services with the person behind them."""

from dataclasses import replace

import pytest

from domain.access import MATRIX, Permission
from domain.people import Token, TokenKind, User, UserKind, UserState
from domain.scopes import FOR_PEOPLE
from lifecycle import people, tokens
from lifecycle.paging import Page
from lifecycle.witness import EntryFilter
from quotas.leaves import AuditEntry
from tests.support.centre import Centre
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api


@pytest.fixture
def waiting(centre: Centre) -> Centre:
    """With three who wait: vuthy for cadt, phal for itc, and ghost for nobody."""
    with centre.store.write() as uow:
        for name, tenant in (("vuthy", "cadt"), ("phal", "itc"), ("ghost", None)):
            tenant_id = None if tenant is None else uow.directory().by_name[tenant].id
            user = uow.people.add_user(User(0, name, name.title(), state=UserState.WAITING, tenant_id=tenant_id))
            _, text = tokens.keep(uow, Token(0, user.id, "browser", centre.clock.now_ms(), kind=TokenKind.LOGIN))
            centre.population.tokens[name] = text
    return centre


def as_(api: Api, centre: Centre, name: str) -> Api:
    return api.as_(centre.population.tokens[name])


def names(answer: Answer) -> set[str]:
    assert answer.status == 200, answer.body
    return {one["name"] for one in answer.json["items"]}


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body


@pytest.mark.promise(8)
def test_focal_points_see_and_admit_those_of_their_tenant(waiting: Centre, api: Api) -> None:
    kosal = as_(api, waiting, "kosal")
    assert names(kosal.get("/admissions")) == {"vuthy"}
    assert names(api.get("/admissions")) == {"vuthy", "phal", "ghost"}
    assert names(kosal.get("/users")) == {"kosal", "dara", "sok", "vuthy"}
    for path, body in (("admit", {}), ("admit", {"tenant": "cadt"}), ("refuse", {"reason": "not ours"})):
        there, gone = (kosal.post(f"/users/{name}/{path}", body) for name in ("phal", "phil"))
        assert there.status == gone.status == 404
        assert there.json["detail"].replace("phal", "phil") == gone.json["detail"]
    assert kosal.get("/users/rith").status == kosal.get("/users/ghost").status == 404
    there, gone = (kosal.post("/users/vuthy/admit", {"tenant": name}) for name in ("itc", "icc"))
    assert there.status == gone.status == 404
    assert there.json["detail"].replace("itc", "icc") == gone.json["detail"]
    admitted = kosal.post("/users/vuthy/admit", {"reason": "staff since May"}).json
    assert (admitted["state"], admitted["tenant"]) == ("active", "cadt")
    refused(kosal.post("/users/vuthy/admit", {}), 409, "not-waiting")
    assert names(kosal.get("/admissions")) == set()


@pytest.mark.promise(8)
def test_who_waits_may_nothing_but_know_it(waiting: Centre, api: Api) -> None:
    vuthy = as_(api, waiting, "vuthy")
    who = vuthy.get("/whoami").json
    assert (who["state"], who["tenant"], who["roles"]) == ("waiting", "cadt", [])
    assert "focal point of cadt" in who["next"]
    for answer in (vuthy.get("/projects"), vuthy.get("/flavors"), vuthy.post("/users/vuthy/tokens", {"name": "x"})):
        refused(answer, 403, "not-admitted")
    refused(api.post("/users/vuthy/roles", {"account": "speech", "role": "member"}), 409, "not-active")
    refused(api.post("/projects/speech/members", {"user": "vuthy", "role": "member"}), 409, "not-active")
    refused(api.post("/projects", {"name": "x", "tenant": "cadt", "title": "X", "lead": "vuthy"}), 409, "not-active")
    assert as_(api, waiting, "kosal").post("/users/vuthy/admit", {}).status == 200
    assert vuthy.get("/projects").status == 200
    assert api.post("/projects/speech/members", {"user": "vuthy", "role": "member"}).status == 201


def test_who_is_refused_waits_for_nobody_in_particular(waiting: Centre, api: Api) -> None:
    kosal = as_(api, waiting, "kosal")
    assert kosal.post("/users/vuthy/refuse", {"reason": "no staff of ours"}).json["tenant"] is None
    assert names(kosal.get("/admissions")) == set()
    assert names(api.get("/admissions")) == {"vuthy", "phal", "ghost"}
    assert "named no institution" in as_(api, waiting, "vuthy").get("/whoami").json["next"]
    refused(api.post("/users/vuthy/admit", {}), 422, "invalid")
    assert api.post("/users/vuthy/admit", {"tenant": "itc"}).json["tenant"] == "itc"


@on_sqlite
def test_nobody_is_admitted_to_what_is_no_active_tenant(waiting: Centre, api: Api) -> None:
    assert api.change("/tenants/itc", {"state": "suspended"}).status == 200
    refused(api.post("/users/phal/admit", {}), 409, "no-tenant")
    for tenant in ("speech", "centre", "x" * 63, ""):
        assert api.post("/users/phal/admit", {"tenant": tenant}).status in {404, 422}


@pytest.mark.promise(8)
def test_who_is_suspended_is_out_at_the_next_request(waiting: Centre, api: Api) -> None:
    dara = as_(api, waiting, "dara")
    bot = service(api, waiting)
    with waiting.store.write() as uow:
        user = people.user_named(uow, "dara")
        _, login = tokens.keep(uow, Token(0, user.id, "laptop", waiting.clock.now_ms(), kind=TokenKind.LOGIN))
    version = api.get("/users/dara").version
    refused(
        api.change("/users/dara", {"state": "suspended", "reason": "x"}, headers={"If-Match": '"99"'}), 412, "stale"
    )
    changed = api.change(
        "/users/dara", {"state": "suspended", "reason": "a leak"}, headers={"If-Match": f'"{version}"'}
    )
    assert (changed.status, changed.json["state"]) == (200, "suspended")
    assert {dara.get("/whoami").status, api.as_(login).get("/whoami").status, bot.get("/whoami").status} == {401}
    refused(api.change("/users/dara", {"state": "suspended", "reason": "x"}), 409, "conflict")
    refused(api.post("/users/dara/roles", {"account": "vision", "role": "lead"}), 409, "not-active")
    refused(api.post("/users/dara/tokens", {"name": "x"}), 409, "not-active")
    assert api.change("/users/dara", {"state": "active", "reason": "it was none"}).json["state"] == "active"
    assert dara.get("/whoami").status == bot.get("/whoami").status == 200, "their tokens rested"
    assert api.as_(login).get("/whoami").status == 401, "their logins ended"


@pytest.mark.promise(8)
def test_the_last_administrator_stays(centre: Centre, api: Api) -> None:
    refused(api.change("/users/admin", {"state": "suspended", "reason": "x"}), 409, "last-admin")
    refused(api.delete("/users/admin/roles/centre/centre-admin"), 409, "last-admin")
    assert api.get("/whoami").status == 200
    assert api.post("/users/nary/roles", {"account": "centre", "role": "centre-admin"}).status == 201
    assert api.change("/users/nary", {"state": "suspended", "reason": "x"}).status == 200
    refused(api.change("/users/admin", {"state": "suspended", "reason": "x"}), 409, "last-admin")
    assert api.change("/users/nary", {"state": "active", "reason": "x"}).status == 200
    assert api.change("/users/admin", {"state": "suspended", "reason": "x"}).status == 200
    assert api.get("/whoami").status == 401


@on_sqlite
@pytest.mark.parametrize("state", ["waiting", "erased", "", "root", "x" * 10_000])
def test_there_are_two_states_to_be_put_into(centre: Centre, api: Api, state: str) -> None:
    refused(api.change("/users/dara", {"state": state, "reason": "x"}), 422, "invalid")


def service(
    api: Api, centre: Centre, owner: str = "dara", name: str = "robot", account: str = "speech", role: str = "member"
) -> Api:
    """A new service in its own hands."""
    mine = as_(api, centre, owner)
    body = {"name": name, "title": "Robot", "account": account, "role": role}
    assert (made := mine.post("/service-accounts", body)).status == 201, made.body
    token = mine.post(f"/users/{name}/tokens", {"name": "ci"})
    assert (token.status, token.json["kind"]) == (201, "service")
    return api.as_(token.json["token"])


@pytest.mark.promise(8)
def test_a_service_works_where_its_owner_may_and_decides_nothing(centre: Centre, api: Api) -> None:
    bot = service(api, centre)
    who = bot.get("/whoami").json
    assert (who["kind"], who["owner"], who["tenant"]) == ("service", "dara", "cadt")
    job = {"project": "speech", "command": ["run", "1m"], "resources": {"flavor": "h100-80gb", "gpus": 1}}
    assert bot.post("/jobs", job).status == 201
    assert bot.get("/projects/flood").status == 404
    refused(bot.post("/users/robot/tokens", {"name": "more"}), 403, "not-allowed")
    refused(
        bot.post("/service-accounts", {"name": "x", "title": "X", "account": "speech", "role": "member"}),
        403,
        "not-allowed",
    )
    refused(bot.post("/login/device/approve", {"user_code": "BCDF-GHJK"}), 403, "not-allowed")
    assert as_(api, centre, "dara").delete("/projects/speech/members/dara").status == 204
    assert bot.get("/projects/speech").status in {403, 404}, "who loses a role takes their services' along"
    assert bot.post("/jobs", job).status in {403, 404}


@pytest.mark.promise(8)
@on_sqlite
def test_no_service_does_what_takes_a_person_whatever_its_roles(centre: Centre) -> None:
    admin = centre.caller("admin")
    program = replace(admin, user=replace(admin.user, kind=UserKind.SERVICE, owner_id=1))
    path = (1,)
    assert {one for one in MATRIX if admin.may(one, path) and not program.may(one, path)} == FOR_PEOPLE
    for one in (Permission.ALLOCATION_DECIDE, Permission.APPROVAL_DECIDE, Permission.ACT, Permission.USER_ADMIT):
        assert not program.covers(one)


@pytest.mark.promise(8)
@on_sqlite
def test_services_are_no_way_to_more_than_one_has(centre: Centre, api: Api) -> None:
    dara, body = as_(api, centre, "dara"), {"name": "robot", "title": "Robot", "account": "speech", "role": "member"}
    for role in ("lead", "centre-admin", "allocator", "focal-point", "funder"):
        refused(dara.post("/service-accounts", body | {"role": role}), 403, "not-allowed")
        answer = api.post("/service-accounts", body | {"role": role, "name": f"s-{role}"})
        assert answer.status == (201 if role in {"lead", "allocator"} else 403), role
    for account in ("flood", "itc", "no-such"):
        assert dara.post("/service-accounts", body | {"account": account}).status == 404
    refused(dara.post("/service-accounts", body | {"account": "centre"}), 404, "not-found")
    refused(dara.post("/service-accounts", body | {"role": "king"}), 422, "invalid")
    refused(dara.post("/service-accounts", body | {"name": "sok"}), 409, "already-exists")
    refused(dara.post("/service-accounts", body | {"name": "A b"}), 422, "invalid")
    focal = service(api, centre, "kosal", "focal-bot", "cadt")
    job = {"project": "speech", "command": ["run", "1m"], "resources": {"flavor": "h100-80gb", "gpus": 1}}
    assert focal.post("/jobs", job).status == 403, "a focal point submits no jobs, so their service does not either"


def test_a_service_is_handed_over_and_suspended(centre: Centre, api: Api) -> None:
    bot, dara, sok = service(api, centre), as_(api, centre, "dara"), as_(api, centre, "sok")
    refused(dara.change("/service-accounts/robot", {"owner": "rith"}), 409, "no-role")
    refused(dara.change("/service-accounts/robot", {"owner": "robot"}), 403, "not-allowed")
    refused(dara.change("/service-accounts/robot", {}), 422, "invalid")
    assert sok.get("/service-accounts/robot").status == 404
    assert dara.change("/service-accounts/robot", {"owner": "sok", "reason": "they run it"}).json["owner"] == "sok"
    assert bot.get("/whoami").status == 401, "who handed it over may have kept its token"
    bot = api.as_(sok.post("/users/robot/tokens", {"name": "ci"}).json["token"])
    assert names(sok.get("/service-accounts")) == {"robot"}
    assert names(as_(api, centre, "kosal").get("/service-accounts")) == {"robot"}
    assert names(as_(api, centre, "rith").get("/service-accounts")) == set()
    assert sok.change("/service-accounts/robot", {"state": "suspended"}).json["state"] == "suspended"
    assert bot.get("/whoami").status == 401
    assert sok.change("/service-accounts/robot", {"state": "active"}).json["state"] == "active"
    assert bot.get("/whoami").status == 200
    assert b"robot" not in b"".join(entry.facts.encode() + entry.subject.encode() for entry in kept(centre)), (
        "names of people's programs can be erased from the trail"
    )
    assert sok.post("/users/robot/tokens/revoke", {}).json["revoked"] == 1
    assert bot.get("/whoami").status == 401


def kept(centre: Centre) -> list[AuditEntry]:
    with centre.store.read() as uow:
        return uow.audit.page(Page(None, 1_000), EntryFilter())


@pytest.mark.promise(8)
@on_sqlite
def test_prometheus_reads_the_metrics_and_nothing_else(centre: Centre, api: Api) -> None:
    body = {"name": "prometheus", "title": "Prometheus", "account": "centre", "role": "reporter"}
    assert api.post("/service-accounts", body).status == 201
    token = api.post("/users/prometheus/tokens", {"name": "metrics", "scopes": ["metrics"]}).json["token"]
    mine = api.as_(token)
    assert mine.get("//metrics").status == 200
    for path in ("/jobs", "/projects", "/users", "/flavors", "/status"):
        answer = mine.get(path)
        assert answer.status == 403 or path == "/status", path
