"""Gates in front of jobs: which hold whose jobs now, the terms of use, and the rules that say where a gate applies.

The content of a gate is plugged in at ``Gatekeeper._finding``; ``gatekeeping`` keeps waiting jobs in step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from domain.errors import Conflict, Invalid, NotFound
from domain.gates import Gate, GateRule, Terms, terms_at
from domain.jobs import JobState, move
from domain.people import Caller
from domain.quantities import DAY_MS
from domain.records import Job
from lifecycle.accounts import account_named
from lifecycle.ports import UnitOfWork
from lifecycle.refresh import refresh
from lifecycle.rulebook import GateRecord, TermsRecord
from lifecycle.words import check_name
from quotas.gates import CENTRE_ADMIN, Closed, Finding, closed, terms_finding
from scheduler.snapshot import Reason

TEXT_BYTES = 64 * 1024
_AHEAD_MS = 3_650 * DAY_MS


@dataclass(slots=True)
class Gatekeeper:
    """Which gates hold whom, within one transaction; each user in each project is looked up once."""

    uow: UnitOfWork
    now_ms: int
    _closed: dict[tuple[int, int], tuple[Closed, ...]] = field(default_factory=dict)
    _accepted: dict[int, frozenset[int]] = field(default_factory=dict)

    def closed(self, project_id: int, user_id: int) -> tuple[Closed, ...]:
        key = (project_id, user_id)
        if key not in self._closed:
            directory = self.uow.directory()
            self._closed[key] = closed(
                directory.tree, directory.gate_rules, self._finding, project_id, user_id, self.now_ms
            )
        return self._closed[key]

    def names(self, project_id: int, user_id: int) -> tuple[str, ...]:
        """As a job remembers them."""
        return tuple(one.gate.value for one in self.closed(project_id, user_id))

    def reasons(self, job: Job) -> tuple[Reason, ...]:
        """Why gates hold a job, as people are told; nothing if none does."""
        return self.reasons_of(job.project_id, job.user_id, job.closed_gates) if not job.state.final else ()

    def reasons_of(self, project_id: int, user_id: int, names: Sequence[str]) -> tuple[Reason, ...]:
        now = {one.gate.value: one for one in self.closed(project_id, user_id)} if names else {}
        return tuple(held_by(now[name]) if name in now else _opening(name) for name in names)

    def _finding(self, gate: Gate, _project_id: int, user_id: int) -> Finding | None:
        if gate is Gate.TERMS_ACCEPTED:
            if user_id not in self._accepted:
                self._accepted[user_id] = self.uow.gates.accepted([user_id]).get(user_id, frozenset())
            return terms_finding(self.uow.directory().terms, self._accepted[user_id], self.now_ms)
        return None


def held_by(gate: Closed) -> Reason:
    """A closed gate as the reason why a job is held."""
    return Reason(
        "gate",
        f"held by gate {gate.gate}: {gate.message}: {gate.fix}",
        {"gate": gate.gate.value, "standing": gate.standing.value, "ask": gate.ask},
        tuple(dict.fromkeys((gate.fix, f"ask {gate.ask}"))),
    )


def _opening(name: str) -> Reason:
    """The gate opened since the job's row was written; the controller's next beat will see it."""
    return Reason("gate", f"gate {name} has just opened", {"gate": name, "standing": "open", "ask": CENTRE_ADMIN})


def set_gates(uow: UnitOfWork, jobs: Sequence[Job], names: Sequence[str], now_ms: int) -> list[Job]:
    """These locked jobs are held by just these gates from now on; what runs of them goes on. Answers those that changed."""
    changed = [job for job in jobs if job.closed_gates != tuple(names) and not job.state.final and not job.cancelled]
    after = {job.id: replace(job, closed_gates=tuple(names)) for job in changed}
    turned = {job.id: after[job.id].is_held for job in changed if after[job.id].is_held != job.is_held}
    moved = []
    for task in uow.jobs.live_tasks(sorted(turned)) if turned else ():
        old, new = (JobState.PENDING, JobState.HELD) if turned[task.job_id] else (JobState.HELD, JobState.PENDING)
        if task.state is old:
            moved.append(replace(task, state=move(old, new)))
    uow.jobs.put_tasks(moved)
    return refresh(uow, list(after.values()), now_ms)


# Rules.


def require(
    uow: UnitOfWork, caller: Caller, gate: str, account: str, reason: str, now_ms: int, *,
    ask: str | None = None, from_ms: int | None = None, until_ms: int | None = None,
) -> GateRecord:  # fmt: skip
    """From a time on (or now), all jobs of the account and below it must pass the gate."""
    if gate not in set(Gate):
        raise Invalid(f"there is no gate {gate[:80]!r}", "gate", fix=f"use one of {', '.join(Gate)}")
    found = account_named(uow.directory(), account)
    begins = now_ms if from_ms is None else from_ms
    if not now_ms <= begins <= now_ms + _AHEAD_MS:
        raise Invalid(
            "a gate cannot begin in the past, nor in more than ten years", "from_ms", fix="choose a time to come"
        )
    if until_ms is not None and until_ms <= begins:
        raise Invalid("the gate would end before it begins", "until_ms", fix="choose a later time")
    rule = GateRule(0, Gate(gate), found.id, begins, until_ms, ask or CENTRE_ADMIN)
    return uow.gates.add_rule(GateRecord(rule, reason, caller.user.id, now_ms))


def rule_numbered(uow: UnitOfWork, rule_id: int) -> GateRecord:
    record = next((one for one in uow.gates.rules() if one.rule.id == rule_id), None)
    if record is None:
        raise NotFound(f"there is no gate rule {rule_id}", "gate")
    return record


def drop(uow: UnitOfWork, record: GateRecord, now_ms: int) -> None:
    """The rule ends now, or never begins. It stays in the list as past."""
    rule = record.rule
    if rule.until_ms is not None and rule.until_ms <= now_ms:
        raise Conflict(f"gate rule {rule.id} is over already", "gate", code="already-over")
    uow.gates.end_rule(rule.id, max(now_ms, rule.from_ms))


# Terms.


def set_terms(
    uow: UnitOfWork, caller: Caller, version: str, title: str, text: str, url: str | None, now_ms: int,
    from_ms: int | None = None,
) -> TermsRecord:  # fmt: skip
    """A version of the terms, in force from a time on (or now); whoever accepted an older one must accept this one then."""
    check_name(version, "version")
    if not text.strip() and not url:
        raise Invalid("the terms have no text", "text", fix="give the text, or the address where it stands")
    if len(text.encode()) > TEXT_BYTES:
        raise Invalid("the text is too long", "text", fix=f"use {TEXT_BYTES // 1024} KiB or less, or give its address")
    if url is not None and not url.startswith(("https://", "http://")):
        raise Invalid(f"{url[:80]!r} is no address", "url", fix="write one that begins with https://")
    begins = now_ms if from_ms is None else from_ms
    if not now_ms <= begins <= now_ms + _AHEAD_MS:
        raise Invalid(
            "terms cannot begin in the past, nor in more than ten years", "from_ms", fix="choose a time to come"
        )
    uow.take_turn()
    known = uow.gates.terms()
    if any(one.terms.version == version for one in known):
        raise Conflict(
            f"there are terms {version!r} already", "version", fix="name a new version", code="already-exists"
        )
    return uow.gates.add_terms(TermsRecord(Terms(0, version, title, begins), text, url, caller.user.id, now_ms))


def accept(uow: UnitOfWork, caller: Caller, version: str, now_ms: int) -> TermsRecord:
    """The caller accepts a version that is in force or to come. Accepting it again changes nothing."""
    known = {one.terms.version: one for one in uow.gates.terms()}
    if version not in known:
        raise NotFound(f"there are no terms {version[:80]!r}", "version")
    record, current = known[version], terms_at(uow.directory().terms, now_ms)
    if record.terms.from_ms <= now_ms and (current is None or current.id != record.terms.id):
        newest = f"accept {current.version}" if current else None
        raise Conflict(f"the terms {version} are no longer in force", "version", fix=newest, code="terms-over")
    uow.gates.accept(caller.user.id, record.terms.id, now_ms)
    return record
