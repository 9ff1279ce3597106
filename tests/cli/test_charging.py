"""Charging rules, refunds, adjustments, closed months and extensions on the command line: what is sent, what is told."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import Centre, page, problem

RULES = {
    "id": 3, "state": "in force", "from_ms": 86_400_000, "author": "admin", "reason": "two prices",
    "document": {"qos_factors": {"urgent": "1.5"}, "refunds": {"node_failed": True, "failed_within": "1m"}},
    "created_ms": 80_000_000,
}  # fmt: skip
CORRECTION = {
    "transaction": "refund/7.1", "kind": "refund", "attempt": "7.1", "project": "speech", "su": "-2.5",
    "period": "2026-10", "from_ms": None, "to_ms": None, "su_per_hour": None, "author": "chanthy",
    "reason": "the cooling failed", "created_ms": 80_000_000,
}  # fmt: skip
PERIOD = {
    "period": "2026-10", "from_ms": 1, "until_ms": 2, "author": "admin", "reason": "checked", "created_ms": 3,
}  # fmt: skip


def test_rules_are_shown_and_applied_again(centre: Centre, run: Run, tmp_path: Path) -> None:
    centre.on("GET /charging-rules", RULES)
    assert "two prices" in run("admin", "rate", "rules", "show").out
    assert json.loads(run("admin", "rate", "rules", "show", "-o", "json").out) == RULES
    file = tmp_path / "rules.yaml"
    file.write_text(run("admin", "rate", "rules", "show", "--document").out)
    centre.on("POST /charging-rules", RULES)
    found = run("admin", "rate", "rules", "apply", str(file), "--reason", "two prices")
    assert "charging rules 3 are in force from now" in found.out
    assert centre.requests[-1].json == {"document": RULES["document"], "reason": "two prices"}
    centre.on("GET /charging-rules/history", page(RULES, RULES | {"id": 2, "state": "past"}))
    assert run("admin", "rate", "rules", "history", "-q").out == "3\n2\n"


def test_what_is_wrong_with_rules_is_told_where_it_is_written(centre: Centre, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text("refunds:\n  node_failed: true\nqos_factors:\n  urgent: 1.5\n")
    fault = {"message": "1.5 is no factor", "field": "document.qos_factors.urgent", "fix": 'write "1.5"'}
    centre.on(
        "POST /charging-rules", problem(422, "invalid", "1.5 is no factor", errors=[fault], fixes=['write "1.5"'])
    )
    found = run("admin", "rate", "rules", "apply", str(file), "--reason", "x")
    assert found.code == 2
    assert "rules.yaml:4" in found.err


def test_a_refund(centre: Centre, run: Run) -> None:
    centre.on("POST /refunds", CORRECTION)
    assert run("admin", "refund", "7.1", "--reason", "the cooling failed").out == "gave 2.5 SU of attempt 7.1 back\n"
    assert centre.requests[-1].json == {"attempt": "7.1", "reason": "the cooling failed"}
    run("admin", "refund", "7.1", "--su", "2.5", "--reason", "x")
    assert centre.requests[-1].json == {"attempt": "7.1", "su": "2.5", "reason": "x"}
    assert run("admin", "refund", "7.1", "--su", "a lot", "--reason", "x").code == 2
    assert run("admin", "refund", "7.1").code == 2, "a reason is needed"


def test_adjustments_of_both_kinds(centre: Centre, run: Run) -> None:
    centre.on("POST /adjustments", {"posted": True, "count": 1, "su": "-2.5", "items": [CORRECTION]})
    found = run("admin", "adjust", "--attempt", "7.1", "--su", "-2.5", "--reason", "as agreed")
    assert "1 correction posted, -2.5 SU in all" in found.out
    assert centre.requests[-1].json == {"attempt": "7.1", "su": "-2.5", "reason": "as agreed", "dry_run": False}
    centre.on("POST /adjustments", {"posted": False, "count": 1_500, "su": "-9", "items": [CORRECTION]})
    span = ("--from", "2026-10-01", "--to", "2026-10-15")
    found = run("admin", "adjust", "--flavor", "h100", *span, "--rate", "1.5", "--reason", "wrong rate", "--dry-run")
    assert "and 1499 more" in found.out
    assert "would be posted" in found.out
    assert centre.requests[-1].json == {
        "flavor": "h100", "from_ms": 1_790_812_800_000, "to_ms": 1_792_022_400_000, "su_per_hour": "1.5",
        "reason": "wrong rate", "dry_run": True,
    }  # fmt: skip
    for wrong in (["--attempt", "7.1"], ["--flavor", "h100", *span], ["--attempt", "7.1", "--su", "1", "--rate", "2"]):
        assert run("admin", "adjust", *wrong, "--reason", "x").code == 2


def test_corrections_and_periods_are_listed_and_a_month_closed(centre: Centre, run: Run) -> None:
    centre.on("GET /corrections", page(CORRECTION))
    assert "the cooling failed" in run("admin", "correction", "list").out
    centre.on("GET /periods", page(PERIOD))
    assert run("admin", "period", "list", "-q").out == "2026-10\n"
    centre.on("POST /periods", PERIOD)
    assert run("admin", "period", "close", "2026-10", "--reason", "checked").out == "closed 2026-10\n"
    assert centre.requests[-1].json == {"period": "2026-10", "reason": "checked"}


@pytest.mark.parametrize(
    ("arguments", "body"), [(["+2h"], {"by": "2h"}), (["90m"], {"by": "90m"}), (["--to", "10h"], {"to": "10h"})]
)
def test_a_job_is_extended(centre: Centre, run: Run, arguments: list[str], body: dict[str, str]) -> None:
    centre.on("POST /jobs/7/extend", problem(409, "budget-exceeded", "3 SU are missing", fixes=["ask for a top-up"]))
    found = run("extend", "7", *arguments)
    assert found.code == 5
    assert "3 SU are missing" in found.err
    assert centre.requests[-1].json == body


def test_an_extension_is_by_something_or_to_something(run: Run) -> None:
    assert run("extend", "7").code == 2
    assert run("extend", "7", "+2h", "--to", "10h").code == 2
