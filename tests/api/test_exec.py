"""Programs and ports in running jobs, through the API: who may, what is written down, and what ends a line."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.http.services import LineLimits
from client import Baray, NotAllowedError, NotFoundError, NotLoggedInError, ProblemError, UnreachableError
from client.exec import Line, LineEnd, Piece
from domain.jobs import Array
from lifecycle import people
from lifecycle.paging import Page
from lifecycle.witness import EntryFilter
from quotas.leaves import AuditEntry
from tests.conftest import services_of
from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.marks import on_sqlite

pytestmark = [on_sqlite]

As = Callable[..., Baray]


@pytest.fixture
def as_(centre: Centre, tmp_path: Path, open_api: Callable) -> Iterator[As]:
    """The client in the hands of a user."""
    made: list[Baray] = []
    limits = LineLimits(idle_s=0.6, longest_s=30.0, look_s=0.05)
    address = open_api(replace(services_of(centre, tmp_path), line_limits=limits)).address

    def client(user: str = "dara") -> Baray:
        made.append(Baray(address, centre.population.tokens[user], retries=0))
        return made[-1]

    yield client
    for one in made:
        one.close()


@pytest.fixture
def job(centre: Centre) -> int:
    """One of dara's that runs."""
    found = centre.submit(spec(command="run forever")).id
    centre.settle()
    centre.settle()
    return found


def heard(line: Line) -> tuple[bytes, bytes, LineEnd]:
    out, error = b"", b""
    for one in line:
        if isinstance(one, LineEnd):
            return out, error, one
        out, error = out + one.data * (not one.error), error + one.data * one.error
    raise AssertionError


def entries(centre: Centre) -> list[AuditEntry]:
    with centre.store.read() as uow:
        return [one for one in uow.audit.page(Page(None, 100), EntryFilter())[::-1] if one.personal]


def test_a_program_says_ends_and_its_code_comes_back(as_: As, job: int) -> None:
    with as_().lines.shell(job, ["say", "hello", "ខ្មែរ"]) as line:
        assert heard(line) == ("hello ខ្មែរ".encode(), b"", LineEnd(0, ""))
    with as_().lines.shell(job, ["exit", "3"]) as line:
        assert heard(line) == (b"", b"bye\n", LineEnd(3, ""))


def test_what_is_typed_gets_there_and_the_terminals_size(as_: As, job: int, centre: Centre) -> None:
    with as_().lines.shell(job, ["echo"], tty=True, size=(101, 42), rank=0) as line:
        line.write(b"x" * 200_000)
        line.resize(90, 30)
        line.end_input()
        assert heard(line) == (b"x" * 200_000, b"", LineEnd(0, ""))
    (channel,) = centre.driver.channels
    assert (channel.command, channel.tty, channel.rank) == (("echo",), True, 0)
    assert channel.sizes == [(101, 42), (90, 30)]
    until(lambda: channel.closed)


def test_a_port_is_reached(as_: As, job: int, centre: Centre) -> None:
    as_().lines.forward(job, 8888, probe=True).close()
    assert centre.driver.channels == []
    with as_().lines.forward(job, 8888) as line:
        line.write(b"GET / HTTP/1.1")
        assert next(iter(line)) == Piece(b"GET / HTTP/1.1", error=False)
    assert centre.driver.channels[0].port == 8888
    until(lambda: centre.driver.channels[0].closed)


@pytest.mark.promise(8)
def test_who_may_go_into_a_job(as_: As, job: int, centre: Centre) -> None:
    """Its user, leads and administrators; support with a reason; another member not, and others know nothing of it."""
    of_sok = centre.submit(spec(command="run forever"), "sok").id
    centre.settle()
    centre.settle()
    for user, entered in (("dara", job), ("admin", job), ("sok", of_sok), ("dara", of_sok)):
        as_(user).lines.shell(entered, ["say", "x"]).close()
    with pytest.raises(ProblemError, match="says why") as refused:
        as_("sophea").lines.shell(job, ["say", "x"])
    assert (refused.value.status, refused.value.errors[0].field) == (422, "reason")
    as_("sophea").lines.shell(job, ["say", "x"], reason="ticket 17").close()
    assert json.loads(entries(centre)[-1].personal or "")["reason"] == "ticket 17"
    for open_ in (lambda: as_("sok").lines.shell(job, ["say", "x"]), lambda: as_("sok").lines.forward(job, 80)):
        with pytest.raises(NotAllowedError, match="only its user"):
            open_()
    with pytest.raises(NotFoundError):
        as_("rith").lines.shell(job, ["say", "x"])
    with pytest.raises(NotLoggedInError):
        Baray(as_().address, "bry_none", retries=0).lines.shell(job, ["say", "x"])
    assert len(centre.driver.channels) == 5


@pytest.mark.promise(8)
def test_every_shell_leaves_an_entry_and_a_port_one_an_hour(as_: As, job: int, centre: Centre) -> None:
    before = len(entries(centre))
    as_("admin").lines.shell(job, ["say", "password"]).close()
    for _ in range(3):
        as_("admin").lines.forward(job, 8888).close()
    shell, port = entries(centre)[before:]
    assert (shell.action, shell.subject) == ("open_shell", f"/jobs/{job}")
    assert json.loads(shell.facts) == {"attempt": f"{job}.1", "cluster": "sim", "rank": 0}
    told = json.loads(shell.personal or "")
    assert (told["by"], told["on_behalf"], told["what"]) == ("admin", "dara", "say password")
    assert (port.action, json.loads(port.personal or "")["what"]) == ("forward_port", "port 8888")


