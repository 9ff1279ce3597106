"""The standalone verifier, run as an outsider runs it: a child process that sees nothing of Baray."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import monitoring.verify.proof as standalone
from lifecycle.seal import HEAD_MS
from quotas.merkle import EMPTY
from tests.support.centre import Centre
from tests.support.marks import on_sqlite
from tests.support.sealing import Sealed
from tests.support.serving import Api

SCRIPT = Path(standalone.__file__)
LINES = 300

Verifier = Callable[..., subprocess.CompletedProcess[str]]


@dataclass(frozen=True, slots=True)
class Outside:
    """What an outsider was handed: two proofs and the key."""

    inclusion: dict[str, Any]
    consistency: dict[str, Any]
    key: str


@pytest.fixture
def outside(api: Api, centre: Centre, tmp_path: Path) -> Outside:
    sealed = Sealed.on(centre, tmp_path)
    for number in range(5):
        sealed.note(f"act-{number}", "/សាកល")
    sealed.seal()
    first = api.get("/audit/heads/latest").json
    centre.clock.advance(ms=HEAD_MS)
    entry = sealed.note("later")
    sealed.seal()
    keys = api.get("/audit/keys").json["items"]
    return Outside(
        api.get("/audit/proof/inclusion", query={"kind": "audit", "id": entry.id - 2}).json,
        api.get("/audit/proof/consistency", query={"from": first["size"]}).json,
        keys[0]["key"],
    )


@pytest.fixture
def verify(tmp_path: Path) -> Verifier:
    def run(proof: Any, *keys: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "proof.json"
        file.write_text(proof if isinstance(proof, str) else json.dumps(proof), encoding="utf-8")
        given = [argument for key in keys for argument in ("--key", key)]
        return subprocess.run(
            [sys.executable, "-I", str(SCRIPT), str(file), *given],
            cwd=tmp_path, capture_output=True, text=True, check=False, env={},
        )  # fmt: skip

    return run


@on_sqlite
@pytest.mark.promise(8)
def test_what_is_so_is_proved(outside: Outside, verify: Verifier, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{outside.key}\n", encoding="utf-8")
    for key in (outside.key, str(tmp_path / "key")):
        done = verify(outside.inclusion, key)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(f"proved: leaf {outside.inclusion['index']} is in the tree of ")
        assert outside.inclusion["leaf"] in done.stdout
        done = verify(outside.consistency, key)
        assert (done.returncode, done.stderr) == (0, "")
        assert "is the beginning of" in done.stdout


@on_sqlite
@pytest.mark.promise(8)
def test_what_is_not_so_is_not(outside: Outside, verify: Verifier) -> None:
    inclusion, consistency, zero = outside.inclusion, outside.consistency, EMPTY.hex()
    note = inclusion["note"]
    size = note.split("\n")[1]
    other = consistency["old_note"]
    altered: Any
    for altered in (
        {**inclusion, "leaf": inclusion["leaf"].replace("act", "ACT")},
        {**inclusion, "index": inclusion["index"] + 1},
        {**inclusion, "path": [zero, *inclusion["path"][1:]]},
        {**inclusion, "path": inclusion["path"][1:]},
        {**inclusion, "note": note.replace(f"\n{size}\n", f"\n{int(size) + 1}\n")},
        {**inclusion, "note": other},
        {**inclusion, "format": "baray-proof/2"},
        {**consistency, "path": consistency["path"][:-1]},
        {**consistency, "old_note": note, "note": other},
        {**consistency, "note": note.split("\n\n", maxsplit=1)[0] + "\n\n"},
        {},
        [],
        "no JSON",
    ):
        done = verify(altered, outside.key)
        assert done.returncode == 1
        assert done.stdout == ""
        assert done.stderr.startswith("NOT PROVED: ")
        assert "Traceback" not in done.stderr


@on_sqlite
@pytest.mark.promise(8)
def test_only_the_keys_that_are_trusted_count(outside: Outside, verify: Verifier) -> None:
    name, named, public = outside.key.split("+", 2)
    swapped = public[:-4] + ("AAA=" if not public.endswith("AAA=") else "BBB=")
    assert verify(outside.inclusion, f"other+{named}+{public}").returncode == 1
    assert verify(outside.inclusion, f"{name}+{named}+{swapped}").returncode == 1
    assert verify(outside.inclusion, f"{name}+00000000+{public}").returncode == 1
    assert verify(outside.inclusion, "nonsense").returncode == 1
    assert verify(outside.inclusion, f"other+{named}+{public}", outside.key).returncode == 0


def test_it_stands_alone() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert text.count("\n") < LINES
    imported = {
        line.split()[1].partition(".")[0] for line in text.splitlines() if line.startswith(("import ", "from "))
    }
    assert imported - sys.stdlib_module_names == {"cryptography"}
