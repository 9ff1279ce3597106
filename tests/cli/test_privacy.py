"""Commands on one's own data, on that of others, on holds and retention: what they send, and what they say."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import Answer, Centre, page, problem

NEW_YEAR_MS = 1_767_225_600_000
ME = {
    "name": "dara", "title": "Dara", "email": None, "state": "active", "tenant": "cadt", "affiliation": None,
    "assurance": 0, "erasure_asked_ms": None, "contact": "write to us", "version": 1,
}  # fmt: skip
HOLD = {
    "id": 3, "user": "dara", "account": None, "reason": "a case", "by": "admin", "from_ms": NEW_YEAR_MS, "lifted_ms": None,
    "lifted_by": None,
}  # fmt: skip
WHY = ("--reason", "a test")


def sent(centre: Centre) -> Any:
    return json.loads(centre.requests[-1].body)


def test_my_data_comes_whole_and_is_mine_to_read(centre: Centre, run: Run, tmp_path: Path) -> None:
    centre.on("GET /me/data", Answer(200, body=b"PK...", headers={"Content-Type": "application/zip"}))
    target = tmp_path / "mine.zip"
    assert run("me", "data", str(target)).out == f"all data about you is in {target} (5 B)\n"
    assert target.read_bytes() == b"PK..."
    assert target.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["mine.zip"]


def test_what_is_refused_leaves_no_file(centre: Centre, run: Run, tmp_path: Path) -> None:
    centre.on("POST /users/sok/data", problem(403, "not-allowed", "no"))
    assert run("admin", "person", "data", "sok", str(tmp_path / "x.zip"), *WHY).code == 3
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


def test_who_i_am_is_shown_and_corrected(centre: Centre, run: Run) -> None:
    centre.on("GET /me", Answer(200, ME, headers={"ETag": '"1-ab"'}))
    centre.on("PATCH /me", ME)
    assert "write to us" in run("me", "show").out
    assert run("me", "set", "--title", "Dara S.", "--email", "").code == 0
    assert sent(centre) == {"title": "Dara S.", "email": None}
    assert centre.requests[-1].headers["if-match"] == '"1-ab"'
    assert run("me", "set").code == 2


def test_one_asks_to_be_erased_and_withdraws(centre: Centre, run: Run) -> None:
    asked = {"user": "dara", "asked_ms": NEW_YEAR_MS, "reason": "", "contact": "write to us"}
    centre.on("POST /me/erase-request", asked)
    centre.on("DELETE /me/erase-request", Answer(204))
    centre.on("GET /erase-requests", page(asked))
    told = run("me", "erase")
    assert (told.out, told.err) == ("asked; administrators see it and answer\n", "write to us\n")
    assert run("me", "erase", "--withdraw").code == 0
    assert "dara" in run("admin", "person", "requests").out


def test_a_person_is_corrected_and_erased(centre: Centre, run: Run) -> None:
    change = {"id": 1, "field": "title", "before": "D.", "changed_ms": NEW_YEAR_MS, "by": "admin"}
    centre.on("PATCH /users/dara", ME)
    centre.on("GET /users/dara/changes", page(change))
    centre.on(
        "POST /users/dara/erase",
        {"user": "erased-7", "counts": {"tokens": 1}, "named_in": [4, 9], "contact": "write to us"},
    )
    assert run("admin", "person", "correct", "dara", "--email", "d@x.example", *WHY).code == 0
    assert sent(centre) == {"email": "d@x.example", "reason": "a test"}
    assert "D." in run("admin", "person", "changes", "dara").out
    told = run("admin", "person", "erase", "dara", *WHY)
    assert told.out == "erased; what stays is under erased-7\n"
    assert "audit entries 4, 9" in told.err


def test_holds_are_set_listed_and_lifted(centre: Centre, run: Run) -> None:
    centre.on("POST /legal-holds", HOLD)
    centre.on("GET /legal-holds", page(HOLD))
    centre.on("POST /legal-holds/3/lift", HOLD)
    assert run("admin", "hold", "add", "--user", "dara", *WHY).out == "legal hold 3 stands\n"
    assert sent(centre) == {"user": "dara", "account": None, "reason": "a test"}
    assert run("admin", "hold", "add", "--all", *WHY).code == 0
    assert sent(centre) == {"user": None, "account": None, "reason": "a test"}
    assert run("admin", "hold", "add", *WHY).code == 2
    assert "a case" in run("admin", "hold", "list").out
    assert run("admin", "hold", "lift", "3", *WHY).out == "legal hold 3 is lifted\n"


def test_retention_is_shown_set_rehearsed_and_run(centre: Centre, run: Run, tmp_path: Path) -> None:
    term = {"keep": "audit", "basis": "legal duty", "days": 30, "since": "what was done", "source": "a law"}
    centre.on("GET /retention", {"terms": [term], "rules": []})
    centre.on("PUT /retention", {"terms": [term], "rules": []})
    centre.on("GET /sweeps", page({"id": 1, "at_ms": NEW_YEAR_MS, "removed": {"token": 3}}))
    centre.on("POST /sweeps/check", {"id": None, "at_ms": None, "removed": {"token": 3}})
    centre.on("POST /sweeps", Answer(202))
    assert "a law" in run("admin", "retention", "show").out
    rule = tmp_path / "rule.yaml"
    rule.write_text("audit: {days: 30, source: a law}\n")
    assert run("admin", "retention", "set", str(rule), *WHY).code == 0
    assert sent(centre) == {"document": {"audit": {"days": 30, "source": "a law"}}, "reason": "a test"}
    assert "token 3" in run("admin", "retention", "runs").out
    assert run("admin", "retention", "run", "--dry-run").out == "would go now: token 3\n"
    assert run("admin", "retention", "run").code == 0


@pytest.mark.parametrize("form", ["json", "csv", "yaml"])
def test_the_register_is_listed(centre: Centre, run: Run, form: str) -> None:
    record = {
        "kind": "user", "table": "user", "says": "Who you are.", "purpose": "to know", "basis": "contract", "days": None,
        "since": "x", "source": "y", "fields": [],
    }  # fmt: skip
    centre.on("GET /personal-data", {"records": [record], "places": [], "contact": "us"})
    assert "no limit" in run("admin", "personal-data").out
    assert "contract" in run("admin", "personal-data", "-o", form).out
