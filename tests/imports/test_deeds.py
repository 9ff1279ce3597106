"""Imports carried out, on both databases: what was rehearsed is done, once, all of it or nothing."""

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.errors import Conflict, Invalid
from domain.money import BookKind
from domain.quantities import DAY_MS, HOUR_MS, MICRO
from lifecycle.imports.words import Options
from lifecycle.paging import Page
from lifecycle.report import usage
from quotas.charging import decayed
from tests.imports.conftest import HERE, PHNOM_PENH, REASON, Bring, applied, csv_files, recorded, rehearsed
from tests.support.audit import assert_sound
from tests.support.centre import EVERY, Centre
from tests.support.factories import A100, H100
from tests.support.marks import on_sqlite

# Who and what the recorded Slurm speaks of, in the words of the small centre.
MAPS = {
    "funder": "moeys", "zone": PHNOM_PENH, "gpus": {"gpu": A100, "a100": A100},
    "projects": {"uni_ada": "speech", "uni_bohr": "vision", "st_beam": "flood", "st_core": "flood", "st_apex": "flood"},
    "users": {"games": "dara", "man": "sok", "lp": "kosal", "mail": "kosal", "backup": "rith", "irc": "rith", "proxy": "rith"},
}  # fmt: skip
GPU_S = 2 * 5 + 4 * 2 + 8 * 4 + 2 + 2 * 6 + 68 + 6 + 2 * 12 + 6 + 4 * 5 + 4  # by hand, of all but uni_curie's


def everything(centre: Centre) -> dict[str, list]:
    """Every row, but those that say who leads and who asked."""
    rows = centre.database.dump()
    return {table: found for table, found in rows.items() if table not in {"once", "lease", "token"}}


def later(centre: Centre) -> None:
    """The recorded jobs have ended by then."""
    centre.clock.set(1_796_000_000_000)


# Accounts and money.


def test_csv_files_become_accounts_people_and_money(centre: Centre, bring: Bring) -> None:
    found = bring("csv", csv_files())
    assert {what: len(added) for what, added in found.adds.items() if added} == {
        "tenant": 2, "project": 2, "user": 3, "member": 4, "funder": 2, "grant": 2, "allocation": 2,
    }  # fmt: skip
    with centre.store.read() as uow:
        directory = uow.directory()
        flood = directory.by_name["flood-maps"]
        assert directory.tree.accounts[flood.parent_id].name == "river-institute"
        assert uow.people.members(flood.id, 0) == [("channary", "lead"), ("piseth", "member")]
        piseth = uow.people.user("piseth")
        assert piseth is not None
        assert (piseth.title, piseth.email) == ("Piseth Keo", "piseth@rivers.example")
        assert uow.people.tokens(piseth.id) == [], "nobody is let in by an import"
        available = uow.ledger.available(centre.clock.now_ms())
        assert available[flood.id] == 2_000 * MICRO
        assert available[directory.by_name["khmer-ocr"].id] == 750_500_000
        (batch,) = uow.imports.batches(EVERY)
        assert (batch.kind, batch.reason, batch.counts["member"]) == ("csv", REASON, 4)
    assert_sound(centre.database, centre.store)


def test_an_import_again_changes_nothing(centre: Centre, bring: Bring) -> None:
    bring("csv", csv_files())
    before = everything(centre)
    again = bring("csv", csv_files())
    assert again.empty
    assert (again.differs, again.unmapped) == ([], [])
    assert again.same == {"tenant": 2, "project": 2, "user": 3, "member": 4, "grant": 1, "allocation": 2}
    assert everything(centre) == before


def test_an_import_again_remembers_what_the_centre_has_decided_since(centre: Centre, bring: Bring) -> None:
    """An allocation that was changed here is not made a second time."""
    bring("csv", csv_files())
    with centre.database.connect(writes=True) as connection:
        connection.exec_driver_sql(f"UPDATE allocation SET ends_ms = ends_ms + {DAY_MS} WHERE ends_ms > 1830000000000")
    assert bring("csv", csv_files()).empty


