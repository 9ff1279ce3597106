"""The random states are worth searching: a property that holds because nothing happens proves nothing."""

from collections import Counter

from hypothesis import given, settings

from scheduler.cycle import plan
from scheduler.snapshot import State
from tests.support.strategies import states


def test_random_states_start_things_and_block_things_for_every_reason() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=400)
    @given(states())
    def look(current: State) -> None:
        answer = plan(current, 10**12)
        seen["examples"] += 1
        seen["starts"] += bool(answer.starts)
        seen["several"] += len(answer.starts) > 1
        seen["gangs"] += any(len(start.placements) > 1 for start in answer.starts)
        seen.update({line.reason.code for line in answer.outlook if line.reason})

    look()
    share = {what: count / seen["examples"] for what, count in seen.items()}
    for what, least in (("starts", 0.4), ("several", 0.2), ("gangs", 0.05)):
        assert share.get(what, 0) >= least, share
    for code in ("capacity", "quota", "budget", "running-limit", "array-limit", "never-fits", "dependency"):
        assert seen[code] >= 3, (code, seen)
    for code in ("priority", "reservation", "withheld"):
        assert seen[code] >= 1, (code, seen)
