"""The readers of files, each fault by its file, row and column; and recorded files of real systems.

``coldfront-1.1.10.json`` was made by ColdFront 1.1.10 from PyPI: ``coldfront initial_setup``, ``load_test_data``, some
more projects made in ``coldfront shell``, then ``coldfront dumpdata project allocation grant resource user auth.user``;
history, passwords and people of no project were taken out and texts replaced. Its people are its demo's.
``sacct-22.05.txt`` is the output of a real Slurm 22.05 (three nodes of four pretended A100) in Phnom Penh's time, of
jobs with steps, an array, a gang, a failure, a cancellation, a time-out, a node that went down, a requeue, and one
that still ran; the last two after the cluster was told to account for kinds of GPU.
"""

from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

import pytest

from domain.errors import Invalid
from domain.quantities import MICRO
from lifecycle.imports import coldfront, csvfiles, sacct
from lifecycle.imports.words import FAULTS_SHOWN, Bundle, Options, read_zone, slug

HERE = Path(__file__).parent
TENANTS = "name,title,kind\nrupp,Royal University,university\n"
PROJECTS = "name,tenant,title,lead\nocr,rupp,Khmer OCR,vuthy\n"
MEMBERS = "project,user,role,name,email\nocr,vuthy,lead,Vuthy Chan,vuthy@rupp.example\nocr,srey,,Srey Neang,\n"
ALLOCATIONS = "project,funder,su,first_day,last_day\nocr,jica,1500.25,2026-01-01,2026-12-31\n"
ALL = {"tenants.csv": TENANTS, "projects.csv": PROJECTS, "members.csv": MEMBERS, "allocations.csv": ALLOCATIONS}
HEAD = "JobID|JobName|User|Account|QOS|State|Submit|Start|End|ElapsedRaw|AllocTRES|TimelimitRaw"
ROW = "1|a|u|p|q|COMPLETED|2026-01-01T00:00:00|2026-01-01T00:00:00|2026-01-01T01:00:00|3600|cpu=1,gres/gpu=1,mem=1G,node=1|60"


def read_csv(files: Mapping[str, str], **options: object) -> Bundle:
    return csvfiles.read(files, Options("csv", **options))


def faults(kind, files: Mapping[str, str], **options: object) -> list[tuple[str | None, str]]:
    with pytest.raises(Invalid) as caught:
        kind.read(files, Options("x", **options))
    return [(fault.field, fault.message) for fault in caught.value.faults]


# CSV.


def test_what_csv_files_say() -> None:
    found = read_csv(ALL, zone=read_zone("+07:00"))
    assert [(one.name, one.title, one.kind, one.weight) for one in found.tenants] == [
        ("rupp", "Royal University", "university", None)
    ]
    assert [(one.name, one.tenant, one.state) for one in found.projects] == [("ocr", "rupp", None)]
    assert {(one.name, one.title, one.email) for one in found.people} == {
        ("vuthy", "Vuthy Chan", "vuthy@rupp.example"), ("srey", "Srey Neang", None),
    }  # fmt: skip
    assert [(one.user, one.role) for one in found.members] == [("vuthy", "lead"), ("srey", "member")]
    (budget,), (grant,), (funder,) = found.budgets, found.grants, found.funders
    assert (budget.micro_su, budget.grant, funder.name) == (1_500_250_000, "jica-ocr-20260101", "jica")
    assert (grant.micro_su, grant.own) == (budget.micro_su, True)
    day = 86_400_000
    assert budget.ends_ms - budget.starts_ms == 365 * day, "the last day belongs to it"
    assert (budget.starts_ms + 7 * 3_600_000) % day == 0


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff" + TENANTS,  # a mark of byte order
        TENANTS.replace("\n", "\r\n"),
        TENANTS.replace(",", ";"),  # where the comma is for decimals
        TENANTS.replace(",", "\t"),
        "sep=;\r\n" + TENANTS.replace(",", ";"),
        TENANTS.replace("name,title", " Name , TITLE"),
        TENANTS + ",,\n\n ,\u00a0,\n",  # empty rows below
        TENANTS.replace("\n", ",,\n"),  # empty columns at the right
        TENANTS.replace("Royal University", '"Royal University\u00a0"'),
        TENANTS.rstrip("\n"),
    ],
)
def test_spreadsheets_write_it_in_many_ways(text: str) -> None:
    (found,) = read_csv({"tenants.csv": text}).tenants
    assert (found.name, found.title, found.kind) == ("rupp", "Royal University", "university")


