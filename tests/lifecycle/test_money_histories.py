"""Promises 3 and 4 over random histories of money: whatever is granted, moved, charged and corrected, while jobs run.

At every moment: every transaction sums to zero, no book is overdrawn, no account holds more than its quota, and what
funders paid is what projects spent is what attempts cost.
"""

import random
from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.accounts import Quota
from domain.allocations import ChangeKind
from domain.errors import BarayError
from domain.ids import AttemptId
from domain.people import Caller
from domain.quantities import DAY_MS, HOUR_MS, MICRO, MINUTE_MS
from lifecycle import accounts, allocations, changes, charging_rules, corrections, fleet, periods
from lifecycle.effects import Wish
from lifecycle.tenure import tenure
from lifecycle.terms import InstalmentAsked, PartAsked, Terms
from tests.support.audit import audit
from tests.support.centre import EVERY, Centre
from tests.support.databases import SQLITE
from tests.support.factories import A100, H100, resources, spec

PROJECTS = ("speech", "vision", "flood")
GRANTS = ("moeys-2026", "wb-77")
WORK = ("submit", "submit", "cycle", "cycle", "cycle", "wait", "wait", "days", "fail", "extend", "tenure")
MONEY = ("allocate", "allocate", "ask", "change", "change", "change", "refund", "adjust", "rerate")
RULES = ("rate", "quota", "rules", "period")


