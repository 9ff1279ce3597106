"""``baray admin policy``: what it sends, and how it tells what is wrong with a file."""

import json
from pathlib import Path

import pytest

from cli.commands.admin.policies import KEYS
from scheduler.policy import Policy
from scheduler.rules import KNOBS, digest, write_policy
from tests.cli.conftest import Run
from tests.client.scripted import Centre, page, problem

RECORD = {
    "id": 3, "state": "in force", "from_ms": 86_400_000, "digest": digest(Policy()), "document": write_policy(Policy()),
    "author": "admin", "reason": "exam weeks", "created_ms": 80_000_000,
}  # fmt: skip
REHEARSAL = {
    "digest": digest(Policy()), "document": write_policy(Policy()), "warnings": ["h100: 3 are missing"],
    "changes": [
        {"field": "half_life", "before": "7d", "after": "14d"}, {"field": "tiers.x.rank", "before": None, "after": 1},
    ],
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "policy.yaml"
    path.write_text("half_life: 14d\ntiers:\n  normal: {rank: 1}\n  x: {rank: -1}\n")
    return str(path)


def test_it_knows_every_knob() -> None:
    assert set(KEYS[""]) == set(KNOBS)


def test_show_and_history(centre: Centre, run: Run, tmp_path: Path) -> None:
    centre.on("GET /policy", RECORD)
    shown = run("admin", "policy", "show").out
    assert "exam weeks" in shown
    assert shown.count(str(RECORD["digest"])) == 1
    assert 'half_life: "1d"' in shown
    assert json.loads(run("admin", "policy", "show", "-o", "json").out) == RECORD
    again = tmp_path / "again.yaml"
    again.write_text(run("admin", "policy", "show", "--document").out)
    centre.on("POST /policy/check", REHEARSAL)
    assert run("admin", "policy", "check", str(again)).code == 0
    assert centre.requests[-1].json == {"document": RECORD["document"]}
    centre.on("GET /policies", page(RECORD, RECORD | {"id": 2, "state": "past"}))
    assert run("admin", "policy", "history", "-q").out == "3\n2\n"


def test_check(centre: Centre, run: Run, file: str) -> None:
    centre.on("POST /policy/check", REHEARSAL)
    found = run("admin", "policy", "check", file)
    assert found.out.splitlines() == [
        "half_life: 7d -> 14d", "tiers.x.rank: - -> 1", "warning: h100: 3 are missing", "", f"digest {digest(Policy())}",
    ]  # fmt: skip
    assert centre.requests[0].json == {
        "document": {"half_life": "14d", "tiers": {"normal": {"rank": 1}, "x": {"rank": -1}}}
    }
    assert json.loads(run("admin", "policy", "check", file, "-o", "json").out) == REHEARSAL
    centre.on("POST /policy/check", REHEARSAL | {"changes": [], "warnings": []})
    assert run("admin", "policy", "check", file).out.startswith("nothing changes")


def test_apply(centre: Centre, run: Run, file: str) -> None:
    centre.on("POST /policy/check", REHEARSAL)
    centre.on("POST /policies", RECORD)
    found = run("admin", "policy", "apply", file, "--reason", "exam weeks", "--from", "2096-01-31", "--digest", "ab")
    assert found.out == f"policy 3 ({digest(Policy())[:12]}) is in force from now\n"
    assert found.err == "warning: h100: 3 are missing\n"
    sent = centre.asked("POST /policies")[0].json
    assert (sent["reason"], sent["from_ms"], sent["digest"]) == ("exam weeks", 3_978_806_400_000, "ab")
    assert run("admin", "policy", "apply", file).code == 2, "a reason is needed"


def test_what_is_wrong_with_a_file_is_shown_where_it_is_written(centre: Centre, run: Run, file: str) -> None:
    errors = [
        {"field": "document.tiers.x.rank", "message": "-1 is out of bounds", "fix": "write 0 to 1000"},
        {"field": "document.halflife", "message": "there is no knob 'halflife'", "fix": "known: …"},
    ]
    centre.on("POST /policy/check", problem(422, "invalid", "2 things are wrong with the request", errors))
    found = run("admin", "policy", "check", file)
    assert found.code == 2
    assert found.err.splitlines()[-2:] == [
        f"{file}:4:7: tiers.x.rank: -1 is out of bounds (write 0 to 1000)",
        f"{file}:1:1: halflife: there is no knob 'halflife' (did you mean 'half_life'?)",
    ]


def test_a_document_that_was_not_rehearsed_is_refused(centre: Centre, run: Run, file: str) -> None:
    centre.on("POST /policy/check", REHEARSAL)
    errors = [{"field": "digest", "message": "this document is not what was rehearsed", "fix": "rehearse it"}]
    centre.on("POST /policies", problem(409, "not-rehearsed", "this document is not what was rehearsed", errors))
    found = run("admin", "policy", "apply", file, "--reason", "x", "--digest", "ab")
    assert (found.code, found.out) == (5, "")
    assert "this document is not what was rehearsed" in found.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("half_life: .nan\n", ":1:12: .nan is no number"),
        ("a: &x {b: *x}\n", ":1:4: refers to itself"),
        ("- a\n", ":1:1: it must be made of 'key: value' lines"),
        ("", ":1:1: the file is empty"),
    ],
)
def test_a_file_that_cannot_be_read_is_not_sent(
    centre: Centre, run: Run, tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "p.yaml").write_text(text)
    found = run("admin", "policy", "check", str(tmp_path / "p.yaml"))
    assert found.code == 2
    assert words in found.err
    assert centre.requests == []
