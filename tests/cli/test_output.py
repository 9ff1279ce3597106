"""What is printed: every format, on a terminal and off it, short and very long."""

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cli import tables, words
from cli.commands.queue import columns, read
from cli.output import to_yaml
from cli.tables import Column
from tests.cli.conftest import Run, surroundings
from tests.client.scripted import JOB, Answer, Centre, Request, ended, job, page

REASON = {
    "code": "capacity",
    "message": "4 h100-80gb asked, 2 free",
    "facts": {"asked": 4, "free": 2},
    "fixes": ["2 instead of 4 GPUs starts now"],
}
JOBS = [
    job(id=12, name="ភាសា", reason=REASON),
    ended("succeeded", id=7, reason="exit code 1", tasks=JOB["tasks"] | {"total": 8, "succeeded": 8}),
]


def estimate(starts_ms: int) -> dict[str, int]:
    return {"starts_ms": starts_ms, "low_ms": starts_ms - 600_000, "high_ms": starts_ms + 900_000}


def entry(number: int, **fields) -> dict:
    return {
        "job": number,
        "project": f"project-{number % 100}",
        "tenant": "cadt",
        "user": f"user{number % 500}",
        "name": f"train-{number}",
        "state": "pending",
        "rank": number,
        "share": "0.125",
        "flavor": ["h100-80gb"],
        "gpus": 4,
        "nodes": 1,
        "cpus": 8,
        "tasks": 1,
        "submitted_ms": 1_760_000_000_000 + 137 * number,
        "reason": REASON,
        "estimate": estimate(1_760_000_000_000 + 60_000 * number),
    } | fields


def by_columns(*entries: dict) -> dict:
    """The same queue as ``GET /queue/columns`` answers it."""
    names = [name for name in entry(0) if name not in {"reason", "estimate"}]
    columns = {name: [one[name] for one in entries] for name in names}
    columns["reason"] = list(range(len(entries)))
    for name in ("starts_ms", "low_ms", "high_ms"):
        columns[name] = [one["estimate"] and one["estimate"][name] for one in entries]
    return {"columns": columns, "reasons": [one["reason"] for one in entries]}


@pytest.fixture
def listed(centre: Centre) -> Centre:
    centre.on("GET /jobs", page(*JOBS[:1], after="x"), page(*JOBS[1:]), page(*JOBS))
    return centre


def test_table(listed: Centre, run: Run) -> None:
    head, first, second = run("jobs").out.splitlines()
    assert head.split() == ["JOB", "NAME", "PROJECT", "USER", "STATE", "GPUS", "TASKS", "SUBMITTED", "TIME", "REASON"]
    assert first.split()[:7] == ["12", "ភាសា", "speech", "dara", "pending", "4", "-"]
    assert second.split()[:7] == ["7", "train", "speech", "dara", "succeeded", "4", "8/8"]
    assert first.endswith("4 h100-80gb asked, 2 free")
    assert first.startswith(" 12  ")
    assert second.startswith("  7  ")
    assert "1m5s" in second


def test_wide_has_more(listed: Centre, run: Run) -> None:
    assert "WALLTIME" in run("jobs", "-o", "wide").out


def test_json_is_what_the_api_answers(listed: Centre, run: Run) -> None:
    assert json.loads(run("jobs", "-o", "json").out) == JOBS


def test_yaml_is_the_same(listed: Centre, run: Run) -> None:
    assert YAML(typ="safe").load(run("jobs", "-o", "yaml").out) == JOBS


def test_csv_is_flat(listed: Centre, run: Run) -> None:
    first, second = csv.DictReader(io.StringIO(run("jobs", "-o", "csv").out))
    assert (first["id"], first["name"], first["reason"]) == ("12", "ភាសា", "4 h100-80gb asked, 2 free")
    assert (second["tasks.total"], second["started_ms"], second["reason.code"]) == ("8", "1760000060000", "")
    assert second["reason"] == "exit code 1"