def test_only_what_runs_is_entered(as_: As, job: int, centre: Centre) -> None:
    waiting = centre.submit(spec(command="run 1m", held=True)).id
    with pytest.raises(ProblemError, match=f"job {waiting} does not run: it is held") as refused:
        as_().lines.shell(waiting, ["say", "x"])
    assert (refused.value.status, refused.value.code) == (409, "not-running")
    with pytest.raises(NotFoundError, match="has ranks 0 to 0"):
        as_().lines.shell(job, ["say", "x"], rank=1)
    array = centre.submit(spec(command="run forever", array=Array(0, 1))).id
    centre.settle()
    centre.settle()
    with pytest.raises(ProblemError, match="is an array"):
        as_().lines.shell(array, ["say", "x"])
    as_().lines.shell(f"{array}_1", ["say", "x"]).close()


def test_a_cluster_that_lets_nobody_in_says_so(as_: As, job: int, centre: Centre) -> None:
    centre.driver.shells = False
    with pytest.raises(ProblemError, match="lets nobody into jobs") as refused:
        as_().lines.shell(job, ["say", "x"])
    assert (refused.value.status, refused.value.code) == (409, "exec-refused")


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({}, "command"),
        ({"command": []}, "command"),
        ({"command": "ls"}, "command"),
        ({"command": ["a\0b"]}, "command.0"),
        ({"command": ["ls"], "rank": -1}, "rank"),
        ({"command": ["ls"], "columns": 0}, "columns"),
        ({"command": ["ls"], "more": 1}, "more"),
    ],
)
def test_a_first_message_that_is_none_is_told_what_is_wrong(
    as_: As, job: int, asked: dict[str, Any], field: str
) -> None:
    line = Line(as_().lines._connect(f"/jobs/{job}/exec"), "")
    with pytest.raises(ProblemError) as refused:
        line.begin(asked)
    assert (refused.value.status, refused.value.errors[0].field) == (422, field)
    line.close()


def test_a_line_ends_with_the_attempt(as_: As, job: int, centre: Centre) -> None:
    with as_().lines.shell(job, ["cat"]) as line:
        typing(line)
        centre.control("cancel", job)
        centre.run()
        assert heard(line)[2] == LineEnd(None, f"{job}.1 does not run any more")
    until(lambda: centre.driver.channels[0].closed)


@pytest.mark.promise(8)
def test_a_line_ends_with_its_token(as_: As, job: int, centre: Centre) -> None:
    user = as_()
    with user.lines.shell(job, ["cat"]) as line:
        typing(line)
        user.logout()
        with pytest.raises(NotLoggedInError):
            heard(line)
    until(lambda: centre.driver.channels[0].closed)


@pytest.mark.promise(8)
def test_a_line_ends_with_the_role_that_let_its_caller_in(as_: As, job: int, centre: Centre) -> None:
    """A lead who is a member from now on may control jobs of the project, but not be in another's."""
    with centre.store.write() as uow:
        people.give_role(uow, "nary", "speech", "lead", centre.clock.now_ms())
    with as_("nary").lines.shell(job, ["cat"]) as line:
        typing(line)
        assert next(iter(line))
        with centre.store.write() as uow:
            people.give_role(uow, "nary", "speech", "member", centre.clock.now_ms())
            people.take_role(uow, "nary", "speech", "lead", centre.clock.now_ms())
        with pytest.raises(NotAllowedError, match="only its user"):
            heard(line)
    until(lambda: centre.driver.channels[0].closed)


def test_a_silent_line_is_closed(as_: As, job: int, centre: Centre) -> None:
    with as_().lines.shell(job, ["cat"]) as line:
        assert heard(line)[2] == LineEnd(None, "nothing was said for 1 seconds")
    until(lambda: centre.driver.channels[0].closed)


def test_who_hangs_up_lets_go_of_the_program(as_: As, job: int, centre: Centre) -> None:
    line = as_().lines.shell(job, ["flood"])
    assert next(iter(line))
    line._connection.close_socket()
    until(lambda: centre.driver.channels[0].closed)


def test_who_hangs_up_while_a_program_is_started_lets_go_of_it_too(as_: As, job: int, centre: Centre) -> None:
    begun, gone = threading.Event(), threading.Event()
    centre.driver.opening = lambda: (begun.set(), gone.wait(10))
    line = Line(as_().lines._connect(f"/jobs/{job}/exec"), "")
    line._send(json.dumps({"command": ["cat"]}))
    assert begun.wait(10)
    line._connection.close_socket()
    time.sleep(0.3)  # so that the centre can have heard of it; without, this could only fail less often
    gone.set()
    until(lambda: centre.driver.channels and centre.driver.channels[0].closed)


def test_what_is_too_large_cuts_the_line(as_: As, job: int, centre: Centre) -> None:
    with as_().lines.shell(job, ["cat"]) as line:
        line._send(b"x" * (2 * 2**20))
        with pytest.raises(UnreachableError):
            heard(line)
    until(lambda: centre.driver.channels[0].closed)


def typing(line: Line) -> None:
    """Keep a line from being silent."""

    def go() -> None:
        for _ in range(100):
            line.write(b".")
            time.sleep(0.1)

    threading.Thread(target=go, daemon=True).start()


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)
