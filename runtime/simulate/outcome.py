"""What a column of a rehearsal came to."""

from dataclasses import dataclass

from runtime.simulate.trials import Trial
from scheduler.sim.measures import Measures
from scheduler.sim.series import Series


@dataclass(frozen=True, slots=True)
class Outcome:
    """``took_s`` is how long the simulation itself took."""

    trial: Trial
    measures: Measures
    series: Series
    took_s: float