def test_name_and_quiet_are_ids(listed: Centre, run: Run) -> None:
    assert run("jobs", "-o", "name").out == "12\n7\n"
    assert run("jobs", "-q").out == "12\n7\n"


def test_flags_may_stand_first(listed: Centre, run: Run) -> None:
    assert run("-q", "jobs").out == "12\n7\n"
    assert json.loads(run("-o", "json", "jobs").out) == JOBS


@pytest.mark.parametrize(
    ("format_", "out"),
    [("table", ""), ("json", "[]\n"), ("yaml", "[]\n"), ("name", ""), ("csv", "job,rank")],
)
def test_nothing_at_all(centre: Centre, run: Run, format_: str, out: str) -> None:
    centre.on("GET /queue", page())
    centre.on("GET /queue/columns", by_columns())
    found = run("queue", "-o", format_)
    assert found.code == 0
    if format_ == "csv":
        assert found.out.startswith("rank,job,")
        assert found.out.count("\n") == 1
    else:
        assert found.out == out
    assert found.err == ("nothing waits\n" if format_ == "table" else "")


def test_one_thing_in_every_format(centre: Centre, run: Run) -> None:
    centre.on("GET /jobs/12", JOBS[0])
    assert json.loads(run("show", "12", "-o", "json").out) == JOBS[0]
    assert YAML(typ="safe").load(run("show", "12", "-o", "yaml").out) == JOBS[0]
    assert next(csv.DictReader(io.StringIO(run("show", "12", "-o", "csv").out)))["project"] == "speech"
    assert run("show", "12", "-q").out == "12\n"
    text = run("show", "12").out
    assert "pending" in text
    assert "2 nodes, each of 2 GPUs (h100-80gb)" in text
    assert "try: 2 instead of 4 GPUs starts now" in text


def test_show_lists_attempts_and_tasks(centre: Centre, run: Run) -> None:
    from tests.client.scripted import attempt

    task = {"id": "12_7", "index": 7, "state": "failed", "attempts": 2, "started_ms": 1, "ended_ms": 2}
    centre.on("GET /jobs/12", ended("failed", id=12))
    centre.on("GET /jobs/12/attempts", page(attempt(1, "12"), attempt(2, "12", out_of_memory=True)))
    centre.on("GET /jobs/12/tasks", page(task))
    text = run("show", "12").out
    assert "12.2" in text
    assert "out of memory" in text
    assert json.loads(run("show", "12", "--tasks", "-o", "json").out) == [task]
    assert len(json.loads(run("show", "12", "--attempts", "-o", "json").out)) == 2


def test_why(centre: Centre, run: Run) -> None:
    fix = {"change": {"resources.gpus": 2}, "starts_ms": 1, "message": "2 instead of 4 GPUs starts now"}
    waits = {"job": 12, "state": "pending", "reasons": [REASON], "estimate": estimate(10**12), "fixes": [fix]}
    centre.on("GET /jobs/12/why", waits)
    out = run("why", "12").out
    assert "because   4 h100-80gb asked, 2 free [capacity]" in out
    assert "sooner    2 instead of 4 GPUs starts now" in out
    assert re.search(r"expected  2001-09-\d\d, nine times of ten between 2001-09-\d\d and 2001-09-\d\d", out)
    assert json.loads(run("why", "12", "-o", "json").out) == waits
    centre.on("GET /jobs/12/why", {"job": 12, "state": "running", "reasons": [], "estimate": None, "fixes": []})
    assert "nothing holds it back" in run("why", "12").out


