"""The simulated cluster keeps the promises of every driver, so what is tested on it holds for the others."""

import pytest

from domain.fleet import CPU_FLAVOR, Node
from domain.ids import AttemptId
from domain.jobs import Launch, Placement
from lifecycle.driving import Driver
from runtime.clock import SystemClock
from tests.contracts.driver_contract import FAIL, SLEEP, STUBBORN, TRUE, DriverContract
from tests.support.clock import FakeClock
from tests.support.driver import Behaviour, FakeDriver
from tests.support.factories import GIB, nodes, spec

FOREVER = 300_000

# The contract's commands, known by heart.
COMMANDS = {
    TRUE: Behaviour(runs_ms=20),
    FAIL: Behaviour(runs_ms=20, exit_code=3),
    SLEEP: Behaviour(runs_ms=FOREVER),
    STUBBORN: Behaviour(runs_ms=FOREVER, stops_after_ms=FOREVER, prints=b"up\n"),
    ("no-such-program", "x"): Behaviour(runs_ms=0, exit_code=127, detail="no-such-program: there is no such program"),
}
SCRIPTS = {
    "echo ran": Behaviour(runs_ms=20, prints=b"ran\n"),
    "echo ran; sleep 0.2": Behaviour(runs_ms=200, prints=b"ran\n"),
    **{f"echo {n}; exit {n}": Behaviour(runs_ms=20, exit_code=n, prints=f"{n}\n".encode()) for n in range(4)},
    "echo out; echo err >&2; sleep 300": Behaviour(runs_ms=FOREVER, prints=b"out\nerr\n"),
    "mkdir -p results/deep; printf abc > results/a.txt; printf hello > results/deep/b.txt; touch other": Behaviour(
        runs_ms=20, leaves=(("results/a.txt", b"abc"), ("results/deep/b.txt", b"hello"), ("other", b""))
    ),
    "echo kept; echo kept > file": Behaviour(runs_ms=20, prints=b"kept\n", leaves=(("file", b"kept\n"),)),
    "echo up; sleep 300": Behaviour(runs_ms=FOREVER, prints=b"up\n"),
    "sleep 0.5; exit 4": Behaviour(runs_ms=500, exit_code=4),
    "sleep 2.5": Behaviour(runs_ms=2_500),
}


def by_heart(launch: Launch) -> Behaviour:
    return COMMANDS[launch.spec.command] if launch.spec.run is None else SCRIPTS[launch.spec.run]


class FakeRig:
    """The simulated cluster on real time. It has no thread that could call ``wake`` when a run ends by itself, so the
    passing of an event is looked for whenever the wakes are counted.
    """

    node = "local-1"

    def __init__(self) -> None:
        node = Node(self.node, {CPU_FLAVOR: 0}, 64, 256 * GIB)
        self.driver = FakeDriver(SystemClock(), (node,), by_heart, wake=self._wake)
        self._called = 0
        self._due = self.driver.next_event_ms()

    def _wake(self) -> None:
        self._called += 1

    @property
    def wakes(self) -> int:
        if self._due is not None and self._due <= SystemClock().now_ms():
            self._called += 1
        self._due = self.driver.next_event_ms()
        return self._called

    def reopen(self) -> Driver:
        self.driver.close()
        return self.driver


@pytest.fixture
def rig() -> FakeRig:
    return FakeRig()


class TestFakeDriver(DriverContract):
    """See ``tests.contracts.driver_contract``."""


def test_it_notices_what_is_given_twice() -> None:
    """The watch that other tests rely on does bark."""
    driver = FakeDriver(FakeClock(), nodes())
    asked = spec()
    driver.start(Launch(AttemptId(1, None, 1), asked, "h100-80gb", (Placement("n1", (0,)),), 1))
    driver.start(Launch(AttemptId(2, None, 1), asked, "h100-80gb", (Placement("n1", (0,)),), 1))
    driver.start(Launch(AttemptId(2, None, 2), asked, "h100-80gb", (Placement("n1", (1,)),), 1))
    driver.start(Launch(AttemptId(3, None, 1), asked, "h100-80gb", (Placement("n1", (9,)),), 1))
    assert driver.violations == [
        "device 0 of h100-80gb on n1 was given 2 times",
        "2.1 still runs beside 2.2",
        "device 0 of h100-80gb on n1 was given 2 times",
        "device 0 of h100-80gb on n1 was given 2 times",
        "device 9 of h100-80gb on n1 was given 1 times",
    ]
