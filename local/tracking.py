"""What the driver knows of each attempt that was started and not yet forgotten, and how it finds out.

The truth is on disk: claim, journal and result. Events only say when to look, and spare the looking while a job runs.
"""

import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import cast

from domain.ids import AttemptId
from domain.jobs import AttemptState, Observation, Output
from local.forked import claim
from local.forked.files import write_whole
from local.forked.order import Result
from local.places import Place

_LIVE_ORDER = (AttemptState.STARTING, AttemptState.RUNNING, AttemptState.STOPPING)


@dataclass(slots=True)
class Tracked:
    """One attempt. ``line`` is its order until it is known to be claimed; ``own`` ones report to this driver."""

    place: Place
    observation: Observation
    line: bytes | None = None
    own: bool = True
    stale: bool = False  # the disk is to be read before it is observed again
    cores: list[int] = field(default_factory=list)
    sent_at: float = field(default_factory=time.monotonic)
    looked_at: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        return str(self.observation.attempt)

    @property
    def live(self) -> bool:
        return not self.observation.state.final

    @property
    def unclaimed(self) -> bool:
        """Whether nobody is known to have taken the order yet."""
        return self.live and self.line is not None

    def hear(self, state: str, started_ms: int | None) -> None:
        """An event, or a line of the journal."""
        self.line = None
        if state == "ended":
            self.stale = True
        elif self.live and _LIVE_ORDER.index(AttemptState(state)) > _LIVE_ORDER.index(self.observation.state):
            self.observation = replace(self.observation, state=AttemptState(state), started_ms=started_ms)

    def look(self) -> bool:
        """Read the disk. True if the supervisor is gone without a result: the attempt has vanished."""
        self.stale = False
        if not self.live or self.settled():
            return False
        # In this order: what the journal shows was written by one who held the claim from before until its end.
        lines = claim.journal(self.place.claim)
        for line in lines:
            with suppress(ValueError, KeyError):  # a full disk or a power cut may have damaged it
                event = json.loads(line)
                self.hear(event["state"], event.get("started_ms"))
        return bool(lines) and not claim.holder(self.place.claim) and not self.settled()

    def settled(self) -> bool:
        """Take the result over, if there is one."""
        result = read_result(self.place)
        if result is not None:
            self.settle(result)
        return result is not None

    def settle(self, result: Result) -> None:
        self.line = None
        self.observation = Observation(
            self.observation.attempt,
            AttemptState(result["state"]),
            started_ms=result["started_ms"],
            ended_ms=result["ended_ms"],
            exit_code=result["exit_code"],
            signal=result["signal"],
            detail=result["detail"],
            out_of_memory=result["out_of_memory"],
            outputs=tuple(Output(**entry) for entry in result["outputs"]),
        )

    def end_unclaimed(self, result: Result) -> bool:
        """Claim the attempt ourselves, so that nobody ever runs it, and give it this result. False: too late."""
        claimed = claim.take(self.place.claim)
        if claimed is None:
            return False
        try:
            self.give(result)
        finally:
            os.close(claimed)
        return True

    def give(self, result: Result) -> None:
        """Write a result for an attempt that has no supervisor."""
        write_whole(self.place.result, json.dumps(result).encode())
        self.settle(result)


def track(attempt: AttemptId, place: Place) -> Tracked:
    """An attempt as it looks before anything is known of it."""
    return Tracked(place, Observation(attempt, AttemptState.STARTING))


def read_result(place: Place) -> Result | None:
    """None if there is none, or one that a power cut left empty."""
    with suppress(FileNotFoundError, ValueError):
        return cast("Result", json.loads(place.result.read_bytes()))
    return None