def test_queue(centre: Centre, run: Run) -> None:
    entries = [entry(1), entry(2, project="speech", user="dara", gpus=0, flavor=["cpu"], nodes=2)]
    centre.on("GET /queue/columns", by_columns(*entries))
    centre.on("GET /queue", page(*entries))
    out = run("queue").out
    assert re.search(r"ASKS +TASKS +SHARE +WAITS +START +EARLIEST +LATEST +REASON", out)
    assert re.search(r"4 h100-80gb +1 +0.125 .* 2025-10-\d\d +2025-10-\d\d +2025-10-\d\d +4 h100-80gb asked", out)
    assert re.search(r"2x8 cpu +1 ", out)
    rows = list(csv.DictReader(io.StringIO(run("queue", "-o", "csv").out)))
    assert (rows[0]["starts_ms"], rows[0]["reason.code"]) == (str(1_760_000_060_000), "capacity")
    assert json.loads(run("queue", "-o", "json").out) == entries
    assert json.loads(run("queue", "-o", "json", "--user", "dara").out) == entries[1:]
    run("queue", "-p", "speech", "-q")
    assert centre.requests[-1].query["project"] == ["speech"]
    assert run("queue", "--user", "dara", "-q").out == "2\n"
    centre.on("GET /queue/columns", by_columns(entry(1, estimate=None)))
    assert "START" not in run("queue").out


def test_a_queue_of_ten_thousand_is_printed_at_once() -> None:
    answer = by_columns(*(entry(number) for number in range(10_000)))
    now = 1_760_000_000_000 + 10_000_000

    def spent() -> float:
        before = time.process_time()
        rows = read(answer)
        assert len(tables.lines(rows, [c for c in columns(now, rows) if not c.wide], None)) == 10_001
        return time.process_time() - before

    assert min(spent() for _ in range(3)) < 0.12


def test_a_terminal_is_not_steered_by_a_name() -> None:
    rows = [{"name": "x\x1b[31mred\nline"}, {"name": "ok"}]
    assert tables.lines(rows, [Column("NAME", "name")], None) == ["NAME", "x [31mred line", "ok"]


def test_khmer_takes_the_columns_it_takes() -> None:
    rows = [{"name": "កម្ពុជា", "n": 1}, {"name": "abcde", "n": 22}]
    lines = tables.lines(rows, [Column("NAME", "name"), Column("N", "n", right=True)], None)
    assert lines == ["NAME    N", "កម្ពុជា   1", "abcde  22"]
    assert words.cut("កម្ពុជា", 4) == "កម្ពុ…"


def test_only_flexible_columns_are_cut() -> None:
    rows = [{"id": "1842", "reason": "a long reason " * 5}]
    (_, line) = tables.lines(rows, [Column("ID", "id"), Column("REASON", "reason", flex=True)], 30)
    assert line == "1842  a long reason a long re…"


def test_yaml_is_read_alike_by_old_and_new_readers() -> None:
    tricky = {
        "a": "no",
        "b": "1:30",
        "on": "0x1f",
        "c": "2020-01-01",
        "d": "",
        "e": "~",
        "f": "a: b",
        "g": "x\ny",
        "h": None,
    }
    text = to_yaml([tricky, {"n": [], "m": {}, "t": True, "i": 12345678901234567}])
    assert YAML(typ="safe").load(text)[0] == tricky
    assert 'a: "no"' in text
    assert '"on": "0x1f"' in text


def test_yaml_shows_scripts_line_by_line_where_readers_agree() -> None:
    script = "set -e\n\n\techo one: $HOME # two\n"
    assert to_yaml({"run": script}) == "run: |\n  set -e\n\n  \techo one: $HOME # two\n"
    for text in (
        script,
        script * 2,
        "a\nb",
        "a \nb",
        "a\t\nb",
        "\na\n",
        "  x\ny",
        "\u2028\n",
        "\x07\n",
        "a\r\nb",
        "\n",
        "-\n",
    ):
        assert YAML(typ="safe", pure=True).load(to_yaml({"k": text, "l": [text]})) == {"k": text, "l": [text]}


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (None, "-"),
        (0, "0s"),
        (45_900, "45s"),
        (65_000, "1m5s"),
        (12_000_000, "3h20m"),
        (187_200_000, "2d4h"),
        (-5, "0s"),
    ],
)
def test_durations(ms: int | None, text: str) -> None:
    assert words.short_duration(ms) == text


