"""Runs the columns of a rehearsal on this machine's cores, and prints them."""

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from domain.errors import Invalid
from runtime.simulate import plots, show
from runtime.simulate.outcome import Outcome
from runtime.simulate.trials import Trial, Wanted, prepare
from scheduler.sim.engine import simulate
from scheduler.sim.measures import measure
from scheduler.sim.series import series


def run(wanted: Wanted, *, form: str = "table", svg: Path | None = None, quiet: bool = False) -> int:
    """The whole command. Raises Invalid for bad input, before anything is run or written."""
    trials = prepare(wanted)
    jobs = len(trials[0].case.jobs)
    if not jobs:
        raise Invalid(
            "none of the jobs could run, even on the empty centre", "trace", fix="rehearse more or wider nodes"
        )
    for note in dict.fromkeys(note for trial in trials for note in trial.notes):
        print(f"warning: {note}", file=sys.stderr)
    if svg is not None:
        svg.mkdir(parents=True, exist_ok=True)
    if not quiet:
        print(f"replaying {jobs:,} jobs {len(trials)} times …", file=sys.stderr)
    outcomes = _all(trials)
    print(show.render(outcomes, form), end="")
    if svg is not None:
        for path in plots.write(outcomes, svg):
            print(path, file=sys.stderr)
    return 0


def _all(trials: Sequence[Trial]) -> list[Outcome]:
    """One process a column, as many at once as there are cores; the order of the columns stays."""
    workers = min(len(trials), os.cpu_count() or 1)
    if workers == 1:
        return [_one(trial) for trial in trials]
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(pool.map(_one, trials))


def _one(trial: Trial) -> Outcome:
    begun = time.perf_counter()
    record = simulate(trial.case)
    took_s = time.perf_counter() - begun
    return Outcome(trial, measure(trial.case, record), series(trial.case, record), took_s)
