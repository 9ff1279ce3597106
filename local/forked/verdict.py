"""How an attempt ended, in one ``Result``: computed by the supervisor when nothing of the attempt runs any more."""

import os
import signal

from local.forked import cgroups
from local.forked.attempt import Attempt
from local.forked.collect import Collector
from local.forked.order import OUTPUTS, Order, RankResult, Result


def verdict(attempt: Attempt) -> Result:
    """Judge, collect the outputs, and give the control groups back."""
    order = attempt.order
    ranks = [_rank_result(attempt, rank) for rank in range(len(order["ranks"]))]
    blamed = attempt.first_failed or 0
    oom_rank = _short_of_memory(order)
    give_groups_back(order)
    state = _state(attempt)
    out_of_memory = state == "failed" and oom_rank is not None
    collector = Collector(order, f"{order['place']}/{OUTPUTS}")
    if order["outputs"] and attempt.started_ms is not None:
        collector.run()
    sentences = [
        *_reasons(attempt, state, ranks),
        *([] if oom_rank is None else [_memory_sentence(attempt, oom_rank)]),
        *([] if not attempt.survivors else ["Some of its processes could not be killed."]),
        *{pump.remark: None for pump in attempt.pumps if pump.remark},
        *collector.remarks,
        *order["remarks"],
    ]
    return {
        "state": state,
        "started_ms": attempt.started_ms,
        "ended_ms": attempt.now_ms() if attempt.ended_ms is None else attempt.ended_ms,
        "exit_code": ranks[blamed]["exit_code"],
        "signal": ranks[blamed]["signal"],
        "detail": " ".join(sentences),
        "out_of_memory": out_of_memory,
        "ranks": ranks,
        "outputs": collector.entries,
    }


def _state(attempt: Attempt) -> str:
    if attempt.ending and attempt.ending != "failed":
        return attempt.ending
    if attempt.breakdown:
        return "node_failed"
    if attempt.problem or attempt.first_failed is not None:
        return "failed"
    return "succeeded"


def _rank_result(attempt: Attempt, rank: int) -> RankResult:
    node = attempt.order["ranks"][rank]["node"]
    if rank >= len(attempt.ranks):
        return {"node": node, "exit_code": None, "signal": None}
    code = os.waitstatus_to_exitcode(attempt.crew.ends[attempt.ranks[rank]])
    return {"node": node, "exit_code": None if code < 0 else code, "signal": -code if code < 0 else None}


def _reasons(attempt: Attempt, state: str, ranks: list[RankResult]) -> list[str]:
    reasons = [text for text in (attempt.problem, attempt.breakdown) if text]
    if state == "timed_out":
        reasons.append(f"It reached its walltime of {attempt.order['walltime']}.")
    if attempt.ending == "node_failed":
        reasons.append("The machine, or its service manager, asked its jobs to end.")
    if attempt.first_failed is not None and not reasons:
        reasons += _failure_sentence(ranks, attempt.first_failed)
    if attempt.killed:
        reasons.append("It did not end within its grace after the stop signal, and was killed.")
    return reasons


def _failure_sentence(ranks: list[RankResult], failed: int) -> list[str]:
    """Nothing for a plain exit code of a single rank: the code says it all."""
    rank = ranks[failed]
    how = f"ended with exit code {rank['exit_code']}" if rank["signal"] is None else _signal_words(rank["signal"])
    if len(ranks) > 1:
        return [f"Rank {failed} on {rank['node']} {how}; the other ranks were stopped."]
    return [] if rank["signal"] is None else [f"It {how}."]


def _signal_words(signum: int) -> str:
    try:
        return f"was ended by {signal.Signals(signum).name}"
    except ValueError:
        return f"was ended by signal {signum}"


def give_groups_back(order: Order) -> None:
    """Remove the control groups, which nobody is in any more."""
    for part in order["ranks"]:
        for group in part["cgroups"]:
            cgroups.remove(group["path"])


def _short_of_memory(order: Order) -> int | None:
    """The first rank of which the kernel killed a process for want of memory."""
    for rank, part in enumerate(order["ranks"]):
        if any(cgroups.oom_kills(group["path"]) for group in part["cgroups"]):
            return rank
    return None


def _memory_sentence(attempt: Attempt, rank: int) -> str:
    part = attempt.order["ranks"][rank]
    return (
        f"It needed more than its {part['memory']} of memory on {part['node']}, and the kernel killed a process of it."
    )
