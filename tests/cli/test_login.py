"""Logging in and out: what is kept, where, for whom, and where a token may go."""

import json
import stat
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import TOKEN, Answer, Centre, page, problem

WHO = {
    "user": "dara",
    "title": "Sok Dara",
    "roles": [{"account": "speech", "role": "member"}],
    "token": {"id": 3, "name": "laptop", "expires_ms": None},
}


@pytest.fixture
def kept(env: dict[str, str]) -> Path:
    return Path(env["HOME"]) / ".config" / "baray" / "contexts.json"


@pytest.fixture
def logged_in(centre: Centre, run: Run, kept: Path) -> Path:
    centre.on("GET /whoami", WHO)
    assert run("login", centre.address, "--context", "here", "-p", "speech").code == 0
    return kept


def test_a_login_is_kept_for_its_owner_alone(centre: Centre, spawn: Run, kept: Path) -> None:
    centre.on("GET /whoami", WHO)
    found = spawn("login", centre.address, "--token-stdin", stdin=f"{TOKEN}\n", BARAY_TOKEN=None, BARAY_ADDRESS=None)
    assert (found.code, found.out) == (0, f"logged in to {centre.address} as dara\n")
    assert TOKEN not in found.out + found.err
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    assert [path.name for path in kept.parent.iterdir()] == ["contexts.json"]
    name = centre.address.removeprefix("http://")
    data = json.loads(kept.read_text())
    assert data == {"current": name, "contexts": {name: {"address": centre.address, "token": TOKEN, "project": None}}}


def test_a_file_that_others_could_read_is_closed_again(logged_in: Path, run: Run, centre: Centre) -> None:
    logged_in.chmod(0o644)
    run("login", centre.address)
    assert stat.S_IMODE(logged_in.stat().st_mode) == 0o600


def test_a_token_that_does_not_work_is_not_kept(centre: Centre, run: Run, kept: Path) -> None:
    found = run("login", centre.address, BARAY_TOKEN="wrong-token")
    assert found.code == 3
    assert not kept.exists()
    assert "wrong-token" not in found.out + found.err


@pytest.mark.parametrize("flags", [["--no-input"], []])
def test_nobody_is_asked_where_nobody_is(spawn: Run, flags: list[str]) -> None:
    found = spawn("login", "gpu.example", *flags, BARAY_TOKEN=None)
    assert found.code == 2
    assert "--token-stdin" in found.err


def test_no_address(run: Run) -> None:
    found = run("login", BARAY_ADDRESS=None)
    assert found.code == 2
    assert "which centre?" in found.err


def test_a_token_with_odd_letters(centre: Centre, spawn: Run) -> None:
    found = spawn("login", centre.address, "--token-stdin", stdin="two words\n", BARAY_TOKEN=None)
    assert found.code == 2
    assert "two words" not in found.err


def test_a_login_is_used(centre: Centre, run: Run, logged_in: Path) -> None:
    centre.on("GET /projects/speech/secrets", page({"name": "HF_TOKEN"}))
    found = run("secret", "list", BARAY_TOKEN=None, BARAY_ADDRESS=None)
    assert (found.code, found.out) == (0, "NAME\nHF_TOKEN\n")


def test_a_token_goes_nowhere_but_to_its_own_centre(run: Run, logged_in: Path) -> None:
    for arguments, more in ((["--address", "http://127.0.0.1:9"], {}), ([], {"BARAY_ADDRESS": "http://127.0.0.1:9"})):
        found = run("jobs", *arguments, **({"BARAY_TOKEN": None, "BARAY_ADDRESS": None} | more))
        assert found.code == 3
        assert "not logged in to http://127.0.0.1:9" in found.err