def test_times() -> None:
    now = words.parse_time("2026-03-01 14:20", 0, "--at")
    assert words.short_time(now, now) == "14:20"
    assert words.short_time(words.parse_time("2026-02-03 09:05", 0, "--at"), now) == "Feb  3 09:05"
    assert words.short_time(words.parse_time("2024-02-03", 0, "--at"), now) == "2024-02-03"
    assert words.short_time(None, now) == "-"
    assert now - words.parse_time("7d", now, "--at") == 7 * 86_400_000


def terminal(env: dict[str, str], *arguments: str, columns: int = 60) -> str:
    """What a terminal of this width is shown."""
    leader, follower = pty.openpty()
    more = {"COLUMNS": str(columns), "TERM": "xterm", "PYTHONWARNINGS": "error"}
    command = [sys.executable, "-m", "cli", *arguments]
    process = subprocess.Popen(command, env=surroundings(env, more), stdin=follower, stdout=follower, stderr=follower)
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 65_536):
            shown += chunk
    except OSError:
        pass  # the other end is closed: all was read
    os.close(leader)
    process.wait(10)
    return shown.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colour_and_no_long_lines(listed: Centre, env: dict[str, str]) -> None:
    shown = terminal(env, "jobs")
    assert "\x1b[33mpending" in shown
    listed.on("GET /jobs", page(*JOBS))
    plain = terminal(env | {"NO_COLOR": "1"}, "jobs", columns=85)
    assert "\x1b" not in plain
    assert max(words.width(line) for line in plain.splitlines()) <= 85
    assert "…" in plain


def test_a_terminal_gets_the_newest_hundred(centre: Centre, env: dict[str, str]) -> None:
    centre.on("GET /jobs", page(*[job(id=number) for number in range(500, 399, -1)], after="more"))
    shown = terminal(env, "jobs")
    assert "the newest 100" in shown
    assert len(centre.requests) == 1
    assert centre.requests[0].query["limit"] == ["101"]


def test_a_terminal_gets_a_bar_for_a_long_download(centre: Centre, env: dict[str, str], tmp_path: Path) -> None:
    import hashlib

    data = bytes(3 << 20)
    output = {"path": "big.bin", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    centre.on("GET /jobs/7/outputs", page(output))
    centre.on("GET /jobs/7/outputs/big.bin", Answer(body=data))
    shown = terminal(env, "outputs", "download", "7", "--to", str(tmp_path))
    assert "job 7" in shown
    assert (tmp_path / "big.bin").read_bytes() == data


def test_a_terminal_gets_a_bar_for_a_long_upload(centre: Centre, env: dict[str, str], tmp_path: Path) -> None:
    import hashlib
    import random

    def take(request: Request) -> Answer:
        return Answer(201, json={"sha256": hashlib.sha256(request.body).hexdigest(), "size": len(request.body)})

    (tmp_path / "data").write_bytes(random.Random(7).randbytes(3 << 20))
    centre.on("POST /sources", Answer(drop=True), take)
    centre.on("POST /jobs", Answer(200, json={"admitted": True}), JOB)
    shown = terminal(env, "submit", "-p", "speech", "--source", str(tmp_path), "--", "true")
    assert "submitted job 1842" in shown
    assert len(centre.asked("POST /sources")) == 2


def test_watch_goes_on_over_an_outage_until_it_is_stopped(centre: Centre, env: dict[str, str]) -> None:
    import signal

    centre.on("GET /queue/columns", by_columns(entry(1)), *[Answer(drop=True)] * 4)
    command = [sys.executable, "-m", "cli", "queue", "-q", "-w"]
    with subprocess.Popen(
        command, env=surroundings(env, {}), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        shown = [process.stdout.readline(), process.stdout.readline()]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
    assert shown[0] == "1\n"
    assert "trying again" in shown[1]
    assert process.returncode == 130
    assert err.strip() == ""