def test_of_a_changed_file_only_the_difference_is_added_and_contradictions_are_told(
    centre: Centre, bring: Bring
) -> None:
    files = csv_files()
    bring("csv", files)
    files["projects.csv"] = files["projects.csv"].replace("Reading Khmer manuscripts", "Other words") + (
        "dams,river-institute,Dams,channary\nghost,nowhere,Of no tenant,channary\n"
    )
    files["members.csv"] = files["members.csv"].replace("flood-maps,piseth,member", "flood-maps,piseth,lead")
    files["allocations.csv"] = files["allocations.csv"].replace("2000", "2500") + (
        "dams,water-2030,,500,2026-02-01,2026-12-31\ndams,,water-fund,1,2020-01-01,2020-12-31\n"
    )
    found = bring("csv", files)
    assert [one.name for one in found.projects] == ["dams"]
    assert [(one.project, one.user) for one in found.members] == [("dams", "channary")]
    assert [one.key for one in found.budgets] == ["dams/water-2030/2026-02-01"]
    assert {(one.what, one.name, one.why) for one in found.differs} == {
        ("project", "khmer-ocr", "title is 'Reading Khmer manuscripts' here, 'Other words' there"),
        ("member", "flood-maps/piseth", "role is 'member' here, 'lead' there"),
        ("allocation", "flood-maps/2026-01-01", "su is '2000' here, '2500' there"),
    }
    assert {(one.what, one.name, one.why) for one in found.unmapped} == {
        ("project", "ghost", "there is no tenant 'nowhere'"),
        ("member", "ghost/channary", "there is no project 'ghost'"),
        ("allocation", "dams/2020-01-01", "it is over; what was used comes with the runs of the past"),
    }
    with centre.store.read() as uow:
        assert uow.directory().by_name["khmer-ocr"].title == "Reading Khmer manuscripts", "it stays as it is"
        assert uow.grants.grant_named("water-fund-dams-20200101") is None, "nor is its own grant made"
    assert_sound(centre.database, centre.store)
    assert bring("csv", files).empty


def test_names_that_are_taken_and_grants_that_are_empty_do_not_map(centre: Centre, bring: Bring) -> None:
    found = bring(
        "csv",
        {
            "tenants.csv": "name,title,kind\nspeech,x,ngo\n",
            "projects.csv": "name,tenant,title\ncadt,itc,x\n",
            "members.csv": "project,user,role\nspeech,nary,member\n",
            "allocations.csv": "project,grant,su,first_day,last_day\n"
            "vision,moeys-2026,99999,2026-01-02,2026-06-30\nvision,nothing-1,1,2026-01-02,2026-06-30\n"
            "vision,moeys-2026,1,2026-01-02,2036-06-30\n".replace(
                "vision,moeys-2026,1,2026-01-02", "flood,moeys-2026,1,2026-01-02"
            ),
        },
    )
    assert {(one.what, one.why) for one in found.unmapped} == {
        ("tenant", "there is a project of that name"), ("project", "there is a tenant of that name"),
        ("allocation", "grant moeys-2026 has 8400 SU left, not 99999"), ("allocation", "there is no grant 'nothing-1'"),
        ("allocation", "grant moeys-2026 does not cover all of its days"),
    }  # fmt: skip
    assert [(one.project, one.user) for one in found.members] == [("speech", "nary")]


def test_a_real_export_of_coldfront_is_brought_along_once(centre: Centre, bring: Bring) -> None:
    text = {"export.json": (HERE / "coldfront-1.1.10.json").read_text(encoding="utf-8")}
    options = {"tenant": "cadt", "funder": "moeys"}
    found = bring("coldfront", text, **options)
    assert {what: len(added) for what, added in found.adds.items() if added} == {
        "tenant": 2, "project": 4, "user": 9, "member": 8, "funder": 1, "grant": 1, "allocation": 1,
    }  # fmt: skip
    told = [
        (one.what, one.name, one.why)
        for one in found.unmapped
        if "flood" in one.name and one.name not in {"flood/9", "flood/10", "flood/11"}
    ]
    assert told == [
        ("project", "flood", "there is a project of that name, of itc, not of institute-of-rivers"),
        ("member", "flood/rwilson", "the project 'flood' here is another"),
        ("allocation", "flood/8", "the project 'flood' here is another"),
    ]
    with centre.store.read() as uow:
        by_name = uow.directory().by_name
        assert by_name["an-old-story-5"].state == "closed"
        assert uow.ledger.available(centre.clock.now_ms())[by_name["kocr001"].id] == 3_749_500_000
    assert_sound(centre.database, centre.store)
    before = everything(centre)
    again = bring("coldfront", text, **options)
    assert again.empty
    assert again.differs == []
    assert everything(centre) == before


