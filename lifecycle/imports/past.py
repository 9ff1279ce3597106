"""Past runs in the centre's own words: whose they are, on what, and what they come to. Pure."""

from collections.abc import Mapping, Sequence

from domain.accounts import AccountKind
from domain.quantities import MILLI
from lifecycle.imports.plan import PastRun, Plan, There, flavor_of
from lifecycle.imports.sacct import CPU_ONLY, unmapped
from lifecycle.imports.words import Finding, Options, Run, slug
from quotas.tariffs import cost, gpu_ms, rate_at


def plan_runs(found: Plan, runs: Sequence[Run], there: There, options: Options) -> None:
    """Sort runs into those to add, those that are there, those that differ, and those that do not map, by reason."""
    refused: dict[tuple[str, str, str], list[Run]] = {}
    for run in runs:
        project, user = (
            _named(run.account, options.projects, there.accounts),
            _named(run.user, options.users, there.users),
        )
        flavor = flavor_of(run.gres, options)
        reason = _why_not(run, project, user, flavor, there)
        if reason is not None:
            refused.setdefault(reason, []).append(run)
            continue
        _sort_in(found, _past(run, project, user, flavor, there), there, run)
    found.unmapped += [unmapped(of, what, why, name) for (what, name, why), of in sorted(refused.items())]


def _named(name: str, given: Mapping[str, str], known: Mapping[str, object]) -> str:
    """As the options say; else the name itself; else what it would be as a name of ours."""
    if name in given:
        return given[name]
    return name if name in known else slug(name)


def _why_not(run: Run, project: str, user: str, flavor: str, there: There) -> tuple[str, str, str] | None:
    """What does not map, which one, and why; None if all does."""
    account = there.accounts.get(project)
    if account is None or account.kind is not AccountKind.PROJECT:
        return "account", run.account, f"there is no project {project!r} (--map-account)"
    if user not in there.users:
        return "user", run.user, f"there is no user {user!r} (--map-user)"
    if flavor not in there.flavors:
        return "GPU", run.gres or "none", f"there is no flavor {flavor!r} (--map-gpu)"
    if run.ended_ms > there.now_ms:
        return "run", "of the future", "they end after now (--timezone)"
    for name, from_ms, until_ms in there.closed:
        if from_ms < run.ended_ms <= until_ms:
            return "run", f"of {name}", "that month is closed: nothing is posted into it any more"
    return None


def _past(run: Run, project: str, user: str, flavor: str, there: There) -> PastRun:
    milli = run.cpus * MILLI if run.gres == CPU_ONLY else run.gpus * there.flavors[flavor].milli
    used = gpu_ms(milli, run.elapsed_ms)
    rates = there.rates.get(flavor, ())
    rate = rate_at(rates, run.ended_ms)
    if rate is None:  # it ended before there were rates: the first one is the nearest
        rate = min(rates)[1] if rates else 0
    return PastRun(
        run.job, run.started_ms, run.gres, project, user, flavor, run.qos, run.state, milli, run.nodes, run.cpus,
        run.memory_bytes, run.submitted_ms, run.ended_ms, run.elapsed_ms, run.walltime_ms, used, cost(used, rate),
    )  # fmt: skip


def _sort_in(found: Plan, past: PastRun, there: There, run: Run) -> None:
    known = there.runs.get((past.job, past.started_ms, past.gres))
    if known is None:
        found.runs.append(past)
        return
    pairs = (
        ("project", there.accounts[past.project].id, known.project_id),
        ("user", there.users[past.user].id, known.user_id),
        ("flavor", past.flavor, known.flavor),
        ("GPU-ms", past.gpu_ms, known.gpu_ms),
        ("ended_ms", past.ended_ms, known.ended_ms),
    )
    wrong = [name for name, said, then in pairs if said != then]
    if wrong:
        why = f"it was brought along already, with another {', '.join(wrong)}"
        found.differs.append(Finding("run", past.job, why, str(run.place)))
    else:
        found.same["run"] = found.same.get("run", 0) + 1
