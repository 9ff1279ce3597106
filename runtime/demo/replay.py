"""The second load: a workload replayed, each job a real process through the API at its time.

A replayed job sleeps for its scaled run time on the GPUs that it holds: what it computed once is nobody's business
here, that it starts, holds, ends, is metered and charged is. One thread submits, this one watches.
"""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from client import BarayError
from client.models import Attempt, Job
from runtime.demo.centre import A100, H100, POOL, PROJECTS
from runtime.demo.load import Load
from runtime.demo.scaling import Timed, timed
from runtime.demo.screen import Column
from runtime.demo.visit import Visit

_LIVE = ("pending", "held", "starting", "running", "stopping")
_LOOK_EVERY_S = 0.25
_LOOK_SHARE = 10  # and at most this part of the time is spent looking
_WALLTIME = "5m"  # a busy machine may let a process sleep far longer than it asked for
_MEMORY = "256Mi"
_LATE_S = 1.0
_TURNS = 6
_UNDER_LOAD = 2.5  # with many jobs coming and waiting, a turn-around takes so much longer than in an idle centre
_TURNAROUND_MOST_S = 0.12  # where it takes longer the replay does, too: else nothing would be left of its run times


@dataclass(slots=True)
class Submitter:
    """Submits each job at its time. ``late_s`` is how far it fell behind; ``error`` why it stopped early."""

    visit: Visit
    jobs: Sequence[Timed]
    submitted: list[int] = field(default_factory=list)  # ids
    late_s: float = 0.0
    error: BarayError | None = None
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        projects = _projects(self.jobs)
        begin = time.monotonic()
        try:
            for number, job in enumerate(self.jobs):
                if self._stop.wait(max(0.0, job.at_s - (time.monotonic() - begin))):
                    return
                member = self.visit.member(projects[job.tenant])
                self.submitted.append(member.jobs.submit(_spec(number, job, projects[job.tenant]))["id"])
                self.late_s = max(self.late_s, time.monotonic() - begin - job.at_s)
        except BarayError as error:
            self.error = error

    def stop(self) -> None:
        self._stop.set()


@dataclass(frozen=True, slots=True)
class Replayed:
    """The jobs as they ended, and what they were made by."""

    jobs: Sequence[Job]
    factor: float
    turnaround_s: float


def replay(visit: Visit, load: Load) -> Replayed:
    """Measure, scale, and run it to the end."""
    turnaround_s = _turnaround_s(visit)
    factor = load.factor(min(turnaround_s * _UNDER_LOAD, _TURNAROUND_MOST_S))
    jobs = timed(load.requests, POOL, factor)
    visit.screen.say(
        f"replayed {factor:,.0f} times faster than life: a job is a process that sleeps for its scaled run time"
    )
    submitter = Submitter(visit, jobs)
    thread = threading.Thread(target=submitter.run, name="submitter", daemon=True)
    thread.start()
    try:
        _watch(visit, submitter)
    finally:
        submitter.stop()
        thread.join()
    ours = set(submitter.submitted)
    done = [job for job in visit.admin.jobs.each() if job["id"] in ours]
    visit.expect_success(done)
    if submitter.late_s > _LATE_S:
        visit.screen.say(f"this machine is busy: a submission came up to {submitter.late_s:.1f} s after its time")
    return Replayed(done, factor, turnaround_s)


def _turnaround_s(visit: Visit) -> float:
    """What a start and an end take here: of tasks without any work, each of which needs a whole pool for itself."""
    resources = {"gpus": POOL.gpus, "nodes": POOL.nodes, "flavor": A100, "memory": _MEMORY}
    spec = {"project": PROJECTS[0].name, "name": "turnaround", "array": f"1-{_TURNS}", "resources": resources}
    member = visit.member(PROJECTS[0].name)
    job = member.jobs.wait_until_final(member.jobs.submit({**spec, "command": ["true"]})["id"])
    visit.expect_success([job])
    starts = sorted(attempt["started_ms"] or 0 for attempt in member.jobs.attempts(job["id"]))
    return median(after - before for before, after in pairwise(starts)) / 1_000


