"""Tokens: narrowed ones over every route, forged, expired and revoked ones, ten thousand of them, and who may make which."""

from dataclasses import replace
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts

from api.http.app import PREFIX, create_app
from domain.access import MATRIX, Permission
from domain.people import Token, TokenKind
from domain.quantities import DAY_MS
from domain.scopes import FOR_PEOPLE, SETS
from lifecycle import people, tokens
from lifecycle.tokens import MOST_LIVE
from tests.api.test_roles import BODIES, Line, furnished, lines, opened, path_of
from tests.conftest import services_of
from tests.support.centre import Centre
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

__all__ = ["furnished"]

EVERY = frozenset(MATRIX)


def made(centre: Centre, user: str = "admin", **fields: object) -> str:
    """A token as it is in the database, whatever could be asked for."""
    with centre.store.write() as uow:
        token = Token(0, people.user_named(uow, user).id, "made", centre.clock.now_ms())
        return tokens.keep(uow, replace(token, **fields))[1]  # type: ignore[arg-type]


def permissions(centre: Centre, root: Path) -> dict[tuple[str, str], Permission]:
    """What each route of the application declares."""
    app = create_app(services_of(centre, root))
    found = {}
    for context in iter_route_contexts(app.routes):
        route, path = context.original_route, context.path
        extra = getattr(route, "openapi_extra", None) or {}
        asked = extra.get("x-permission") or app.state.sockets.get(getattr(route, "endpoint", None))
        short = path.removeprefix(PREFIX) if path.startswith(PREFIX) else f"/{path}"
        found |= {(method, short): asked for method in (context.methods or {"SOCKET"}) if asked}
    return found


def ask(api: Api, centre: Centre, line: Line, token: str) -> Answer:
    path = path_of(line, centre)
    if line.method == "SOCKET":
        return opened(api.as_(token), path)
    data = b"\x1f\x8b..." if line.route == "/sources" else None
    return api.as_(token).call(line.method, path, BODIES.get(str(line)), data=data)


def is_narrow(answer: Answer) -> bool:
    return answer.status == 403 and b"is not for" in answer.body


