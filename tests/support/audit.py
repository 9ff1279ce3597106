"""Everything that must be true of a centre's database at every moment, read behind the repositories' backs.

Promises 2, 3 and 4 as one list of complaints; an empty list is a sound centre. Property tests call it after each step.
"""

from collections import Counter
from collections.abc import Mapping

from domain.accounts import Tree
from domain.fleet import CPU_FLAVOR
from domain.jobs import LIVE_ATTEMPTS, JobState
from domain.money import BookKind
from domain.records import Tally, overall
from lifecycle.ports import Store
from lifecycle.report import KINDS, usage
from tests.support.databases import Database

_LIVE = frozenset(state.value for state in LIVE_ATTEMPTS)


def audit(database: Database, store: Store) -> list[str]:
    """What is wrong, in words."""
    with store.read() as uow:
        tree = uow.directory().tree
        unbalanced = uow.ledger.unbalanced()
        unsealed = [f"{stray.kind} {stray.row} {stray.what}" for stray in uow.seals.strays()]
        unsealed += [f"book {key} is not what its name says" for key in uow.seals.misnamed_books()]
        reports = {by: usage(uow, by, None, None, None) for by in KINDS}
    facts = database.rows("SELECT attempt_id, flavor, SUM(gpu_ms) AS gpu_ms FROM usage GROUP BY attempt_id, flavor")
    attempts = database.rows("SELECT * FROM attempt")
    past = database.rows("SELECT * FROM imported_run")
    return [
        *unbalanced,
        *unsealed,
        *_quotas(database, tree, attempts),
        *_nodes(database, attempts),
        *_attempts(attempts, {row.attempt_id: int(row.gpu_ms) for row in facts}),
        *_money(database, attempts, past),
        *_past(database, past),
        *_exchange(database),
        *_jobs(database, attempts),
        *_dependencies(database, attempts),
        *_reports(reports, attempts, past),
    ]


def assert_sound(database: Database, store: Store) -> None:
    complaints = audit(database, store)
    assert not complaints, "\n".join(complaints)


def _quotas(database: Database, tree: Tree, attempts: list) -> list[str]:
    """Holdings are what live attempts hold, up the tree, and never above a ceiling."""
    wrong = []
    real: Counter[tuple[int, str]] = Counter()
    for attempt in attempts:
        if attempt.state in _LIVE:
            for account in tree.path(attempt.project_id):
                real[account, attempt.flavor] += attempt.milli
    kept = {(row.account_id, row.flavor): row.milli for row in database.rows("SELECT * FROM holding WHERE milli <> 0")}
    if kept != {key: milli for key, milli in real.items() if milli}:
        wrong.append(f"holdings say {kept}, live attempts {dict(real)}")
    for (account, flavor), milli in tree.with_totals(real).items():
        quota = tree.quotas.get((account, flavor))
        if quota is not None and quota.ceiling is not None and milli > quota.ceiling:
            wrong.append(f"account {account} holds {milli} of {flavor}, its ceiling is {quota.ceiling}")
    return wrong


def _nodes(database: Database, attempts: list) -> list[str]:
    """Cores, memory and devices taken are those of live attempts, each device once, never more than there is."""
    cpus: Counter[str] = Counter()
    memory: Counter[str] = Counter()
    devices: dict[tuple[str, str, int], int] = {}
    wrong = []
    for attempt in attempts:
        if attempt.state not in _LIVE:
            continue
        for node, ordinals in _placements(attempt):
            cpus[node] += attempt.cpus
            memory[node] += attempt.memory_bytes
            for ordinal in () if attempt.flavor == CPU_FLAVOR else ordinals:
                if (node, attempt.flavor, ordinal) in devices:
                    wrong.append(f"device {ordinal} of {node} is given twice")
                devices[node, attempt.flavor, ordinal] = attempt.id
    for row in database.rows("SELECT * FROM node"):
        if (row.cpus_used, row.memory_used) != (cpus[row.name], memory[row.name]):
            wrong.append(f"node {row.name} says {row.cpus_used} cores are used, live attempts {cpus[row.name]}")
        if row.present and (row.cpus_used > row.cpus or row.memory_used > row.memory_bytes):
            wrong.append(f"node {row.name} is given more than it has")
    given = database.rows(
        "SELECT node.name, flavor, ordinal, attempt_id FROM device JOIN node ON node.id = node_id WHERE attempt_id IS NOT NULL"
    )
    if {(row.name, row.flavor, row.ordinal): row.attempt_id for row in given} != devices:
        wrong.append("devices are not with the live attempts that they were given to")
    return wrong


def _placements(attempt) -> list:
    import json

    return json.loads(attempt.placements) if isinstance(attempt.placements, str) else attempt.placements


