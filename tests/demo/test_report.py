"""The demo's own check of the report: it finds every way in which the sums could differ."""

import copy
from typing import Any

import pytest

from runtime.demo.report import disagreements

ATTEMPTS: list[Any] = [
    {"flavor": "h100-80gb", "gpu_ms": 1_000, "charged_su": "0.5"},
    {"flavor": "h100-80gb", "gpu_ms": 500, "charged_su": "0.25"},
    {"flavor": "a100-40gb", "gpu_ms": 2, "charged_su": "0.000001"},
    {"flavor": "a100-40gb", "gpu_ms": 0, "charged_su": "0"},
]
LINE = {"gpu_ms": {"h100-80gb": 1_500, "a100-40gb": 2}, "total_gpu_ms": 1_502, "charged_su": "0.750001"}
USAGE: dict[str, Any] = {"rows": [LINE], "total": LINE, "metered": LINE["gpu_ms"], "agrees": True}


def usages() -> dict[str, Any]:
    return {kind: copy.deepcopy(USAGE) for kind in ("tenant", "project", "funder")}


def test_agreement() -> None:
    assert disagreements(usages(), ATTEMPTS) == []


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("agrees",), False, "the ledger and the meters differ"),
        (("total", "gpu_ms", "a100-40gb"), 3, "the ledger says"),
        (("total", "gpu_ms"), {"h100-80gb": 1_502}, "the ledger says"),
        (("metered", "h100-80gb"), 1_499, "the meters say"),
        (("total", "charged_su"), "0.750002", "0.750002 SU and the attempts 0.750001"),
        (("rows",), [], "do not add up"),
    ],
)
@pytest.mark.parametrize("kind", ["tenant", "project", "funder"])
def test_every_difference_is_found(kind: str, path: tuple[str, ...], value: Any, says: str) -> None:
    wrong = usages()
    at = wrong[kind]
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    found = disagreements(wrong, ATTEMPTS)
    assert any(says in one and f"by {kind}" in one for one in found)


def test_an_attempt_that_the_ledger_does_not_know_is_found() -> None:
    assert len(disagreements(usages(), [*ATTEMPTS, {"flavor": "cpu", "gpu_ms": 1, "charged_su": "0"}])) == 6  # type: ignore[list-item]


def test_nothing_at_all_is_no_agreement() -> None:
    nothing = {"gpu_ms": {}, "total_gpu_ms": 0, "charged_su": "0"}
    usage: Any = {"tenant": {"rows": [], "total": nothing, "metered": {}, "agrees": True}}
    assert disagreements(usage, []) == ["nothing was used at all"]
