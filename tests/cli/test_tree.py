"""Accounts, gates and terms on the command line: what is asked for, and what is said."""

import json

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import Answer, Centre, page


def account(name: str, under: str | None, kind: str = "group") -> dict:
    return {
        "name": name, "kind": kind, "under": under, "path": f"{under}/{name}", "title": name.upper(), "state": "active",
        "weight": 1, "version": 1,
    }  # fmt: skip


RULE = {
    "id": 7, "gate": "terms-accepted", "account": "cadt", "state": "in force", "from_ms": 0, "until_ms": None,
    "ask": "dara", "author": "admin", "reason": "board", "created_ms": 0,
}  # fmt: skip
TERMS = {
    "version": "2026-10", "title": "Terms of use", "text": "Be fair.\nShare.", "url": None, "from_ms": 0,
    "state": "in force", "accepted_ms": None,
}  # fmt: skip


def test_accounts_are_shown_as_a_tree_and_listed_for_machines_as_they_are(centre: Centre, run: Run) -> None:
    found = [
        account("centre", None, "centre"),
        account("cadt", "centre"),
        account("itc", "centre"),
        account("lab", "cadt"),
    ]
    centre.on("GET /accounts", page(*found))
    lines = run("admin", "account", "list").out.splitlines()
    assert [line.split("  group")[0].split("  centre")[0].rstrip() for line in lines[1:]] == [
        "centre", "  cadt", "    lab", "  itc",
    ]  # fmt: skip
    assert json.loads(run("admin", "account", "list", "-o", "json").out) == found


def test_a_part_of_the_tree_begins_where_it_is_seen(centre: Centre, run: Run) -> None:
    centre.on("GET /accounts", page(account("speech", "lab", "project")))
    assert run("admin", "account", "list").out.splitlines()[1].startswith("speech")


@pytest.mark.parametrize(
    ("line", "route", "answer", "body"),
    [
        (
            "account add lab --under cadt --title Lab", "POST /accounts", account("lab", "cadt"),
            {"name": "lab", "under": "cadt", "title": "Lab"},
        ),
        ("account set lab --weight 3", "PATCH /accounts/lab", account("lab", "cadt"), {"weight": 3}),
        (
            "account move lab --under itc --overcommit", "POST /accounts/lab/move", account("lab", "itc"),
            {"under": "itc", "overcommit": True},
        ),
        (
            "gate require terms-accepted --account cadt --reason board --ask dara", "POST /gates", RULE,
            {"gate": "terms-accepted", "account": "cadt", "reason": "board", "ask": "dara"},
        ),
        (
            "terms set 2026-10 --title T --url https://x.example", "POST /terms", TERMS,
            {"version": "2026-10", "title": "T", "url": "https://x.example"},
        ),
    ],
)  # fmt: skip
def test_what_is_asked_for(centre: Centre, run: Run, line: str, route: str, answer: dict, body: dict) -> None:
    centre.on(route, answer)
    found = run("admin", *line.split())
    assert (found.code, found.err) == (0, "")
    assert centre.asked(route)[0].json == body
    assert json.loads(run("admin", *line.split(), "-o", "json").out) == answer


def test_gates_are_listed_and_dropped(centre: Centre, run: Run) -> None:
    centre.on("GET /gates", page(RULE))
    centre.on("DELETE /gates/7", Answer(204))
    assert "terms-accepted" in run("admin", "gate", "list", "--account", "cadt").out
    assert centre.requests[-1].query["account"] == ["cadt"]
    assert run("admin", "gate", "drop", "7").out == "gate rule 7 has ended\n"
    assert run("admin", "gate", "require", "sesame", "--reason", "x").code == 2


def test_terms_are_read_and_accepted(centre: Centre, run: Run) -> None:
    centre.on("GET /terms", page(TERMS))
    centre.on("POST /terms/acceptance", TERMS | {"accepted_ms": 5})
    read = run("terms")
    assert read.out.splitlines()[-2:] == ["Be fair.", "Share."]
    assert read.err == "you have not accepted them yet: baray terms accept\n"
    assert run("terms", "accept").out == "accepted the terms of use 2026-10\n"
    assert centre.asked("POST /terms/acceptance")[0].json == {"version": "2026-10"}
    centre.on("GET /terms", page())
    assert run("terms", "accept").code == 4
    assert run("terms").err == "the centre has no terms of use\n"


def test_what_is_promised_stands_below_the_quotas(centre: Centre, run: Run) -> None:
    quota = {"account": "cadt", "flavor": "total", "guaranteed": 0, "borrow_limit": 12, "lend_limit": None, "held": 3.5}
    told = {"flavor": "h100", "guaranteed": 6, "capacity": 8, "free": 2}
    answer = Answer(json={"items": [quota], "next": None, "warnings": [], "promises": [told]})
    centre.on("GET /quotas", answer)
    out = run("quota").out
    assert "3.5" in out
    assert out.splitlines()[-1].split() == ["h100", "6", "8", "2"]
    assert "FREE TO PROMISE" in run("admin", "quota", "list").out
    assert json.loads(run("quota", "-o", "json").out) == [quota]
