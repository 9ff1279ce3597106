"""Admission as a table: what is asked, and the refusal with its message and its smallest change."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import quotas.admission
from domain.accounts import TOTAL, Account, AccountKind, AccountState, Limits, Quota
from domain.jobs import Constraint, JobSpec
from domain.purses import Conditions, Purse
from domain.quantities import HOUR_MS, MICRO
from domain.tariffs import Tariff
from quotas.admission import Application, FlavorTerms, Refusal, admit
from tests.support.factories import A100, CPU, H100, resources, spec

CENTRE = Account(1, None, AccountKind.CENTRE, "centre", "")
TENANT = Account(2, 1, AccountKind.TENANT, "cadt", "")
PROJECT = Account(3, 2, AccountKind.PROJECT, "speech", "")
TERMS = {
    H100: FlavorTerms(1_000, Tariff(2 * MICRO), True),
    A100: FlavorTerms(1_000, Tariff(MICRO), True),
    CPU: FlavorTerms(1_000, Tariff(MICRO // 100), True),
}
LIMITED = Limits(queued_jobs=5, gpus_per_job=8, walltime_ms=24 * HOUR_MS)


def application(**changes: object) -> Application:
    """One that is admitted: one GPU for an hour, 100 SU left."""
    plain = Application(spec(needs=resources(1)), (PROJECT, TENANT, CENTRE), {}, TERMS, 100 * MICRO, {3: 0, 2: 0, 1: 0})
    return replace(plain, **changes)


PURSES = [Purse(0, 1, 98 * MICRO, 0, Conditions((H100,)), "for-h100"), Purse(0, 2, 2 * MICRO, 0)]


def secret(walltime: str) -> JobSpec:
    return replace(spec(needs=resources(1, walltime=walltime)), constraint=Constraint(classification="internal"))


@dataclass(frozen=True)
class Row:
    """``asked`` is refused with these words in this field, and ``passes`` is what the fix offers."""

    code: str
    message: str
    field: str
    fix: str
    asked: Application
    passes: Application | None = field(default=None)


def closed(account: Account) -> Account:
    return replace(account, state=AccountState.CLOSED)


def limited(account: Account) -> Account:
    return replace(account, limits=LIMITED)


def crowded(account: Account) -> Account:
    return replace(account, limits=Limits(user_queued_jobs=2))


def needing(*arguments: object, **options: object) -> Application:
    return application(spec=spec(needs=resources(*arguments, **options)))


ROWS = (
    Row(
        "account-inactive", "project speech is closed", "project", "ask the centre to activate it",
        application(path=(closed(PROJECT), TENANT, CENTRE)),
    ),
    Row(
        "account-inactive", "tenant cadt is closed", "project", "ask the centre to activate it",
        application(path=(PROJECT, closed(TENANT), CENTRE)),
    ),
    Row(
        "rate-limited", "project speech has submitted 2 jobs within a minute, as many as may be", "project",
        "wait a little, or submit one array instead of many jobs",
        application(path=(replace(PROJECT, limits=Limits(submissions_per_minute=2)), TENANT, CENTRE), sent={3: 2}),
        application(path=(replace(PROJECT, limits=Limits(submissions_per_minute=2)), TENANT, CENTRE), sent={3: 1}),
    ),
    Row(
        "rate-limited", "you have submitted 2 jobs in tenant cadt within a minute, as many as may be", "project",
        "wait a little, or submit one array instead of many jobs",
        application(path=(PROJECT, replace(TENANT, limits=Limits(user_submissions_per_minute=2)), CENTRE), user_sent={2: 2}),
    ),
    Row(
        "quota-ceiling", "4 of h100-80gb is above the quota of tenant cadt, 3 GPUs in all", "resources.gpus",
        "ask for 3 or fewer in all", replace(needing(4), quotas={(2, TOTAL): Quota(0, 3_000)}),
        replace(needing(3), quotas={(2, TOTAL): Quota(0, 3_000)}),
    ),
    Row(
        "walltime-limit", "a walltime of 1d1h is above the limit of project speech, 1d", "resources.walltime",
        "ask for 1d or less",
        replace(needing(walltime="25h"), path=(limited(PROJECT), TENANT, CENTRE)),
        replace(needing(walltime="24h"), path=(limited(PROJECT), TENANT, CENTRE)),
    ),
    Row(
        "size-limit", "10 GPUs are above the limit of tenant cadt, 8 a job", "resources.gpus",
        "ask for 8 GPUs or fewer",
        replace(needing(5, nodes=2), path=(PROJECT, limited(TENANT), CENTRE)),
        replace(needing(4, nodes=2), path=(PROJECT, limited(TENANT), CENTRE)),
    ),
    Row(
        "queued-limit", "project speech has 5 unfinished jobs, as many as it may", "project",
        "wait for a job to end, or cancel one",
        application(path=(limited(PROJECT), TENANT, CENTRE), queued={3: 5}),
        application(path=(limited(PROJECT), TENANT, CENTRE), queued={3: 4}),
    ),
    Row(
        "user-queued-limit", "you have 2 unfinished jobs in project speech, as many as each user may", "project",
        "wait for a job of yours to end, or cancel one",
        application(path=(crowded(PROJECT), TENANT, CENTRE), user_queued={3: 2}),
        application(path=(crowded(PROJECT), TENANT, CENTRE), user_queued={3: 1}),
    ),
    Row(
        "no-rate", f"{H100} has no rate in force", "resources.flavor", "ask the centre's allocator to set one",
        application(flavors={H100: FlavorTerms(1_000, None, True)}),
    ),
    Row(
        "never-fits", f"no cluster could hold 1 of {H100}, even empty", "resources",
        "see baray admin cluster list for what nodes have",
        application(flavors={H100: FlavorTerms(1_000, Tariff(MICRO), False)}),
    ),
    Row(
        "quota-ceiling", f"8 of {H100} on each of 2 nodes is above the quota of project speech, 12", "resources.gpus",
        "ask for 12 or fewer in all",
        replace(needing(8, nodes=2), quotas={(3, H100): Quota(8_000, 4_000)}),
        replace(needing(6, nodes=2), quotas={(3, H100): Quota(8_000, 4_000)}),
    ),
    Row(
        "quota-ceiling", f"1 of {H100} is above the quota of centre centre, 0", "resources.gpus",
        f"ask for another flavor than {H100}",
        replace(needing(1), quotas={(1, H100): Quota(0, 0)}),
    ),
    Row(
        "no-allocation", "project speech has no allocation in force", "project", "ask the centre for an allocation",
        application(remaining=None),
    ),
    Row(
        "allocation-suspended", "allocation 7 of project speech is suspended", "project", "ask the centre to resume it",
        application(remaining=None, suspended=7),
    ),
    Row(
        "grant-conditions",
        f"1 of {A100} needs 3 SU; project speech has 2 SU left for such a job: grant for-h100 pays only for {H100}",
        "resources.flavor", "ask for what the grant pays for, or for another grant",
        replace(needing(1, A100, walltime="3h"), purses=PURSES), replace(needing(1, H100, walltime="3h"), purses=PURSES),
    ),
    Row(
        "grant-conditions",
        f"1 of {H100} needs 120 SU; project speech has 98 SU left for such a job: grant open pays only for up to public data",
        "data.classification", "ask for what the grant pays for, or for another grant",
        replace(
            application(remaining=200 * MICRO), spec=secret("60h"),
            purses=[Purse(0, 1, 98 * MICRO, 0), Purse(0, 2, 102 * MICRO, 0, Conditions(classification="public"), "open")],
        ),
    ),
    Row(
        "budget-exceeded", f"4 of {H100} for 20h needs 160 SU; project speech has 100 SU left", "resources.walltime",
        "a walltime of 12h30m or less would pass",
        needing(4, walltime="20h"),
        needing(4, walltime="12h30m"),
    ),
    Row(
        "budget-exceeded", f"1 of {H100} for 1h needs 2 SU; project speech has 0 SU left", "resources.walltime",
        "ask for a top-up",
        application(remaining=0),
    ),
    Row(
        "budget-exceeded", "5000 cores for 10h needs 500 SU; project speech has 100 SU left", "resources.walltime",
        "a walltime of 2h or less would pass",
        needing(0, CPU, cpus=5_000, walltime="10h"),
        needing(0, CPU, cpus=5_000, walltime="2h"),
    ),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[f"{number}-{row.code}" for number, row in enumerate(ROWS)])
def test_a_refusal_names_the_rule_the_place_and_the_smallest_change(row: Row) -> None:
    (refusal,) = admit(row.asked)
    assert refusal.code == row.code
    assert (refusal.fault.message, refusal.fault.field, refusal.fault.fix) == (row.message, row.field, row.fix)
    if row.passes is not None:
        assert admit(row.passes) == (), "what the fix offers is admitted"


def test_the_table_knows_every_code() -> None:
    written = set(re.findall(r'Refusal\(\s*"([a-z-]+)"', Path(quotas.admission.__file__).read_text(encoding="utf-8")))
    assert written == {row.code for row in ROWS}


def test_what_only_has_to_wait_is_admitted() -> None:
    assert admit(application()) == ()
    resting = replace(PROJECT, state=AccountState.SUSPENDED)
    assert admit(application(path=(resting, TENANT, CENTRE))) == (), "a gate holds it"
    assert admit(needing(4, walltime="12h30m")) == (), "it takes all that is left"


def test_all_refusals_are_told_at_once_the_most_fundamental_first() -> None:
    asked = replace(
        needing(9, walltime="30h"), path=(limited(closed(PROJECT)), TENANT, CENTRE), queued={3: 9}, remaining=0
    )
    codes = [refusal.code for refusal in admit(asked)]
    assert codes == ["account-inactive", "walltime-limit", "size-limit", "queued-limit", "budget-exceeded"]


def test_a_list_of_flavors_is_refused_only_if_every_one_of_them_is() -> None:
    asked = replace(needing(1, (H100, A100)), flavors={**TERMS, H100: FlavorTerms(1_000, None, True)})
    assert admit(asked) == ()
    both = {H100: FlavorTerms(1_000, None, True), A100: FlavorTerms(1_000, Tariff(MICRO), False)}
    assert [refusal.code for refusal in admit(replace(asked, flavors=both))] == ["no-rate", "never-fits"]


def test_a_refusal_is_a_value_and_admission_total() -> None:
    assert all(isinstance(refusal, Refusal) for row in ROWS for refusal in admit(row.asked))