def _attempts(attempts: list, facts: Mapping[int, int]) -> list[str]:
    """One live attempt a task; no charge above the hold; facts add up to what the attempt says."""
    wrong = []
    live = Counter((attempt.job_id, attempt.task_index) for attempt in attempts if attempt.state in _LIVE)
    wrong += [f"task {task} has {count} live attempts" for task, count in live.items() if count > 1]
    for attempt in attempts:
        if not 0 <= attempt.charged <= attempt.hold:
            wrong.append(f"attempt {attempt.id} is charged {attempt.charged} of a hold of {attempt.hold}")
        if attempt.refunded < 0 or _cost(attempt) < 0:
            wrong.append(f"of attempt {attempt.id}, charged {attempt.charged}, {attempt.refunded} are given back")
        if attempt.state in _LIVE and attempt.walltime_ms is None and attempt.carried_su + attempt.carried_ms:
            wrong.append(f"attempt {attempt.id} carries what was settled before an extension, and has none")
        if facts.get(attempt.id, 0) != attempt.gpu_ms:
            wrong.append(f"attempt {attempt.id} has {attempt.gpu_ms} GPU-ms, its facts {facts.get(attempt.id, 0)}")
        if attempt.state not in _LIVE and attempt.ended_ms is None:
            wrong.append(f"attempt {attempt.id} ended at no time")
        if attempt.state not in _LIVE and attempt.started_ms is not None:
            exact = (attempt.milli * max(0, attempt.ended_ms - attempt.started_ms) + 500) // 1_000
            if exact != attempt.gpu_ms:
                wrong.append(f"attempt {attempt.id} ran {exact} GPU-ms and was metered {attempt.gpu_ms}")
    return wrong


def _money(database: Database, attempts: list, past: list) -> list[str]:
    """No book is overdrawn; what is held is what live attempts have not used yet; nothing is spent beyond what is given."""
    wrong = []
    outside = {BookKind.FUNDER.value, BookKind.CAPACITY.value, BookKind.EXCHANGE.value}
    books = database.rows("SELECT * FROM book")
    wrong += [f"book {row.key} is overdrawn" for row in books if row.balance < 0 and row.kind not in outside]
    held = sum(row.balance for row in books if row.kind == BookKind.HELD.value)
    unused = sum(attempt.hold - attempt.charged for attempt in attempts if attempt.state in _LIVE)
    if held != unused:
        wrong.append(f"{held} is held, live attempts have {unused} of their holds left")
    consumed = sum(row.balance for row in books if row.kind == BookKind.CONSUMED.value)
    cost = sum(map(_cost, attempts)) + sum(run.micro_su for run in past)
    if consumed != cost:
        wrong.append(f"{consumed} is consumed, attempts cost {cost}")
    wrong += _paid(database, attempts)
    sums: Counter[tuple[int, int]] = Counter()
    for row in books:
        if row.unit == "uSU" and row.kind in _OF_ALLOCATION:
            sums[row.allocation_id, row.grant_id] += row.balance
    sources = {
        (row.allocation_id, row.grant_id): row.micro_su - row.returned
        for row in database.rows("SELECT * FROM allocation_source")
    }
    for (allocation, grant), given in sources.items():
        if sums[allocation, grant] != given:
            wrong.append(f"allocation {allocation} has {sums[allocation, grant]} of grant {grant}, given {given}")
    wrong += [
        f"allocation {key} has of a grant that does not pay it" for key in sums.keys() - sources.keys() if sums[key]
    ]
    return wrong + _instalments(database, books)


_OF_ALLOCATION = {BookKind.COMMITTED, BookKind.ALLOCATION, BookKind.HELD, BookKind.CONSUMED}


def _instalments(database: Database, books: list) -> list[str]:
    """What is committed to an allocation that stands are the instalments it has not been paid; to one that is over, nothing."""
    wrong = []
    committed: Counter[int] = Counter()
    for row in books:
        if row.kind == BookKind.COMMITTED.value:
            committed[row.allocation_id] += row.balance
    due: Counter[int] = Counter()
    for row in database.rows("SELECT * FROM allocation_instalment WHERE released_ms IS NULL"):
        due[row.allocation_id] += row.micro_su
    for row in database.rows("SELECT * FROM allocation"):
        standing = row.state in {"approved", "active", "suspended"}
        if committed[row.id] != (due[row.id] if standing else 0):
            wrong.append(
                f"allocation {row.id} is {row.state} with {committed[row.id]} committed, {due[row.id]} not paid"
            )
        if row.state in {"requested", "declined", "withdrawn"} and any(book.allocation_id == row.id for book in books):
            wrong.append(f"allocation {row.id} is {row.state} and has books")
    return wrong


