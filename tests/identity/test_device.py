"""``baray login`` as a process, approved elsewhere: over the API by a session, and by clicks in a real browser."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from api.http.credentials import CSRF_HEADER, PLAIN_COOKIE, csrf_of
from domain.people import Token, TokenKind
from lifecycle import people, tokens
from tests.cli.conftest import surroundings
from tests.identity.browser import Tab
from tests.identity.door import Door
from tests.identity.rig import Provider
from tests.identity.test_login import SOK
from tests.support.centre import Centre
from tests.support.marks import on_sqlite
from tests.support.serving import Api

pytestmark = on_sqlite

_PATIENCE_S = 30.0


class Line:
    """A command line on a machine of its own: its home, and what it runs."""

    def __init__(self, home: Path, address: str) -> None:
        self.home, self.address = home, address
        self._env = surroundings({"HOME": str(home), "TZ": "UTC"}, {"NO_COLOR": "1"})

    def begin(self, *arguments: str) -> "Running":
        command = [sys.executable, "-u", "-m", "cli", *arguments]
        return Running(subprocess.Popen(
            command, env=self._env, cwd=self.home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, start_new_session=True,
        ))  # fmt: skip

    def run(self, *arguments: str) -> tuple[int, str, str]:
        return self.begin(*arguments).end()

    def kept(self) -> str:
        """The token that is remembered."""
        known = json.loads((self.home / ".config" / "baray" / "contexts.json").read_text())
        return str(known["contexts"][known["current"]]["token"])


class Running:
    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def code(self) -> tuple[str, str]:
        """The address and the code that it shows."""
        assert self.process.stderr is not None
        shown, ends_s = "", time.monotonic() + _PATIENCE_S
        while "waiting" not in shown:
            assert time.monotonic() < ends_s, shown
            line = self.process.stderr.readline()
            assert line, f"it ended: {shown}"
            shown += line
        address, code = re.search(r"(http\S+)", shown), re.search(r"\b([A-Z]{4}-[A-Z]{4})$", shown, re.MULTILINE)
        assert address, shown
        assert code, shown
        return address[1], code[1]

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=_PATIENCE_S)
        return self.process.returncode, out, err


@pytest.fixture
def line(tmp_path: Path, api: Api) -> Line:
    home = tmp_path / "home"
    home.mkdir()
    return Line(home, api.address)


class Elsewhere:
    """A browser somewhere else, in which dara is logged in."""

    def __init__(self, centre: Centre, api: Api) -> None:
        now_ms = centre.clock.now_ms()
        with centre.store.write() as uow:
            token = Token(
                0, people.user_named(uow, "dara").id, "browser", now_ms, kind=TokenKind.SESSION, login_ms=now_ms
            )
            _, text = tokens.keep(uow, token)
        self._api = api.as_(None)
        self._headers = {"Cookie": f"{PLAIN_COOKIE}={text}", CSRF_HEADER: csrf_of(text)}

    def decide(self, code: str, *, approve: bool = True) -> None:
        body = {"user_code": code, "approve": approve}
        answer = self._api.post("/login/device/approve", body, headers=self._headers)
        assert answer.status == 200, answer.body


@pytest.mark.promise(8)
def test_a_command_line_is_logged_in_steps_up_and_out(centre: Centre, api: Api, line: Line) -> None:
    elsewhere = Elsewhere(centre, api)
    login = line.begin("login", api.address, "--device")
    address, code = login.code()
    assert address == f"{api.address}/device?user_code={code}"
    elsewhere.decide(code)
    status, out, err = login.end()
    assert (status, out) == (0, f"logged in to {api.address} as dara\n"), err
    first = line.kept()
    assert first not in out + err
    assert (line.home / ".config" / "baray" / "contexts.json").stat().st_mode & 0o077 == 0
    status, out, err = line.run("whoami")
    assert status == 0, err
    assert "lead of speech" in out
    assert "logged in 2026-01-01" in out

    again = line.begin("login", "--again")
    elsewhere.decide(again.code()[1])
    assert again.end()[0] == 0
    second = line.kept()
    assert second != first
    assert api.as_(first).get("/whoami").status == 401, "the login before it is over"
    assert api.as_(second).get("/whoami").status == 200
    assert line.run("logout")[0] == 0
    assert api.as_(second).get("/whoami").status == 401
    status, _, err = line.run("whoami")
    assert status == 3
    assert "Traceback" not in err


def test_a_denied_login_and_one_that_is_given_up_leave_nothing(centre: Centre, api: Api, line: Line) -> None:
    denied = line.begin("login", api.address, "--device")
    Elsewhere(centre, api).decide(denied.code()[1], approve=False)
    status, out, err = denied.end()
    assert (status, out) == (3, "")
    assert "the login was denied" in err
    given_up = line.begin("login", api.address, "--device")
    given_up.code()
    os.kill(given_up.process.pid, signal.SIGINT)
    status, out, err = given_up.end()
    assert (status, out) == (130, "")
    assert "Traceback" not in err
    assert not (line.home / ".config").exists()


def test_a_command_line_is_approved_in_a_browser_behind_a_provider(
    door: Door, tab: Tab, provider: Provider, tmp_path: Path
) -> None:
    """By somebody who was never here before: they log in, compare the code, allow it, and wait to be admitted."""
    provider.user("sok", **SOK)
    home = tmp_path / "away"
    home.mkdir()
    line = Line(home, door.address)
    login = line.begin("login", door.address, "--device")
    address, code = login.code()
    tab.open(address)
    tab.press("Log in with Campus")
    tab.fill("username", "sok")
    tab.press("Log in")
    tab.wait_for(f"{door.address}/**")
    tab.press("Go on")
    assert code in tab.text()
    assert "baray on" in tab.text()
    tab.press("Allow")
    assert "The device is logged in" in tab.text()
    status, out, err = login.end()
    assert status == 0, err
    assert out.startswith(f"logged in to {door.address} as ")
    assert "you wait to be admitted: a focal point of cadt" in err
    status, out, err = line.run("whoami")
    assert status == 0, err
    assert "waiting" in out
    status, out, err = line.run("jobs")
    assert (status, out) == (3, "")
    assert "not admitted yet" in err
    assert tab.console == []
