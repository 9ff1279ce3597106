"""``python -m tests.promises [--only N]``: runs the tests of the design's promises and prints a line for each.

A test names the promise that it holds with ``@pytest.mark.promise(n)``; one test may hold several.
"""

import argparse
import contextlib
import io
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

PROMISES = {
    1: "an accepted job is never lost",
    2: "at most one live attempt per task",
    3: "no quota, budget or node is exceeded",
    4: "the ledger balances and says what the meters say",
    5: "the same inputs give the same plan and report",
    6: "guarantees are met within a cycle and the grace period",
    7: "no job starves",
    8: "nobody reads or changes beyond their role",
    9: "what is away is caught up with",
    10: "nothing calls outside",
}


class Tally:
    """A pytest plugin: keeps the tests of the chosen promises, and counts how each went."""

    def __init__(self, only: set[int]) -> None:
        self.only = only
        self.promises: dict[str, set[int]] = {}
        self.ran: Counter[int] = Counter()
        self.passed: Counter[int] = Counter()

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        kept = []
        for item in items:
            held = {mark.args[0] for mark in item.iter_markers("promise")}
            if held & self.only:
                self.promises[item.nodeid] = held & self.only
                kept.append(item)
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in self.promises])
        items[:] = kept

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped:  # it has no meaning here, and says why; it is no proof either way
            return
        if report.when == "call" or (report.when == "setup" and report.failed):
            for promise in self.promises[report.nodeid]:
                self.ran[promise] += 1
                self.passed[promise] += report.passed


def mark_reports(item: pytest.Item) -> None:
    """Let a test's report say which promises it holds, wherever the test runs."""
    for mark in item.iter_markers("promise"):
        item.user_properties.append(("promise", mark.args[0]))


def lines(reports: Iterable[pytest.TestReport]) -> Iterator[str]:
    """A line per promise, of the tests that ran."""
    ran, passed = Counter[int](), Counter[int]()
    for report in reports:
        for promise in {number for name, number in report.user_properties if name == "promise"}:
            ran[promise] += 1
            passed[promise] += report.passed
    return (told(promise, ran[promise], passed[promise]) for promise in sorted(ran))


def told(promise: int, ran: int, passed: int) -> str:
    held = "no tests yet" if not ran else f"{ran:4} tests {passed:4} passed"
    return f"promise {promise:2}  {held:26} {PROMISES[promise]}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="promises", description=__doc__)
    parser.add_argument("--only", type=int, choices=sorted(PROMISES), action="append", help="this promise alone")
    parser.add_argument("--fast", action="store_true", help="leave the slow proofs out")
    options = parser.parse_args()
    only = set(options.only or PROMISES)
    tally = Tally(only)
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        pytest.main(["-q", "-p", "no:cacheprovider", *(["-m", "not slow"] if options.fast else [])], plugins=[tally])
    for promise in sorted(only):
        print(told(promise, tally.ran[promise], tally.passed[promise]))
    failed = any(tally.ran[promise] != tally.passed[promise] for promise in only)
    if failed:
        print(said.getvalue(), file=sys.stderr)
    return 1 if failed or not tally.ran else 0


if __name__ == "__main__":
    sys.exit(main())
