"""Promises 1, 2 and 4 against the real thing: `baray up` is killed with SIGKILL at random moments while jobs come in.

Each job writes one line, so a second run of one would be seen. A submission whose answer was lost is repeated with its
Idempotency-Key. At the end every accepted job has run exactly once and the books balance.
"""

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from urllib3.exceptions import HTTPError

from store.engine import open_engine
from store.unit_of_work import Store
from tests.support.serving import Api

_NODES = "n1:h100-80gb=4,cpus=16,memory=32Gi;n2:a100-40gb=4,cpus=16,memory=32Gi"
_START_S = 60
_DRAIN_S = 60
_FINAL = {"succeeded", "failed", "cancelled", "timed_out"}


class Victim:
    """A centre that is killed and started again on the same data directory and port."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = "0"
        self.token = ""
        self.process = self._start()

    def api(self) -> Api:
        return Api(f"http://127.0.0.1:{self.port}", self.token)

    def restart(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self._reap()
        self.process = self._start()

    def end(self) -> None:
        """Stop it as a person would; again and again does no harm."""
        self.process.terminate()
        self._reap()

    def _reap(self) -> None:
        self.process.wait(timeout=30)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def _start(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "runtime", "up", "--port", self.port, "--data-dir", str(self.data)]
        with (self.data.parent / "service.log").open("a") as log:
            process = subprocess.Popen(
                [*command, "--nodes", _NODES], stdout=subprocess.PIPE, stderr=log, text=True,
                env={**os.environ, "BARAY_LOG_LEVEL": "warning"},
            )  # fmt: skip
        assert process.stdout is not None
        deadline = time.monotonic() + _START_S
        while True:
            line = process.stdout.readline()
            assert line, f"it did not start: {(self.data.parent / 'service.log').read_text()[-2000:]}"
            assert time.monotonic() < deadline
            if up := re.search(r"up at http://127\.0\.0\.1:(\d+)", line):
                self.port = up[1]
                if self.token:
                    return process
            if told := re.search(r"first token.*: (\S+)", line):
                self.token = told[1]
                return process


class Load(threading.Thread):
    """Submits one job after the other, each until it has an answer, until told to stop."""

    def __init__(self, victim: Victim, lines: Path) -> None:
        super().__init__(name="load")
        self.victim, self.lines = victim, lines
        self.accepted: dict[int, str] = {}
        self.enough = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            number = 0
            while not self.enough.is_set():
                number += 1
                self._submit(f"job-{number}")
        except BaseException as error:  # noqa: BLE001 - told to the test, which fails with it
            self.failure = error

    def _submit(self, name: str) -> None:
        script = f"echo {name} >> {self.lines} && sleep 0.0{len(name)}"
        job = {"project": "speech", "name": name, "run": script, "resources": {"flavor": "h100-80gb", "walltime": "1m"}}
        deadline = time.monotonic() + _START_S
        while True:
            try:
                answer = self.victim.api().post("/jobs", job, headers={"Idempotency-Key": name})
            except (HTTPError, OSError):  # killed before it answered: whether it took the job is not known
                assert time.monotonic() < deadline, "the centre does not come back"
                time.sleep(0.02)
                continue
            assert answer.status == 201, answer.body
            self.accepted[answer.json["id"]] = name
            return


def _found(victim: Victim) -> None:
    centre = victim.api()
    now_ms = time.time_ns() // 1_000_000
    span = {"starts_ms": now_ms - 1_000, "ends_ms": now_ms + 10**9}
    for path, body in (
        ("/tenants", {"name": "rupp", "title": "A university", "kind": "university"}),
        ("/projects", {"name": "speech", "title": "Speech", "tenant": "rupp"}),
        ("/funders", {"name": "moef", "title": "A ministry"}),
        ("/grants", {"name": "g", "funder": "moef", "su": "1000", **span}),
        ("/allocations", {"project": "speech", "sources": [{"grant": "g", "su": "900"}], "reason": "a test", **span}),
    ):
        assert centre.post(path, body).status == 201


def _crash(root: Path, kills: int, seed: int) -> None:
    print(f"seed {seed}")
    draw = random.Random(seed)
    lines = root / "lines"
    lines.touch()
    lines.chmod(0o666)  # the jobs run as their project's own user
    victim = Victim(root / "centre")
    try:
        _found(victim)
        load = Load(victim, lines)
        load.start()
        try:
            for _ in range(kills):
                time.sleep(draw.uniform(0.05, 0.8))
                victim.restart()
        finally:
            load.enough.set()
            load.join(timeout=_START_S)
        assert load.failure is None, load.failure
        jobs = _drained(victim.api(), set(load.accepted))
        usage = victim.api().get("/usage").json
    finally:
        victim.end()
    assert Counter(job["state"] for job in jobs.values()) == {"succeeded": len(load.accepted)}
    assert {job_id: job["name"] for job_id, job in jobs.items()} == load.accepted
    assert Counter(lines.read_text().split()) == Counter(load.accepted.values())
    assert usage["agrees"]
    store = Store(open_engine(f"sqlite:///{root / 'centre' / 'baray.db'}"))
    with store.read() as uow:
        assert uow.ledger.unbalanced() == []
        assert not any(uow.accounts.held().values())
    store.close()


def _drained(centre: Api, accepted: set[int]) -> dict[int, dict]:
    """All jobs, once nothing of them lives; every accepted one must be among them."""
    deadline = time.monotonic() + _DRAIN_S
    while True:
        jobs = {job["id"]: job for job in centre.pages("/jobs", 1000)}
        assert accepted <= jobs.keys()
        if all(job["state"] in _FINAL for job in jobs.values()):
            return jobs
        assert time.monotonic() < deadline, Counter(job["state"] for job in jobs.values())
        time.sleep(0.2)


@pytest.fixture
def root() -> Iterator[Path]:
    """A directory that the users of projects may pass through, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="baray-crash-") as made:
        Path(made).chmod(0o711)
        yield Path(made)


@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(4)
def test_a_centre_that_is_killed_four_times_loses_and_doubles_nothing(root: Path) -> None:
    _crash(root, kills=4, seed=int(os.environ.get("BARAY_TEST_SEED", "1842")))


@pytest.mark.slow
@pytest.mark.promise(1)
@pytest.mark.promise(2)
@pytest.mark.promise(4)
def test_a_centre_that_is_killed_twenty_times_loses_and_doubles_nothing(root: Path) -> None:
    _crash(root, kills=20, seed=int(os.environ.get("BARAY_TEST_SEED") or time.time_ns() % 1_000_000))
