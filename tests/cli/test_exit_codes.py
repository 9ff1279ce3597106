"""Every exit code, and that no failure is told by a traceback."""

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import JOB, TOKEN, Answer, Centre, attempt, ended, job, page, problem


def test_done(centre: Centre, spawn: Run) -> None:
    centre.on("GET /jobs", page(JOB))
    found = spawn("jobs")
    assert (found.code, found.err) == (0, "")
    assert "1842" in found.out


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, 2), (413, 2), (422, 2), (401, 3), (403, 3), (404, 4), (409, 5), (412, 5), (429, 5), (500, 6), (507, 6),
        (418, 1),
    ],
)  # fmt: skip
def test_each_status_has_its_code(centre: Centre, run: Run, status: int, code: int) -> None:
    centre.on("GET /jobs/7", problem(status, "rule", "this is why", fixes=["do that"]))
    found = run("show", "7")
    assert found.code == code
    assert found.out == ""
    assert found.err.startswith("error: this is why\n  try: do that\n")
    assert "Traceback" not in found.err


def test_nobody_answers(spawn: Run) -> None:
    found = spawn("jobs", BARAY_ADDRESS="http://127.0.0.1:9")
    assert (found.code, found.out) == (6, "")
    assert "cannot reach http://127.0.0.1:9: connection refused\n  try: " in found.err


def test_wrong_usage(run: Run) -> None:
    found = run("jobs", "--stat", "running")
    assert (found.code, found.out) == (2, "")
    assert "--state" in found.err


def test_what_is_below_nothing_is_told_as_such(run: Run) -> None:
    wrong = run("admin", "price", "set", "-1", "USD", "--reason", "x")
    assert (wrong.code, "'-1' begins like an option, and nothing may be below 0" in wrong.err) == (2, True)


def test_an_unknown_command_is_guessed(run: Run) -> None:
    found = run("sumbit")
    assert found.code == 2
    assert "Did you mean 'submit'?" in found.err


def test_not_logged_in(run: Run) -> None:
    for without in ({"BARAY_TOKEN": None}, {"BARAY_TOKEN": None, "BARAY_ADDRESS": None}):
        found = run("jobs", **without)
        assert found.code == 3
        assert "not logged in" in found.err
        assert "baray login" in found.err


def test_a_token_that_is_not_valid(centre: Centre, run: Run) -> None:
    found = run("jobs", BARAY_TOKEN="another-token")
    assert found.code == 3
    assert "baray login" in found.err
    assert "another-token" not in found.err
    assert centre.requests == []


@pytest.mark.parametrize("flags", [["--wait"], ["--follow"]])
@pytest.mark.parametrize(
    ("state", "memory", "code"),
    [
        ("succeeded", False, 0),
        ("failed", False, 100),
        ("cancelled", False, 103),
        ("failed", True, 104),
        ("timed_out", False, 105),
    ],
)
def test_the_end_of_a_job_is_the_code(
    centre: Centre, run: Run, flags: list[str], state: str, memory: bool, code: int
) -> None:
    over = ended(state)
    centre.on("POST /jobs", JOB)
    centre.on("GET /jobs/1842", JOB)
    centre.on("GET /jobs/1842/wait", over)
    centre.on("GET /jobs/1842/attempts", page(attempt(1, out_of_memory=not memory), attempt(2, out_of_memory=memory)))
    stream = b'id: 3\ndata: {"offset": 0, "text": "hi\\n"}\n\nevent: end\ndata: {"state": "x"}\n\n'
    centre.on("GET /jobs/1842/logs/stream", Answer(body=stream, headers={"Content-Type": "text/event-stream"}))
    found = run("submit", "-p", "speech", *flags, "--", "true")
    assert found.code == code
    assert found.out == ("hi\n" if flags == ["--follow"] else "submitted job 1842\n")
    assert f"job 1842 {state}" in found.err


