"""Forged requests: what is written into headers, addresses and texts to be taken for something else, or to find out what is there."""

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
from starlette.requests import HTTPConnection
from structlog.testing import capture_logs

from api.http.credentials import session_text
from domain.people import UserState
from lifecycle import people
from tests.api import test_roles
from tests.api.test_roles import BODIES, Line, lines, path_of
from tests.support.centre import Centre
from tests.support.factories import NOBODY, spec
from tests.support.marks import on_sqlite, the_one_on_sqlite
from tests.support.serving import Answer, Api

furnished = test_roles.furnished

# Names of another tenant's things, and names that nothing has.
GONE = {"speech": "zzzzzz", "cadt": "zzzz", "dara": "zzzz", "sok": "zzz", "lab": "zzz", "class": "zzzzz"}
_NUMBERED = re.compile(r"/(allocations|jobs|gates|grants|allocation-changes|audit/entries)/\d+")
_STRANGERS = ("rith", NOBODY)  # the lead of another tenant's project, and somebody without a role

# Filters that take a name.
FILTERED = (
    "/quotas?account=speech", "/quotas?account=cadt", "/gates?account=speech", "/gates?account=cadt",
    "/usage?account=speech", "/jobs?project=speech", "/jobs?user=dara", "/allocations?project=speech",
    "/queue?project=speech", "/queue/columns?project=speech", "/projects?tenant=cadt",
)  # fmt: skip


def _gone(text: str) -> str:
    """The same for what is not there."""
    text = _NUMBERED.sub(r"/\1/99999", text)
    return re.sub(r"\b(" + "|".join(GONE) + r")\b", lambda found: GONE[found[0]], text)


def _told(answer: Answer) -> str:
    """What an answer says but for the number or name that was asked for, and the request's own id."""
    text = re.sub(r'"request_id": ?"[0-9a-f]+"', "", answer.body.decode())
    return f"{answer.status} " + re.sub(r"\b\d+(_\d+)?\b", "N", _gone(text))


@pytest.mark.promise(8)
@on_sqlite
def test_nobody_finds_out_by_guessing_what_is_there(furnished: Centre, api: Api) -> None:
    """Every route that tells a stranger 404 says the very same of what never was."""
    compared, telling = 0, []
    rows = furnished.database.dump()
    for line in lines():
        path, body = path_of(line, furnished), BODIES.get(str(line))
        other = _gone(path), None if body is None else json.loads(_gone(json.dumps(body)))
        if line.method == "SOCKET" or other == (path, body) or line.route.startswith("/tokens"):
            continue
        for user in _STRANGERS:
            caller = api.as_(furnished.population.tokens[user])
            there, gone = caller.call(line.method, path, body), caller.call(line.method, other[0], other[1])
            compared += 1
            if _told(there) != _told(gone):
                telling.append(f"{line} for {user}: {_told(there)[:160]} and {_told(gone)[:160]}")
            if there.status < 300 and line.method != "GET":
                furnished.database.empty()
                furnished.database.load(rows)
    assert not telling, "\n".join(telling)
    assert compared > 60


@pytest.mark.promise(8)
@the_one_on_sqlite
@pytest.mark.parametrize("path", FILTERED)
def test_nor_by_filters(the_centre: Centre, the_api: Api, path: str) -> None:
    for user in _STRANGERS:
        caller = the_api.as_(the_centre.population.tokens[user])
        assert _told(caller.get(path)) == _told(caller.get(_gone(path))), user


@pytest.mark.promise(8)
@on_sqlite
def test_nor_by_jobs_to_wait_for_and_places_to_move_to(furnished: Centre, api: Api) -> None:
    other = furnished.submit(spec("flood"), "rith").id
    dara, kosal = (api.as_(furnished.population.tokens[user]) for user in ("dara", "kosal"))
    waits = [dara.post("/jobs", {**test_roles.JOB, "after": f"ok:{number}"}) for number in (other, 99_999)]
    moves = [kosal.post("/accounts/speech/move", {"under": under}) for under in ("itc", "zzzz")]
    assert _told(waits[0]) == _told(waits[1])
    assert waits[0].status == 422
    assert _told(moves[0]).replace("itc", "zzzz") == _told(moves[1])
    assert moves[0].status == 404


# Ways round: what a filter in front may read as one address and the service as another.
WAYS = (
    "//healthz/../api/v1/users", "//api/v1/../v1/users", "//api/v1/./users", "//api//v1/users", "//api/v1/users/",
    "//api/v1/%75sers/..;/users", "//api/v1/users%2f", "//api/v1/users%3f", "//api/v1/users;x=1", "//api/v1\\users",
    "//api/v1/%2e%2e/v1/users", "//api/v1/%c0%ae%c0%ae/users", "//API/V1/USERS", "//api/v1/users%20", "//api/v1/users.json",
    "//metrics/", "//metrics%2f", "//%6d%65trics%2f", "/jobs/../users", "/jobs/..%2fusers", "/jobs/1%2f..%2f..%2fusers",
)  # fmt: skip


