"""How jobs, their tasks, attempts and reasons look."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cli import words
from cli.tables import Column

if TYPE_CHECKING:
    from client.models import Admission, Job, Reason, Why

Row = Mapping[str, Any]

FINAL = ("succeeded", "failed", "cancelled", "timed_out")


def job_columns(now: int) -> list[Column]:
    time = words.short_times(now)
    return [
        Column("JOB", "id", right=True),
        Column("NAME", "name", flex=True),
        Column("PROJECT", "project"),
        Column("USER", "user"),
        Column("STATE", "state"),
        Column("GPUS", "", _gpus, right=True),
        Column("TASKS", "", tasks_done, right=True),
        Column("SUBMITTED", "submitted_ms", time),
        Column("TIME", "", lambda row: words.elapsed(row["started_ms"], row["ended_ms"], now), right=True),
        Column("REASON", "reason", reason_text, flex=True, sparse=True, as_shown=True),
        Column("TENANT", "tenant", wide=True),
        Column("GPUS/NODE", "spec.resources.gpus", right=True, wide=True),
        Column("NODES", "spec.resources.nodes", right=True, wide=True),
        Column("FLAVOR", "spec.resources.flavor", wide=True),
        Column("WALLTIME", "spec.resources.walltime", right=True, wide=True),
        Column("QOS", "spec.qos", wide=True),
        Column("STARTED", "started_ms", time, wide=True),
        Column("ENDED", "ended_ms", time, wide=True),
        Column("ALL", "tasks.total", right=True, wide=True),
        Column("CHARGED SU", "cost.charged_su", right=True, wide=True),
        Column("HELD SU", "cost.held_su", right=True, wide=True),
        Column("CODE", "reason.code", wide=True),
    ]


def task_columns(now: int) -> list[Column]:
    time = words.short_times(now)
    return [
        Column("TASK", "id", right=True),
        Column("STATE", "state"),
        Column("ATTEMPTS", "attempts", right=True),
        Column("STARTED", "started_ms", time),
        Column("ENDED", "ended_ms", time),
        Column("TIME", "", lambda row: words.elapsed(row["started_ms"], row["ended_ms"], now), right=True),
    ]


def attempt_columns(now: int) -> list[Column]:
    time = words.short_times(now)
    return [
        Column("ATTEMPT", "id", right=True),
        Column("STATE", "state"),
        Column("CLUSTER", "cluster"),
        Column("FLAVOR", "flavor"),
        Column("NODES", "placements", lambda found: ",".join(place["node"] for place in found or ()) or "-"),
        Column("STARTED", "started_ms", time),
        Column("TIME", "", lambda row: words.elapsed(row["started_ms"], row["ended_ms"], now), right=True),
        Column("EXIT", "exit_code", right=True),
        Column("SU", "charged_su", right=True),
        Column("DETAIL", "", _detail, flex=True),
        Column("CREATED", "created_ms", time, wide=True),
        Column("ENDED", "ended_ms", time, wide=True),
        Column("SIGNAL", "signal", right=True, wide=True),
        Column("OUT OF MEMORY", "out_of_memory", wide=True),
        Column("GPU-HOURS", "gpu_ms", words.gpu_hours, right=True, wide=True),
        Column("WHY", "detail", wide=True),
    ]


def job_fields(job: "Job", now: int) -> list[tuple[str, str]]:
    """All about a job, for people."""
    spec = job["spec"]
    fields = [
        ("job", f"{job['id']}  {job['name']}"),
        ("state", f"{job['state']}{_since(job, now)}"),
        ("project", f"{job['project']} ({job['tenant']}), by {job['user']}"),
        ("asks for", asks(spec)),
        ("submitted", words.long_time(job["submitted_ms"])),
        ("started", words.long_time(job["started_ms"])),
        ("ended", words.long_time(job["ended_ms"])),
        ("cost", f"{job['cost']['charged_su']} SU charged, {job['cost']['held_su']} SU held{_money(job['cost'])}"),
    ]
    if job.get("waits_for"):
        fields.append(("waits for", ", ".join(job["waits_for"])))
    if job.get("priority"):
        fields.append(("priority", str(job["priority"])))
    if job["tasks"]["total"] > 1:
        counts = ", ".join(f"{count} {state}" for state, count in job["tasks"].items() if state != "total" and count)
        fields.append(("tasks", f"{job['tasks']['total']}: {counts}"))
    fields += [(name, words.plain(spec[name])) for name in ("qos", "image", "outputs", "secrets") if spec.get(name)]
    if volumes := spec.get("volumes"):
        fields.append(("volumes", ", ".join(f"{name} at {path}" for path, name in volumes.items())))
    for role in spec.get("roles") or ():
        fields.append((f"role {role['name']}", f"{role['nodes']} node{'s'[: role['nodes'] > 1]}: {_runs(role)}"))
    if not spec.get("roles"):
        fields.append(("runs", _runs(spec)))
    if job["reason"]:
        fields.append(("reason", "\n".join(reason_lines(job["reason"]))))
    return fields


def _runs(spec: Row) -> str:
    """The script or command of a job, or of a role."""
    return str(spec.get("run") or " ".join(spec.get("command") or ())).strip()


def asks(spec: Row) -> str:
    """The resources of a job file in one line."""
    asked = spec.get("resources") or {}
    nodes, gpus, cpus = asked.get("nodes") or 1, asked.get("gpus") or 0, asked.get("cpus") or 0
    parts = [
        f"{nodes} nodes, each of" if nodes > 1 else "",
        words.count(gpus, "GPU") if gpus else "",
        f"({words.plain(asked['flavor'])})" if gpus and asked.get("flavor") else "",
        words.count(cpus, "CPU") if cpus else "",
        str(asked.get("memory") or ""),
        f"for {asked['walltime']}" if asked.get("walltime") else "",
    ]
    return " ".join(part for part in parts if part) or "-"


def reason_text(reason: "Reason | str | None") -> str:
    """What the reason says: of a job that waits it is structured, of one that ended it is a sentence."""
    return "-" if not reason else reason if isinstance(reason, str) else reason["message"]


def reason_lines(reason: "Reason | str") -> list[str]:
    """What the reason says, its code, and what would help."""
    if isinstance(reason, str):
        return [reason]
    return [f"{reason['message']} [{reason['code']}]", *(f"try: {fix}" for fix in reason.get("fixes") or ())]


def outlook_fields(told: "Why | Admission", now: int) -> list[tuple[str, str]]:
    """When a waiting job is expected to start, and which changes of it the planner would start sooner."""
    time = words.short_times(now)
    fields = []
    if estimate := told.get("estimate"):
        between = f"nine times of ten between {time(estimate['low_ms'])} and {time(estimate['high_ms'])}"
        fields.append(("expected", f"{time(estimate['starts_ms'])}, {between}"))
    if fixes := told.get("fixes"):
        fields.append(("sooner", "\n".join(fix["message"] for fix in fixes)))
    return fields


def tasks_done(row: Row) -> str:
    tasks = row["tasks"]
    return "-" if tasks["total"] <= 1 else f"{sum(tasks.get(state, 0) for state in FINAL)}/{tasks['total']}"


def names(rows: Sequence[Row], path: str = "id") -> str:
    return ", ".join(str(row[path]) for row in rows)


def _gpus(row: Row) -> str:
    asked = (row.get("spec") or {}).get("resources") or {}
    return str((asked.get("gpus") or 0) * (asked.get("nodes") or 1))


def _money(cost: Mapping[str, Any]) -> str:
    """What was charged, in money."""
    found = ", ".join(f"{amount} {code}" for code, amount in (cost.get("charged_money") or {}).items())
    return f"; {found} charged" if found else ""


def _since(job: "Job", now: int) -> str:
    if job["state"] in FINAL or job["started_ms"] is not None:
        return f", {words.elapsed(job['started_ms'], job['ended_ms'], now)}" if job["started_ms"] is not None else ""
    return f", {words.elapsed(job['submitted_ms'], None, now)} in the queue"


def _detail(row: Row) -> str:
    parts = ["out of memory" if row.get("out_of_memory") else "", str(row.get("detail") or "")]
    return "; ".join(part for part in parts if part) or "-"