def _exchange(database: Database) -> list[str]:
    """A grant's amount is with it or with allocations; of one in money, what they have is what was paid for, exactly."""
    wrong = []
    books = database.rows("SELECT * FROM book WHERE grant_id <> 0")
    money: Counter[tuple[int, str]] = Counter()  # grant and unit → with the grant, and what it paid
    inside: Counter[tuple[int, int]] = Counter()  # allocation and grant → micro-SU
    exchanged: Counter[tuple[int, int, str]] = Counter()
    for row in books:
        if row.kind == BookKind.GRANT.value:
            money[row.grant_id, row.unit] += row.balance
        elif row.kind == BookKind.EXCHANGE.value:
            exchanged[row.allocation_id, row.grant_id, row.unit] += row.balance
        elif row.unit == "uSU":
            inside[row.allocation_id, row.grant_id] += row.balance
    grants = {grant.id: grant for grant in database.rows("SELECT * FROM funder_grant")}
    for (allocation, grant), micro_su in inside.items():
        if grants[grant].unit == "uSU":
            money[grant, "uSU"] += micro_su
        elif exchanged[allocation, grant, "uSU"] != -micro_su:
            wrong.append(f"allocation {allocation} has {micro_su} of grant {grant}, exchanged are {exchanged}")
    for bargain in database.rows("SELECT * FROM bargain"):
        key = bargain.allocation_id, bargain.grant_id
        kept = -(-bargain.money * bargain.out_su // bargain.micro_su) if bargain.micro_su else 0
        if (bargain.out_su, kept) != (inside[key], exchanged[(*key, bargain.unit)]):
            wrong.append(f"allocation {key[0]} keeps {exchanged} of grant {key[1]}, by its bargain {kept}")
        money[bargain.grant_id, bargain.unit] += kept
    return wrong + [
        f"grant {grant.name} is of {grant.amount} {grant.unit}, there are {money}"
        for grant in grants.values()
        if money[grant.id, grant.unit] != grant.amount or len({unit for at, unit in money if at == grant.id}) > 1
    ]


def _cost(attempt) -> int:
    """What an attempt cost after refunds and corrections."""
    return attempt.charged - attempt.refunded + attempt.adjusted


def _paid(database: Database, attempts: list) -> list[str]:
    """What the ledger says that an attempt's payers paid is what it cost, and none of them is paid back more than that."""
    wrong = []
    sums: Counter[int] = Counter()
    for row in database.rows(
        "SELECT attempt_id, book_id, SUM(amount) AS paid FROM ledger_entry"
        " JOIN ledger_transaction ON ledger_transaction.id = transaction_id JOIN book ON book.id = book_id"
        " WHERE book.kind = 'consumed' AND attempt_id IS NOT NULL GROUP BY attempt_id, book_id"
    ):
        sums[row.attempt_id] += int(row.paid)
        if row.paid < 0:
            wrong.append(f"attempt {row.attempt_id} was given back more of book {row.book_id} than that paid")
    wrong += [
        f"attempt {attempt.id} cost {_cost(attempt)}, the ledger says {sums[attempt.id]}"
        for attempt in attempts
        if sums[attempt.id] != _cost(attempt)
    ]
    late = database.rows(
        "SELECT ledger_transaction.name FROM ledger_transaction"
        " JOIN closed_period ON at_ms >= from_ms AND at_ms < until_ms"
        " WHERE ledger_transaction.id > (SELECT COALESCE(MIN(id), 9000000000000000) FROM ledger_transaction AS later"
        " WHERE later.at_ms >= closed_period.created_ms)"
    )
    return wrong + [f"{row.name} was posted into a closed period" for row in late]


def _past(database: Database, past: list) -> list[str]:
    """A run of the past is in the ledger once, to the GPU-millisecond, at its end; its allocation is for nothing else."""
    wrong = []
    posted: dict[str, list[tuple[int, int, int]]] = {}
    for row in database.rows(
        "SELECT t.name, t.at_ms, b.allocation_id, e.amount FROM ledger_transaction t"
        " JOIN ledger_entry e ON e.transaction_id = t.id JOIN book b ON b.id = e.book_id"
        " WHERE t.kind = 'import' AND b.kind = 'delivered'"
    ):
        posted.setdefault(row.name, []).append((row.at_ms, row.allocation_id, int(row.amount)))
    for run in past:
        if posted.pop(run.posting, None) != [(run.ended_ms - 1, run.allocation_id, run.gpu_ms)]:
            wrong.append(f"run {run.job} of {run.origin} is not in the ledger as it was measured")
        if (run.milli * run.elapsed_ms + 500) // 1_000 != run.gpu_ms:
            wrong.append(f"run {run.job} of {run.origin} has {run.gpu_ms} GPU-ms, not what it ran")
    wrong += [f"{name} is in the ledger and was never brought along" for name in posted]
    for row in database.rows(
        "SELECT b.key, b.balance FROM book b JOIN imported_run r ON r.allocation_id = b.allocation_id"
        " WHERE b.kind IN ('allocation', 'held') AND b.balance <> 0"
    ):
        wrong.append(f"book {row.key} of what was brought along has {row.balance} left")
    things = database.rows(
        "SELECT t.key FROM imported_thing t LEFT JOIN allocation a ON a.id = t.target_id WHERE a.id IS NULL"
    )
    return wrong + [f"{row.key} was brought along and is not there" for row in things]


def _jobs(database: Database, attempts: list) -> list[str]:
    """A job's state and counters are what its tasks make of it; a task is live exactly while an attempt of it is."""
    wrong = []
    tasks: dict[int, dict[int, str]] = {}
    for row in database.rows("SELECT * FROM task"):
        tasks.setdefault(row.job_id, {})[row.task_index] = row.state
    live = {(attempt.job_id, attempt.task_index) for attempt in attempts if attempt.state in _LIVE}
    active = {JobState.STARTING, JobState.RUNNING, JobState.STOPPING}
    for job in database.rows("SELECT * FROM job"):
        touched = tasks.get(job.id, {})
        is_held = job.held or job.closed_gates is not None
        rest = JobState.CANCELLED if job.cancelled else JobState.HELD if is_held else JobState.PENDING
        if job.state == JobState.FAILED.value and job.gate and not job.cancelled:
            rest = JobState.FAILED  # what it waited for can never be
        counts = Counter(JobState(state) for state in touched.values())
        counts[rest] += job.tasks - len(touched)
        if overall(Tally(counts)) is not JobState(job.state):
            wrong.append(f"job {job.id} is {job.state}, its tasks {dict(counts)}")
        if JobState(job.state).final != (job.ended_ms is not None):
            wrong.append(f"job {job.id} is {job.state} and ended at {job.ended_ms}")
        startable = 0 if is_held or job.cancelled else counts[JobState.PENDING]
        if (job.startable, job.active) != (startable, sum(counts[state] for state in active)):
            wrong.append(f"job {job.id} counts {job.startable} startable and {job.active} active of {dict(counts)}")
        for index, state in touched.items():
            if (JobState(state) in active) != ((job.id, index) in live):
                wrong.append(f"task {job.id}_{index} is {state}, its attempt does not agree")
    return wrong


def _dependencies(database: Database, attempts: list) -> list[str]:
    """A gate is what the job's dependencies are on; none is on what is over, and nothing behind a gate was started."""
    wrong = []
    jobs = {job.id: job for job in database.rows("SELECT * FROM job")}
    over = {
        (task.job_id, task.task_index) for task in database.rows("SELECT * FROM task") if JobState(task.state).final
    }
    gates: dict[int, list[str]] = {}
    for row in database.rows("SELECT * FROM dependency ORDER BY id"):
        if jobs[row.job_id].ended_ms is not None:
            continue  # it goes when the other one ends
        index = "" if row.on_index is None else f"_{row.on_index}"
        gates.setdefault(row.job_id, []).append(
            "singleton" if row.kind == "singleton" else f"{row.kind}:{row.on_job_id}{index}"
        )
        if jobs[row.on_job_id].ended_ms is not None or (row.on_job_id, row.on_index) in over:
            wrong.append(f"job {row.job_id} waits for {gates[row.job_id][-1]}, which is over")
    started = {attempt.job_id for attempt in attempts}
    for job in jobs.values():
        gate = job.gate.split(",") if job.gate else []
        if job.ended_ms is None and gate != gates.get(job.id, []):
            wrong.append(f"job {job.id} has the gate {gate}, its dependencies are {gates.get(job.id)}")
        if gate and job.id in started:
            wrong.append(f"job {job.id} was started behind its gate {gate}")
    return wrong


def _reports(reports: Mapping[str, object], attempts: list, past: list) -> list[str]:
    """The sums by tenant, project, funder and user are all the same, and those of the meters and the attempts."""
    wrong = []
    real: Counter[str] = Counter()
    for attempt in attempts:
        real[attempt.flavor] += attempt.gpu_ms
    for run in past:
        real[run.flavor] += run.gpu_ms
    used = {flavor: gpu_ms for flavor, gpu_ms in real.items() if gpu_ms}
    charged = sum(map(_cost, attempts)) + sum(run.micro_su for run in past)
    for by, statement in reports.items():
        if not statement.agrees:
            wrong.append(f"the report by {by} says {statement.total.gpu_ms}, the meters {statement.metered}")
        if {flavor: gpu_ms for flavor, gpu_ms in statement.total.gpu_ms.items() if gpu_ms} != used:
            wrong.append(f"the report by {by} says {statement.total.gpu_ms}, the attempts {used}")
        if statement.total.charged != charged:
            wrong.append(f"the report by {by} charges {statement.total.charged}, the attempts {charged}")
    return wrong