@pytest.mark.promise(8)
@the_one_on_sqlite
@pytest.mark.parametrize("path", WAYS)
def test_there_is_one_address_for_a_thing_and_no_way_round(the_centre: Centre, the_api: Api, path: str) -> None:
    """Sent as it is: the client's library would tidy it up."""
    for token in (the_centre.population.tokens["admin"], None):
        answer = _raw(the_api, "GET", path[1:] if path.startswith("//") else f"/api/v1{path}", token)
        assert answer.split(b" ", 2)[1] in {b"307", b"400", b"401", b"404", b"422"}, answer[:200]
        assert b'"items"' not in answer
        assert b"baray_" not in answer
        location = re.search(rb"(?i)\r\nlocation: ([^\r]*)", answer)
        assert location is None or b"//" not in location[1].removeprefix(b"http://"), "it leads nowhere else"


@on_sqlite
@pytest.mark.parametrize(
    "path", ["../../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "/etc/passwd", "%2fetc%2fpasswd", "result.txt%00.png", "result.txt/", "./result.txt", "RESULT.TXT", "..%5c..%5cetc%5cpasswd", "%252e%252e%252fetc%252fpasswd", "r%0d%0aX-Evil:%201"],
)  # fmt: skip
def test_an_output_is_one_that_was_collected_and_no_other_file(furnished: Centre, api: Api, path: str) -> None:
    answer = _raw(api, "GET", f"/api/v1/jobs/1/outputs/{path}", furnished.population.tokens["dara"])
    assert answer.split(b" ", 2)[1] in {b"400", b"404", b"422"}, answer[:200]
    assert b"root:" not in answer
    assert b"\r\nx-evil" not in answer.lower()


def _raw(api: Api, method: str, path: str, token: str | None, *headers: str) -> bytes:
    """What a request is answered with that is sent byte for byte."""
    host, port = api.address.removeprefix("http://").split(":")
    shown = [] if token is None else [f"Authorization: Bearer {token}"]
    head = "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", "Connection: close", *shown, *headers, "", ""])
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head.encode("latin-1"))
        got = b""
        while piece := connection.recv(65_536):
            got += piece
    return got


CRLF = "%0d%0aX-Evil:%20yes%0d%0a%0d%0a<script>"


@the_one_on_sqlite
@pytest.mark.parametrize(
    "path", [f"/projects/{CRLF}", f"/jobs/{CRLF}", f"/users/{CRLF}/tokens", f"/jobs?name={CRLF}", f"/usage?by={CRLF}", f"/{CRLF}", f"/reservations/{CRLF}", f"/quotas?account={CRLF}"],
)  # fmt: skip
def test_nothing_that_is_sent_becomes_a_header_or_a_page(the_centre: Centre, the_api: Api, path: str) -> None:
    answer = _raw(the_api, "GET", f"/api/v1{path}", the_centre.population.tokens["admin"])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"x-evil" not in head.lower()
    assert b"content-type: application/" in head.lower(), "no browser takes it for a page"
    assert b"\r\n" not in body
    json.loads(body)


@the_one_on_sqlite
def test_what_a_client_says_of_itself_is_not_said_back(the_centre: Centre, the_api: Api) -> None:
    """Hosts, ids and addresses that are none of ours do not come back in headers, links or answers."""
    evil = ("X-Forwarded-Host: evil.example", "X-Forwarded-For: evil.example", "X-Original-URL: /evil.example")
    more = ("Referer: https://evil.example", "X-Request-Id: evil.example", "X-HTTP-Method-Override: DELETE")
    for path in ("/api/v1/whoami", "/api/v1/nothing", "/api/v1/openapi.json", "/healthz", "/api/v1/projects/speech"):
        answer = _raw(the_api, "GET", path, the_centre.population.tokens["admin"], *evil, *more)
        assert b"evil.example" not in answer
        assert answer.split(b" ", 2)[1] in {b"200", b"404"}
    assert the_api.get("/projects/speech").status == 200, "no header makes another method of it"


@the_one_on_sqlite
@pytest.mark.parametrize("method", ["TRACE", "TRACK", "DEBUG", "CONNECT", "PROPFIND", "get", "G\u00cbT"])
def test_methods_that_are_none_are_refused(the_centre: Centre, the_api: Api, method: str) -> None:
    answer = _raw(the_api, method, "/api/v1/whoami", the_centre.population.tokens["admin"])
    assert answer.split(b" ", 2)[1] in {b"400", b"405"}
    assert the_centre.population.tokens["admin"].encode() not in answer


