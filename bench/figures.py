"""What is measured. Each figure answers its values, one a run; ``__main__`` takes the median."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import audit, clusters, kueue, ledger, logins, openb, permissions, planning, quality, waiting
from bench.rig import Rig, running

_SINGLES = 1_000
_BATCH = 1_000
_BATCHES = 5
_LATENCIES = 30


@dataclass(frozen=True, slots=True)
class Figure:
    """A line of the design's table.

    ``peer`` names Slurm's figure to measure beside it (see ``bench.slurm``), or is a published one. ``summary`` makes one
    value of the runs'. ``skipped`` says why there is nothing to measure here, if so; ``notes`` what else was seen.
    """

    name: str
    unit: str
    target: str
    measure: Callable[[int], Sequence[float]]
    peer: str | Mapping[str, object] | None = None
    summary: Callable[[Sequence[float]], float] = statistics.median
    skipped: Callable[[], str | None] | None = None
    notes: Callable[[], Mapping[str, object]] | None = None


def submit(runs: int) -> list[float]:
    """Durable single submissions per second, one client, one by one; held jobs, as the peer's are."""
    with running() as rig:
        return [_rate(_SINGLES, lambda: rig.call("POST", "/jobs", rig.job(held=True))) for _ in range(runs)]


def submit_batch(runs: int) -> list[float]:
    """Jobs per second when a request carries a thousand."""
    with running() as rig:
        jobs = {"jobs": [rig.job(held=True) for _ in range(_BATCH)]}
        return [_rate(_BATCHES, lambda: rig.call("POST", "/jobs/batch", jobs)) * _BATCH for _ in range(runs)]


def submit_array(runs: int) -> list[float]:
    """Milliseconds to submit one array of 10,000 tasks."""
    with running() as rig:
        body = rig.job(array="0-9999", held=True)
        rig.call("POST", "/jobs", body)
        return [1000 / _rate(1, lambda: rig.call("POST", "/jobs", body)) for _ in range(runs * 3)]


def noop_1000(runs: int) -> list[float]:
    """Jobs per second, a thousand no-ops from the first submission to the last one metered and charged."""
    with running() as rig:
        return [_noops(rig) for _ in range(runs)]


def _noops(rig: Rig) -> float:
    begun = time.perf_counter()
    for _ in range(_SINGLES):
        rig.call("POST", "/jobs", rig.job())
    rig.drain()
    rate = _SINGLES / (time.perf_counter() - begun)
    usage = rig.call("GET", "/usage?by=project")
    if not usage["agrees"]:
        raise RuntimeError("the ledger and the meters disagree")
    return rate


def start_latency(runs: int) -> list[float]:
    """Milliseconds from just before a job's submission to its first process, idle centre; thirty jobs a run.

    Both ends are this machine's clock: the client's before it sends, and the driver's when the process is started.
    """
    found = []
    with running() as rig:
        for _ in range(runs * _LATENCIES):
            sent_ms = time.time_ns() / 1e6
            job = rig.call("POST", "/jobs", rig.job())["id"]
            rig.call("GET", f"/jobs/{job}/wait?timeout_s=30")
            attempt = rig.call("GET", f"/jobs/{job}/attempts")["items"][0]
            found.append(attempt["started_ms"] + 1 - sent_ms)  # started_ms is cut to whole ms: count it as later
            time.sleep(0.05)
    return found


def memory_idle(runs: int) -> list[float]:
    """Resident MiB of a centre that has served its set-up and does nothing."""
    found = []
    for _ in range(runs):
        with running() as rig:
            time.sleep(2)
            found.append(rig.resident_mib())
    return found


