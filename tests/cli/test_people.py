"""Users, services, tokens and passwords on the command line, against a scripted centre."""

import json
import os
import pty
import subprocess
import sys

import pytest

from tests.cli.conftest import Run, surroundings
from tests.client.scripted import TOKEN, Answer, Centre, page, problem

USER = {
    "name": "vuthy",
    "title": "Vuthy",
    "email": None,
    "kind": "person",
    "state": "active",
    "tenant": "cadt",
    "owner": None,
}
ROBOT = USER | {"name": "robot", "kind": "service", "owner": "dara"}


@pytest.mark.parametrize(
    ("line", "route", "body", "said"),
    [
        ("user admit vuthy", "POST /users/vuthy/admit", {}, "admitted vuthy to cadt"),
        ("user admit vuthy --tenant cadt --reason staff", "POST /users/vuthy/admit", {"tenant": "cadt", "reason": "staff"},
         "admitted vuthy to cadt"),
        ("user refuse vuthy --reason x", "POST /users/vuthy/refuse", {"reason": "x"}, "refused vuthy"),
        ("user suspend vuthy --reason x", "PATCH /users/vuthy", {"state": "suspended", "reason": "x"}, "suspended vuthy"),
        ("user resume vuthy --reason x", "PATCH /users/vuthy", {"state": "active", "reason": "x"}, "resumed vuthy"),
        ("user add vuthy --title V --tenant cadt", "POST /users", {"name": "vuthy", "title": "V", "tenant": "cadt"},
         "added user vuthy"),
        ("service add robot --title R --account speech", "POST /service-accounts",
         {"name": "robot", "title": "R", "account": "speech", "role": "member"}, "added service robot: member of speech"),
        ("service hand-over robot sok", "PATCH /service-accounts/robot", {"owner": "sok"}, "sok answers for robot now"),
        ("service suspend robot --reason x", "PATCH /service-accounts/robot", {"state": "suspended", "reason": "x"},
         "suspended robot"),
        ("service resume robot", "PATCH /service-accounts/robot", {"state": "active"}, "resumed robot"),
        ("token remove-all vuthy --but-this", "POST /users/vuthy/tokens/revoke", {"but_this": True},
         "revoked 3 tokens of vuthy"),
    ],
)  # fmt: skip
def test_who_is_let_in_is_said_in_one_line(
    centre: Centre, run: Run, line: str, route: str, body: dict, said: str
) -> None:
    centre.on(route, USER | {"revoked": 3})
    found = run("admin", *line.split())
    assert (found.code, found.out, found.err) == (0, f"{said}\n", "")
    assert centre.asked(route)[0].json == body


def test_lists(centre: Centre, run: Run) -> None:
    centre.on("GET /admissions", page(USER | {"state": "waiting"}))
    centre.on("GET /users", page(USER, ROBOT))
    centre.on("GET /service-accounts", page(ROBOT))
    assert run("admin", "user", "list", "--waiting", "-q").out == "vuthy\n"
    assert run("admin", "user", "list", "--state", "active", "-q").out == "vuthy\nrobot\n"
    assert centre.asked("GET /users")[0].query["state"] == ["active"]
    assert run("admin", "service", "list", "-q").out == "robot\n"


def test_prometheus_gets_a_service_of_its_own_once(centre: Centre, run: Run) -> None:
    centre.on("GET /service-accounts/prometheus", problem(404, "not-found", "there is no service"), ROBOT)
    centre.on("POST /service-accounts", ROBOT)
    centre.on("POST /users/prometheus/tokens", {"id": 4, "name": "metrics", "token": "fresh-one", "expires_ms": None})
    for _ in range(2):
        found = run("admin", "token", "prometheus")
        assert (found.code, found.out) == (0, "fresh-one\n")
    (made,) = centre.asked("POST /service-accounts")
    assert made.json == {"name": "prometheus", "title": "Prometheus", "account": "centre", "role": "reporter"}
    assert centre.asked("POST /users/prometheus/tokens")[0].json == {"name": "metrics", "scopes": ["metrics"]}


def test_a_one_time_password_is_printed_alone(centre: Centre, run: Run) -> None:
    centre.on("POST /users/dara/password", {"user": "dara", "password": "once-only-words"})
    found = run("admin", "user", "password", "dara")
    assert found.out == "once-only-words\n"
    assert "shown this once" in found.err
    assert json.loads(run("admin", "user", "password", "dara", "-o", "json").out)["password"] == "once-only-words"


def test_a_password_is_read_and_never_an_argument(centre: Centre, spawn: Run) -> None:
    centre.on("POST /me/password", Answer(204))
    found = spawn("password", stdin="the old words\nthe new words\n")
    assert (found.code, found.err) == (0, "")
    assert centre.requests[0].json == {"old": "the old words", "new": "the new words"}
    assert "words" not in found.out
    assert spawn("password", stdin="only one\n").code == 2
    assert spawn("password", "old", "new").code == 2


def test_who_waits_is_told_what_to_do(centre: Centre, run: Run) -> None:
    token = {"id": 1, "name": "laptop", "expires_ms": None, "login_ms": 1, "level": 2, "scopes": [], "account": None}
    who = {"user": "vuthy", "title": "V", "state": "waiting", "next": "ask them", "roles": [], "token": token}
    centre.on("GET /whoami", who)
    found = run("whoami")
    assert (found.code, found.err) == (0, "")
    assert "waiting" in found.out
    assert "ask them" in found.out
    assert "level 2, only for choosing a password" in found.out


def test_a_token_is_asked_for_where_that_is_wanted(centre: Centre, env: dict[str, str]) -> None:
    """Without a code being shown, and without an echo."""
    centre.on(
        "GET /whoami", {"user": "dara", "title": "D", "roles": [], "token": {"name": "laptop", "expires_ms": None}}
    )
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "cli", "login", "--with-token"]
    streams = {"stdin": follower, "stdout": follower, "stderr": follower}
    with subprocess.Popen(command, env=surroundings(env, {}), start_new_session=True, **streams) as process:
        os.close(follower)
        shown = b""
        while b"token for" not in shown:
            shown += os.read(leader, 1000)
        os.write(leader, f"{TOKEN}\n".encode())
        try:
            while more := os.read(leader, 1000):
                shown += more
        except OSError:
            pass  # the other end is closed: all was read
        os.close(leader)
    assert process.returncode == 0
    assert TOKEN.encode() not in shown
    assert [one.path for one in centre.requests] == ["/whoami"]