def test_flags_go_before_the_environment_before_the_file(centre: Centre, run: Run, logged_in: Path) -> None:
    other = {"BARAY_ADDRESS": "http://127.0.0.1:9", "BARAY_TOKEN": "another"}
    assert run("whoami", "--context", "here", **other).code == 0
    assert run("whoami", "--address", centre.address, BARAY_ADDRESS="http://127.0.0.1:9").code == 0
    assert run("whoami", BARAY_TOKEN="another", BARAY_ADDRESS=None).code == 3
    assert centre.requests[-1].headers["authorization"] == f"Bearer {TOKEN}"
    assert run("whoami", BARAY_TOKEN=None).code == 0


def test_an_unknown_context(run: Run, logged_in: Path) -> None:
    found = run("jobs", "--context", "there")
    assert found.code == 2
    assert "no context 'there'; known: here" in found.err


def test_contexts_are_listed_and_switched(centre: Centre, run: Run, logged_in: Path) -> None:
    run("login", centre.address, "--context", "other")
    assert json.loads(run("context", "list", "-o", "json").out) == [
        {"current": False, "name": "here", "address": centre.address, "logged_in": True, "project": "speech"},
        {"current": True, "name": "other", "address": centre.address, "logged_in": True, "project": None},
    ]
    assert run("context", "use", "here", "-p", "vision").code == 0
    data = json.loads(logged_in.read_text())
    assert (data["current"], data["contexts"]["here"]["project"]) == ("here", "vision")


def test_whoami(centre: Centre, run: Run, logged_in: Path) -> None:
    out = run("whoami", BARAY_TOKEN=None).out
    for text in ("dara  Sok Dara", "member of speech", "laptop, does not expire", centre.address, "here"):
        assert text in out
    assert json.loads(run("whoami", "-o", "json").out) == WHO


def test_logout_revokes_and_forgets(centre: Centre, run: Run, logged_in: Path) -> None:
    centre.on("POST /logout", Answer(204))
    assert run("logout", BARAY_TOKEN=None).code == 0
    assert len(centre.asked("POST /logout")) == 1
    assert TOKEN not in logged_in.read_text()
    found = run("jobs", BARAY_TOKEN=None, BARAY_ADDRESS=None)
    assert found.code == 3
    assert f"not logged in to {centre.address}" in found.err


def test_a_logout_that_fails_forgets_only_if_asked(centre: Centre, run: Run, logged_in: Path) -> None:
    centre.on("POST /logout", problem(500, "internal", "out of order"))
    assert run("logout", BARAY_TOKEN=None).code == 6
    assert TOKEN in logged_in.read_text()
    found = run("logout", "--forget", BARAY_TOKEN=None)
    assert found.code == 0
    assert "stays valid" in found.err
    assert TOKEN not in logged_in.read_text()


def test_xdg(centre: Centre, run: Run, tmp_path: Path) -> None:
    centre.on("GET /whoami", WHO)
    run("login", centre.address, XDG_CONFIG_HOME=str(tmp_path / "xdg"))
    assert (tmp_path / "xdg/baray/contexts.json").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "contexts.json:1:2: broken JSON"), ("[]", "is no contexts file"), ('{"contexts": 7}', "is no")],
)
def test_a_broken_file(run: Run, kept: Path, text: str, words: str) -> None:
    kept.parent.mkdir(parents=True)
    kept.write_text(text)
    found = run("jobs")
    assert found.code == 1
    assert words in found.err
    assert "try: " in found.err


def test_a_token_that_is_typed_is_not_shown(centre: Centre, env: dict[str, str], kept: Path) -> None:
    import os
    import pty
    import subprocess
    import sys

    from tests.cli.conftest import surroundings

    centre.on("GET /whoami", WHO)
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "cli", "login"]
    more = {"BARAY_TOKEN": None}
    streams = {"stdin": follower, "stdout": follower, "stderr": follower}
    with subprocess.Popen(command, env=surroundings(env, more), start_new_session=True, **streams) as process:
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
    assert b"logged in to" in shown
    assert TOKEN.encode() not in shown
    assert TOKEN in kept.read_text()