def test_out_of_memory_told_by_the_reason(centre: Centre, run: Run) -> None:
    reason = {"code": "out_of_memory", "message": "used 65 GiB of 64 GiB", "facts": {}, "fixes": []}
    centre.on("GET /jobs/1842/wait", ended("failed", reason=reason))
    assert run("wait", "1842").code == 104


def test_out_of_memory_of_one_task(centre: Centre, run: Run) -> None:
    tries = [attempt(1, "1842_0", out_of_memory=True), attempt(2, "1842_0"), attempt(1, "1842_3", out_of_memory=True)]
    centre.on("GET /jobs/1842/wait", ended("failed"))
    centre.on("GET /jobs/1842/attempts", page(*tries))
    assert run("wait", "1842").code == 104
    centre.on("GET /jobs/1842/attempts", page(*tries[:2]))
    assert run("wait", "1842").code == 100


def test_the_first_that_did_not_succeed_is_the_code(centre: Centre, run: Run) -> None:
    for number, state in ((1, "succeeded"), (2, "timed_out"), (3, "cancelled")):
        centre.on(f"GET /jobs/{number}/wait", ended(state, id=number))
    found = run("wait", "1", "2", "3")
    assert found.code == 105
    assert [line.split(" after")[0] for line in found.out.splitlines()] == [
        "job 1 succeeded", "job 2 timed_out", "job 3 cancelled",
    ]  # fmt: skip


def test_a_wait_that_takes_too_long(centre: Centre, run: Run) -> None:
    centre.on("GET /jobs/1842/wait", JOB)
    found = run("wait", "1842", "--timeout", "0s")
    assert found.code == 1
    assert "not over yet" in found.err


def test_a_bug_is_one_line(centre: Centre, run: Run) -> None:
    centre.on("GET /jobs", page({"id": 7}))
    found = run("jobs")
    assert found.code == 1
    assert found.err.count("\n") == 1
    assert "baray stumbled: KeyError" in found.err
    assert "BARAY_DEBUG=1" in found.err


def test_a_bug_in_full_for_those_who_ask(centre: Centre, run: Run) -> None:
    centre.on("GET /jobs", page({"id": 7}))
    found = run("jobs", BARAY_DEBUG="1")
    assert found.code == 1
    assert "Traceback" in found.err


def test_some_other_server_at_the_address(centre: Centre, run: Run) -> None:
    centre.on("GET /jobs", Answer(body=b"<html>", headers={"Content-Type": "text/html"}))
    found = run("jobs")
    assert found.code == 1
    assert "check the address" in found.err


def test_a_pipe_that_closes_is_no_failure_to_talk_about(centre: Centre, env: dict[str, str]) -> None:
    import subprocess
    import sys

    from tests.cli.conftest import surroundings

    centre.on("GET /jobs", page(*[JOB] * 1000), page(*[JOB] * 1000))
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "jobs", "-o", "json"],
        env=surroundings(env, {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(10)
    assert TOKEN not in str(process.args)


def test_a_task_is_waited_for_by_itself(centre: Centre, run: Run) -> None:
    """The API answers with the job when a task of it is over; the job may go on."""
    running = job(state="running", started_ms=1, tasks=JOB["tasks"] | {"total": 2, "running": 1, "failed": 1})
    tasks = [{"id": f"1842_{n}", "index": n, "state": s, "attempts": 1, "started_ms": 1, "ended_ms": 2, "reason": "exit 3"}
             for n, s in ((0, "running"), (1, "failed"))]  # fmt: skip
    centre.on("GET /jobs/1842_1/wait", running)
    centre.on("GET /jobs/1842_1/tasks", page(*tasks))
    centre.on("GET /jobs/1842_1/attempts", page(attempt(1, "1842_1")))
    found = run("wait", "1842_1")
    assert found.code == 100
    assert found.out.startswith("job 1842_1 failed after")
    assert found.out.endswith("exit 3\n")
