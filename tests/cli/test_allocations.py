"""Allocations on the command line: what is asked for, and what is said of the answer."""

import json

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import Centre, page

ONE = {
    "id": 7, "project": "speech", "su": "500", "state": "active", "starts_ms": 0, "ends_ms": 86_400_000,
    "asked_su": "600", "purpose": "a model", "requested_by": "dara", "sources": [{"grant": "g", "su": "500"}],
    "shares": [{"from_ms": 0, "shares": {"g": "1"}}],
    "instalments": [
        {"number": 1, "su": "300", "due_ms": None, "on_report": False, "released_ms": 0},
        {"number": 2, "su": "200", "due_ms": None, "on_report": True, "released_ms": None},
    ],
    "committed_su": "200", "available_su": "300", "held_su": "0", "consumed_su": "0", "returned_su": "0", "version": 3,
}  # fmt: skip
DECIDED = {"state": "approved", "change": None, "allocation": ONE, "other": None}
ASKED = {"state": "requested", "change": {"id": 5, "kind": "close"}, "allocation": ONE, "other": None}
WHY = ("--reason", "so decided")

# What is typed after ``baray admin allocation``; the route; the body without its reason.
VERBS = {
    "top-up 7 50": ("top-up", {"su": "50"}),
    "top-up 7 --source g=50 --source h=0.5": ("top-up", {"sources": [{"grant": "g", "su": "50"}, {"grant": "h", "su": "0.5"}]}),
    "extend 7 --to 2097-01-31": ("extend", {"ends_ms": 4_010_428_800_000}),
    "transfer 7 50.5 8": ("transfer", {"su": "50.5", "to": 8}),
    "split 7 50": ("split", {"su": "50"}),
    "split 7 50 --for vision --to 2097-01-31": ("split", {"su": "50", "project": "vision", "ends_ms": 4_010_428_800_000}),
    "reclaim 7": ("reclaim", {}),
    "reclaim 7 5": ("reclaim", {"su": "5"}),
    "release 7 2": ("release", {"instalment": 2}),
    "suspend 7": ("suspend", {}),
    "resume 7": ("resume", {}),
    "close 7": ("close", {}),
}  # fmt: skip


@pytest.mark.parametrize("line", VERBS)
def test_a_change_is_made_or_asked_for(centre: Centre, run: Run, line: str) -> None:
    kind, body = VERBS[line]
    centre.on(f"POST /allocations/7/{kind}", DECIDED)
    found = run("admin", "allocation", *line.split(), *WHY)
    assert (found.code, "allocation 7" in found.out) == (0, True), found
    assert centre.requests[-1].json == body | {"reason": "so decided"}
    centre.on(f"POST /allocations/7/{kind}", ASKED)
    assert (
        run("admin", "allocation", *line.split(), *WHY).out
        == "asked for it: change 5 waits for an allocator's decision\n"
    )
    assert json.loads(run("admin", "allocation", *line.split(), *WHY, "-o", "json").out) == ASKED
    assert run("admin", "allocation", *line.split(), *WHY, "-q").out == "7\n"
    assert run("admin", "allocation", *line.split()).code == 2, "a decision needs a reason"


def test_a_request_and_what_becomes_of_it(centre: Centre, run: Run) -> None:
    centre.on("POST /allocation-requests", ONE)
    asked = run("admin", "allocation", "request", "speech", "500", "--to", "180d", "--purpose", "a model")
    assert asked.out == "asked for allocation 7: 500 SU for speech\n"
    body = centre.requests[-1].json
    assert (body["su"], body["purpose"], body["ends_ms"] - body["starts_ms"]) == ("500", "a model", 180 * 86_400_000)
    for verb, said in (("decline", "declined"), ("withdraw", "withdrew")):
        centre.on(f"POST /allocations/7/{verb}", ONE)
        assert run("admin", "allocation", verb, "7", *WHY).out == f"{said} allocation 7\n"
        assert centre.requests[-1].json == {"reason": "so decided"}


