"""Random graphs of jobs that wait for one another, against what recursion over the graph alone foretells."""

import random
from dataclasses import dataclass
from functools import cache

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from domain.jobs import Array
from lifecycle.submit import submit_many
from tests.lifecycle.test_dependencies import outcome, waiting
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.databases import SQLITE


@dataclass(frozen=True)
class Node:
    """A job of a random graph: how it would end if it ran, and (kind, position of an earlier one, task of it)."""

    minutes: int
    good: bool
    tasks: int
    after: tuple[tuple[str, int, int | None], ...]
    held: bool


def some_graph(seed: bytes) -> list[Node]:
    rng = random.Random(seed)
    nodes: list[Node] = []
    for place in range(rng.randint(2, 12)):
        others = rng.sample(range(place), rng.randint(0, min(3, place)))
        after = tuple(
            (
                rng.choice(["ok", "ok", "failed", "any"]),
                other,
                rng.randrange(nodes[other].tasks) if nodes[other].tasks > 1 and rng.random() < 0.5 else None,
            )
            for other in others
        )
        nodes.append(Node(rng.randint(1, 5), rng.random() < 0.7, rng.choice([1, 1, 3]), after, rng.random() < 0.1))
    return nodes


def foretold(graph: list[Node]) -> list[str]:
    """How each job must end, by recursion over the graph alone: no clock, no database. A held job holds up the rest."""

    @cache
    def end(place: int) -> str:
        node = graph[place]
        verdicts = []
        for kind, other, _ in node.after:  # all tasks of an array end alike
            ended = end(other)
            verdicts.append(
                "wait" if ended in {"held", "pending"} else "met"
                if kind == "any" or (ended == "succeeded") == (kind == "ok") else "never"
            )  # fmt: skip
        if "never" in verdicts:
            return "failed"
        if node.held:
            return "held"
        return "pending" if "wait" in verdicts else "succeeded" if node.good else "failed"

    return [end(place) for place in range(len(graph))]


def assert_runs_as_foretold(centre: Centre, graph: list[Node]) -> None:
    centre.refound()
    specs = [
        waiting(
            *(f"{kind}:@{other}" + ("" if task is None else f"_{task}") for kind, other, task in node.after),
            command=f"run {node.minutes}m" + ("" if node.good else " exit 1"),
            array=Array(0, node.tasks - 1) if node.tasks > 1 else None,
            held=node.held,
        )
        for node in graph
    ]
    with centre.store.write() as uow:
        jobs = submit_many(uow, centre.caller(), specs, centre.clock.now_ms())
    centre.run()
    assert [outcome(centre, job) for job in jobs] == foretold(graph)
    ends = {(row.job_id, row.task_index): row.ended_ms for row in centre.database.rows("SELECT * FROM task")}
    for node, job in zip(graph, jobs, strict=True):
        for attempt in centre.attempts(job):
            for _, other, task in node.after:
                ended = ends.get((jobs[other], task), centre.job(jobs[other]).ended_ms)
                assert ended is not None
                assert attempt.created_ms >= ended, "it was started before its dependency allowed it"
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(5)
def test_random_graphs_end_as_foretold(centre: Centre) -> None:
    """Every job ends, or legally waits for one that is held; none starts before what it waits for has ended."""
    seen: set[str] = set()

    @settings(
        max_examples=20 if centre.database.kind == SQLITE else 10,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(st.binary(min_size=8, max_size=8).map(some_graph))
    def one(graph: list[Node]) -> None:
        assert_runs_as_foretold(centre, graph)
        seen.update(foretold(graph))

    one()
    assert centre.database.kind != SQLITE or seen == {"succeeded", "failed", "held", "pending"}