def _watch(visit: Visit, submitter: Submitter) -> None:
    """Until all are over. Between two looks the attempts of those that are over are read: there is time for it now."""
    total = len(submitter.jobs)
    with visit.screen.bar("replay", total) as bar:
        while True:
            visit.server.check()
            if submitter.error is not None:
                raise submitter.error
            begun = time.perf_counter()
            submitted = submitter.submitted[:]  # before the look: what is submitted meanwhile may be live as well
            live = {job["id"]: job["state"] for job in visit.admin.jobs.each(states=_LIVE)}
            over = [job for job in submitted if job not in live]
            waiting = list(live.values()).count("pending")
            bar.update(len(over), f"{len(submitted)} submitted, {waiting} waiting, {len(live) - waiting} running")
            if len(over) == total:
                return
            next_look = time.perf_counter() + max(_LOOK_EVERY_S, (time.perf_counter() - begun) * _LOOK_SHARE)
            for job in over:
                if time.perf_counter() < next_look:
                    visit.attempts(job)
            time.sleep(max(0.0, next_look - time.perf_counter()))


def show_queue(visit: Visit, done: Replayed, attempts: Sequence[Attempt]) -> None:
    """Waits, and how much of the GPUs was in use from the first submission to the last end."""
    waits = sorted((job["started_ms"] or 0) - job["submitted_ms"] for job in done.jobs)
    begin = min(job["submitted_ms"] for job in done.jobs)
    length_ms = max(job["ended_ms"] or 0 for job in done.jobs) - begin
    used = sum(attempt["gpu_ms"] for attempt in attempts) / (length_ms * POOL.total)
    times = {
        "wait, mean": sum(waits) / len(waits),
        "wait, p50": percentile(waits, 50),
        "wait, p95": percentile(waits, 95),
        "from first submission to last end": length_ms,
        "turn-around of a job without work": done.turnaround_s * 1_000,
    }
    rows = [(name, f"{ms / 1_000:.2f} s", _life(ms / 1_000 * done.factor)) for name, ms in times.items()]
    rows.append((f"GPUs in use meanwhile, of {POOL.total}", f"{100 * used:.0f} %", ""))
    visit.screen.table(
        (Column(f"{len(done.jobs)} jobs"), Column("here", right=True), Column("in life", right=True)), rows
    )


def percentile(ordered: Sequence[int], part: int) -> int:
    """The smallest value that at least ``part`` percent of the values do not exceed."""
    return ordered[max(0, -(-len(ordered) * part // 100) - 1)]


def _life(seconds: float) -> str:
    """A time of the workload's own, in the unit that suits it."""
    for unit, name in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:,.1f} {name}"
    return f"{seconds:.0f} s"


def _projects(jobs: Sequence[Timed]) -> dict[str, str]:
    """A project for each tenant of the workload: the busiest tenant gets the first."""
    count = Counter(job.tenant for job in jobs)
    ranked = sorted(count, key=lambda tenant: (-count[tenant], tenant))
    return {tenant: PROJECTS[rank % len(PROJECTS)].name for rank, tenant in enumerate(ranked)}


def _spec(number: int, job: Timed, project: str) -> dict[str, object]:
    """A sleep on the GPUs that the job asked for; every other job likes the other flavor better."""
    flavors = [H100, A100] if number % 2 else [A100, H100]
    return {
        "project": project,
        "name": f"replay-{number}",
        "resources": {
            "gpus": job.shape.gpus,
            "nodes": job.shape.nodes,
            "flavor": flavors,
            "cpus": 1,
            "memory": _MEMORY,
            "walltime": _WALLTIME,
        },
        "command": ["sleep", f"{job.runtime_s:.3f}"],
        # A tenant below its guarantee has borrowers stopped; they run again.
        "checkpoint": {"restartable": True},
    }
