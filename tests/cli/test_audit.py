"""``baray admin audit``: what it asks for, what it shows, and what it hands over to the machine."""

import json

from tests.cli.conftest import Run
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