@pytest.mark.promise(8)
@on_sqlite
def test_a_narrowed_token_opens_the_routes_of_its_scopes_alone(furnished: Centre, api: Api, tmp_path: Path) -> None:
    """Every route, with the administrator's token for its permission only, and with one for all others."""
    declared = permissions(furnished, tmp_path)
    only = {one: made(furnished, scopes=frozenset({one})) for one in set(declared.values())}
    but = {one: made(furnished, scopes=EVERY - {one}) for one in set(declared.values())}
    rows, wrong = furnished.database.dump(), []
    for line in lines():
        permission = Permission(declared[line.method, line.route])
        if permission is Permission.POD:
            continue
        if is_narrow(answer := ask(api, furnished, line, only[permission])):
            wrong.append(f"{line} is closed to a token for {permission}: {answer.body[:120]!r}")
        if line.method != "GET" and answer.status < 300:
            furnished.database.empty()
            furnished.database.load(rows)
        answer = ask(api, furnished, line, but[permission])
        if permission is Permission.SELF:
            continue
        if not is_narrow(answer):
            wrong.append(f"{line} is open to a token without {permission}: {answer.status} {answer.body[:120]!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.promise(8)
@on_sqlite
def test_a_token_without_any_scope_is_about_itself_alone(furnished: Centre, api: Api, tmp_path: Path) -> None:
    """As of a session that began with a one-time password."""
    token, declared = made(furnished, scopes=frozenset()), permissions(furnished, tmp_path)
    for line in lines():
        if declared[line.method, line.route] not in {Permission.SELF, Permission.POD}:
            assert is_narrow(ask(api, furnished, line, token)), str(line)
    assert api.as_(token).get("/whoami").status == 200


@pytest.mark.promise(8)
@on_sqlite
def test_tokens_that_are_no_more_open_nothing(furnished: Centre, api: Api) -> None:
    now_ms = furnished.clock.now_ms()
    good = made(furnished)
    bad = {
        "expired": made(furnished, expires_ms=now_ms),
        "revoked": made(furnished, revoked_ms=now_ms),
        "idle": made(furnished, created_ms=now_ms - 1_000, idle_ms=1_000),
        "forged": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "cut": good[:-1],
        "a session in a header": made(furnished, kind=TokenKind.SESSION),
        "of a cookie": "x" * 201,
    }
    said = {}
    for line in lines():
        for why, token in bad.items():
            answer = ask(api, furnished, line, token)
            assert answer.status == 401, f"{line} with one that is {why}: {answer.status}"
            if line.route == "/whoami":
                said[why] = answer.json["detail"]
    assert len({said[why] for why in ("expired", "revoked", "idle", "forged", "cut")}) == 1, "no hint why"
    assert api.as_(good).get("/whoami").status == 200


@pytest.mark.promise(8)
@on_sqlite
def test_a_token_for_an_account_reaches_no_other(furnished: Centre, api: Api) -> None:
    """Every route that touches an account, with the administrator's token for another tenant's project."""
    with furnished.store.read() as uow:
        elsewhere = uow.directory().by_name["itc"].id
    token = made(furnished, account_id=elsewhere)
    for line in lines():
        if line.expected["admin"] == "+" and line.expected["nary"] in "34":
            answer = ask(api, furnished, line, token)
            own = line.route.startswith(("/users/{name}/tokens", "/tokens"))
            own |= line.method == "GET" and line.route in {"/users", "/admissions"}  # of the tenant alone
            own |= line.route == "/sources"  # which are of no account
            assert answer.status in {403, 404} or own, f"{line}: {answer.status} {answer.body[:100]!r}"
    mine = api.as_(token)
    assert [one["name"] for one in mine.get("/projects").json["items"]] == ["flood"]
    assert [one["name"] for one in mine.get("/users").json["items"]] == ["rith"]
    assert mine.get("/admissions").json["items"] == []
    assert mine.get("/jobs").json["items"] == []
    assert mine.get("/projects/flood").status == 200


def refused(answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.code) == (status, code), answer.body


@pytest.mark.promise(8)
def test_a_token_makes_no_wider_one(centre: Centre, api: Api) -> None:
    now_ms, name = centre.clock.now_ms(), "/users/dara/tokens"
    narrow = {"scopes": SETS["jobs"] | {Permission.USER_WRITE}, "expires_ms": now_ms + 10 * DAY_MS}
    speech = centre.population.projects["speech"]
    mine = api.as_(made(centre, "dara", account_id=speech, **narrow))
    for more in (
        {"scopes": ["audit.read"]}, {"scopes": ["read", "metrics"]}, {"expires_ms": now_ms + 11 * DAY_MS}, {"account": "cadt"},
    ):  # fmt: skip
        answer = mine.post(name, {"name": "wider", **more})
        assert answer.status in {403, 422}, answer.body
        assert answer.code in {"wider-token", "invalid"}
    like = mine.post(name, {"name": "like it"}).json
    assert (like["expires_ms"], like["account"]) == (narrow["expires_ms"], "speech")
    assert set(like["scopes"]) == narrow["scopes"]
    less = mine.post(name, {"name": "less", "scopes": ["job.read"], "expires_ms": now_ms + DAY_MS}).json
    assert less["scopes"] == ["job.read"]
    assert is_narrow(api.as_(less["token"]).post(name, {"name": "any"})), "it makes none at all"
    assert is_narrow(api.as_(less["token"]).post("/jobs", BODIES["POST /jobs"]))


@on_sqlite
def test_what_is_asked_for_is_said_when_it_is_wrong(centre: Centre, api: Api) -> None:
    mine, now_ms = api.as_(centre.population.tokens["dara"]), centre.clock.now_ms()
    for body, field in (
        ({"scopes": []}, "scopes"), ({"scopes": ["root"]}, "scopes"), ({"scopes": ["pod"]}, "scopes"),
        ({"scopes": ["read"] * 65}, "scopes"), ({"expires_ms": now_ms}, "expires_ms"),
        ({"expires_ms": now_ms + 367 * DAY_MS}, "expires_ms"), ({"account": "flood"}, "account"),
        ({"account": "no-such"}, "account"), ({"name": "two\nlines"}, "name"), ({"kind": "session"}, "kind"),
    ):  # fmt: skip
        answer = mine.post("/users/dara/tokens", {"name": "x", **body})
        refused(answer, 422, "invalid")
        assert field in str(answer.json["errors"]), answer.body
    default = mine.post("/users/dara/tokens", {"name": "x"}).json
    assert default["expires_ms"] == now_ms + 90 * DAY_MS
    others = [
        mine.post("/users/dara/tokens", {"name": "x", "account": name}).json["detail"] for name in ("flood", "floop")
    ]
    assert others[0].replace("flood", "floop") == others[1], "another tenant's account is not there"


@pytest.mark.promise(8)
@on_sqlite
def test_a_login_makes_tokens_that_outlast_it(centre: Centre, api: Api) -> None:
    now_ms = centre.clock.now_ms()
    login = api.as_(made(centre, "dara", kind=TokenKind.LOGIN, expires_ms=now_ms + DAY_MS, login_ms=now_ms))
    token = login.post("/users/dara/tokens", {"name": "laptop", "expires_ms": now_ms + 30 * DAY_MS}).json
    assert (token["kind"], token["expires_ms"], token["login_ms"]) == ("personal", now_ms + 30 * DAY_MS, None)


@pytest.mark.promise(8)
def test_only_so_many_tokens_live_at_once(centre: Centre, api: Api) -> None:
    mine, now_ms = api.as_(centre.population.tokens["dara"]), centre.clock.now_ms()
    with centre.store.write() as uow:
        dara = people.user_named(uow, "dara")
        for number in range(MOST_LIVE - 2):
            uow.people.add_token(Token(0, dara.id, f"t{number}", now_ms), f"digest {number}".encode())
    last = mine.post("/users/dara/tokens", {"name": "the last"})
    assert last.status == 201
    refused(mine.post("/users/dara/tokens", {"name": "too many"}), 409, "too-many-tokens")
    assert mine.delete(f"/tokens/{last.json['id']}").status == 204
    assert mine.post("/users/dara/tokens", {"name": "again"}).status == 201


@pytest.mark.promise(8)
def test_ten_thousand_tokens_are_listed_by_pages_and_revoked_at_once(centre: Centre, api: Api) -> None:
    """Dead ones do not count; every page is bounded; nothing of them is in any answer but their names."""
    mine, now_ms = api.as_(centre.population.tokens["dara"]), centre.clock.now_ms()
    with centre.store.write() as uow:
        dara = people.user_named(uow, "dara")
        for number in range(10_000):
            expires_ms = now_ms + 1 if number % 100 == 0 else now_ms
            uow.people.add_token(Token(0, dara.id, f"t{number}", now_ms, expires_ms), f"digest {number}".encode())
    listed = mine.pages("/users/dara/tokens", 1_000)
    assert len(listed) == 10_001
    assert not any("digest" in str(value) or "token" in one for one in listed for value in one.values())
    assert mine.post("/users/dara/tokens", {"name": "one more"}).status == 201
    assert mine.post("/users/dara/tokens/revoke", {"but_this": True}).json == {"revoked": 10_001}
    assert mine.get("/whoami").status == 200
    assert mine.post("/users/dara/tokens/revoke", {}).json == {"revoked": 1}
    assert mine.get("/whoami").status == 401


@pytest.mark.promise(8)
@on_sqlite
def test_nobody_makes_a_token_for_another_where_people_log_in_elsewhere(
    centre: Centre, open_api, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    """Where the centre keeps no passwords; where it does, an administrator may, and an entry is left."""
    with_passwords = services_of(centre, tmp_path)
    token = centre.population.tokens["admin"]
    admin = open_api(replace(with_passwords, passwords=None)).as_(token)
    refused(admin.post("/users/dara/tokens", {"name": "x"}), 409, "not-yourself")
    refused(admin.post("/users/dara/password"), 409, "builtin-login-off")
    refused(admin.post("/me/password", {"old": "a", "new": "b"}), 409, "builtin-login-off")
    assert admin.post("/users/admin/tokens", {"name": "x"}).status == 201
    admin = open_api(with_passwords).as_(token)
    assert admin.post("/users/dara/tokens", {"name": "x"}).status == 201
    entry = admin.get("/audit/entries", query={"limit": 1000}).json["items"]
    assert any(one["action"] == "issue_token" for one in entry)


@pytest.mark.promise(8)
@on_sqlite
def test_tokens_of_others_are_nobodys_business(centre: Centre, api: Api) -> None:
    dara, sok = (api.as_(centre.population.tokens[name]) for name in ("dara", "sok"))
    token = dara.post("/users/dara/tokens", {"name": "mine"}).json
    for answer in (
        sok.get("/users/dara/tokens"), sok.post("/users/dara/tokens", {"name": "x"}), sok.delete(f"/tokens/{token['id']}"),
        sok.post("/users/dara/tokens/revoke", {}), sok.delete("/tokens/99999"), sok.get("/users/nobody/tokens"),
    ):  # fmt: skip
        assert answer.status == 403
    assert api.as_(token["token"]).get("/whoami").status == 200
    assert dara.delete(f"/tokens/{token['id']}").status == 204
    assert api.as_(token["token"]).get("/whoami").status == 401


@on_sqlite
def test_sets_of_scopes_only_name_what_there_is(centre: Centre) -> None:
    assert all(found <= EVERY for found in SETS.values())
    assert not any(found & FOR_PEOPLE for found in SETS.values())
    writes = {one for one in SETS["read"] if one.value.endswith((".write", ".submit", ".control", ".decide"))}
    assert not writes
    assert Permission.SECRET_WRITE not in SETS["jobs"]


@pytest.mark.promise(8)
@on_sqlite
def test_what_waits_for_a_second_person_is_nothing_to_a_token_for_something_else(centre: Centre, api: Api) -> None:
    """Own requests are one's own, but a token for metrics does not read or withdraw them."""
    kept = api.put("/four-eyes", {"rates": True, "roles": ["allocator"], "reason": "a test"})
    assert kept.status < 300, kept.body
    asked = api.post("/users/nary/roles", {"account": "centre", "role": "allocator"})
    assert asked.status == 202, asked.body
    path = f"/approvals/{asked.json['id']}"
    narrow = api.as_(made(centre, scopes=SETS["metrics"]))
    assert narrow.get(path).status == 404
    assert narrow.get("/approvals").json["items"] == []
    assert narrow.post(f"{path}/withdraw", {"reason": "x"}).status == 404
    fit = api.as_(made(centre, scopes=frozenset({Permission.ROLE_WRITE})))
    assert fit.get(path).status == 200
    assert fit.post(f"{path}/withdraw", {"reason": "x"}).status == 200
