"""The other commands: what they ask the centre for, and what they say."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run, surroundings
from tests.client.scripted import JOB, Answer, Centre, events, job, page, problem


def test_steering_many(centre: Centre, run: Run) -> None:
    centre.on("POST /jobs/1/cancel", job(id=1, state="cancelled"))
    centre.on("POST /jobs/2/cancel", problem(409, "conflict", "job 2 is over", fixes=["leave it"]))
    centre.on("POST /jobs/3_7/cancel", job(id=3, state="stopping"))
    found = run("cancel", "1", "2", "3_7")
    assert found.code == 5
    assert found.out == "cancelled job 1\ncancelled job 3 (now stopping)\n"
    assert found.err == "job 2: job 2 is over\n  try: leave it\n"


@pytest.mark.parametrize(("command", "word"), [("hold", "held"), ("release", "released"), ("requeue", "requeued")])
def test_steering(centre: Centre, run: Run, command: str, word: str) -> None:
    after = job(state="held" if command == "hold" else "pending")
    centre.on(f"POST /jobs/1842/{command}", after)
    assert run(command, "1842").out == f"{word} job 1842\n"
    assert run(command, "1842", "-q").out == "1842\n"
    assert json.loads(run(command, "1842", "-o", "json").out) == after


def test_logs(centre: Centre, spawn: Run) -> None:
    centre.on("GET /jobs/1842_7/logs", Answer(body=b"one\ntwo\n\xff\nend"), Answer(body=b""))
    found = subprocess_bytes(centre, "logs", "1842_7.2", "--rank", "1")
    assert found == b"one\ntwo\n\xff\nend"
    asked = centre.requests[0].query
    assert (asked["attempt"], asked["rank"]) == (["2"], ["1"])


@pytest.mark.parametrize(("tail", "wanted"), [("0", ""), ("2", "two\nend"), ("9", "one\ntwo\nend")])
def test_the_tail_of_a_log(centre: Centre, run: Run, tail: str, wanted: str) -> None:
    centre.on("GET /jobs/7/logs", Answer(body=b"one\nt"), Answer(body=b"wo\nend"), Answer(body=b""))
    assert run("logs", "7", "--tail", tail).out == wanted


def test_following_a_log(centre: Centre, run: Run) -> None:
    reason = {"code": "capacity", "message": "4 asked, 2 free", "facts": {}, "fixes": []}
    centre.on("GET /jobs/7", job(id=7, reason=reason))
    centre.on("GET /jobs/7/logs", Answer(body=b"one\ntwo\n"), Answer(body=b""))
    more = 'id: 14\ndata: {"offset": 8, "text": "three\\n"}'
    centre.on("GET /jobs/7/logs/stream", events(more, 'event: end\ndata: {"state": "succeeded"}'))
    found = run("logs", "7", "-f", "--tail", "1")
    assert found.out == "two\nthree\n"
    assert found.err == "job 7 is pending: 4 asked, 2 free\njob 7 succeeded\n"
    assert centre.asked("GET /jobs/7/logs/stream")[0].query["offset"] == ["8"]
    assert run("logs", "7.2", "-f").code == 2


def test_outputs(centre: Centre, run: Run, tmp_path: Path) -> None:
    files = {"results/a.txt": b"a" * 2000, "results/b.bin": b"b", "log.txt": b"l"}
    listed = [
        {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for path, data in files.items()
    ]
    centre.on("GET /jobs/7/outputs", page(*listed))
    for path, data in files.items():
        centre.on(f"GET /jobs/7/outputs/{path}", Answer(body=data))
    assert run("outputs", "list", "7").out.splitlines()[1].split() == ["results/a.txt", "2.0", "KiB"]
    found = run("outputs", "download", "7", "results", "--to", str(tmp_path / "here"))
    assert found.code == 0
    assert (tmp_path / "here/results/a.txt").read_bytes() == files["results/a.txt"]
    assert not (tmp_path / "here/log.txt").exists()
    again = run("outputs", "download", "7", "--to", str(tmp_path / "here"))
    assert again.err == "1 file, 1 B; 2 were here already\n"
    (tmp_path / "here/log.txt").write_text("mine")
    refused = run("outputs", "download", "7", "*.txt", "--to", str(tmp_path / "here"))
    assert refused.code == 2
    assert "log.txt: is here already, and differs" in refused.err
    assert run("outputs", "download", "7", "*.txt", "--to", str(tmp_path / "here"), "--force").code == 0
    assert (tmp_path / "here/log.txt").read_text() == "l"
    assert run("outputs", "download", "7", "*.zip").code == 4


def test_secrets_come_from_stdin_and_are_not_shown(centre: Centre, spawn: Run, run: Run) -> None:
    centre.on("PUT /projects/speech/secrets/HF", Answer(204))
    centre.on("DELETE /projects/speech/secrets/HF", Answer(204))
    found = spawn("secret", "set", "HF", "-p", "speech", stdin="s3cret line\nsecond\n")
    assert (found.code, found.out) == (0, "set HF of speech\n")
    assert centre.requests[0].json == {"value": "s3cret line\nsecond"}
    assert run("secret", "remove", "HF", "-p", "speech").out == "removed HF of speech\n"
    assert spawn("secret", "set", "HF", "-p", "speech", stdin="").code == 2


def test_quota_and_allocations(centre: Centre, run: Run) -> None:
    quota = {"account": "cadt", "flavor": "h100", "guaranteed": 8, "borrow_limit": None, "lend_limit": 0, "held": 2}
    warned = {"items": [quota], "next": None, "warnings": ["h100: 3 are missing"]}
    centre.on("GET /quotas", warned)
    found = run("quota", "cadt")
    assert found.out.splitlines()[1].split() == ["cadt", "h100", "2", "8", "no", "limit", "0"]
    assert found.err == "warning: h100: 3 are missing\n"
    assert centre.requests[0].query["account"] == ["cadt"]
    rows = [
        {"id": n, "project": p, "su": "100", "starts_ms": 0, "ends_ms": 1, "sources": [{"grant": 1, "su": "100"}],
         "state": "active", "available_su": "40", "held_su": "10", "consumed_su": "50"}
        for n, p in ((1, "speech"), (2, "vision"))
    ]  # fmt: skip
    centre.on("GET /allocations", page(*rows))
    assert run("allocations", "-q").out == "1\n2\n"
    run("allocations", "-q", "-p", "vision")
    assert centre.requests[-1].query["project"] == ["vision"]
    assert "sources" in run("allocations", "-o", "csv").out.splitlines()[0]


USAGE = {
    "by": "project",
    "from_ms": 0,
    "to_ms": 86_400_000,
    "rows": [
        {"key": "speech", "title": "Speech", "gpu_ms": {"h100": 5_400_000}, "total_gpu_ms": 5_400_000,
         "charged_su": "1.5", "held_su": "0", "attempts": 3},
    ],
    "total": {"total_gpu_ms": 5_400_000, "charged_su": "1.5", "held_su": "0", "attempts": 3},
    "metered": {},
    "agrees": True,
}  # fmt: skip


def test_usage(centre: Centre, run: Run) -> None:
    centre.on("GET /usage", USAGE)
    found = run("usage", "--by", "project", "--from", "2026-01-01", "--to", "now")
    assert found.out.splitlines()[-2].split() == ["speech", "Speech", "1.50", "1.5", "0", "3"]
    assert found.out.splitlines()[-1].split() == ["total", "-", "1.50", "1.5", "0", "3"]
    assert found.err == ""
    assert set(centre.requests[0].query) == {"by", "from_ms", "to_ms"}
    assert json.loads(run("usage", "-o", "json").out) == USAGE
    assert run("usage", "-o", "csv").out.startswith("key,title,total_gpu_ms,")
    centre.on("GET /usage", USAGE | {"agrees": False})
    assert "do not agree" in run("usage").err
    centre.on("GET /usage", USAGE | {"agrees": None})  # to an officer of a funder, who sees a part
    assert run("usage").err == ""
    assert run("usage", "--from", "soon").code == 2


DAYS = "--days tue,thu --until 2097-01-31"


@pytest.mark.parametrize(
    ("line", "route", "body"),
    [
        ("tenant add cadt --title CADT --kind university --weight 2", "POST /tenants",
         {"name": "cadt", "title": "CADT", "kind": "university", "weight": 2}),
        ("tenant set cadt --state suspended", "PATCH /tenants/cadt", {"state": "suspended"}),
        ("project add speech --tenant cadt --lead dara --title Speech", "POST /projects",
         {"name": "speech", "tenant": "cadt", "lead": "dara", "title": "Speech"}),
        ("project set speech --title Speech2", "PATCH /projects/speech", {"title": "Speech2"}),
        ("project member add speech sok", "POST /projects/speech/members", {"user": "sok", "role": "member"}),
        ("member add speech sok --role lead", "POST /projects/speech/members", {"user": "sok", "role": "lead"}),
        ("user add sok --title Sok", "POST /users", {"name": "sok", "title": "Sok"}),
        ("role add sok auditor centre", "POST /users/sok/roles", {"account": "centre", "role": "auditor"}),
        ("cluster drain here", "PATCH /clusters/here", {"state": "draining"}),
        ("cluster resume here", "PATCH /clusters/here", {"state": "active"}),
        (
            "cluster label here clearance=internal residency=", "PATCH /clusters/here",
            {"labels": {"clearance": "internal", "residency": None}},
        ),
        ("node drain here n1 --reason fan", "PATCH /clusters/here/nodes/n1", {"state": "drained", "reason": "fan"}),
        (
            f"reservation add class --account cadt --flavor h100 --gpus 8 --start 2096-12-04T09:00 --for 2h --repeat weekly {DAYS}",
            "POST /reservations",
            {"name": "class", "account": "cadt", "flavor": "h100", "gpus": 8, "starts_ms": 4_005_450_000_000,
             "length": "2h", "repeat": "weekly", "days": ["tue", "thu"], "until_ms": 4_010_515_200_000,
             "utc_offset": "+00:00"},
        ),
        (
            "reservation add fans --maintenance --cluster here --nodes n1,n2 --start 2096-12-04 --for 1d",
            "POST /reservations",
            {"name": "fans", "maintenance": True, "cluster": "here", "nodes": ["n1", "n2"],
             "starts_ms": 4_005_417_600_000, "length": "1d", "repeat": "none", "utc_offset": "+00:00"},
        ),
        ("node resume here n1", "PATCH /clusters/here/nodes/n1", {"state": "active"}),
        ("flavor add h100 --title H100 --rate 1.5", "POST /flavors",
         {"name": "h100", "title": "H100", "milli": 1000, "rate_su_per_hour": "1.5"}),
        ("funder add moef --title MEF", "POST /funders", {"name": "moef", "title": "MEF"}),
    ],
)  # fmt: skip
def test_admin_changes(centre: Centre, run: Run, line: str, route: str, body: dict) -> None:
    known = {"account": None, "flavor": None, "cluster": None, "nodes": [], "next": []}
    centre.on(route, {"name": "x", "id": 7, "user": "sok", "role": "r", **known, **body})
    found = run("admin", *line.split())
    assert (found.code, found.err) == (0, "")
    assert centre.asked(route)[0].json == body
    assert len(found.out.splitlines()) == 1
    assert isinstance(json.loads(run("admin", *line.split(), "-o", "json").out), dict)


@pytest.mark.parametrize(
    ("line", "route"),
    [
        ("project member remove speech sok", "DELETE /projects/speech/members/sok"),
        ("role remove sok auditor centre", "DELETE /users/sok/roles/centre/auditor"),
        ("token remove 7", "DELETE /tokens/7"),
        ("quota remove cadt h100", "DELETE /quotas/cadt/h100"),
        ("reservation remove class", "DELETE /reservations/class"),
    ],
)
def test_admin_removals(centre: Centre, run: Run, line: str, route: str) -> None:
    centre.on(route, Answer(204))
    assert run("admin", *line.split()).code == 0
    assert run("admin", *line.split(), "-o", "json").out == ""
    assert len(centre.asked(route)) == 2


NODE = {"name": "n1", "devices": {"h100": 8}, "cpus": 64, "memory": "512Gi", "state": "ready", "used": {"h100": 2}}
THINGS = {
    "tenant": ("/tenants", {"name": "cadt", "title": "CADT", "kind": "university", "state": "active", "weight": 1}),
    "project": ("/projects", {"name": "speech", "tenant": "cadt", "title": "S", "lead": "d", "state": "active", "weight": 1}),
    "user": ("/users", {"name": "dara", "title": "Sok Dara"}),
    "cluster": ("/clusters", {"name": "here", "driver": "local", "state": "active", "notes": ["a"], "nodes": [NODE]}),
    "flavor": ("/flavors", {"name": "h100", "title": "H100", "milli": 1000, "rate_su_per_hour": "1", "total": 8, "used": 2}),
    "reservation": (
        "/reservations",
        {"name": "class", "account": "cadt", "maintenance": False, "cluster": None, "nodes": [], "flavor": "h100",
         "gpus": 8, "starts_ms": 4_005_450_000_000, "length": "2h", "repeat": "weekly", "days": ["tue"],
         "until_ms": 4_010_515_200_000, "utc_offset": "+07:00", "next": []},
    ),
    "grant": ("/grants", {"id": 3, "name": "g", "funder": "f", "su": "9", "starts_ms": 0, "ends_ms": 1, "available_su": "4"}),
    "allocation": ("/allocations", {"id": 4, "project": "p", "su": "9", "starts_ms": 0, "ends_ms": 1, "sources": []}),
}  # fmt: skip


@pytest.mark.parametrize("thing", THINGS)
def test_admin_lists_and_shows(centre: Centre, run: Run, thing: str) -> None:
    path, found = THINGS[thing]
    key = str(found["id"] if "id" in found else found["name"])
    centre.on(f"GET {path}", page(found))
    centre.on(f"GET {path}/{key}", found)
    centre.on(f"GET {path}/{key}/decisions", page())
    assert run("admin", thing, "list", "-q").out == f"{key}\n"
    assert len(run("admin", thing, "list").out.splitlines()) == 2
    assert json.loads(run("admin", thing, "list", "-o", "json").out) == [found]
    assert json.loads(run("admin", thing, "show", key, "-o", "json").out) == found
    assert key in run("admin", thing, "show", key).out
    assert len(run("admin", thing, "list", "-o", "csv").out.splitlines()) == 2


def test_a_reservation_is_shown_with_its_next_occurrences_and_what_may_be_missing(centre: Centre, run: Run) -> None:
    later = [{"starts_ms": 86_400_000 * n, "ends_ms": 86_400_000 * n + 7_200_000} for n in (1, 8)]
    warned = {"next": later, "warnings": ["2 of 8 GPUs may be missing"]}
    centre.on("GET /reservations/class", {**THINGS["reservation"][1], **warned})
    lines = run("admin", "reservation", "show", "class").out.splitlines()
    assert [line.split(maxsplit=1) for line in lines[:6]] == [
        ["name", "class"], ["for", "cadt"], ["what", "8 h100"], ["next", "1970-01-02 00:00:00 UTC"], ["length", "2h"],
        ["repeats", "weekly tue until 2097-01-31"],
    ]  # fmt: skip
    assert lines[-3:-1] == [
        "1970-01-02 00:00:00 UTC  1970-01-02 02:00:00 UTC", "1970-01-09 00:00:00 UTC  1970-01-09 02:00:00 UTC",
    ]  # fmt: skip
    assert lines[-1] == "warning: 2 of 8 GPUs may be missing"


def test_a_reservation_that_would_end_before_it_begins_is_not_sent(centre: Centre, run: Run) -> None:
    line = "reservation add x --maintenance --cluster c --start 2096-12-04 --for 1h --repeat daily --until 2096-12-01"
    assert run("admin", *line.split()).err == "error: --until: lies before --start\n"
    assert centre.requests == []


def test_admin_short_lists(centre: Centre, run: Run) -> None:
    centre.on("GET /projects/speech/members", page({"user": "dara", "role": "lead"}))
    centre.on("GET /users/dara/roles", page({"account": "speech", "role": "lead"}))
    centre.on("GET /users/dara/tokens", page({"id": 3, "name": "laptop", "expires_ms": None}))
    centre.on("GET /flavors/h100/rates", page({"from_ms": 0, "su_per_hour": "1"}))
    centre.on("GET /funders", page({"name": "moef", "title": "MEF"}))
    assert run("admin", "member", "list", "speech", "-q").out == "dara\n"
    assert run("admin", "role", "list", "dara", "-q").out == "lead\n"
    assert run("admin", "token", "list", "dara", "-q").out == "3\n"
    assert run("admin", "rate", "list", "h100", "-o", "csv").out == "from_ms,su_per_hour,author,created_ms\n0,1,,\n"
    assert run("admin", "funder", "list", "-q").out == "moef\n"


def test_a_new_token_is_shown_once_and_alone(centre: Centre, run: Run) -> None:
    made = {"id": 9, "name": "ci", "token": "fresh-token", "expires_ms": None}
    centre.on("POST /users/dara/tokens", made)
    found = run("admin", "token", "add", "dara", "--name", "ci", "--expires", "90d")
    assert found.out == "fresh-token\n"
    assert "shown this once" in found.err
    assert set(centre.requests[0].json) == {"name", "expires_ms"}


def test_the_priority_of_a_job_is_set_as_it_was_seen(centre: Centre, run: Run) -> None:
    job = {"id": 7, "name": "x", "project": "p", "user": "u", "state": "pending", "spec": {}, "tasks": {"total": 1}}
    centre.on("GET /jobs/7", Answer(json=job, headers={"ETag": '"4"'}))
    centre.on("PATCH /jobs/7", job | {"priority": -20})
    found = run("priority", "7", "-20")
    assert (found.code, found.out) == (0, "set the priority of job 7 to -20\n")
    assert centre.requests[-1].json == {"priority": -20}
    assert centre.requests[-1].headers["if-match"] == '"4"'
    assert run("priority", "7", "101").code == 2
    assert run("priority", "7").code == 2


def test_quota_and_limit_set(centre: Centre, run: Run) -> None:
    centre.on(
        "GET /quotas/cadt/h100",
        Answer(json={"guaranteed": 8, "borrow_limit": 4, "lend_limit": 1}, headers={"ETag": '"1"'}),
    )
    centre.on("PUT /quotas/cadt/h100", {"account": "cadt"})
    centre.on("GET /quotas", {"items": [], "next": None, "warnings": []})
    assert run("admin", "quota", "set", "cadt", "h100", "--guaranteed", "0", "--borrow-limit", "none").code == 0
    assert centre.requests[-2].json == {"guaranteed": 0, "borrow_limit": None, "lend_limit": 1}
    centre.on("GET /limits/cadt", {"running_jobs": 5, "queued_jobs": None, "gpus_per_job": 8, "walltime": "48h"})
    centre.on("PUT /limits/cadt", {"running_jobs": 5})
    assert run("admin", "limit", "set", "cadt", "--walltime", "none", "--queued-jobs", "100").code == 0
    assert centre.requests[-1].json == {"running_jobs": 5, "queued_jobs": 100, "gpus_per_job": 8, "walltime": None}
    assert "48h" in run("admin", "limit", "show", "cadt").out
    assert run("admin", "limit", "set", "cadt").code == 2
    assert "neither a whole number" in run("admin", "quota", "set", "cadt", "h100", "--guaranteed", "x").err
    assert "write 0 for nothing" in run("admin", "quota", "set", "cadt", "h100", "--guaranteed", "none").err


def test_grants_rates_and_allocations(centre: Centre, run: Run) -> None:
    centre.on("POST /grants", {"id": 3})
    centre.on("POST /allocations", {"id": 4, "su": "500.5"})
    centre.on("POST /flavors/h100/rates", {"from_ms": 0, "su_per_hour": "2"})
    assert (
        run("admin", "grant", "add", "g", "--funder", "f", "--su", "500", "--from", "2026-01-01", "--to", "365d").code
        == 0
    )
    body = centre.requests[-1].json
    assert body["ends_ms"] - body["starts_ms"] == 365 * 86_400_000
    assert (
        run(
            "admin",
            "allocation",
            "add",
            "speech",
            "--source",
            "3=500",
            "--source",
            "4=0.5",
            "--to",
            "90d",
            "--reason",
            "x",
        ).code
        == 0
    )
    body = centre.requests[-1].json
    assert set(body) == {"project", "starts_ms", "ends_ms", "sources", "reason"}
    assert body["sources"] == [{"grant": "3", "su": "500"}, {"grant": "4", "su": "0.5"}]
    assert run("admin", "rate", "add", "h100", "2", "--from", "7d").code == 0
    for wrong in (
        ["--source", "3"],
        ["--source", "3=x"],
        ["--source", "3=1", "--from", "2026-01-02", "--to", "2026-01-01"],
    ):
        assert run("admin", "allocation", "add", "speech", "--to", "90d", "--reason", "x", *wrong).code == 2


def subprocess_bytes(centre: Centre, *arguments: str) -> bytes:
    from tests.client.scripted import TOKEN

    env = surroundings({"BARAY_ADDRESS": centre.address, "BARAY_TOKEN": TOKEN}, {})
    command = [sys.executable, "-m", "cli", *arguments]
    return subprocess.run(command, env=env, capture_output=True, check=True, timeout=20).stdout


@pytest.fixture
def runtime(tmp_path: Path) -> Path:
    """A stand-in for the room that runs a centre: it says what it was given, then does it."""
    (tmp_path / "runtime.py").write_text(
        "import signal, sys, time\n"
        "print('runtime', *sys.argv[1:], flush=True)\n"
        "if '--sleep' in sys.argv:\n"
        "    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(20)\n"
        "sys.exit(5)\n"
    )
    return tmp_path


@pytest.mark.parametrize("name", ["up", "demo", "settings"])
def test_commands_of_one_machine_are_handed_over(runtime: Path, spawn: Run, name: str) -> None:
    found = spawn(name, "--port", "80", "-o", "json", "x", "--help")
    assert (found.code, found.out) == (5, f"runtime {name} --port 80 -o json x --help\n")


def test_signals_reach_what_was_handed_over(runtime: Path, env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "cli", "up", "--sleep"]
    with subprocess.Popen(
        command, env=surroundings(env, {}), cwd=runtime, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "runtime up --sleep\n"
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, signal.SIGTERM)
        assert process.wait(10) == 7


def test_a_stranger_in_the_directory_is_not_run(runtime: Path, env: dict[str, str]) -> None:
    """Started by its own name, baray runs its own runtime, whatever lies in the user's directory."""
    code = "import sys; sys.path[0] = '/nowhere'; import cli.main; cli.main.main(['settings'])"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=surroundings(env, {}),
        cwd=runtime,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "runtime settings" not in found.stdout


def test_json_of_a_list_holds_every_page(centre: Centre, run: Run) -> None:
    centre.on("GET /jobs", page(JOB, after="1"), page(JOB, after="2"), page(JOB))
    assert len(json.loads(run("jobs", "-o", "json").out)) == 3
