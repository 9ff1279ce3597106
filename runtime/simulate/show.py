"""A rehearsal as text: a table for people, or JSON, YAML and CSV for machines. See docs/simulate.md for each field."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from runtime.simulate.outcome import Outcome
from scheduler.rules import digest, write_policy
from scheduler.sim.measures import Measures

FORMS = ("table", "json", "yaml", "csv")

_TENANTS = 12  # that the table shows: those with the most jobs

Line = tuple[str, Callable[[Measures], float | None], str]

LINES: tuple[Line, ...] = (
    ("jobs", lambda m: m.jobs, "count"),
    ("started", lambda m: m.started, "count"),
    ("could never fit", lambda m: m.rejected, "count"),
    ("wait, mean", lambda m: m.wait.mean_s, "time"),
    ("wait, median", lambda m: m.wait.p50_s, "time"),
    ("wait, 95 %", lambda m: m.wait.p95_s, "time"),
    ("wait, longest", lambda m: m.wait.max_s, "time"),
    ("slowdown, mean", lambda m: m.slowdown, "number"),
    ("utilisation", lambda m: m.utilisation, "share"),
    ("until the last end", lambda m: m.makespan_s, "time"),
    ("evenness of shares held", lambda m: m.jain_held, "number"),
    ("evenness of service", lambda m: m.jain_served, "number"),
    ("jobs stopped", lambda m: sum(m.stops.values()), "count"),
    ("work lost, GPU-h", lambda m: m.lost_gpu_h, "number"),
    ("guarantees missed, GPU-h", lambda m: sum(m.violated_gpu_h.values()), "number"),
    ("start estimates that held", lambda m: m.coverage.inside, "share"),
)


def render(outcomes: Sequence[Outcome], form: str) -> str:
    """All columns in one of ``FORMS``."""
    if form == "table":
        return _table(outcomes)
    if form == "csv":
        return _csv(outcomes)
    data = {"columns": [document(outcome) for outcome in outcomes]}
    if form == "yaml":
        from cli.output import to_yaml

        return to_yaml(data)
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def document(outcome: Outcome) -> dict[str, Any]:
    """One column, whole: with the very policy that was rehearsed."""
    policy = outcome.trial.case.policy
    measures = asdict(outcome.measures)
    return {
        "name": outcome.trial.name,
        "scenario": outcome.trial.scenario,
        "policy": {"name": outcome.trial.policy, "digest": digest(policy), "document": write_policy(policy)},
        "measures": {**measures, "skipped": dict(measures["skipped"]), "warnings": list(measures["warnings"])},
        "notes": list(outcome.trial.notes),
        "took_s": round(outcome.took_s, 2),
    }


def _rows(outcomes: Sequence[Outcome]) -> list[tuple[str, list[float | None], str]]:
    """Every measure with its value in each column."""
    all_measures = [outcome.measures for outcome in outcomes]
    rows = [(title, [of(measures) for measures in all_measures], kind) for title, of, kind in LINES]
    sizes = all_measures[0].by_size
    rows += [(f"wait, mean, {size}", [m.by_size[size].mean_s for m in all_measures], "time") for size in sizes]
    tenants = sorted(all_measures[0].by_tenant.items(), key=lambda item: (-item[1].jobs, item[0]))
    for tenant, _ in tenants:
        waits = [m.by_tenant[tenant].mean_s if tenant in m.by_tenant else None for m in all_measures]
        rows.append((f"wait, mean, {tenant}", waits, "time"))
    return rows


def _csv(outcomes: Sequence[Outcome]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["measure", *(outcome.trial.name for outcome in outcomes)])
    writer.writerow(["policy digest", *(digest(outcome.trial.case.policy) for outcome in outcomes)])
    writer.writerows(
        [title, *("" if value is None else value for value in values)] for title, values, _ in _rows(outcomes)
    )
    return text.getvalue()


def _table(outcomes: Sequence[Outcome]) -> str:
    """Values, and beside them how much they differ from the first column's."""
    rows = _rows(outcomes)
    hidden = len(rows) - len(LINES) - len(outcomes[0].measures.by_size) - _TENANTS
    if hidden > 0:
        rows = rows[:-hidden]
    cells = [["", *(outcome.trial.name for outcome in outcomes)]]
    cells += [
        [title, *_told(values, kind)] for title, values, kind in rows if any(value is not None for value in values)
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ["  ".join(_aligned(row, widths)).rstrip() for row in cells]
    if hidden > 0:
        lines.append(f"… and {hidden} more tenants: -o csv shows all")
    lines.append("")
    known: dict[str, str] = {}
    for outcome in outcomes:
        known.setdefault(outcome.trial.policy, digest(outcome.trial.case.policy))
    lines += [f"policy {name}: sha256 {code}" for name, code in known.items()]
    lines += [f"warning: {warning}" for outcome in outcomes for warning in outcome.measures.warnings]
    return "\n".join(lines) + "\n"


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def _told(values: Sequence[float | None], kind: str) -> list[str]:
    first = values[0]
    return [_shown(value, kind) + _change(first, value, kind) * (at > 0) for at, value in enumerate(values)]


def _change(first: float | None, value: float | None, kind: str) -> str:
    """How much a value differs from the first column's: in per cent, or by which factor; shares in points."""
    if first is None or value is None:
        return ""
    if kind == "share":
        points = round((value - first) * 100, 1)
        return f" ({points:+.1f})" if points else ""
    if not first or round(value / first, 2) == 1:
        return ""
    return f" (x {value / first:,.0f})" if value > 10 * first else f" ({(value - first) / first * 100:+.0f} %)"


def _shown(value: float | None, kind: str) -> str:
    if value is None:
        return "-"
    match kind:
        case "time":
            return duration(value)
        case "share":
            return f"{value * 100:.1f} %"
        case "count":
            return f"{value:,.0f}"
        case _:
            return f"{value:,.2f}"


def duration(seconds: float) -> str:
    """Two units at the most: 3d 4h, 5h 12m, 7m 30s, 12s."""
    whole = round(seconds)
    days, hours, minutes = whole // 86_400, whole // 3_600 % 24, whole // 60 % 60
    if days:
        return f"{days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m {whole % 60}s" if minutes else f"{whole}s"