# Past use.


@pytest.mark.promise(4)
def test_past_use_is_in_every_report_to_the_millisecond(centre: Centre, bring: Bring) -> None:
    later(centre)
    found = bring("sacct", recorded(), **MAPS)
    assert len(found.runs) == 15
    assert [(one.what, one.name, one.why) for one in found.unmapped] == [
        ("account", "uni_curie", "there is no project 'uni_curie' (--map-account): 1 run, 0.00 GPU-hours")
    ]
    with centre.store.read() as uow:
        reports = {by: usage(uow, by, None, None, None) for by in ("tenant", "project", "funder", "user")}
        for statement in reports.values():
            assert statement.agrees
            assert statement.total.gpu_ms == {A100: GPU_S * 1_000, "cpu": 8 * 2 * 1_000}
            assert statement.total.charged == 0, "time only, unless it is charged"
        by_user = {line.key: line.total_gpu_ms for line in reports["user"].lines}
        assert by_user["rith"] == (2 * 6 + 68 + 6 + 2 * 12 + 6) * 1_000
        assert [line.key for line in reports["funder"].lines] == ["moeys"]
        one_second = usage(uow, "user", 1_795_330_336_000, 1_795_330_337_000, None)
        assert one_second.agrees
        assert one_second.total.total_gpu_ms == (2 * 5 + 8 * 4) * 1_000, "those that ended at 13:52:17"
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_past_use_that_is_charged_is_paid_to_the_last_micro_su(centre: Centre, bring: Bring) -> None:
    later(centre)
    found = bring("sacct", recorded(), charge=True, **MAPS)
    worth = sum(run.worth for run in found.runs)
    assert worth == sum(
        (run.gpu_ms * (MICRO if run.flavor == A100 else MICRO // 100) + HOUR_MS // 2) // HOUR_MS for run in found.runs
    )
    with centre.store.read() as uow:
        assert usage(uow, "funder", None, None, None).total.charged == worth
        (grant,) = [one for one in uow.grants.grants(EVERY) if one.name == "before-slurm-1"]
        assert uow.ledger.grant_balances([grant.id])[grant.id] == 0
        kept = [one for one in uow.allocations.page(EVERY, None) if one.state == "closed"]
        balances = uow.ledger.balances([one.id for one in kept])
        assert sum(balances.get((one.id, BookKind.CONSUMED.value), 0) for one in kept) == worth
        assert not any(balances.get((one.id, BookKind.ALLOCATION.value), 0) for one in kept)
    assert_sound(centre.database, centre.store)


@pytest.mark.promise(4)
def test_runs_that_are_there_are_not_counted_again(centre: Centre, bring: Bring) -> None:
    later(centre)
    lines = recorded()["sacct.txt"].splitlines(keepends=True)
    bring("sacct", {"first.txt": "".join(lines[:12])}, **MAPS)
    with centre.store.read() as uow:
        first = usage(uow, "project", None, None, None).total.total_gpu_ms
    rest = bring("sacct", recorded(), **MAPS)
    assert 0 < rest.same["run"] < 15
    assert len(rest.runs) + rest.same["run"] == 15
    with centre.store.read() as uow:
        assert usage(uow, "project", None, None, None).total.total_gpu_ms == (GPU_S + 16) * 1_000 > first
    before = everything(centre)
    assert bring("sacct", recorded(), **MAPS).empty
    assert everything(centre) == before
    assert_sound(centre.database, centre.store)


def test_runs_that_are_told_otherwise_later_stay_as_they_were(centre: Centre, bring: Bring) -> None:
    later(centre)
    bring("sacct", recorded(), **MAPS)
    other = {**MAPS, "gpus": {"gpu": H100, "a100": A100}, "users": {**MAPS["users"], "man": "dara"}}
    found = bring("sacct", recorded(), **other)
    assert found.empty
    assert Counter(one.why for one in found.differs) == {
        "it was brought along already, with another flavor": 12,
        "it was brought along already, with another user": 2,
    }  # fmt: skip
    assert_sound(centre.database, centre.store)


def test_what_does_not_map_is_told_by_reason_with_its_amount(centre: Centre, bring: Bring) -> None:
    later(centre)
    given = {**MAPS, "gpus": {}, "users": {}}
    found = bring("sacct", recorded(), **given)
    assert found.empty
    assert {(one.what, one.name) for one in found.unmapped} == {
        ("account", "uni_curie"), *(("user", name) for name in MAPS["users"])
    }  # fmt: skip
    found = bring("sacct", recorded(), **{**MAPS, "gpus": {}})
    assert {(one.what, one.name, one.why) for one in found.unmapped if one.what == "GPU"} == {
        ("GPU", "a100", "there is no flavor 'a100' (--map-gpu): 2 runs, 0.00 GPU-hours"),
        ("GPU", "gpu", "there is no flavor 'gpu' (--map-gpu): 12 runs, 0.04 GPU-hours"),
    }
    assert [run.flavor for run in found.runs] == ["cpu"]


def test_runs_of_the_future_are_a_wrong_time_zone(centre: Centre, bring: Bring) -> None:
    found = bring("sacct", recorded(), **MAPS)
    assert found.empty
    assert {one.why.partition(":")[0] for one in found.unmapped if one.what == "run"} == {
        "they end after now (--timezone)"
    }


def test_the_past_needs_somebody_who_paid(centre: Centre) -> None:
    with pytest.raises(Invalid, match="nobody pays for the past"):
        rehearsed(centre, "sacct", recorded(), Options("slurm"))


def test_fair_share_remembers_the_past_decayed(centre: Centre, bring: Bring) -> None:
    later(centre)
    found = bring("sacct", recorded(), **MAPS)
    now_ms = centre.clock.now_ms()
    with centre.store.read() as uow:
        directory = uow.directory()
        half_life_ms = directory.policy_at(now_ms).half_life_ms
        usage_now = uow.accounts.usage(now_ms, half_life_ms)
        by_user = uow.accounts.user_usage(now_ms, half_life_ms)
    wanted = {
        project: sum(
            decayed(run.worth, now_ms - run.ended_ms, half_life_ms) for run in found.runs if run.project == project
        )
        for project in ("speech", "vision", "flood")
    }
    ids = {name: directory.by_name[name].id for name in ("centre", "cadt", "itc", *wanted)}
    assert {name: usage_now[ids[name]] for name in wanted} == wanted
    assert 0 < wanted["flood"] < sum(run.worth for run in found.runs if run.project == "flood")
    assert usage_now[ids["cadt"]] == wanted["speech"] + wanted["vision"]
    assert usage_now[ids["centre"]] == sum(wanted.values())
    assert sum(used for (project, _), used in by_user.items() if project == ids["speech"]) == wanted["speech"]


def test_the_centre_goes_on_with_jobs_after_an_import(centre: Centre, bring: Bring) -> None:
    bring("csv", csv_files())
    centre.submit()
    centre.run(hours=2)
    centre.clock.set(1_767_400_000_000)
    old = recorded()["sacct.txt"].replace("2026-11-22", "2025-11-22")
    bring("sacct", {"old.txt": old}, **MAPS)
    with centre.store.read() as uow:
        statement = usage(uow, "user", None, None, None)
    assert statement.agrees
    dara = next(line for line in statement.lines if line.key == "dara")
    assert dara.gpu_ms[H100] == 60_000
    assert dara.gpu_ms[A100] == (2 * 5 + 4 * 2 + 4 * 5) * 1_000
    assert_sound(centre.database, centre.store)


# All of it or nothing, and only what was rehearsed.


def test_only_what_was_rehearsed_is_applied(centre: Centre, bring: Bring) -> None:
    files, options = csv_files(), Options("csv")
    digest = rehearsed(centre, "csv", files, options).digest("csv", options)
    assert digest == rehearsed(centre, "csv", files, options).digest("csv", options)
    other = {**files, "tenants.csv": files["tenants.csv"].replace("Rivers", "Lakes")}
    with pytest.raises(Conflict, match="is not what was rehearsed"):
        applied(centre, "csv", other, options, digest)
    bring("csv", {"tenants.csv": files["tenants.csv"].replace("letters-university", "other-university")})
    before = everything(centre)
    with pytest.raises(Conflict, match="is not what was rehearsed"):
        applied(centre, "csv", files, options, digest)  # the centre is another by now
    assert everything(centre) == before


class Dying:
    """Repositories of which one dies at the n-th call, as a process is killed."""

    def __init__(self, inner: object, left: list[int]) -> None:
        self._inner, self._left = inner, left

    def __getattr__(self, name: str) -> object:
        found = getattr(self._inner, name)
        if not callable(found):
            return Dying(found, self._left)

        def call(*arguments: object, **named: object) -> object:
            self._left[0] -= 1
            if self._left[0] == 0:
                raise KeyboardInterrupt
            return found(*arguments, **named)

        return call


@pytest.mark.promise(4)
def test_an_import_that_dies_anywhere_leaves_nothing(centre: Centre) -> None:
    from lifecycle.imports import rehearse

    later(centre)
    files, options = recorded(), Options("slurm", **MAPS)
    bundle = rehearse.read("sacct", files, options)
    digest = rehearsed(centre, "sacct", files, options).digest("sacct", options)
    before, caller = everything(centre), centre.caller("admin")
    for moment in range(1, 200):
        try:
            with centre.store.write() as uow:
                dying = Dying(uow, [moment])
                rehearse.apply(dying, caller, "sacct", bundle, options, digest, REASON, centre.clock.now_ms())
        except KeyboardInterrupt:
            assert everything(centre) == before, moment
            continue
        break
    else:
        raise AssertionError("it dies for ever")
    assert moment > 20
    assert_sound(centre.database, centre.store)


VICTIM = """
import os, signal, sys
from lifecycle.imports import rehearse
from lifecycle.imports.words import Options
from lifecycle.people import authenticate
from store.engine import open_engine
from store.imports import Imports
from store.unit_of_work import Store

url, token, digest, now = sys.argv[1:]
add = Imports.add_runs
def add_and_die(*arguments):
    add(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
Imports.add_runs = add_and_die
options = Options("slurm", funder="moeys", gpus={"gpu": "a100-40gb"}, projects={"p": "speech"}, users={"u": "dara"})
bundle = rehearse.read("sacct", {"x": sys.stdin.read()}, options)
with Store(open_engine(url)).write() as uow:
    rehearse.apply(uow, authenticate(uow, token, int(now)), "sacct", bundle, options, digest, "x", int(now))
"""


@pytest.mark.promise(4)
def test_a_process_that_is_killed_in_the_middle_leaves_nothing(centre: Centre) -> None:
    head = "JobID|User|Account|State|Submit|Start|End|ElapsedRaw|AllocTRES\n"
    row = "{}|u|p|COMPLETED|2025-01-01T00:00:00|2025-01-01T00:00:00|2025-01-01T01:00:00|3600|cpu=1,gres/gpu=1,node=1\n"
    text = head + "".join(row.format(job) for job in range(1, 50))
    options = Options("slurm", funder="moeys", gpus={"gpu": A100}, projects={"p": "speech"}, users={"u": "dara"})
    digest = rehearsed(centre, "sacct", {"x": text}, options).digest("sacct", options)
    before = everything(centre)
    done = subprocess.run(
        [sys.executable, "-c", VICTIM, centre.database.url, centre.population.tokens["admin"], digest, str(centre.clock.now_ms())],
        input=text, text=True, cwd=Path(__file__).parents[2], timeout=60, check=False, capture_output=True,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert everything(centre) == before
    found, batch = applied(centre, "sacct", {"x": text}, options, digest)
    assert len(found.runs) == 49
    assert batch is not None
    assert_sound(centre.database, centre.store)


# Twice is once.

names = st.sampled_from(["a", "b", "c", "speech", "cadt", "ocr", "map", "dams"])
lines = st.lists(
    st.tuples(names, names, st.integers(1, 5_000), st.integers(1, 28)), max_size=8, unique_by=lambda one: one[:2]
)


@st.composite
def csv_sets(draw: st.DrawFn) -> dict[str, str]:
    """Files that can be read, of whatever may or may not map."""
    tenants = draw(st.lists(names, max_size=4, unique=True))
    projects = draw(st.lists(st.tuples(names, names), max_size=5, unique_by=lambda one: one[0]))
    projects = [one for one in projects if one[0] not in tenants]
    files = {
        "tenants.csv": "name,title,kind\n" + "".join(f"{name},T {name},ngo\n" for name in tenants),
        "projects.csv": "name,tenant,title\n" + "".join(f"{name},{of},P {name}\n" for name, of in projects),
        "members.csv": "project,user,role\n" + "".join(
            f"{project},u-{user},{'lead' if amount % 2 else 'member'}\n" for project, user, amount, _ in draw(lines)
        ),
        "allocations.csv": "project,funder,su,first_day,last_day\n" + "".join(
            f"{project},f-{funder},{amount}.25,2026-02-{day:02},2026-12-31\n" for project, funder, amount, day in draw(lines)
        ),
    }  # fmt: skip
    return {name: text for name, text in files.items() if draw(st.booleans()) or name == "tenants.csv"}


@on_sqlite
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sets=st.lists(csv_sets(), min_size=1, max_size=3))
def test_an_import_twice_is_an_import_once(centre: Centre, sets: list[dict[str, str]]) -> None:
    centre.refound()
    options = Options("csv")
    for files in sets:
        first = rehearsed(centre, "csv", files, options)
        applied(centre, "csv", files, options, first.digest("csv", options))
        before = everything(centre)
        again = rehearsed(centre, "csv", files, options)
        assert again.empty, again.adds
        assert [one.name for one in again.unmapped] == [one.name for one in first.unmapped]
        applied(centre, "csv", files, options, "any")
        assert everything(centre) == before
        told = len(again.unmapped) + len(again.differs) + sum(again.same.values())
        assert told >= sum(text.count("\n") - 1 for text in files.values()), "nothing is dropped without a word"
    assert_sound(centre.database, centre.store)


def test_the_list_of_imports_is_paged(centre: Centre, bring: Bring) -> None:
    for name in ("a", "b", "c"):
        bring("csv", {"tenants.csv": f"name,title,kind\n{name},x,ngo\n"})
    with centre.store.read() as uow:
        first = uow.imports.batches(Page(None, 2))
        assert [json.dumps(one.counts) for one in first] == ['{"tenant": 1}'] * 2
        assert len(uow.imports.batches(Page(first[-1].id, 2))) == 1


def test_the_history_to_rehearse_with_goes_back_before_the_centre(centre: Centre, bring: Bring) -> None:
    centre.submit()
    centre.run(hours=2)
    later(centre)
    bring("sacct", recorded(), **MAPS)
    with centre.store.read() as uow:
        whole = uow.history.page(None, 100, None, None)
        pages, after = [], None
        while page := uow.history.page(after, 4, None, None):
            pages += page
            after = page[-1].row
        submitted = [one.submitted_ms for one in uow.history.page(None, 100, 1_795_330_340_000, 1_795_330_348_000)]
    assert whole == pages
    assert (whole[0].job_id, whole[0].name) == (1, None)
    by_name = {one.name: one for one in whole[1:]}
    assert len(whole) == 1 + 15 - 2, "not those that ended by the centre's doing and ran again"
    gang = by_name["slurm:6"]
    assert (gang.gpus, gang.nodes, gang.cpus, gang.flavor, gang.qos) == (8, 2, 8, A100, "normal")
    assert (gang.walltime_ms, gang.ended_ms - gang.started_ms, gang.user) == (600_000, 4_000, "kosal")
    assert by_name["slurm:3"].gpus == 0

    assert all(1_795_330_340_000 <= at < 1_795_330_348_000 for at in submitted)
    assert submitted


def test_the_past_of_a_closed_month_stays_out(centre: Centre, bring: Bring) -> None:
    from lifecycle import periods

    later(centre)
    with centre.store.write() as uow:
        periods.close(uow, centre.caller("admin"), "2026-11", "done", 1_798_800_000_000)
    found = bring("sacct", recorded(), **MAPS)
    assert found.empty
    assert {(one.what, one.name) for one in found.unmapped} == {("account", "uni_curie"), ("run", "of 2026-11")}