def test_columns_that_are_not_known_are_told() -> None:
    found = read_csv(
        {"tenants.csv": TENANTS.replace("kind", "kind,Remarks").replace("university\n", "university,old\n")}
    )
    assert found.notes == ["tenants.csv: the columns remarks are not read"]


BROKEN_CSV = {
    "an empty file": ("tenants.csv", "", "tenants.csv:1", "is empty"),
    "a missing column": ("tenants.csv", "name,title\na,b\n", "tenants.csv:1:kind", "there is no such column"),
    "a column twice": ("tenants.csv", "name,title,kind,name\n", "tenants.csv:1:name", "two columns of this name"),
    "a cell too many": ("tenants.csv", TENANTS + "a,b,ngo,x\n", "tenants.csv:3", "has 4 cells, the first line 3"),
    "an empty cell": ("tenants.csv", TENANTS + "a,,ngo\n", "tenants.csv:3:title", "is empty"),
    "a quote without end": ("tenants.csv", TENANTS + '"a,b,ngo\n', "tenants.csv:3", "cannot be read"),
    "letters of old": ("tenants.csv", "name,title,kind\na,Universit\ufffd,ngo\n", "tenants.csv:1", "is not in UTF-8"),
    "UTF-16": ("tenants.csv", "n\0a\0m\0e\0", "tenants.csv:1", "is not in UTF-8"),
    "a name in capitals": ("tenants.csv", TENANTS + "RUA,b,ngo\n", "tenants.csv:3:name", "'RUA' is no name"),
    "a kind that is none": ("tenants.csv", TENANTS + "a,b,club\n", "tenants.csv:3:kind", "'club' is not known"),
    "a weight that is none": ("tenants.csv", "name,title,kind,weight\na,b,ngo,1e3\n", "tenants.csv:2:weight", "no weight"),
    "a tenant twice": ("tenants.csv", TENANTS + "rupp,b,ngo\n", "tenants.csv:3:name", "is there in row 2 already"),
    "a formula": ("tenants.csv", TENANTS + "a,=1+1,ngo\n", "tenants.csv:3:title", "would take it for a formula"),
    "a formula that calls": ("tenants.csv", TENANTS + "a,@SUM(A1),ngo\n", "tenants.csv:3:title", "for a formula"),
    "a spreadsheet's error": ("tenants.csv", TENANTS + "a,#REF!,ngo\n", "tenants.csv:3:title", "error of a spreadsheet"),
    "a line break in a cell": ("tenants.csv", TENANTS + 'a,"b\nc",ngo\n', "tenants.csv:3:title", "cannot be printed"),
    "an endless cell": ("tenants.csv", TENANTS + f"a,{'x' * 5_000},ngo\n", "tenants.csv:3:title", "5000 letters long"),
    "a monstrous cell": ("tenants.csv", TENANTS + f"a,{'x' * 200_000},ngo\n", "tenants.csv:3", "cannot be read"),
    "a file of another name": ("users.csv", "a\n", "users.csv:1", "is not a file that is known"),
    "a project named as a tenant": (
        "projects.csv", "name,tenant,title\nrupp,rupp,x\n", "projects.csv:2:name", "is a tenant's name too",
    ),
    "a date as spreadsheets like it": (
        "allocations.csv", ALLOCATIONS.replace("2026-01-01", "01/01/2026"), "allocations.csv:2:first_day", "is no date",
    ),
    "a day that is none": (
        "allocations.csv", ALLOCATIONS.replace("2026-12-31", "2026-02-30"), "allocations.csv:2:last_day", "is no date",
    ),
    "an end before the start": (
        "allocations.csv", ALLOCATIONS.replace("2026-12-31", "2025-12-31"), "allocations.csv:2:last_day", "before the first",
    ),
    "an amount with a comma": (
        "allocations.csv", ALLOCATIONS.replace("1500.25", '"1,500.25"'), "allocations.csv:2:su", "has a comma",
    ),
    "a huge amount": (
        "allocations.csv", ALLOCATIONS.replace("1500.25", "9" * 40), "allocations.csv:2:su", "is no amount of SU",
    ),
    "too much": (
        "allocations.csv", ALLOCATIONS.replace("1500.25", "9" * 15), "allocations.csv:2:su", "must be above 0 and at most",
    ),
    "nothing": ("allocations.csv", ALLOCATIONS.replace("1500.25", "0"), "allocations.csv:2:su", "must be above 0"),
    "less than nothing": ("allocations.csv", ALLOCATIONS.replace("1500", "-1500"), "allocations.csv:2:su", "formula"),
    "nobody who pays": (
        "allocations.csv", ALLOCATIONS.replace("jica", ""), "allocations.csv:2:grant", "nobody pays it",
    ),
    "an allocation twice": (
        "allocations.csv", ALLOCATIONS + "ocr,jica,3,2026-01-01,2026-03-31\n", "allocations.csv:3:project", "in row 2 already",
    ),
    "a lead who is a member": (
        "members.csv", MEMBERS.replace("ocr,vuthy,lead", "ocr,vuthy,member"), "projects.csv:2:lead", "a mere member",
    ),
    "a person of two names": (
        "members.csv", MEMBERS + "map,vuthy,member,Vuthy Sok,\n", "members.csv:4:name", "is 'Vuthy Chan' in another row",
    ),
    "an address that is none": (
        "members.csv", MEMBERS.replace("vuthy@rupp.example", "vuthy at rupp"), "members.csv:2:email", "no address of mail",
    ),
    "grants that are spent twice": (
        "grants.csv", "name,funder,su,first_day,last_day\njica-1,jica,5,2026-01-01,2026-12-31\n", "allocations.csv:3:su",
        "grant jica-1 has 5 SU, its allocations up to here 6",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("file", "text", "where", "what"), BROKEN_CSV.values(), ids=BROKEN_CSV)
def test_a_fault_is_told_with_its_place(file: str, text: str, where: str, what: str) -> None:
    files = {**ALL, file: text}
    if file == "grants.csv":
        rows = "ocr,jica-1,3,2026-01-01,2026-12-31\nmap,jica-1,3,2026-01-01,2026-12-31\n"
        files["allocations.csv"] = "project,grant,su,first_day,last_day\n" + rows
    (found,) = faults(csvfiles, files)
    assert found[0] == where
    assert what in found[1]


def test_all_faults_are_told_at_once() -> None:
    files = {
        "tenants.csv": "name,title,kind\nA B,,club\n",
        "projects.csv": "name,tenant,title,weight\nocr,rupp,Khmer OCR,0\n",
        "allocations.csv": ALLOCATIONS.replace("1500.25", "x").replace("2026-01-01", "soon"),
    }
    assert [field for field, _ in faults(csvfiles, files)] == [
        "tenants.csv:2:name", "tenants.csv:2:title", "tenants.csv:2:kind", "projects.csv:2:weight",
        "allocations.csv:2:su", "allocations.csv:2:first_day",
    ]  # fmt: skip


def test_faults_are_bounded() -> None:
    found = faults(csvfiles, {"tenants.csv": "name,title,kind\n" + "A,b,ngo\n" * 5_000})
    assert len(found) == FAULTS_SHOWN + 1
    assert found[-1] == (None, f"and {5_000 - FAULTS_SHOWN} more")


def test_a_file_of_rows_beyond_all_bounds_is_refused_early() -> None:
    rows = "".join(f"t{n},x,ngo\n" for n in range(100_005))
    assert faults(csvfiles, {"tenants.csv": "name,title,kind\n" + rows}) == [
        ("tenants.csv:100001", "has more than 100000 rows")
    ]


def test_a_fix_names_what_the_name_would_be() -> None:
    with pytest.raises(Invalid) as caught:
        read_csv({"tenants.csv": "name,title,kind\nÉcole Royale,x,ngo\n"})
    assert caught.value.fixes == ("write 'ecole-royale'",)


# ColdFront.


def export() -> str:
    return (HERE / "coldfront-1.1.10.json").read_text(encoding="utf-8")


def test_what_a_real_export_says() -> None:
    found = coldfront.read({"export.json": export()}, Options("coldfront", tenant="cadt", funder="jica"))
    assert [one.name for one in found.tenants] == ["university-of-examples", "institute-of-rivers"]
    assert [(one.name, one.tenant, one.state) for one in found.projects] == [
        ("heat-in-plasmas-1", "university-of-examples", None), ("electrons-in-thin-layers-2", "cadt", None),
        ("kocr001", "university-of-examples", None), ("flood", "institute-of-rivers", None),
        ("an-old-story-5", "institute-of-rivers", "closed"),
    ]  # fmt: skip
    roles = {(one.project, one.user): one.role for one in found.members}
    assert roles["kocr001", "cmorris"] == "lead", "the PI"
    assert roles["heat-in-plasmas-1", "jedwards"] == "lead", "a manager"
    assert roles["kocr001", "ccarter"] == "member"
    assert {(one.key, one.project, one.micro_su, one.grant) for one in found.budgets} == {
        ("7", "kocr001", 3_749_500_000, "coldfront-national-science-foundation-nsf-7"),
        ("8", "flood", 800 * MICRO, "coldfront-jica-8"),
    }, "what is left of it, paid by the project's own grant or by the funder of the options"
    assert found.budgets[0].note == "5000 SU, of which 1250.5 are used"
    assert {one.name: one.title for one in found.funders} == {
        "national-science-foundation-nsf": "National Science Foundation (NSF)", "jica": "jica",
    }  # fmt: skip
    why = {(one.what, one.name): one.why for one in found.unmapped}
    assert why["member", "heat-in-plasmas-1/wmurphy"] == "the status is Removed"
    assert why["member", "kocr001/jlong"] == "the status is Pending - Add"
    assert why["allocation", "flood/9"] == "its status is Expired (University Metered HPC)"
    assert why["allocation", "flood/10"] == "its status is New (University Metered HPC)"
    assert why["allocation", "heat-in-plasmas-1/3"].startswith("no attribute of it counts SU (Budgetstorage)")
    assert why["attribute", "11"] == "'a lot' of Accelerator Usage (Hours) is no amount"
    assert "9 records of allocation.allocationuser are not brought along" in found.notes
    assert "pbkdf2" not in repr(found)


def test_nothing_of_an_export_is_dropped_without_a_word() -> None:
    """Each project, membership and allocation is brought along or told of."""
    found = coldfront.read({"x": export()}, Options("coldfront"))
    told = {(one.what, one.place) for one in found.unmapped}
    assert len(found.projects) + sum(what == "project" for what, _ in told) == 5
    assert len(found.budgets) + sum(what == "allocation" for what, _ in told) == 11
    why = {one.name: one.why for one in found.unmapped if one.what == "project"}
    assert why == {"electrons-in-thin-layers-2": "it names no institution: name a tenant with --tenant"}


def test_options_rename_and_count_otherwise() -> None:
    options = Options(
        "hpc", tenant="cadt", funder="jica", su_attributes=(("Core Usage (Hours)", MICRO // 100),),
        tenants={"Institute of Rivers": "itc"}, projects={"1": "plasma", "Khmer OCR": "ocr"}, users={"cmorris": "chan"},
    )  # fmt: skip
    found = coldfront.read({"x": export()}, options)
    assert [one.name for one in found.tenants] == ["university-of-examples"]
    assert [(one.name, one.tenant) for one in found.projects][:4:3] == [
        ("plasma", "university-of-examples"), ("flood", "itc"),
    ]  # fmt: skip
    assert ("ocr", "chan") in {(one.project, one.user) for one in found.members}
    assert {(one.project, one.micro_su, one.grant) for one in found.budgets} == {
        ("plasma", 1_500 * MICRO, "hpc-jica-4"),
        ("electrons-in-thin-layers-2", 8 * MICRO, "hpc-department-of-defense-dod-5"),
    }, "150,000 core hours at a hundredth of an SU; 1,000 of which 200 are used"


def test_links_by_name_are_followed_too() -> None:
    """As ``--natural-foreign`` writes them."""
    import json

    records = json.loads(export())
    names = {("auth.user", one["pk"]): one["fields"]["username"] for one in records if one["model"] == "auth.user"}
    names |= {
        (one["model"], one["pk"]): one["fields"]["name"] for one in records if one["model"].endswith("statuschoice")
    }
    for one in records:
        kind, fields = one["model"], one["fields"]
        if kind in {"project.project", "project.projectuser", "allocation.allocation", "grant.grant"}:
            fields["status"] = [names[f"{kind}statuschoice", fields["status"]]]
        if kind == "project.project":
            fields["pi"] = [names["auth.user", fields["pi"]]]
        if kind == "project.projectuser":
            fields["user"] = [names["auth.user", fields["user"]]]
    options = Options("coldfront", tenant="cadt", funder="jica")
    by_name = coldfront.read({"x": json.dumps(records)}, options)
    by_key = coldfront.read({"x": export()}, options)
    assert by_name == by_key


BROKEN_EXPORTS = {
    "no JSON": ("[{]", "x:1", "is no JSON"),
    "no list": ("{}", "x:1", "is no list"),
    "no records": ("[1]", "x:1", "is no record of a model"),
    "no key": ('[{"model": "a.b", "fields": {}}]', "x:1:pk", "there is no number"),
    "a key twice": (
        '[{"model": "a.b", "pk": 1, "fields": {}},{"model": "a.b", "pk": 1, "fields": {}}]',
        "x:2:pk",
        "is that",
    ),
    "a number without end": ("[" + "9" * 5_000 + "]", "x:1", "beyond all bounds"),
    "a nesting without end": ("[" * 100_000, "x:1", "beyond all bounds"),
    "an empty list": ("[]", "x:1:project.project", "there is no record of this model"),
}


@pytest.mark.parametrize(("text", "where", "what"), BROKEN_EXPORTS.values(), ids=BROKEN_EXPORTS)
def test_what_is_no_export_is_told(text: str, where: str, what: str) -> None:
    found = faults(coldfront, {"x": text})
    assert found[0][0] == where
    assert what in found[0][1]


def test_records_with_nonsense_in_them_are_told_and_break_nothing() -> None:
    import json

    for at in range(len(json.loads(export()))):
        for nonsense in (None, [], "x", -1, 1.5, {"a": 1}, [[]]):
            records = json.loads(export())
            records[at]["fields"] = dict.fromkeys(records[at]["fields"], nonsense)
            try:
                coldfront.read({"x": json.dumps(records)}, Options("coldfront", tenant="cadt", funder="jica"))
            except Invalid:
                continue


# sacct.


def real_runs(**options: object) -> Bundle:
    text = (HERE / "sacct-22.05.txt").read_text(encoding="utf-8")
    return sacct.read({"sacct.txt": text}, Options("slurm", zone=read_zone("+07:00"), **options))


def test_what_a_real_sacct_says() -> None:
    found = real_runs()
    runs = {(run.job, run.state): run for run in found.runs}
    assert len(found.runs) == 16
    assert found.notes == [
        "left out: runs that have not ended yet (1)",
        "left out: steps of jobs, whose own row counts (20)",
    ]
    gang = runs["6", "succeeded"]
    assert (gang.gres, gang.gpus, gang.nodes, gang.cpus, gang.memory_bytes) == ("gpu", 8, 2, 8, 8_000 * 2**20)
    assert (gang.ended_ms - gang.started_ms, gang.elapsed_ms, gang.walltime_ms) == (4_000, 4_000, 600_000)
    assert (gang.account, gang.user, gang.qos) == ("uni_bohr", "lp", "normal")
    assert gang.submitted_ms == 1_795_330_332_000, "13:52:12 in Phnom Penh is 06:52:12 UTC"
    assert (runs["3", "succeeded"].gres, runs["3", "succeeded"].gpus) == ("", 0), "cores alone"
    assert {run.job for run in found.runs if run.job.startswith("2_")} == {"2_0", "2_1", "2_2", "2_3"}
    assert runs["8", "cancelled"].elapsed_ms == 2_000, "'CANCELLED by 0'"
    assert runs["7", "failed"].gpus == 1
    assert runs["11", "timed_out"].elapsed_ms == 68_000
    assert runs["9", "node_failed"].started_ms < runs["9", "succeeded"].started_ms, "both of its runs"
    assert runs["13", "preempted"].elapsed_ms == runs["13", "succeeded"].elapsed_ms == 6_000
    assert (runs["16", "succeeded"].gres, runs["16", "succeeded"].gpus) == ("a100", 4), "told once by its kind"


def test_kinds_of_gpu_are_told_apart_and_each_counts_once() -> None:
    mixed = ROW.replace("gres/gpu=1", "gres/gpu:a100=2,gres/gpu:h100=1,gres/gpu=4").replace("cpu=1", "cpu=8")
    found = sacct.read({"x": f"{HEAD}\n{mixed}\n"}, Options("slurm")).runs
    assert {(run.gres, run.gpus, run.cpus) for run in found} == {("a100", 2, 8), ("gpu", 1, 0), ("h100", 1, 0)}


LEFT_OUT = {
    "a step": (ROW.replace("1|a", "1.batch|a", 1), "steps of jobs"),
    "one that runs": (ROW.replace("COMPLETED", "RUNNING"), "have not ended"),
    "one without an end": (ROW.replace("2026-01-01T01:00:00", "Unknown"), "have not ended"),
    "one that waits": (ROW.replace("COMPLETED", "PENDING"), "never started"),
    "one cancelled in the queue": (
        ROW.replace("COMPLETED", "CANCELLED by 12").replace("|2026-01-01T00:00:00|2026-01-01T01", "|None|2026-01-01T01"),
        "never started",
    ),
    "an array that waits": (ROW.replace("1|a", "1_[0-9%2]|a", 1).replace("COMPLETED", "PENDING"), "never started"),
    "one of no time": (ROW.replace("|3600|", "|0|"), "less than a second"),
    "the same row again": (f"{ROW}\n{ROW}", "there twice"),
}  # fmt: skip


@pytest.mark.parametrize(("rows", "why"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_is_left_out_is_counted(rows: str, why: str) -> None:
    found = sacct.read({"x": f"{HEAD}\n{rows}\n"}, Options("slurm"))
    assert len(found.runs) == ("twice" in why)
    assert len(found.notes) == 1
    assert why in found.notes[0]


@pytest.mark.parametrize(
    "row",
    [
        ROW.replace("1|a|", "1|a|b|c|", 1),  # a name with the separator in it
        ROW.replace("2026-01-01T01:00:00", "1767229200"),  # SLURM_TIME_FORMAT=%s
        ROW.replace("|60", "|UNLIMITED"),
        ROW.replace("mem=1G", "mem=1.50G"),
        ROW.replace("mem=1G,", "mem=1G,energy=12,fs/disk=3,license/x=1,"),
        ROW.replace("1|a", "12_7|a", 1),
        ROW.replace("1|a", "12+1|a", 1),  # a part of a job of several shapes
        ROW + "\r",
    ],
)
def test_rows_come_in_many_ways(row: str) -> None:
    (run,) = sacct.read({"x": f"{HEAD}\n{row}\n\n"}, Options("slurm")).runs
    assert (run.gpus, run.ended_ms - run.started_ms) == (1, 3_600_000)


BROKEN_ROWS = {
    "no time": (ROW.replace("2026-01-01T01:00:00", "2026-13-01T01:00:00"), "x:2:End", "is no time"),
    "an end before the start": (ROW.replace("2026-01-01T01", "2025-01-01T01"), "x:2:End", "lies before Start"),
    "no seconds": (ROW.replace("|3600|", "|01:00:00|"), "x:2:ElapsedRaw", "is no number of seconds"),
    "seconds without end": (ROW.replace("|3600|", f"|{'9' * 30}|"), "x:2:ElapsedRaw", "is no number of seconds"),
    "a state that is none": (ROW.replace("COMPLETED", "DONE"), "x:2:State", "'DONE' is not known"),
    "no user": (ROW.replace("|u|", "||"), "x:2:User", "is empty"),
    "no account": (ROW.replace("|p|", "||"), "x:2:Account", "is empty"),
    "no id": (ROW.replace("1|a", "x|a", 1), "x:2:JobID", "is no job's id"),
    "GPUs without number": (ROW.replace("gres/gpu=1", "gres/gpu=many"), "x:2:AllocTRES", "is no number of things"),
    "shards": (ROW.replace("gres/gpu=1", "gres/shard=1"), "x:2:AllocTRES", "is a part of a GPU"),
    "no resources": (ROW.replace("cpu=1,", "cpu,"), "x:2:AllocTRES", "is no resource"),
    "no memory": (ROW.replace("mem=1G", "mem=lots"), "x:2:AllocTRES", "is no size"),
    "a cell too few": (ROW.rpartition("|")[0], "x:2", "has 11 cells, the first line 12"),
    "the same run told otherwise": (
        f"{ROW}\n{ROW.replace('|3600|', '|3599|')}",
        "x:3:JobID",
        "is told otherwise in row 2",
    ),
}


@pytest.mark.parametrize(("rows", "where", "what"), BROKEN_ROWS.values(), ids=BROKEN_ROWS)
def test_a_fault_of_a_run_is_told_with_its_place(rows: str, where: str, what: str) -> None:
    (found,) = faults(sacct, {"x": f"{HEAD}\n{rows}\n"})
    assert found[0] == where
    assert what in found[1]


def test_two_faults_in_one_row_are_both_told() -> None:
    row = ROW.replace("|u|", "||").replace("|3600|", "|soon|").replace("gres/gpu=1", "gres/gpu=x")
    assert [field for field, _ in faults(sacct, {"x": f"{HEAD}\n{row}"})] == [
        "x:2:ElapsedRaw", "x:2:AllocTRES", "x:2:User",
    ]  # fmt: skip


def test_files_that_are_no_output_of_sacct_are_told() -> None:
    assert faults(sacct, {"x": ""}) == [("x:1", "is empty")]
    assert {field for field, _ in faults(sacct, {"x": "JobID|User\n"})} == {
        f"x:1:{name}" for name in sacct.NEEDED if name not in {"JobID", "User"}
    }


def test_more_runs_than_an_import_takes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sacct, "MOST_RUNS", 1)
    rows = f"{ROW}\n{ROW.replace('1|a', '2|a', 1)}"
    assert faults(sacct, {"x": f"{HEAD}\n{rows}"}) == [("x:1", "there are more than 1 runs")]


# Words.


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Royal University of Phnom Penh", "royal-university-of-phnom-penh"), ("  É-cole__x  ", "e-cole__x"),
        ("ភាសាខ្មែរ", ""), ("--a--", "a"), ("x" * 80, "x" * 63), ("jsmith@uni.edu", "jsmith-uni.edu"),
    ],
)  # fmt: skip
def test_a_text_as_a_name(text: str, name: str) -> None:
    assert slug(text) == name


@pytest.mark.parametrize("text", ["", "mars", "+25:00", "7", "../../etc/passwd", "Asia", "Asia/Phnom_Penh\0", "+07:60"])
def test_a_time_zone_that_is_none(text: str) -> None:
    with pytest.raises(Invalid):
        read_zone(text)


def test_time_zones() -> None:
    assert read_zone("UTC") is UTC
    assert str(read_zone("-03:30")) == "UTC-03:30"
    assert str(read_zone("Asia/Phnom_Penh")) == "Asia/Phnom_Penh"
