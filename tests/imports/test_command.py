"""The whole way: the real command line, HTTP and both databases, from a rehearsal to reports that agree."""

import json
from pathlib import Path

import pytest

from cli.main import main
from lifecycle import people
from tests.cli.conftest import Result, Run
from tests.imports.conftest import EXAMPLES, HERE, csv_files
from tests.support.audit import assert_sound
from tests.support.centre import Centre
from tests.support.factories import A100
from tests.support.marks import on_sqlite
from tests.support.serving import Api

SACCT = str(EXAMPLES / "sacct.txt")
MAPS = ("--map-gpu", f"a100={A100}", "--map-account", "ocr=khmer-ocr", "--funder", "water-fund", "--timezone", "+07:00")


@pytest.fixture
def run(api: Api, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Run:
    """``run("admin", "import", …)`` as the administrator; ``as_="dara"``'s token in ``BARAY_TOKEN`` else."""
    env = {"HOME": str(tmp_path), "BARAY_ADDRESS": api.address, "BARAY_TOKEN": str(api.token), "TZ": "UTC"}

    def call(*arguments: str, **more: str) -> Result:
        try:
            code = main(["admin", "import", *arguments] if arguments[0] != "usage" else list(arguments), env | more)
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return call


def digest_of(found: Result) -> str:
    (line,) = [line for line in found.out.splitlines() if line.startswith("digest ")]
    return line.removeprefix("digest ")


def test_a_rehearsal_then_the_deed_then_nothing_to_do(run: Run, centre: Centre) -> None:
    told = run("csv", str(EXAMPLES))
    assert told.code == 0, told.err
    rows = {line.split()[0]: line.split()[1:] for line in told.out.splitlines()[1:8]}
    assert rows == {
        "tenant": ["2", "0", "0", "0"], "project": ["2", "0", "0", "0"], "user": ["3", "0", "0", "0"],
        "member": ["4", "0", "0", "0"], "funder": ["2", "0", "0", "0"], "grant": ["2", "0", "0", "0"],
        "allocation": ["2", "0", "0", "0"],
    }  # fmt: skip
    assert "2000 SU of water-2030, 2026-01-01 to 2029-12-31" in told.out
    assert "nothing was changed" in told.err
    assert "import" not in json.dumps(centre.database.rows("SELECT name FROM account WHERE name = 'flood-maps'"))
    done = run("csv", str(EXAMPLES), "--apply", digest_of(told), "--reason", "we move")
    assert done.code == 0, done.err
    assert "import 1 is done" in done.out
    assert_sound(centre.database, centre.store)
    again = run("csv", str(EXAMPLES))
    assert again.out.splitlines()[-1] == "nothing to do"
    repeated = run("csv", str(EXAMPLES), "--apply", digest_of(told), "--reason", "we move")
    assert repeated.code == 0, "and nothing is done"
    assert repeated.out.splitlines()[-1] == "nothing to do"
    (batch,) = json.loads(run("list", "-o", "json").out)
    assert (batch["author"], batch["reason"], batch["counts"]["user"]) == ("admin", "we move", 3)


@pytest.mark.promise(4)
def test_past_use_is_in_the_usage_that_people_see(run: Run, centre: Centre) -> None:
    told = run("csv", str(EXAMPLES))
    run("csv", str(EXAMPLES), "--apply", digest_of(told), "--reason", "we move")
    told = run("sacct", SACCT, *MAPS)
    assert told.code == 0, told.err
    assert "2 runs" not in told.out.partition("would be added")[0]
    assert "flood-maps on a100-40gb" in told.out
    assert "1 run, 4.00 GPU-hours, 2025-11-03 to 2025-11-03" in told.out
    assert "there is no project 'closed-lab' (--map-account): 1 run, 1.00 GPU-hours" in told.out
    assert "note: left out: steps of jobs, whose own row counts (1)" in told.out
    done = run("sacct", SACCT, *MAPS, "--apply", digest_of(told), "--reason", "the past")
    assert done.code == 0, done.err
    found = json.loads(run("usage", "--by", "user", "-o", "json").out)
    found = found if isinstance(found, dict) else {"rows": found}
    hours = {row["key"]: row["total_gpu_ms"] for row in found["rows"]}
    assert hours == {"channary": 4 * 3_600_000, "vuthy": 12 * 3_600_000}
    assert run("sacct", SACCT, *MAPS).out.splitlines()[-1] == "nothing to do"
    assert_sound(centre.database, centre.store)


def test_an_export_of_coldfront_leaves_without_its_passwords(run: Run, centre: Centre, tmp_path: Path) -> None:
    records = json.loads((HERE / "coldfront-1.1.10.json").read_text(encoding="utf-8"))
    for one in records:
        if one["model"] == "auth.user":
            one["fields"]["password"] = "pbkdf2_sha256$1$x$y"
    file = tmp_path / "export.json"
    file.write_text(json.dumps(records), encoding="utf-8")
    options = (
        "--tenant", "cadt", "--funder", "moeys", "--map-project", "Flood maps of the Mekong=flood-maps",
        "--su-attribute", "Accelerator Usage (Hours)", "--su-attribute", "Core Usage (Hours)=0.01",
    )  # fmt: skip
    told = run("coldfront", str(file), *options)
    assert told.code == 0, told.err
    assert "its status is Expired (University Metered HPC)" in told.out
    done = run("coldfront", str(file), *options, "--apply", digest_of(told), "--reason", "we leave ColdFront")
    assert done.code == 0, done.err
    assert run("coldfront", str(file), *options).out.splitlines()[-1] == "nothing to do"
    assert "pbkdf2" not in json.dumps({k: [str(r) for r in v] for k, v in centre.database.dump().items()})
    assert_sound(centre.database, centre.store)


def test_what_is_not_what_was_rehearsed_is_refused(run: Run, centre: Centre, tmp_path: Path) -> None:
    told = run("csv", str(EXAMPLES))
    for name, text in csv_files().items():
        (tmp_path / name).write_text(text.replace("Rivers", "Lakes"), encoding="utf-8")
    refused = run("csv", str(tmp_path), "--apply", digest_of(told), "--reason", "x")
    assert refused.code == 5
    assert "this is not what was rehearsed" in refused.err
    assert not centre.database.rows("SELECT * FROM import_batch")


@on_sqlite
def test_faults_are_told_with_file_row_and_column(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tenants.csv").write_text("name,title,kind\nA B,=1,club\n", encoding="utf-8")
    (tmp_path / "projects.csv").write_text("name,tenant\n", encoding="utf-8")
    found = run("csv", str(tmp_path))
    assert (found.code, found.out) == (2, "")
    assert [line.partition(": ")[0].strip() for line in found.err.splitlines()[1:]] == [
        "tenants.csv:2:name", "tenants.csv:2:title", "tenants.csv:2:kind", "projects.csv:1:title",
    ]  # fmt: skip


@on_sqlite
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("csv", "EMPTY"), "there is no .csv file in it"),
        (("csv", str(EXAMPLES), "--apply", "x"), "why is it done?"),
        (("csv", str(EXAMPLES), "--apply", "x", "--reason", "y", "--dry-run"), "cannot both be"),
        (("csv", str(EXAMPLES), "--timezone", "mars"), "'mars' is no time zone"),
        (("csv", str(EXAMPLES), "--origin", "A B"), "'A B' is no name"),
        (("sacct", SACCT), "nobody pays for the past"),
        (("sacct", SACCT, SACCT), "two of the files have the same name"),
        (("sacct", SACCT, "--map-gpu", "a100"), "'a100' is no pair"),
        (("coldfront", SACCT), "is no JSON"),
        (("coldfront", SACCT, "--su-attribute", "x=many"), "'many' is no amount of SU"),
        (("coldfront", SACCT, "--su-attribute", "x=0"), "must be more than 0"),
        (("coldfront", SACCT, "--tenant-kind", "club"), "'club' is no kind of tenant"),
    ],
)
def test_wrong_usage_is_told(run: Run, tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    (tmp_path / "empty").mkdir()
    found = run(*(str(tmp_path / "empty") if part == "EMPTY" else part for part in arguments))
    assert found.code == 2, found.out
    assert words in found.err


@on_sqlite
def test_letters_of_an_old_spreadsheet_are_told_before_anything_is_sent(run: Run, tmp_path: Path) -> None:
    (tmp_path / "tenants.csv").write_bytes(b"name,title,kind\nrupp,\xc9cole Royale,university\n")
    found = run("csv", str(tmp_path), BARAY_ADDRESS="http://127.0.0.1:9")
    assert (found.code, found.err.splitlines()[0]) == (2, "error: tenants.csv:2: is not in UTF-8")


@on_sqlite
def test_machines_get_it_too(run: Run) -> None:
    found = json.loads(run("csv", str(EXAMPLES), "-o", "json").out)
    assert {one["what"]: one["add"] for one in found["summary"]}["member"] == 4
    assert (found["applied"], found["id"], len(found["digest"])) == (False, None, 64)
    lines = run("csv", str(EXAMPLES), "-o", "csv").out.splitlines()
    assert lines[0] == "list,what,name,detail,place"
    assert 'adds,project,flood-maps,"Flood maps of the Mekong, of river-institute",projects.csv:2' in lines
    assert run("csv", str(EXAMPLES), "-q").out.strip() == found["digest"]


@on_sqlite
def test_only_administrators_import(run: Run, centre: Centre) -> None:
    for user in ("chanthy", "dara", "kosal", "bopha"):
        assert run("csv", str(EXAMPLES), BARAY_TOKEN=centre.population.tokens[user]).code == 3


@on_sqlite
def test_nobody_gives_to_a_project_of_their_own(run: Run, centre: Centre, tmp_path: Path) -> None:
    for name, text in csv_files().items():
        (tmp_path / name).write_text(text.replace("piseth", "admin"), encoding="utf-8")
    found = json.loads(run("csv", str(tmp_path), "-o", "json").out)
    assert {one["name"]: one["detail"] for one in found["unmapped"]} == {
        "flood-maps/2026-01-01": "admin is lead or member of it: let another administrator import it",
        "khmer-ocr/2026-01-01": "admin is lead or member of it: let another administrator import it",
    }


@on_sqlite
def test_nor_to_one_below_an_account_of_their_own(run: Run, centre: Centre, tmp_path: Path) -> None:
    """A role on a tenant covers its projects: those that are there, and those that the files would add."""
    with centre.store.write() as uow:
        people.give_role(uow, "admin", "itc", "lead", centre.clock.now_ms())
    budgets = "".join(f"{one},old,,10,2026-01-01,2026-12-31\n" for one in ("flood", "river", "voice"))
    files = {
        "projects.csv": "name,tenant,title,lead\nriver,itc,River,\nvoice,cadt,Voice,\n",
        "grants.csv": "name,funder,funder_title,su,first_day,last_day\nold,moeys,,100,2026-01-01,2026-12-31\n",
        "allocations.csv": "project,grant,funder,su,first_day,last_day\n" + budgets,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = json.loads(run("csv", str(tmp_path), "-o", "json").out)
    assert sorted(one["name"].partition("/")[0] for one in found["unmapped"]) == ["flood", "river"], found


@on_sqlite
def test_the_same_request_twice_is_done_once(api: Api, centre: Centre) -> None:
    body = {"kind": "csv", "files": [{"name": name, "text": text} for name, text in csv_files().items()]}
    digest = api.post("/imports/check", body, headers={"Idempotency-Key": "k0"}).json["digest"]
    deed = {**body, "digest": digest, "reason": "we move"}
    first, second = (api.post("/imports", deed, headers={"Idempotency-Key": "k1"}) for _ in range(2))
    assert (first.status, second.status, first.body == second.body) == (201, 201, True)
    third = api.post("/imports", deed, headers={"Idempotency-Key": "k2"})
    assert (third.status, third.json["applied"]) == (200, False)
    (entry,) = centre.database.rows("SELECT * FROM audit_entry WHERE action = 'apply_import'")
    assert json.loads(entry.facts)["counts"]["member"] == 4


BAD_BODIES = {
    "no files": ({"kind": "csv", "files": []}, "files"),
    "a kind that is none": ({"kind": "xdmod", "files": [{"name": "x", "text": ""}]}, "kind"),
    "too many files": ({"kind": "csv", "files": [{"name": str(n), "text": ""} for n in range(11)]}, "files"),
    "a file twice": ({"kind": "csv", "files": [{"name": "x", "text": ""}] * 2}, "files"),
    "a file without text": ({"kind": "csv", "files": [{"name": "x"}]}, "files.0.text"),
    "half a letter": ({"kind": "csv", "files": [{"name": "x", "text": "\ud800"}]}, "files.0.text"),
    "an option that is none": (
        {"kind": "csv", "files": [{"name": "x", "text": ""}], "options": {"x": 1}}, "options.x",
    ),
    "a name that is none": (
        {"kind": "csv", "files": [{"name": "x", "text": ""}], "options": {"gpus": {"a": "B C"}}}, "options.gpus.a",
    ),
}  # fmt: skip


@on_sqlite
@pytest.mark.parametrize(("body", "field"), BAD_BODIES.values(), ids=BAD_BODIES)
def test_bad_bodies_are_told(api: Api, body: dict, field: str) -> None:
    answer = api.post("/imports/check", body)
    assert answer.status == 422, answer.body
    assert answer.json["errors"][0]["field"] == field


@on_sqlite
def test_an_upload_beyond_all_bounds_is_refused(api: Api) -> None:
    body = {"kind": "csv", "files": [{"name": "tenants.csv", "text": "x" * (65 * 2**20)}]}
    assert api.post("/imports/check", body).status == 413
