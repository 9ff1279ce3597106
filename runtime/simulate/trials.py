"""The columns of a rehearsal: every scenario under every policy, the first of each being what is in force."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from domain.errors import Fault, Invalid
from domain.quantities import SECOND_MS, parse_duration
from runtime.simulate.files import naming, read_document, read_trace
from scheduler.policy import Policy
from scheduler.rules import read_policy
from scheduler.sim.case import Case, build
from scheduler.sim.scenario import Scenario, read_scenario, shortfalls
from scheduler.sim.traces import Trace

MOST = 12


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was asked for on the command line. ``base`` is a scenario document that the files change."""

    trace: Path
    policies: Sequence[Path] = ()
    scenarios: Sequence[Path] = ()
    base: Path | None = None
    gpus: int | None = None
    gpus_per_node: int = 8
    limit: int | None = None
    from_: str | None = None
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """One column: a case to run. ``notes`` are what an administrator should know of it beforehand."""

    name: str
    scenario: str
    policy: str
    case: Case
    notes: tuple[str, ...]


def prepare(wanted: Wanted) -> list[Trial]:
    """All columns. Raises Invalid with what is wrong with any file; then nothing is run."""
    base = read_document(wanted.base) if wanted.base is not None else {}
    scenarios = _scenarios(wanted, base)
    policies = [(path.stem, _policy(path)) for path in wanted.policies]
    trace = _trace(wanted, scenarios)
    trials = []
    for name, scenario in scenarios:
        standing = _standing(name, scenario, in_force=wanted.base is not None)
        for title, policy in [standing, *policies]:
            notes = shortfalls(scenario)
            trials.append(
                Trial(_column(name, title, scenarios, policies), name, title, build(trace, scenario, policy), notes)
            )
    if len(trials) > MOST:
        raise Invalid(f"{len(trials)} columns do not fit side by side; {MOST} are the most", fix="give fewer files")
    return trials


def _scenarios(wanted: Wanted, base: Mapping[str, Any]) -> list[tuple[str, Scenario]]:
    """As it is, if that is known without any scenario file; then each file's changes to it."""
    if wanted.gpus is not None and not base.get("capacity"):
        base = {**base, "capacity": _uniform(wanted)}
    found = []
    if not wanted.scenarios or base:
        found.append(("as it is", read_scenario(base)))
    for path in wanted.scenarios:
        document = read_document(path)
        with naming(path):
            found.append((path.stem, read_scenario(_changed(base, document))))
    if any(not scenario.capacity for _, scenario in found):
        raise Invalid("how many GPUs are there?", "capacity", fix="give --gpus N, or a --scenario with `capacity`")
    return found


def _uniform(wanted: Wanted) -> list[dict[str, Any]]:
    """Capacity that is only a number of GPUs, as a scenario has it; the last node is smaller if they do not divide."""
    whole, rest = divmod(wanted.gpus or 0, wanted.gpus_per_node)
    flavor = _only_flavor(read_trace(wanted.trace))
    pools = [{"flavor": flavor, "nodes": whole, "gpus": wanted.gpus_per_node}] if whole else []
    return [*pools, {"flavor": flavor, "gpus": rest}] if rest else pools


def _changed(base: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """A section of the document replaces the base's; ``added_capacity`` is put beside the base's capacity."""
    merged = {**base, **document}
    added = merged.pop("added_capacity", None)
    if added is not None:
        if not isinstance(added, list):
            raise Invalid("added_capacity: is no list", "added_capacity")
        merged["capacity"] = [*(merged.get("capacity") or ()), *added]
    return merged


def _only_flavor(trace: Trace) -> str:
    """The flavor of capacity that is only a number: the trace's own, if it names but one."""
    named = sorted({job.gpu_type for job in trace.jobs if job.gpu_type})
    if len(named) > 1:
        fault = Fault(f"the trace names {len(named)} flavors: {', '.join(named)[:200]}", "gpus",
                      "say how many there are of each: a --scenario with `capacity`")  # fmt: skip
        raise Invalid.many([fault])
    return named[0] if named else "gpu"


def _trace(wanted: Wanted, scenarios: Sequence[tuple[str, Scenario]]) -> Trace:
    """The part of the trace that is to be replayed; every scenario must offer what it asks for."""
    offered = set(scenarios[0][1].flavors).intersection(*(scenario.flavors for _, scenario in scenarios))
    zero_ms = scenarios[0][1].zero_ms
    from_ms, until_ms = _when(wanted.from_, "from", zero_ms), _when(wanted.until, "until", zero_ms)
    part = read_trace(wanted.trace, offered).part(limit=wanted.limit, from_ms=from_ms, until_ms=until_ms)
    if not part.jobs:
        raise Invalid(f"{wanted.trace.name}: no job was submitted in that time", "from", fix="widen --from and --until")
    return part


def _when(text: str | None, option: str, zero_ms: int | None) -> int | None:
    """A time of the trace: a duration after its zero, whole seconds, or a date if the scenario dates the zero."""
    if text is None:
        return None
    if text.isdecimal() and len(text) < 13:
        return int(text) * SECOND_MS
    if "-" in text:
        return read_scenario({"date": text}).zero_ms - _needed(zero_ms, option)  # type: ignore[operator]
    return parse_duration(text, option)


def _needed(zero_ms: int | None, option: str) -> int:
    if zero_ms is None:
        raise Invalid(
            f"--{option}: the trace's zero has no date", option, fix="say `date:` in a scenario, or such as 14d"
        )
    return zero_ms


def _policy(path: Path) -> Policy:
    document = read_document(path)
    with naming(path):
        return read_policy(document)


def _standing(name: str, scenario: Scenario, *, in_force: bool) -> tuple[str, Policy]:
    """The policy that a scenario has of itself."""
    if scenario.policy is None:
        return "default", Policy()
    try:
        return "in force" if in_force else "its own", read_policy(scenario.policy)
    except Invalid as error:
        faults = [
            Fault(f"{name}: policy.{fault.field}: {fault.message}", fault.field, fault.fix) for fault in error.faults
        ]
        raise Invalid.many(faults) from error


def _column(
    scenario: str, policy: str, scenarios: Sequence[tuple[str, Scenario]], policies: Sequence[tuple[str, Policy]]
) -> str:
    """As short as is clear."""
    if len(scenarios) == 1:
        return policy
    return scenario if not policies else f"{scenario}, {policy}"
