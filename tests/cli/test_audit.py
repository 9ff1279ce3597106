"""``baray admin audit``: what it asks for, what it shows, and what it hands over to the machine."""

import json
from pathlib import Path

from tests.cli.conftest import Run
from tests.client.scripted import Answer as Given
from tests.client.scripted import Centre, page

ENTRY = {
    "id": 17, "at_ms": 86_400_000, "action": "apply_policy", "subject": "/policies", "commitment": "c0", "salt": "5a",
    "facts": {"status": 201}, "personal": '{"by":"admin","reason":"exam weeks"}',
}  # fmt: skip
ERASED = {**ENTRY, "personal": None, "salt": None}
HEAD = {
    "number": 2,
    "size": 5210,
    "root": "r0",
    "at_ms": 86_400_000,
    "key": 1,
    "note": "tree\n5210\ncjA=\n\n\u2014 x\n",
}
KEY = {"id": 1, "name": "tree", "key": "tree+c7662dd1+AVZG", "from_ms": 86_400_000, "until_ms": None}
PROOF = {"format": "baray-proof/1", "type": "inclusion", "leaf": '{"v":1}', "path": [], "note": "n", "key": "k"}


def test_entries_are_listed_with_who_and_why(centre: Centre, run: Run) -> None:
    centre.on("GET /audit/entries", page(ENTRY, {**ERASED, "id": 16}))
    shown = run("admin", "audit", "list", "--action", "apply_policy", "--subject", "/policies", "--from", "1970-01-02")
    assert shown.code == 0
    assert "admin" in shown.out
    assert "exam weeks" in shown.out
    assert centre.requests[0].query["action"] == ["apply_policy"]
    assert centre.requests[0].query["from_ms"] == ["86400000"]
    found = json.loads(run("admin", "audit", "list", "-o", "json").out)
    assert [one["by"] for one in found] == ["admin", None]
    assert run("admin", "audit", "list", "--limit", "1", "-q").out == "17\n"


def test_erasing_says_what_it_did(centre: Centre, run: Run) -> None:
    centre.on("POST /audit/entries/17/erase", ERASED)
    assert "17 are erased" in run("admin", "audit", "erase", "17", "--reason", "asked for").out
    assert centre.requests[0].json == {"reason": "asked for"}
    assert run("admin", "audit", "erase", "17").code == 2


def test_heads_and_keys(centre: Centre, run: Run) -> None:
    centre.on("GET /audit/heads", page(HEAD))
    centre.on("GET /audit/heads/latest", HEAD)
    centre.on("GET /audit/keys", page(KEY))
    assert "5210" in run("admin", "audit", "heads").out
    assert run("admin", "audit", "heads", "--note").out == HEAD["note"]
    assert "tree+c7662dd1+AVZG" in run("admin", "audit", "keys").out


def test_a_proof_is_written_as_the_verifier_reads_it(centre: Centre, run: Run) -> None:
    centre.on("GET /audit/proof/inclusion", PROOF)
    centre.on("GET /audit/proof/consistency", {**PROOF, "type": "consistency"})
    for form in ([], ["-o", "json"]):
        assert json.loads(run("admin", "audit", "proof", "ledger", "charge/1.1/1", *form).out) == PROOF
    assert centre.requests[0].query == {"kind": ["ledger"], "id": ["charge/1.1/1"]}
    assert json.loads(run("admin", "audit", "proof", "--from", "5", "-o", "json").out)["type"] == "consistency"
    for wrong in ([], ["audit"], ["audit", "1", "--from", "5"], ["nothing", "1"]):
        assert run("admin", "audit", "proof", *wrong).code == 2


def test_the_machine_verifies_and_rotates(spawn: Run) -> None:
    for command in ("verify", "rotate-key"):
        done = spawn("admin", "audit", command, "--help")
        assert done.code == 0
        assert f"audit-{command}" in done.out
    done = spawn("admin", "audit", "verify", "--data-dir", "nowhere")
    assert done.code == 1
    assert "there is no centre in nowhere" in done.err


def test_entries_are_found_by_person_and_request(centre: Centre, run: Run) -> None:
    centre.on("GET /audit/entries", page(ENTRY))
    assert run("admin", "audit", "list", "--person", "dara", "--request", "r-1", "--since", "1970-01-02").code == 0
    assert centre.requests[0].query == {
        "person": ["dara"], "request_id": ["r-1"], "from_ms": ["86400000"], "limit": centre.requests[0].query["limit"]
    }  # fmt: skip


def test_all_of_an_entry_is_shown_with_where_it_is_sealed(centre: Centre, run: Run) -> None:
    centre.on("GET /audit/entries/17", {**ENTRY, "leaf": 41, "signed": True})
    shown = run("admin", "audit", "show", "17").out
    for text in ("exam weeks", "admin", "41", "5a", '{"status": 201}'):
        assert text in shown
    assert json.loads(run("admin", "audit", "show", "17", "-o", "json").out)["leaf"] == 41


def test_an_export_is_written_whole_or_not_at_all(centre: Centre, run: Run, tmp_path: Path) -> None:
    lines = b'{"format":"baray-audit/1"}\n{}\n{"index":0}\n{"lines":3}\n'
    centre.on("GET /audit/export", Given(body=lines))
    file = tmp_path / "audit.jsonl"
    done = run("admin", "audit", "export", "--from", "1970-01-02", "--personal", str(file))
    assert (done.code, done.err) == (0, "")
    assert "1 proved line " in done.out
    assert file.read_bytes().count(b"\n") == 4
    assert list(tmp_path.iterdir()) == [file]
    assert centre.requests[0].query == {"from_ms": ["86400000"], "personal": ["true"]}
    centre.on("GET /audit/export", Given(body=lines, cut=30))
    assert run("admin", "audit", "export", str(tmp_path / "cut")).code in {1, 6}
    assert list(tmp_path.iterdir()) == [file]
    assert run("admin", "audit", "export", str(tmp_path / "nowhere" / "x")).code == 1


def test_my_own_log(centre: Centre, run: Run) -> None:
    line = {
        "id": 3, "at_ms": 86_400_000, "action": "cancel_job", "subject": "/jobs/7/cancel", "status": 200,
        "how": ["about", "for"], "by": "sok", "reason": "ticket 7", "request": "r1",
    }  # fmt: skip
    centre.on("GET /me/log", page(line))
    shown = run("me", "log").out
    for text in ("sok", "ticket 7", "about,for", "/jobs/7/cancel"):
        assert text in shown
