"""A second pair of eyes on the command line: 202 is told and is no failure; acting for a user; officers; the matrix."""

import json

import pytest

from tests.cli.conftest import Run
from tests.client.scripted import Answer, Centre, page

WHY = ("--reason", "as agreed")
APPROVAL = {
    "id": 7, "action": "add_grant", "subject": "/grants", "facts": {"su": "500"}, "state": "waiting",
    "asked_by": "chanthy", "asked_ms": 0, "expires_ms": 604_800_000, "decided_by": None, "decided_ms": None,
    "reason": None,
}  # fmt: skip
ACTING = {
    "id": 3, "by": "sophea", "user": "dara", "reason": "job 1 hangs", "from_ms": 0, "until_ms": 1_800_000,
    "ended_ms": None, "open": True,
}  # fmt: skip
GRANT = ("admin", "grant", "add", "big", "--funder", "adb", "--su", "500", "--from", "2026-01-01", "--to", "2026-12-31")


def test_what_takes_a_second_person_is_told_and_is_no_failure(centre: Centre, run: Run) -> None:
    centre.on("POST /grants", Answer(202, json=APPROVAL))
    people = run(*GRANT)
    assert (people.code, people.err) == (0, "")
    assert people.out == (
        "this takes a second person: it waits as approval 7; see baray admin approval show 7\n"
    )  # and nothing that sounds as if it were done
    machine = run(*GRANT, "-o", "json")
    assert (machine.code, json.loads(machine.out)) == (0, APPROVAL)


@pytest.mark.parametrize("command", ["role remove dara lead speech", "funder officer remove adb mony"])
def test_so_is_what_is_taken_away(centre: Centre, run: Run, command: str) -> None:
    centre.on("DELETE /users/dara/roles/speech/lead", Answer(202, json=APPROVAL))
    centre.on("DELETE /funders/adb/officers/mony", Answer(202, json=APPROVAL))
    found = run("admin", *command.split())
    assert (found.code, "waits as approval 7" in found.out) == (0, True)


def test_approvals_are_listed_shown_and_decided(centre: Centre, run: Run) -> None:
    centre.on("GET /approvals", page(APPROVAL))
    centre.on("GET /approvals/7", APPROVAL)
    centre.on("POST /approvals/7/approve", {"approval": {**APPROVAL, "state": "done"}, "result": {"id": 1}})
    for verb in ("decline", "withdraw"):
        centre.on(f"POST /approvals/7/{verb}", APPROVAL)
    assert "chanthy" in run("admin", "approval", "list").out
    assert centre.requests[-1].query["state"] == ["waiting"]
    assert "add_grant" in run("admin", "approval", "show", "7").out
    assert run("admin", "approval", "approve", "7", *WHY).out == "approved 7: it is done\n"
    for verb in ("decline", "withdraw"):
        assert run("admin", "approval", verb, "7", *WHY).code == 0
        assert centre.requests[-1].json == {"reason": "as agreed"}
    assert run("admin", "approval", "approve", "7").code == 2


def test_the_rules_of_what_takes_two(centre: Centre, run: Run) -> None:
    rules = {"su": "1000", "gpus": None, "roles": ["allocator"], "rates": True}
    centre.on("GET /four-eyes", rules)
    centre.on("PUT /four-eyes", rules)
    assert "allocator" in run("admin", "approval", "rules", "show").out
    done = run("admin", "approval", "rules", "set", "--su", "1000", "--role", "allocator", "--rates", *WHY)
    assert done.code == 0
    assert centre.requests[-1].json == {"su": "1000", "roles": ["allocator"], "rates": True, "reason": "as agreed"}


def test_support_takes_leave_and_acts_for_a_user(centre: Centre, run: Run) -> None:
    centre.on("POST /acting", ACTING)
    centre.on("DELETE /acting/3", Answer(204))
    centre.on("GET /jobs", page())
    taken = run("admin", "act", "dara", "--minutes", "30", "--reason", "job 1 hangs")
    assert (taken.code, "baray --on-behalf-of dara COMMAND" in taken.out) == (0, True)
    assert centre.requests[-1].json == {"user": "dara", "reason": "job 1 hangs", "minutes": 30}
    for arguments in (("--on-behalf-of", "dara", "jobs"), ("jobs", "--on-behalf-of", "dara")):
        assert run(*arguments).code == 0
        asked = next(one for one in reversed(centre.requests) if one.path.endswith("/jobs"))
        assert asked.headers["baray-on-behalf-of"] == "dara"
    assert run("jobs").code == 0
    asked = next(one for one in reversed(centre.requests) if one.path.endswith("/jobs"))
    assert "baray-on-behalf-of" not in asked.headers
    assert run("admin", "act", "--end", "3").out == "leave 3 is over\n"
    assert run("admin", "act", "dara").code == 2
    assert run("jobs", "--on-behalf-of", "da\nra").code == 2


def test_who_is_acted_for_is_told_with_their_notices(centre: Centre, run: Run) -> None:
    centre.on("GET /acting", page(ACTING, {**ACTING, "id": 2, "open": False}))
    told = run("notices").err
    assert "sophea may act for you until" in told
    assert told.count("to end it: baray admin act --end") == 1
    assert "sophea" in run("admin", "act", "--list", "me").out


def test_roles_with_an_end_and_officers(centre: Centre, run: Run) -> None:
    centre.on("POST /users/dara/roles", {"account": "speech", "role": "lead", "until_ms": 1_893_456_000_000})
    given = run("admin", "role", "add", "dara", "lead", "speech", "--until", "2030-01-01")
    assert (given.code, "until 2030-01-01" in given.out) == (0, True)
    assert centre.requests[-1].json["until_ms"] > 0
    centre.on("POST /funders/adb/officers", {"funder": "adb", "user": "mony"})
    centre.on("GET /funders/adb/officers", page({"funder": "adb", "user": "mony"}))
    assert run("admin", "funder", "officer", "add", "adb", "mony").out == "mony is now an officer of adb\n"
    assert "mony" in run("admin", "funder", "officer", "list", "adb").out


def test_the_matrix(centre: Centre, run: Run) -> None:
    matrix = {
        "permissions": [{"name": "job.submit", "meaning": "submit jobs", "roles": ["lead"], "everybody": False}],
        "routes": [{"method": "POST", "path": "/jobs", "permission": "job.submit"}],
    }
    centre.on("GET /permissions", matrix)
    assert "submit jobs" in run("admin", "permissions").out
    assert "/jobs" in run("admin", "permissions", "job.submit").out