def cli_help(runs: int) -> list[float]:
    """Milliseconds of CPU for ``baray --help``."""
    baray = Path(sys.executable).with_name("baray")
    found = []
    for _ in range(max(runs, 3) * 3 + 1):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([str(baray), "--help"], check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        found.append((after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000)
    return found[1:]  # the first run warms the file cache


def demo(runs: int) -> list[float]:
    """Seconds of the whole demo, packages installed."""
    baray = Path(sys.executable).with_name("baray")
    found = []
    for _ in range(runs):
        begun = time.perf_counter()
        subprocess.run([str(baray), "demo"], check=True, stdout=subprocess.DEVNULL, env=dict(os.environ))
        found.append(time.perf_counter() - begun)
    return found


def _rate(count: int, act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    for _ in range(count):
        act()
    return count / (time.perf_counter() - begun)


_FLOOD = clusters.Flood()
_POSTINGS, _LEDGER = ledger.Postings(), ledger.Large()
_BASELINE, _LARGE = kueue.Replays(kueue.BASELINE), kueue.Replays(kueue.LARGE)
_SEALING, _VERIFYING = audit.Sealing(), audit.Verifying()

FIGURES = (
    Figure("submit", "jobs/s", ">= 1.2 x peer", submit, "submit"),
    Figure("submit-batch", "jobs/s", ">= 5000", submit_batch),
    Figure("submit-array", "ms", "<= 10", submit_array, "submit-array"),
    Figure("noop-1000", "jobs/s", ">= 100", noop_1000, "noop-1000"),
    Figure("start-latency", "ms", "<= 30", start_latency, "start-latency"),
    Figure("cli-help", "ms", "<= 150", cli_help),
    Figure("permission-check", "us", "<= 50", permissions.permission_check),
    Figure("memory-idle", "MiB", "<= 120", memory_idle),
    Figure("demo", "s", "<= 30", demo),
    Figure(
        "kueue-baseline",
        "s",
        "<= 73",
        _BASELINE.measure,
        kueue.BASELINE_PEER,
        skipped=kueue.skipped,
        notes=_BASELINE.notes,
    ),
    Figure("kueue-large", "s", "<= 60", _LARGE.measure, kueue.LARGE_PEER, skipped=kueue.skipped, notes=_LARGE.notes),
    Figure("plan-fill", "s", "<= 0.5", planning.fill, planning.ARMADA),
    Figure("plan-100k", "ms", "<= 100", planning.plan_100k, planning.SLURM),
    Figure("plan-1m", "ms", "<= 2 x plan-100k", planning.plan_1m),
    Figure("queue-10k", "ms", "<= 160", waiting.queue_10k, waiting.SQUEUE),
    Figure("memory-100k", "MiB", "<= 300", waiting.memory_100k, waiting.SLURMCTLD),
    Figure("ledger", "postings/s", ">= 5000", _POSTINGS.measure, skipped=ledger.skipped, notes=_POSTINGS.notes),
    Figure("ledger-balance", "ms", "<= 5", _LEDGER.balance, skipped=ledger.skipped, notes=_LEDGER.lookup_notes),
    Figure("ledger-size", "bytes an entry", "-", _LEDGER.size, skipped=ledger.skipped, notes=_LEDGER.size_notes),
    Figure("openb-packing", "% of GPUs", ">= 95.4", openb.packing, openb.PEER, statistics.fmean, openb.skipped),
    Figure("openb-decision", "ms", "<= 1", openb.decision, openb.DECISION_PEER, skipped=openb.skipped),
    Figure("seal", "leaves/s", ">= 5000", _SEALING.measure, notes=_SEALING.notes),
    Figure("audit-verify", "leaves/s", ">= 10000", _VERIFYING.measure, notes=_VERIFYING.notes),
    Figure("login-home", "ms", "<= 200", logins.built_in),
    Figure("login-home-oidc", "ms", "<= 200", logins.through_provider, skipped=logins.skipped),
    Figure("k8s-dispatch", "jobs/s", "-", _FLOOD.dispatch, skipped=clusters.skipped, notes=_FLOOD.notes),
    Figure("k8s-1000", "jobs/s", "-", _FLOOD.whole, skipped=clusters.skipped, notes=_FLOOD.notes),
    Figure("k8s-watch-lag", "ms", "-", clusters.watch_lag, skipped=clusters.skipped),
    Figure("k8s-memory-10k", "MiB", "-", clusters.memory_live),
    Figure("replay", "jobs/s", ">= 50000", quality.speed, skipped=quality.skipped),
    Figure("replay-growth", "% longer mean wait", "<= 1", quality.growth, skipped=quality.skipped),
    *(
        Figure(
            f"quality-{name}-{what}",
            unit,
            target,
            quality.figure(name, what),
            quality.peer(name, what),
            skipped=quality.skipped,
        )
        for name in quality.WORKLOADS
        for what, (unit, target, _, _) in quality.FIGURES.items()
    ),
)
