"""An export of the audit trail, proved by an outsider; and refused whatever byte of it is another."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import monitoring.verify.proof as standalone
from domain.canonical import canonical
from lifecycle.export import Export
from lifecycle.seal import HEAD_MS
from monitoring.verify.proof import Refuted, verify_export
from tests.support.centre import Centre
from tests.support.marks import on_sqlite
from tests.support.sealing import Sealed
from tests.support.serving import Api

WRONG = (Refuted, KeyError, TypeError, ValueError, AttributeError)
ALL: dict[str, Any] = {"until_ms": 2**52}


@pytest.fixture
def key(api: Api, centre: Centre, tmp_path: Path) -> str:
    """The centre's, with entries before and after a first head."""
    sealed = Sealed.on(centre, tmp_path)
    for number in range(5):
        sealed.note(f"act-{number}", "/\u179f\u17b6\u1780\u179b")
    sealed.seal()
    centre.clock.advance(ms=HEAD_MS)
    assert api.post("/policies", {"document": {}, "reason": "exam weeks"}).status == 201
    sealed.seal()
    found: str = api.get("/audit/keys").json["items"][0]["key"]
    return found


def exported(api: Api, **query: Any) -> bytes:
    return api.get("/audit/export", query={**ALL, **query}).body


def proved(text: bytes, key: str) -> str:
    return verify_export(text.splitlines(keepends=True), [key])


def again(lines: list[dict[str, Any]]) -> bytes:
    """The lines as a file whose last line fits: by somebody who can count, and cannot sign."""
    text = b"".join(canonical(line) + b"\n" for line in lines)
    return text + canonical({"lines": len(lines), "sha256": hashlib.sha256(text).hexdigest()}) + b"\n"


@on_sqlite
@pytest.mark.promise(8)
def test_an_export_is_proved_without_the_centre(api: Api, key: str, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    for personal in ("false", "true"):
        file.write_bytes(exported(api, personal=personal))
        done = subprocess.run(
            [sys.executable, "-I", str(Path(standalone.__file__)), str(file), "--key", key],
            cwd=tmp_path, capture_output=True, text=True, check=False, env={},
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        assert " audit entries of 0 to " in done.stdout


@on_sqlite
@pytest.mark.promise(8)
def test_names_and_reasons_are_in_it_only_if_they_are_asked_for_and_that_is_written_down(api: Api, key: str) -> None:
    assert b"exam weeks" not in exported(api)
    before = api.get("/audit/entries").json["items"][0]["id"]
    text = exported(api, personal="true")
    assert b"exam weeks" in text
    assert " 0 of them with who" not in proved(text, key)
    (entry,) = [one for one in api.get("/audit/entries").json["items"] if one["id"] > before]
    assert (entry["action"], entry["facts"]["until_ms"]) == ("export_entries", ALL["until_ms"])


@on_sqlite
@pytest.mark.promise(8)
def test_no_byte_of_it_can_be_another(api: Api, key: str) -> None:
    text = exported(api, personal="true")
    proved(text, key)
    for at in range(0, len(text), 3):
        altered = bytearray(text)
        altered[at] ^= 1 << at % 8
        with pytest.raises(WRONG):
            proved(bytes(altered), key)
    for cut in range(0, len(text), 97):
        with pytest.raises(WRONG):
            proved(text[:cut], key)


@on_sqlite
@pytest.mark.promise(8)
def test_who_makes_the_last_line_fit_is_found_out_by_the_proofs(api: Api, key: str) -> None:
    lines = [json.loads(line) for line in exported(api, personal="true").splitlines()[:-1]]
    assert proved(again(lines), key)
    entry = next(at for at, line in enumerate(lines) if "salt" in line)
    for at, name, make in (
        (1, "note", lambda value: value.replace("\n\n", "0\n\n", 1)),
        (1, "old_note", lambda _: lines[1]["note"]),
        (1, "path", lambda value: value[1:]),
        (entry, "leaf", lambda value: value.replace('"act', '"ACT') if "act" in value else value + " "),
        (entry, "index", lambda value: value + 1),
        (entry, "path", lambda value: ["00" * 32, *value[1:]]),
        (entry, "salt", lambda _: "00" * 32),
        (entry, "personal", lambda value: value.replace('"by":"', '"by":"x')),
        (0, "from_ms", lambda _: 2**51),
    ):
        altered = [dict(line) for line in lines]
        altered[at][name] = make(altered[at][name])
        with pytest.raises(WRONG):
            proved(again(altered), key)
    with pytest.raises(WRONG):
        proved(again([*lines, lines[entry]]), key)  # twice
    other = f"{key.split('+', maxsplit=1)[0]}+00000000+{key.split('+', 2)[2]}"
    with pytest.raises(WRONG):
        proved(again(lines), other)


@on_sqlite
@pytest.mark.promise(8)
def test_what_waits_for_its_leaf_is_left_out_and_batches_make_one_file(api: Api, centre: Centre, key: str) -> None:
    whole = exported(api)
    assert api.post("/policies", {"document": {}, "reason": "later"}).status == 201
    assert exported(api) == whole
    with centre.store.read() as uow:
        export = Export(0, ALL["until_ms"], personal=False, batch=2)
        text = export.begin(uow)
        while more := export.more(uow):
            text += more
    assert text == whole
    assert int(proved(text, key).split()[0]) == text.count(b"\n") - 3 > 5


@on_sqlite
def test_without_a_head_there_is_nothing_to_export(api: Api) -> None:
    answer = api.get("/audit/export")
    assert (answer.status, answer.json["type"].rpartition("/")[2]) == (409, "not-sealed")
