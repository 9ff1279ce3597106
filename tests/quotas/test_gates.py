"""Which gates are closed to whom: the rules, the facts and the clock as tables."""

import pytest

from domain.accounts import Account, AccountKind, AccountState, Tree
from domain.gates import Gate, GateRule, Terms
from quotas.gates import CENTRE_ADMIN, OPEN, Closed, Finding, Standing, closed, terms_finding

NOW = 1_000
USER, PROJECT = 7, 3


def tree(tenant: AccountState = AccountState.ACTIVE, project: AccountState = AccountState.ACTIVE) -> Tree:
    return Tree.of(
        [
            Account(1, None, AccountKind.CENTRE, "centre", ""),
            Account(2, 1, AccountKind.TENANT, "cadt", "", tenant),
            Account(3, 2, AccountKind.PROJECT, "speech", "", project),
            Account(4, 2, AccountKind.PROJECT, "vision", ""),
        ],
        {},
    )


def rule(
    gate: Gate, account: int = 1, ask: str = "the ethics office", from_ms: int = 0, until: int | None = None
) -> GateRule:
    return GateRule(9, gate, account, from_ms, until, ask)


def nothing(_gate: Gate, _project: int, _user: int) -> Finding | None:
    return None


def test_without_a_rule_only_the_state_of_accounts_counts() -> None:
    assert closed(tree(), (), nothing, PROJECT, USER, NOW) == ()
    resting = closed(tree(tenant=AccountState.SUSPENDED), (), nothing, PROJECT, USER, NOW)
    assert resting == (
        Closed(Gate.PROJECT_ACTIVE, Standing.REFUSED, "tenant cadt is suspended", CENTRE_ADMIN, f"ask {CENTRE_ADMIN}"),
    )
    (gate,) = closed(tree(project=AccountState.CLOSED), (rule(Gate.PROJECT_ACTIVE),), nothing, PROJECT, USER, NOW)
    assert (gate.message, gate.ask) == ("project speech is closed", "the ethics office")


@pytest.mark.parametrize("gate", [Gate.TERMS_ACCEPTED, Gate.ETHICS_DECISION, Gate.TRAINING_PASSED])
def test_a_gate_that_nobody_knows_anything_of_is_missing_and_holds(gate: Gate) -> None:
    (found,) = closed(tree(), (rule(gate),), nothing, PROJECT, USER, NOW)
    assert (found.gate, found.standing, found.message) == (gate, Standing.MISSING, f"nothing is on record for {gate}")
    assert found.fix == "ask the ethics office"


@pytest.mark.parametrize(
    ("one", "holds"),
    [
        (rule(Gate.ETHICS_DECISION, 2), True),
        (rule(Gate.ETHICS_DECISION, 3), True),
        (rule(Gate.ETHICS_DECISION, 4), False),  # of another project
        (rule(Gate.ETHICS_DECISION, from_ms=NOW), True),
        (rule(Gate.ETHICS_DECISION, from_ms=NOW + 1), False),
        (rule(Gate.ETHICS_DECISION, until=NOW), False),
        (rule(Gate.ETHICS_DECISION, until=NOW + 1), True),
    ],
)
def test_a_rule_applies_below_its_account_and_between_its_times(one: GateRule, holds: bool) -> None:
    assert bool(closed(tree(), (one,), nothing, PROJECT, USER, NOW)) is holds


def test_the_content_of_a_gate_is_plugged_in() -> None:
    """As the decisions of the ethics office will be."""
    asked: list[tuple[Gate, int, int]] = []

    def facts(gate: Gate, project: int, user: int) -> Finding:
        asked.append((gate, project, user))
        return Finding(Standing.EXPIRED, "decision 12 ended yesterday") if project == PROJECT else OPEN

    rules = (rule(Gate.ETHICS_DECISION),)
    (found,) = closed(tree(), rules, facts, PROJECT, USER, NOW)
    assert (found.standing, found.message) == (Standing.EXPIRED, "decision 12 ended yesterday")
    assert closed(tree(), rules, facts, 4, USER, NOW) == ()
    assert asked == [(Gate.ETHICS_DECISION, PROJECT, USER), (Gate.ETHICS_DECISION, 4, USER)]


def test_all_closed_gates_are_named_and_the_nearest_rule_says_whom_to_ask() -> None:
    rules = (
        rule(Gate.TRAINING_PASSED, 3, "the lead"),
        rule(Gate.TRAINING_PASSED, 1, "the centre's trainer"),
        rule(Gate.ETHICS_DECISION),
    )
    found = closed(tree(project=AccountState.SUSPENDED), rules, nothing, PROJECT, USER, NOW)
    assert [one.gate for one in found] == [Gate.PROJECT_ACTIVE, Gate.ETHICS_DECISION, Gate.TRAINING_PASSED]
    assert found[2].ask == "the lead"


def test_an_acceptance_ends_when_newer_terms_begin() -> None:
    terms = (Terms(1, "2026-01", "Terms", 100), Terms(2, "2026-10", "Terms", 500))
    assert terms_finding((), frozenset(), NOW).standing is Standing.MISSING
    assert terms_finding(terms, frozenset(), 99).standing is Standing.MISSING  # none has begun
    assert terms_finding(terms, frozenset({1}), 499) == OPEN
    expired = terms_finding(terms, frozenset({1}), 500)
    assert expired == Finding(Standing.EXPIRED, "accept the terms of use 2026-10", "baray terms accept")
    assert terms_finding(terms, frozenset({2}), 500) == OPEN
    assert terms_finding(terms, frozenset({2}), 499).standing is Standing.EXPIRED, "accepted, and not in force yet"