@dataclass(slots=True)
class Life:
    """One random history. ``met`` counts what was done, and by code what was refused."""

    centre: Centre
    rng: random.Random
    met: Counter[str]
    callers: dict[str, Caller] = field(default_factory=dict)

    def step(self) -> None:
        name = self.rng.choice(self.rng.choices((WORK, MONEY, RULES), (6, 4, 1))[0])
        try:
            getattr(self, name)()
            self.met[name] += 1
        except BarayError as error:
            self.met[f"{name}: {error.code}"] += 1
        if self.rng.random() < 0.3 or name in MONEY:
            complaints = audit(self.centre.database, self.centre.store)
            assert not complaints, (name, complaints)

    # Jobs run meanwhile.

    def submit(self) -> None:
        needs = resources(
            self.rng.randint(1, 4), self.rng.choice([H100, A100]), walltime=self.rng.choice(["1h", "30h", "200h"])
        )
        command = self.rng.choice(["run 20s", "run 2h", "run 29h", "run forever", "run 40s exit 1"])
        project, qos = self.rng.choice(PROJECTS), self.rng.choice(["normal", "preemptible"])
        restartable = self.rng.random() < 0.5
        self.centre.submit(spec(project, needs=needs, command=command, qos=qos, restartable=restartable), "admin")

    def cycle(self) -> None:
        self.centre.cycle()

    def wait(self) -> None:
        self.centre.clock.advance(ms=self.rng.choice([30 * 1_000, 50 * MINUTE_MS, 9 * HOUR_MS]))
        self.centre.cycle()

    def days(self) -> None:
        self.centre.clock.advance(days=self.rng.choice([1, 3, 20]))
        self.centre.cycle()

    def fail(self) -> None:
        self.centre.driver.fail_node(self.rng.choice(["n1", "n2", "n3"]))

    def extend(self) -> None:
        rows = self.centre.database.rows("SELECT job_id FROM attempt WHERE ended_ms IS NULL")
        if rows:
            self.centre.extend(self.rng.choice(rows).job_id, by_ms=self.rng.choice([MINUTE_MS, 20 * HOUR_MS]))

    def tenure(self) -> None:
        tenure(self.centre.store, self.centre.epoch, self.centre.clock.now_ms())

    # Money moves.

    def allocate(self) -> None:
        caller, terms = self._who("chanthy"), self._terms()
        with self.centre.store.write() as uow:
            allocations.allocate(uow, caller, self.rng.choice(PROJECTS), terms, "good work", self._now)

    def ask(self) -> None:
        """Somebody asks, somebody else decides."""
        terms = self._terms()
        with self.centre.store.write() as uow:
            speech = uow.directory().by_name["speech"]
            span = (terms.starts_ms, terms.ends_ms)
            asked = allocations.request(
                uow, self._who("dara"), speech, self._amount() * 3, *span, "a larger model", self._now
            )
        with self.centre.store.write() as uow:
            decide = self.rng.choice([allocations.approve, allocations.approve, allocations.decline])
            with_terms = (terms,) if decide is allocations.approve else ()
            decide(uow, self._who("chanthy"), asked.id, *with_terms, "let us see", None, self._now)

    def change(self) -> None:
        caller, rng = self._who("chanthy"), self.rng
        kind = rng.choice([*ChangeKind, ChangeKind.TOP_UP, ChangeKind.TRANSFER, ChangeKind.RESUME, ChangeKind.RELEASE])
        with self.centre.store.write() as uow:
            every = uow.allocations.page(EVERY, None)
            due = [one for one in every if one.committed and kind is ChangeKind.RELEASE]
            one, other = rng.choice(due or every), rng.choice(every)
            amount = {ChangeKind.TOP_UP, ChangeKind.TRANSFER, ChangeKind.SPLIT, ChangeKind.RECLAIM}
            wish = Wish(
                micro_su=self._amount() if kind in amount else None,
                to=other.id if kind is ChangeKind.TRANSFER else None,
                project_id=self.centre.population.projects["flood"] if kind is ChangeKind.SPLIT else None,
                ends_ms=one.ends_ms + rng.randint(-9, 30) * DAY_MS if kind is ChangeKind.EXTEND else None,
                number=rng.choice([2, 2, 3]) if kind is ChangeKind.RELEASE else None,
            )
            changes.decide(uow, caller, one.id, kind, wish, "so decided", None, self._now)
        self.met[f"{kind} done"] += 1

    def refund(self) -> None:
        with self.centre.store.write() as uow:
            su = self.rng.choice([None, 1, MICRO])
            corrections.refund(uow, self._who("chanthy"), self._ended(), su, "a bad cable", self._now)

    def adjust(self) -> None:
        with self.centre.store.write() as uow:
            su = self.rng.choice([-MICRO, -1, 1, 3 * MICRO])
            corrections.adjust(uow, self._who("chanthy"), self._ended(), su, "a bad meter", self._now)

    def rerate(self) -> None:
        with self.centre.store.write() as uow:
            span = (self._now - self.rng.randint(2, 30) * DAY_MS, self._now - DAY_MS)
            rate = self.rng.choice([MICRO // 3, MICRO, 5 * MICRO])
            corrections.rerate(uow, self._who("chanthy"), H100, *span, rate, "a wrong rate", self._now)

    # Rules change.

    def rate(self) -> None:
        with self.centre.store.write() as uow:
            begins = self._now + self.rng.choice([1, HOUR_MS, 5 * DAY_MS])
            fleet.add_rate(uow, self.rng.choice([H100, A100]), begins, self.rng.randint(1, 5 * MICRO), self._now)

    def quota(self) -> None:
        """Never below what is held: lowering it then starts nothing more, which has a test of its own."""
        with self.centre.store.write() as uow:
            account = uow.directory().by_name[self.rng.choice(["cadt", "speech", "itc"])]
            held = uow.accounts.held().get((account.id, H100), 0)
            quota = Quota(max(held, self.rng.randint(0, 4) * 1_000), self.rng.randint(0, 2) * 1_000)
            accounts.put_quota(uow, account, H100, quota, None)

    def rules(self) -> None:
        with self.centre.store.write() as uow:
            document = {
                "qos_factors": {"preemptible": self.rng.choice(["0", "0.333", "0.5"])},
                "refunds": {"preempted": self.rng.random() < 0.5, "failed_within": self.rng.choice(["0s", "1m"])},
            }
            charging_rules.apply(uow, self._who("admin"), document, "new rules", self._now)

    def period(self) -> None:
        with self.centre.store.write() as uow:
            periods.close(uow, self._who("admin"), "2026-01", "the month is over", self._now)

    # What they need.

    def _who(self, name: str) -> Caller:
        if name not in self.callers:
            self.callers[name] = self.centre.caller(name)
        return self.callers[name]

    @property
    def _now(self) -> int:
        return self.centre.clock.now_ms()

    def _amount(self) -> int:
        return self.rng.choice([1, 7 * MICRO // 3, 40 * MICRO, 400 * MICRO, 9_000 * MICRO])

    def _terms(self) -> Terms:
        rng, amount = self.rng, self._amount()
        starts = self._now + rng.choice([0, 0, 0, 2]) * DAY_MS
        names = rng.sample(GRANTS, rng.randint(1, 2))
        part = 1_000_000 if len(names) == 1 else rng.randint(1, 999_999)
        shares = [part, 1_000_000 - part][: len(names)]
        report = rng.random() < 0.5
        due = None if report else self._now + 9 * DAY_MS
        later = InstalmentAsked(amount - amount // 2, due, on_report=report)
        first = InstalmentAsked(amount // 2)
        return Terms(
            tuple(PartAsked(name, share=share) for name, share in zip(names, shares, strict=True)),
            starts, starts + rng.choice([5, 60]) * DAY_MS, amount,
            shares=((starts + DAY_MS, dict(zip(names, reversed(shares), strict=True))),) if rng.random() < 0.3 else (),
            instalments=(first, later) if rng.random() < 0.3 else (),
        )  # fmt: skip

    def _ended(self) -> AttemptId:
        rows = self.centre.database.rows(
            "SELECT job_id, task_index, number FROM attempt WHERE ended_ms IS NOT NULL ORDER BY id"
        )
        if not rows:
            return AttemptId(1, None, 1)
        row = self.rng.choice(rows)
        return AttemptId(row.job_id, None, row.number)


def search(centre: Centre, met: Counter[str], examples: int, steps: int) -> None:
    """Live through so many histories of so many steps. Counts in ``met`` what was done in them, and what refused."""

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(st.binary(min_size=8, max_size=8))
    def one(seed: bytes) -> None:
        centre.refound()
        life = Life(centre, random.Random(seed), met)
        for _ in range(steps):
            life.step()
        _end(life)

    one()


def _end(life: Life) -> None:
    """Everything that runs is stopped, every allocation ends: what is left is all with the grants, or was spent."""
    centre = life.centre
    for row in centre.database.rows("SELECT id FROM job WHERE ended_ms IS NULL"):
        centre.control("cancel", row.id)
    centre.run()
    centre.clock.advance(days=400)
    life.tenure()
    assert not audit(centre.database, centre.store)
    left = centre.database.rows(
        "SELECT key FROM book WHERE balance <> 0 AND kind IN ('held', 'allocation', 'committed')"
    )
    assert not left, f"{left} are with allocations that are over"


DONE = {"submit", "allocate", "ask", "change", "refund", "adjust", "rerate", "rate", "extend", "tenure", "period"}


@pytest.mark.promise(3)
@pytest.mark.promise(4)
def test_money_stays_sound_at_every_moment(centre: Centre) -> None:
    met: Counter[str] = Counter()
    search(centre, met, 6 if centre.database.kind == SQLITE else 2, 40)
    assert len(met) > 20, f"histories in which little happens prove little: {met}"


@pytest.mark.slow
@pytest.mark.promise(3)
@pytest.mark.promise(4)
def test_money_stays_sound_in_many_histories(centre: Centre) -> None:
    met: Counter[str] = Counter()
    wanted = DONE | {f"{kind} done" for kind in ChangeKind}
    search(centre, met, 80 if centre.database.kind == SQLITE else 25, 60)
    for _ in range(6):  # Chance may leave a rare decision out of a round: a few more histories then.
        if not met.keys() >= wanted:
            search(centre, met, 10, 60)
    assert met.keys() >= wanted, f"everything happened: {met}"