def test_terms_are_read_whole(centre: Centre, run: Run) -> None:
    centre.on("POST /allocations/7/approve", ONE)
    found = run(
        "admin", "allocation", "approve", "7", "--share", "g=0.6", "--share", "h=0.4", "--su", "500",
        "--from-then", "2097-01-31 g=1", "--instalment", "300", "--instalment", "150@2097-01-31",
        "--instalment", "50@report", *WHY,
    )  # fmt: skip
    assert found.out == "approved allocation 7: 500 SU to speech\n"
    assert centre.requests[-1].json == {
        "sources": [{"grant": "g", "share": "0.6"}, {"grant": "h", "share": "0.4"}],
        "su": "500",
        "shares": [{"from_ms": 4_010_428_800_000, "shares": {"g": "1"}}],
        "instalments": [{"su": "300"}, {"su": "150", "due_ms": 4_010_428_800_000}, {"su": "50", "on_report": True}],
        "reason": "so decided",
    }
    for wrong in (
        [], ["--source", "g"], ["--source", "=5"], ["--source", "g=x"], ["--share", "g"],
        ["--source", "g=1", "--from-then", "g=1"], ["--source", "g=1", "--from-then", "soon g=1"],
        ["--source", "g=1", "--instalment", "x"], ["--source", "g=1", "--instalment", "5@soon"],
    ):  # fmt: skip
        assert run("admin", "allocation", "approve", "7", *wrong, *WHY).code == 2, wrong


def test_an_allocation_is_shown_with_who_decided_what(centre: Centre, run: Run) -> None:
    centre.on("GET /allocations/7", ONE)
    decisions = [
        {"id": 1, "step": "request", "by": "dara", "reason": "a model", "at_ms": 0, "facts": {"su": "600"}},
        {"id": 2, "step": "expire", "by": None, "reason": "its last day is over", "at_ms": 0, "facts": {}},
    ]
    centre.on("GET /allocations/7/decisions", page(*decisions))
    shown = run("admin", "allocation", "show", "7").out
    for words in ("committed    200", "with a report", "g=1", "dara", "the centre", "its last day is over"):
        assert words in shown, words
    assert json.loads(run("admin", "allocation", "show", "7", "-o", "json").out) == ONE
    assert json.loads(run("admin", "allocation", "decisions", "7", "-o", "json").out) == decisions


def test_what_waits_for_a_decision(centre: Centre, run: Run) -> None:
    change = {
        "id": 5, "allocation": 7, "project": "speech", "kind": "top-up", "state": "requested", "su": "50", "to": None,
        "to_project": None, "starts_ms": None, "ends_ms": None, "instalment": None, "sources": [], "reason": "please",
        "requested_by": "dara", "requested_ms": 0, "decided_by": None, "decided_ms": None, "answer": "",
    }  # fmt: skip
    centre.on("GET /allocation-changes", page(change))
    assert run("admin", "allocation", "change", "list").out.splitlines()[1].split()[:5] == [
        "5",
        "7",
        "speech",
        "top-up",
        "requested",
    ]
    assert centre.requests[-1].query["state"] == ["requested"]
    run("admin", "allocation", "change", "list", "--state", "all")
    assert "state" not in centre.requests[-1].query
    centre.on("POST /allocation-changes/5/approve", DECIDED)
    approved = run("admin", "allocation", "change", "approve", "5", "--source", "g=40", *WHY)
    assert approved.out == "approved change 5 of allocation 7\n"
    assert centre.requests[-1].json == {"reason": "so decided", "sources": [{"grant": "g", "su": "40"}]}
    for verb, said in (("decline", "declined"), ("withdraw", "withdrew")):
        centre.on(f"POST /allocation-changes/5/{verb}", change)
        assert run("admin", "allocation", "change", verb, "5", *WHY).out == f"{said} change 5\n"
