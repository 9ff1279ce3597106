"""What the driver writes on an object of its own, and reads again: that it is to stop and why, and how it ended.

Annotations, so that a driver that comes later knows (driver and its helpers ↔ here). Pure. A bundle has one of each
kind a member, ``baray.io/stop.3`` being that of index 3, so that two writers of two members never undo each other.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any

from domain.ids import AttemptId
from domain.jobs import AttemptState, Observation
from k8s.names import FINALIZER, GRACE, MEMBERS, STOP, WALLTIME

RESULT = FINALIZER
_DONE = "baray.io/done"  # of a member whose result is committed; of a whole object the label says so
_DETAIL = 2_000

Object = Mapping[str, Any]


class Why(StrEnum):
    """Why an attempt was told to stop. The first that was written stands."""

    ASKED = "asked"
    WALLTIME = "walltime"
    HOPELESS = "hopeless"  # it cannot be started as it is
    EVICTED = "evicted"  # Kueue took its place away
    DELETED = "deleted"  # somebody else deleted it on the cluster
    SKIPPED = "skipped"  # it was told to stop before its bundle was made


@dataclass(frozen=True, slots=True)
class Stop:
    """``grace_ms``: less than its own, if it is not None. ``say`` goes into the result's detail."""

    why: Why
    grace_ms: int | None = None
    say: str = ""

    def write(self) -> str:
        return json.dumps({key: value for key, value in asdict(self).items() if value not in (None, "")})


def suffix(owner: Object, position: int) -> str:
    """Behind the keys of the attempt at this position of the object."""
    return f".{position}" if MEMBERS in _annotations(owner) else ""


def stop_of(owner: Object, position: int) -> Stop | None:
    """Why the attempt at this position was told to stop, if it was."""
    text = _annotations(owner).get(STOP + suffix(owner, position))
    if text is None:
        return None
    try:
        told = json.loads(text)
        return Stop(Why(told["why"]), told.get("grace_ms"), str(told.get("say", "")))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Stop(Why.ASKED)  # whoever wrote it meant it to stop


def walltime_of(owner: Object, position: int) -> int | None:
    found = _annotations(owner)
    text = found.get(WALLTIME + suffix(owner, position), found.get(WALLTIME))
    return int(text) if text is not None and text.isdecimal() else None


def grace_of(owner: Object) -> int | None:
    text = _annotations(owner).get(GRACE)
    return int(text) if text is not None and text.isdecimal() else None


def write_result(observation: Observation) -> str:
    """The end of an attempt. Outputs are not part of it: the shelf has them."""
    told = asdict(replace(observation, outputs=(), detail=observation.detail[:_DETAIL]))
    del told["attempt"], told["outputs"]
    worth = {key: value for key, value in told.items() if value is not None and value is not False and value != ""}
    return json.dumps(worth, ensure_ascii=False)


def result_of(owner: Object, position: int, attempt: AttemptId) -> Observation | None:
    """The end that was written down, if one was."""
    text = _annotations(owner).get(RESULT + suffix(owner, position))
    if text is None:
        return None
    try:
        told = json.loads(text)
        return Observation(attempt, **{**told, "state": AttemptState(told["state"])})
    except (ValueError, KeyError, TypeError):
        return None


def is_done(owner: Object, position: int) -> bool:
    return (_DONE + suffix(owner, position)) in _annotations(owner)


def done_key(owner: Object, position: int) -> str:
    return _DONE + suffix(owner, position)


def _annotations(owner: Object) -> Mapping[str, str]:
    found: Mapping[str, str] = owner["metadata"].get("annotations") or {}
    return found
