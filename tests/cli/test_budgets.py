"""Grants in money, prices, notices and the rule of reclaim on the command line."""

from collections.abc import Callable

from tests.cli.conftest import Run
from tests.client.scripted import Centre, page

WHY = ("--reason", "the board, 3 March")
NOTICE = {
    "id": 7, "kind": "used-80", "allocation": 3, "project": "speech", "at_ms": 0, "message": "80 % are used",
    "facts": {}, "read": False,
}  # fmt: skip
ALLOCATION = {
    "id": 3, "project": "speech", "su": "9", "state": "active", "starts_ms": 0, "ends_ms": 1, "asked_su": None,
    "sources": [{"grant": "adb", "su": "9", "returned_su": "0", "money": "18", "currency": "USD"}],
    "committed_su": "0", "available_su": "4", "held_su": "1", "consumed_su": "4", "returned_su": "0",
    "runs_out_ms": 1_767_225_600_000,
}  # fmt: skip


def sent(centre: Centre) -> dict:
    found: dict = centre.requests[-1].json
    return found


def test_a_grant_is_in_su_or_in_money_with_what_it_pays_for(centre: Centre, run: Run) -> None:
    centre.on("POST /grants", {"id": 3})
    add = ("admin", "grant", "add", "adb", "--funder", "adb", "--from", "2026-01-01", "--to", "2026-12-31")
    money = run(*add, "--money", "25000", "USD", "--flavor", "h100-80gb", "--sector", "education", "--data", "internal")
    assert (money.code, "25000 USD" in money.out) == (0, True)
    assert (sent(centre)["amount"], sent(centre)["currency"]) == ("25000", "USD")
    assert "su" not in sent(centre)
    conditions = {"flavors": ["h100-80gb"], "sectors": ["education"], "classification": "internal"}
    assert sent(centre)["conditions"] == conditions
    assert run(*add, "--su", "500").code == 0
    assert "conditions" not in sent(centre)
    assert run(*add).code == run(*add, "--su", "5", "--money", "5", "USD").code == 2


def test_a_grants_state(centre: Centre, run: Run) -> None:
    centre.on("GET /grants/3", {"id": 3, "version": 1})
    centre.on("PATCH /grants/3", {"id": 3, "state": "suspended"})
    assert run("admin", "grant", "suspend", "3", *WHY).code == 0
    assert sent(centre) == {"state": "suspended", "reason": WHY[1]}


def test_prices(centre: Centre, run: Run) -> None:
    price = {
        "currency": "USD",
        "amount": "2.5",
        "tenant_kind": None,
        "from_ms": 0,
        "state": "in force",
        "author": "dara",
    }
    centre.on("GET /prices", page(price))
    centre.on("POST /prices", price)
    assert "all others" in run("admin", "price", "list").out
    assert run("admin", "price", "set", "2.5", "USD", "--for", "startup", *WHY).code == 0
    assert sent(centre) == {"currency": "USD", "amount": "2.5", "tenant_kind": "startup", "reason": WHY[1]}
    assert run("admin", "price", "set", "two", "USD", *WHY).code == 2


def test_notices_are_shown_once_unless_they_are_to_be_kept(centre: Centre, run: Run) -> None:
    centre.on("GET /notices", page(NOTICE))
    centre.on("POST /notices/read", {"read": 1})
    assert "80 % are used" in run("notices", "--keep").out
    assert all(request.method == "GET" for request in centre.requests)
    assert "80 % are used" in run("notices").out
    assert sent(centre) == {"ids": [7]}
    assert centre.requests[-2].query == {"unread": ["true"], "limit": centre.requests[-2].query["limit"]}
    run("notices", "--all")
    assert "unread" not in centre.requests[-2].query


def test_unread_notices_are_hinted_at_for_people_alone(centre: Centre, run: Run) -> None:
    centre.on("GET /notices", page(NOTICE))
    centre.on("GET /allocations", page(ALLOCATION))
    assert "1 unread notice: baray notices" in run("allocations").err
    assert run("allocations", "-o", "json").err == run("allocations", "-q").err == ""


def test_allocations_tell_when_they_run_out_and_what_they_cost(centre: Centre, run: Run) -> None:
    later = {**ALLOCATION, "runs_out_ms": None}
    centre.on("GET /allocations", page(ALLOCATION, later, {**later, "state": "closed"}))
    header, first, second, third = run("allocations").out.splitlines()
    assert "RUNS OUT" in header
    assert "2026-01-01" in first
    assert "not at this pace" in second
    assert "not at this pace" not in third
    assert "grant adb: 9 (18 USD)" in run("allocations", "-o", "wide").out


def test_the_reclaim_rule(centre: Centre, run: Run) -> None:
    rule = {
        "from_ms": 0, "state": "in force", "after_percent": 50, "used_below_percent": 25, "keep_percent": 10,
        "notice": "14d", "author": "dara", "reason": "r", "created_ms": 0,
    }  # fmt: skip
    centre.on("GET /reclaim-rules", page(rule))
    centre.on("POST /reclaim-rules", rule)
    of: Callable[..., int] = lambda *line: run("admin", "allocation", "reclaim-rule", *line).code  # noqa: E731
    assert "50 %" in run("admin", "allocation", "reclaim-rule", "show").out
    whole = ("--after", "50", "--used-below", "25", "--keep", "10", "--notice", "14d")
    assert of("set", *whole, *WHY) == 0
    assert sent(centre) == {
        "after_percent": 50, "used_below_percent": 25, "keep_percent": 10, "notice": "14d", "reason": WHY[1],
    }  # fmt: skip
    assert of("set", "--never", *WHY) == 0
    assert sent(centre) == {"reason": WHY[1]}
    assert of("set", "--never", *whole, *WHY) == of("set", "--after", "50", *WHY) == of("set", *WHY) == 2


def test_a_grant_may_be_named(centre: Centre, run: Run) -> None:
    """As lists, allocations and --source name it."""
    centre.on("GET /grants", page({"id": 3, "name": "adb"}))
    centre.on("GET /grants/3", {"id": 3, "version": 1})
    centre.on("PATCH /grants/3", {"id": 3, "state": "closed"})
    assert run("admin", "grant", "close", "adb", *WHY).code == 0
    unknown = run("admin", "grant", "show", "wb")
    assert (unknown.code, "there is no grant 'wb'" in unknown.err) == (4, True)


def test_an_amount_that_is_none_says_what_one_is(run: Run) -> None:
    add = ("admin", "grant", "add", "adb", "--funder", "adb", "--to", "2099-12-31")
    wrong = run(*add, "--su", "-5")
    assert (wrong.code, "'-5' is no amount of SU" in wrong.err, "not below 0" in wrong.err) == (2, True, True)
    assert "'9007199254740993' is no amount of money" in run(*add, "--money", "9007199254740993", "USD").err
    backwards = run(*add, "--su", "5", "--from", "2099-12-31")
    assert (backwards.code, "does not lie after --from" in backwards.err) == (2, True)
