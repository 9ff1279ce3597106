"""Policies as documents: the way there and back, and every fault named at its place."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Invalid
from domain.quantities import DAY_MS, HOUR_MS, MINUTE_MS
from scheduler.policy import BackfillOrder, Policy, Tier
from scheduler.rules import KNOBS, digest, read_policy, write_policy

spans = st.integers(MINUTE_MS // 1000, 30 * DAY_MS // 1000).map(lambda seconds: seconds * 1000)
ranks = st.integers(11, 1_000)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    tiers = {"normal": Tier(draw(ranks)), "spare": Tier(draw(st.integers(0, 10)), preemptible=True)}
    tiers |= {f"t{n}": Tier(draw(ranks), preempts=draw(st.booleans())) for n in range(draw(st.integers(0, 4)))}
    return Policy(
        tiers=tiers,
        half_life_ms=draw(spans),
        priority_ms=draw(spans),
        size_ms=draw(spans),
        patience_ms=draw(st.none() | spans),
        reservations=draw(st.integers(0, 1_000)),
        backfill=draw(st.sampled_from(BackfillOrder)),
        reclaim=draw(st.booleans()),
        rebalance_per_hour=draw(st.integers(0, 10_000)),
        min_runtime_ms=draw(spans),
        together=tuple(draw(st.lists(st.sampled_from(["nvlink", "rack", "zone"]), unique=True))),
    )


def faults(document: Any) -> dict[str | None, str]:
    """Path → message of every fault."""
    with pytest.raises(Invalid) as refused:
        read_policy(document)
    assert all(fault.fix for fault in refused.value.faults), "each says what to do"
    return {fault.field: fault.message for fault in refused.value.faults}


@given(policies())
def test_what_is_written_is_read_back(policy: Policy) -> None:
    written = json.loads(json.dumps(write_policy(policy)))
    assert read_policy(written) == policy
    assert write_policy(read_policy(written)) == written


def test_an_empty_document_is_the_defaults() -> None:
    assert read_policy({}) == Policy()
    assert set(write_policy(Policy())) == set(KNOBS)


def test_times_are_read_as_people_write_them() -> None:
    read = read_policy({"half_life": "1d12h", "patience": "36:00:00", "min_runtime": "90m", "priority": "0s"})
    assert (read.half_life_ms, read.patience_ms, read.min_runtime_ms, read.priority_ms) == (
        36 * HOUR_MS, 36 * HOUR_MS, 90 * MINUTE_MS, 0,
    )  # fmt: skip


@pytest.mark.parametrize("none", [None, "none"])
def test_patience_may_be_without_bound(none: str | None) -> None:
    assert read_policy({"patience": none}).patience_ms is None


def test_a_digest_names_what_a_policy_means_not_how_it_is_written() -> None:
    same = [
        {},
        {"half_life": "24h"},
        {"half_life": "1d", "tiers": dict(reversed(write_policy(Policy())["tiers"].items()))},
    ]
    assert {digest(read_policy(document)) for document in same} == {digest(Policy())}
    assert re.fullmatch(r"[0-9a-f]{64}", digest(Policy()))


def test_each_knob_moves_the_digest() -> None:
    changes: dict[str, Any] = {
        "tiers": {"normal": {"rank": 1}}, "fair_share": False, "half_life": "8d", "priority": "2h", "size": "1s",
        "patience": None, "reservations": 5, "backfill": "fair", "reclaim": False, "rebalance_per_hour": 1,
        "min_runtime": "31m", "together": [],
    }  # fmt: skip
    assert changes.keys() == KNOBS.keys()
    found = {digest(read_policy({key: value})) for key, value in changes.items()}
    assert len(found | {digest(Policy())}) == len(KNOBS) + 1


def test_everything_that_is_wrong_is_told_at_once_each_at_its_place() -> None:
    nan, infinite = float("nan"), float("inf")
    found = faults(
        {
            "tiers": {"urgent": {"rank": nan, "weight": 1}, "B!": {"rank": 1}, "normal": {"preempts": "yes"}},
            "fair_share": 1, "half_life": "0s", "priority": -1, "size": "-1h", "patience": infinite,
            "reservations": 1_001, "backfill": "longest", "rebalance_per_hour": -1, "min_runtime": None,
            "together": ["rack", "rack", 3], "halflife": "7d",
        }
    )  # fmt: skip
    assert found == {
        "tiers.urgent.rank": "nan is no whole number",
        "tiers.urgent.weight": "there is no knob 'weight'",
        "tiers.B!": "'B!' is no name of a tier",
        "tiers.normal.rank": "is missing",
        "tiers.normal.preempts": "'yes' is neither true nor false",
        "fair_share": "1 is neither true nor false",
        "half_life": "'0s' is out of bounds",
        "priority": "-1 is no duration",
        "size": "'-1h' is no duration",
        "patience": "inf is no duration",
        "reservations": "1001 is out of bounds",
        "backfill": "'longest' is no order",
        "rebalance_per_hour": "-1 is out of bounds",
        "min_runtime": "null is no duration",
        "together.1": "'rack' is here a second time",
        "together.2": "3 is no name of a label",
        "halflife": "there is no knob 'halflife'",
    }


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"tiers": {"normal": {"rank": True}}}, "tiers.normal.rank"),
        ({"tiers": {"normal": {"rank": 1.0}}}, "tiers.normal.rank"),
        ({"tiers": {"normal": {"rank": -1}}}, "tiers.normal.rank"),
        ({"tiers": {"normal": {"rank": 10**40}}}, "tiers.normal.rank"),
        ({"tiers": {"normal": 1}}, "tiers.normal"),
        ({"tiers": []}, "tiers"),
        ({"tiers": {}}, "tiers"),
        ({"tiers": {"urgent": {"rank": 1}}}, "tiers.normal"),
        ({"tiers": {f"t{n}": {"rank": 1} for n in range(16)} | {"normal": {"rank": 1}}}, "tiers"),
        ({"half_life": 7}, "half_life"),
        ({"half_life": "3651d"}, "half_life"),
        ({"half_life": "NaN"}, "half_life"),
        ({"together": "rack"}, "together"),
        ({"together": ["a", "b", "c", "d", "e"]}, "together"),
        ({"fair_share": False, "rebalance_per_hour": 2}, "rebalance_per_hour"),
        ({f"k{n}": 1 for n in range(100)}, None),
        ([], None),
        (None, None),
    ],
)
def test_what_makes_no_sense_is_refused(document: Any, path: str | None) -> None:
    assert path in faults(document)


def test_tiers_that_would_stop_each_other_in_turns_are_refused() -> None:
    both = {"normal": {"rank": 1}, "greedy": {"rank": 2, "preempts": True, "preemptible": True}}
    assert faults({"tiers": both}).keys() == {"tiers.greedy.preempts"}
    upside_down = {
        "normal": {"rank": 1},
        "urgent": {"rank": 2, "preempts": True},
        "spare": {"rank": 2, "preemptible": True},
    }
    assert faults({"tiers": upside_down}).keys() == {"tiers.spare.rank"}
    upside_down["spare"] = {"rank": 1, "preemptible": True}
    assert read_policy({"tiers": upside_down}).tiers["spare"] == Tier(1, preemptible=True)


def test_a_policy_that_cannot_be_written_exactly_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        write_policy(replace(Policy(), half_life_ms=1_500))


def test_every_knob_is_documented_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs/policy.md").read_text(encoding="utf-8")
    rows = {row[1]: row[2] for row in re.finditer(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE)}
    written = write_policy(Policy())
    wanted = {key: f"`{json.dumps(value).strip(chr(34))}`" for key, value in written.items() if key != "tiers"}
    assert {key: value for key, value in rows.items() if key in wanted} == wanted
    assert {"tiers", "rank", "preemptible", "preempts"} <= rows.keys()
