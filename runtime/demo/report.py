"""The usage report, and the proof that it is right: ledger, meters and attempts must say the same to the last bit.

The demo adds up by itself what every attempt used, read through the API, and holds it against the ledger's totals by
tenant, by project and by funder.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from client.models import Attempt, Usage
from runtime.demo.centre import A100, FUNDERS, H100, PROJECTS, TENANTS
from runtime.demo.failure import DemoFailed
from runtime.demo.screen import Column
from runtime.demo.visit import Visit

_KINDS = ("tenant", "project", "funder")


def report(visit: Visit, attempts: Sequence[Attempt]) -> None:
    """Show usage by tenant, project and funder, and check it. Raises DemoFailed if anything disagrees."""
    usages = {kind: visit.admin.usage(kind) for kind in _KINDS}
    titles = {tenant.name: tenant.title for tenant in TENANTS} | {project.name: project.title for project in PROJECTS}
    titles |= FUNDERS
    for kind, usage in usages.items():
        _show(visit, kind, usage, titles)
    wrong = disagreements(usages, attempts) + _open_holds(visit)
    if wrong:
        raise DemoFailed("the usage report DISAGREES: " + "; ".join(wrong))
    total = usages["tenant"]["total"]
    visit.screen.console.print()
    visit.screen.say(
        f"It agrees: ledger, meters and {len(attempts):,} attempts all say {total['total_gpu_ms']:,} GPU-milliseconds,",
        style="green",
    )
    visit.screen.say(
        f"by tenant, by project and by funder; {total['charged_su']} SU charged, none left on hold.", style="green"
    )


def disagreements(usages: dict[str, Usage], attempts: Sequence[Attempt]) -> list[str]:
    """Everything that does not add up, in words. Empty is right."""
    used: Counter[str] = Counter()
    for attempt in attempts:
        used[attempt["flavor"]] += attempt["gpu_ms"]
    charged = sum((Decimal(attempt["charged_su"]) for attempt in attempts), Decimal())
    wrong = []
    for kind, usage in usages.items():
        total, rows = usage["total"], usage["rows"]
        if not usage["agrees"]:
            wrong.append(f"by {kind}, the ledger and the meters differ")
        if total["gpu_ms"] != _positive(used):
            wrong.append(f"by {kind}, the ledger says {total['gpu_ms']} GPU-milliseconds and the attempts {dict(used)}")
        if _positive(usage["metered"]) != _positive(used):
            wrong.append(f"by {kind}, the meters say {usage['metered']} GPU-milliseconds and the attempts {dict(used)}")
        if Decimal(total["charged_su"]) != charged:
            wrong.append(f"by {kind}, the ledger says {total['charged_su']} SU and the attempts {charged}")
        if sum(row["total_gpu_ms"] for row in rows) != total["total_gpu_ms"]:
            wrong.append(f"by {kind}, the rows do not add up to their total")
    if not sum(used.values()):
        wrong.append("nothing was used at all")
    return wrong


def _open_holds(visit: Visit) -> list[str]:
    """When nothing runs, nothing may be on hold, and what was consumed is what was charged."""
    return [
        f"allocation {allocation['id']} of {allocation['project']} still holds {allocation['held_su']} SU"
        for allocation in visit.admin.allocations.each()
        if Decimal(allocation.get("held_su", "0"))
    ]


def _show(visit: Visit, kind: str, usage: Usage, titles: dict[str, str]) -> None:
    columns = (
        Column(f"GPU-milliseconds by {kind}"), Column("", words=True), Column(H100, right=True),
        Column(A100, right=True), Column("all", right=True), Column("SU", right=True),
    )  # fmt: skip
    rows = [(row["key"], titles.get(row["key"], ""), *_figures(row)) for row in usage["rows"]]
    visit.screen.table(columns, rows, ("total", "", *_figures(usage["total"])))


def _figures(line: Mapping[str, Any]) -> tuple[str, str, str, str]:
    used = (line["gpu_ms"].get(H100, 0), line["gpu_ms"].get(A100, 0), line["total_gpu_ms"])
    h100, a100, every = (f"{gpu_ms:,}" for gpu_ms in used)
    return h100, a100, every, f"{Decimal(line['charged_su']):.6f}"


def _positive(used: dict[str, int]) -> dict[str, int]:
    return {flavor: gpu_ms for flavor, gpu_ms in used.items() if gpu_ms}
