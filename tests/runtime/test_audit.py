"""The machine's own commands over the audit tree, and the key's file."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from domain.errors import CannotStart
from lifecycle.seal import HEAD_MS
from quotas.notes import signed_note
from runtime.__main__ import main
from store.append_only import protect, unprotect
from store.signer import make_key, next_of, open_key, public_of, signed_by
from tests.support.centre import Centre
from tests.support.databases import POSTGRESQL
from tests.support.sealing import NAME, Sealed


@pytest.fixture
def sealed(centre: Centre, tmp_path: Path) -> Sealed:
    made = Sealed.on(centre, tmp_path)
    for number in range(3):
        made.note(f"act-{number}")
        centre.clock.advance(ms=HEAD_MS)
        made.seal()
    return made


def run(sealed: Sealed, root: Path, *arguments: str) -> Result:
    """A command of ``python -m runtime`` on the test's database and key."""
    given = {"BARAY_DATABASE_URL": sealed.centre.database.url, "BARAY_AUDIT_KEY": str(root / "audit.key")}
    return CliRunner().invoke(main, arguments, env={**given, "BARAY_AUDIT_NAME": NAME})


@pytest.mark.promise(8)
def test_a_sound_tree_is_said_to_be_and_an_altered_entry_is_named(sealed: Sealed, tmp_path: Path) -> None:
    with sealed.centre.store.read() as uow:
        head, (key,) = uow.seals.last_head(), uow.seals.public_keys()
    assert head is not None
    note, cut = tmp_path / "head.txt", tmp_path / "cut.txt"
    note.write_text(signed_note(head, key), encoding="utf-8")
    cut.write_text(note.read_text(encoding="utf-8").replace(f"\n{head.size}\n", f"\n{head.size + 99}\n"), "utf-8")
    done = run(sealed, tmp_path, "audit-verify", "-o", "json", "--head", str(note))
    assert (done.exit_code, json.loads(done.stdout)["sound"], json.loads(done.stdout)["heads"]) == (0, True, 3)
    assert run(sealed, tmp_path, "audit-verify", "--head", str(cut)).exit_code == 5
    with sealed.centre.database.connect(writes=True) as connection:
        unprotect(connection)
        connection.exec_driver_sql("UPDATE audit_entry SET subject = 'other' WHERE action = 'act-1'")
        (altered,) = connection.exec_driver_sql("SELECT id FROM audit_entry WHERE action = 'act-1'").one()
    done = run(sealed, tmp_path, "audit-verify")
    assert done.exit_code == 5
    assert done.stdout.startswith(f"ALTERED: audit entry {altered} (act-1) is not what was sealed")
    if sealed.centre.database.kind == POSTGRESQL:
        with sealed.centre.database.connect(writes=True) as connection:
            protect(connection)


def test_the_key_is_rotated_and_the_trail_says_why(sealed: Sealed, tmp_path: Path) -> None:
    old = public_of(tmp_path / "audit.key")
    done = run(sealed, tmp_path, "audit-rotate-key", "--reason", "yearly", "-o", "json")
    assert done.exit_code == 0, done.stderr
    new = public_of(tmp_path / "audit.key")
    assert new != old
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600
    assert not next_of(tmp_path / "audit.key").exists()
    with sealed.centre.store.read() as uow:
        assert [key.public for key in uow.seals.public_keys()] == [old, new]
    sealed.seal()
    assert sealed.wrong() is None
    assert run(sealed, tmp_path, "audit-rotate-key", "--reason", "").exit_code == 1


def test_what_cannot_be_verified_is_said_clearly(sealed: Sealed, tmp_path: Path) -> None:
    (tmp_path / "nonsense").write_text("x", encoding="utf-8")
    done = run(sealed, tmp_path, "audit-verify", "--head", str(tmp_path / "nonsense"))
    assert done.exit_code == 1
    assert "is no signed head" in done.stderr
    gone = {"BARAY_DATABASE_URL": ""}
    done = CliRunner().invoke(main, ["audit-verify", "--data-dir", str(tmp_path / "nowhere")], env=gone)
    assert done.exit_code == 1
    assert "there is no centre in" in done.stderr


class TestKeyFile:
    def test_the_first_one_is_made_for_the_service_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "audit.key"
        signer = open_key(path, NAME, None)
        assert path.stat().st_mode & 0o777 == 0o600
        assert signed_by(signer.public(), signer.sign(b"text"), b"text")
        assert not signed_by(signer.public(), signer.sign(b"text"), b"other")
        assert open_key(path, NAME, signer.public()).public() == signer.public()

    def test_one_that_is_gone_is_not_made_anew(self, tmp_path: Path) -> None:
        with pytest.raises(CannotStart, match="cannot be read"):
            open_key(tmp_path / "audit.key", NAME, b"x" * 32)

    def test_one_that_is_none_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "audit.key").write_text("no key", encoding="utf-8")
        with pytest.raises(CannotStart, match="is no private key"):
            open_key(tmp_path / "audit.key", NAME, None)

    def test_a_rotation_that_was_cut_short_is_brought_to_its_end(self, tmp_path: Path) -> None:
        path = tmp_path / "audit.key"
        make_key(path)
        public = make_key(next_of(path))
        assert open_key(path, NAME, public).public() == public
        assert not next_of(path).exists()

    def test_one_that_was_never_listed_does_not_take_over(self, tmp_path: Path) -> None:
        path = tmp_path / "audit.key"
        public = make_key(path)
        make_key(next_of(path))
        assert open_key(path, NAME, public).public() == public