# The log.

FORGED = 'x"\n{"event": "login", "user": "admin"}\r\n\x1b[2J\u2028'


def _logged(logs: list[Any]) -> list[str]:
    return [str(structlog.processors.JSONRenderer()(None, "", dict(one))) for one in logs]


@the_one_on_sqlite
def test_nobody_writes_lines_of_their_own_into_the_log(the_centre: Centre, the_api: Api) -> None:
    """A bug is logged with the address that met it; an address with lines in it stays one line."""
    broken = the_api.as_(the_centre.population.tokens["admin"])
    with capture_logs() as logs:
        for path in (f"/projects/{CRLF}", f"/jobs/1%0a{CRLF}/wait", "/%1b%5b2J%0a"):
            _raw(broken, "GET", f"/api/v1{path}", broken.token, "X-Request-Id: a%0ab", "User-Agent: " + "x" * 99)
        structlog.get_logger("test").error("bug in a request", path=FORGED, event_of=FORGED)
    written = _logged(logs)
    assert written
    for line in written:
        assert "\n" not in line
        assert "\r" not in line
        assert "\x1b" not in line
        assert json.loads(line)
        assert broken.token is not None
        assert broken.token not in line


# Texts.


def _leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every text in a body but kubeconfigs, which tests of their own break in every way."""
    if isinstance(value, str) and place[-1:] != ("kubeconfig",):
        yield place
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in pairs:
        yield from _leaves(one, (*place, key))


def _with(value: Any, place: tuple[Any, ...], text: str) -> Any:
    if not place:
        return text
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[place[0]] = _with(copied[place[0]], place[1:], text)
    return copied


WRITES = [line for line in lines() if isinstance(BODIES.get(str(line)), dict)]


@pytest.mark.promise(8)
@on_sqlite
@pytest.mark.parametrize("odd", ["a\0b", "\ud800", "x" * 300_000], ids=["NUL", "half", "long"])
def test_no_text_of_any_body_brings_the_service_down(furnished: Centre, api: Api, odd: str) -> None:
    """A NUL, half a character and far too much, in every place of every body: refused as what it is, and nothing done."""
    rows, tried = furnished.database.dump(), 0
    for line in WRITES:
        for place in _leaves(BODIES[str(line)]):
            answer = api.call(line.method, path_of(line, furnished), _with(BODIES[str(line)], place, odd))
            tried += 1
            assert answer.status < 500, f"{line} {place}: {answer.body[:200]!r}"
            if answer.status < 300:  # a script, a file or a kubeconfig may hold it: then it is kept as it is
                assert odd not in {"a\0b", "\ud800"}, f"{line} {place} took it"
                furnished.database.empty()
                furnished.database.load(rows)
    assert tried > 60
    assert furnished.database.dump() == rows


def _shown_texts() -> list[tuple[Line, tuple[Any, ...]]]:
    """Titles and reasons: what others read."""
    return [
        (line, place) for line in WRITES for place in _leaves(BODIES[str(line)]) if place[-1] in {"title", "reason", "purpose"}
    ]  # fmt: skip


@pytest.mark.promise(8)
@on_sqlite
def test_nothing_that_others_read_reads_otherwise_than_it_is_written(furnished: Centre, api: Api) -> None:
    """The direction turned, an escape for terminals, a mark that nobody sees."""
    taken = []
    for line, place in _shown_texts():
        for odd in ("safe\u202eexe.", "a\x1b[2Jb", "a\u2066b", "a\U000e0041b"):
            answer = api.call(line.method, path_of(line, furnished), _with(BODIES[str(line)], place, odd))
            field = str(place[-1])
            if answer.status != 422 or answer.json["errors"][0].get("field", "").rpartition(".")[2] != field:
                taken.append(f"{line} {place}: {answer.status} {answer.body[:100]!r}")
    assert not taken, "\n".join(taken)
    assert len(_shown_texts()) > 15


@pytest.mark.promise(8)
@the_one_on_sqlite
@pytest.mark.parametrize(
    "name", ["c\u0430dt", "\uff43adt", "cadt\u200b", "CADT", "cadt\u0301", "cadt ", "ca\u00addt"], ids=ascii
)
def test_no_tenant_is_taken_for_another(the_centre: Centre, the_api: Api, name: str) -> None:
    """By its name, which is plain ASCII in small letters; nor by letters that look alike in its title."""
    before = the_centre.database.dump()
    tenant = {"name": name, "title": "CADT", "kind": "university"}
    assert the_api.post("/tenants", tenant).status == 422
    for title in ("C\u0410DT", "CADT\u202e", "\u200eCADT", " "):
        answer = the_api.post("/tenants", {**tenant, "name": "other", "title": title})
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, "title")
        assert the_api.change("/tenants/cadt", {"title": title}).status == 422
    assert the_centre.database.dump() == before


@pytest.mark.promise(8)
@on_sqlite
def test_no_body_takes_a_field_that_is_not_the_callers(furnished: Centre, api: Api) -> None:
    """Fields of the things themselves, which a request does not name: refused, not passed over."""
    taken = []
    for line in WRITES:
        for name, value in (("id", 1), ("version", 9), ("user_id", 1), ("is_admin", True), ("created_ms", 1)):
            answer = api.call(line.method, path_of(line, furnished), {**BODIES[str(line)], name: value})
            if (answer.status, answer.json["errors"][0].get("field")) != (422, name):
                taken.append(f"{line} {name}: {answer.status} {answer.body[:100]!r}")
    assert not taken, "\n".join(taken)


# Tokens where none belong.


@pytest.mark.promise(8)
@the_one_on_sqlite
@pytest.mark.parametrize(
    "path", ["/whoami?token={}", "/whoami?access_token={}", "/whoami?Authorization=Bearer%20{}", "/whoami?api_key={}", "/whoami/{}", "/whoami#{}"],
)  # fmt: skip
def test_a_token_in_an_address_is_none(the_centre: Centre, the_api: Api, path: str) -> None:
    """Addresses are written into logs and histories, so what stands there opens nothing."""
    token = the_centre.population.tokens["admin"]
    answer = _raw(the_api, "GET", f"/api/v1{path.format(token)}", None)
    assert answer.split(b" ", 2)[1] in {b"400", b"401", b"404"}
    assert token.encode() not in answer


@pytest.mark.promise(8)
@the_one_on_sqlite
@pytest.mark.parametrize(
    "shown", ["{}\xa0", "\xa0{}", "{}\x85", '"{}"', "{},{}", "{} {}", "{}=", "Bearer {}", "{}\xff"], ids=ascii
)
def test_a_token_is_written_in_one_way(the_centre: Centre, the_api: Api, shown: str) -> None:
    """Else one token would be many to whoever counts what each of them asks."""
    token = the_centre.population.tokens["admin"]
    answer = _raw(the_api, "GET", "/api/v1/whoami", None, "Authorization: Bearer " + shown.format(token, token))
    assert answer.split(b" ", 2)[1] in {b"400", b"401"}


@pytest.mark.promise(8)
@on_sqlite
@pytest.mark.parametrize("name", ["baray", "__Host-baray"])
def test_no_page_opens_a_line_into_a_job(furnished: Centre, api: Api, name: str) -> None:
    """A page of another site can make a browser open a WebSocket with its cookies; no cookie opens one here."""
    key = ("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Version: 13", "Upgrade: websocket")
    for origin in ("https://evil.example", api.address):
        cookie = f"Cookie: {name}={furnished.population.tokens['dara']}"
        for way in ("exec", "forward"):
            answer = _raw(
                api, "GET", f"/api/v1/jobs/2/{way}", None, *key, cookie, f"Origin: {origin}", "Connection: Upgrade"
            )
            assert answer.split(b" ", 2)[1] in {b"401", b"403"}, answer[:200]


@pytest.mark.promise(8)
def test_over_tls_no_neighbour_plants_a_session() -> None:
    """A page of another host of the domain can set a cookie of any name but those that begin with __Host-."""
    seen = {}
    for scheme in ("http", "https", "ws", "wss"):
        for name in ("baray", "__Host-baray"):
            scope = {"type": "http", "scheme": scheme, "headers": [(b"cookie", f"{name}=planted".encode())]}
            seen[scheme, name] = session_text(HTTPConnection(scope))
    assert {scheme for (scheme, name), text in seen.items() if name == "baray" and text} == {"http", "ws"}
    assert {scheme for (scheme, name), text in seen.items() if name == "__Host-baray" and text} == {
        "http",
        "https",
        "ws",
        "wss",
    }


@pytest.mark.promise(8)
@on_sqlite
@pytest.mark.parametrize("state", [UserState.SUSPENDED, UserState.ERASED])
def test_whoever_goes_is_gone_at_once_with_all_their_tokens(centre: Centre, api: Api, state: UserState) -> None:
    dara = api.as_(centre.population.tokens["dara"])
    other = api.as_(dara.post("/users/dara/tokens", {"name": "other"}).json["token"])
    assert {one.get("/whoami").status for one in (dara, other)} == {200}
    with centre.store.write() as uow:
        uow.people.save_user(replace(people.user_named(uow, "dara"), state=state))
    for one in (dara, other):
        for path in ("/whoami", "/jobs", "/jobs/1/logs/stream"):
            answer = one.get(path)
            assert (answer.status, answer.code) == (401, "not-logged-in")
