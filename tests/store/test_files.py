"""What the store keeps in files: the database, packed sources, and the key that seals secrets."""

import hashlib
import stat

import pytest

from domain.errors import CannotStart, Unavailable
from store.engine import WRITES, open_engine
from store.sources import FileSources
from store.vault import FileVault


def test_a_source_is_kept_under_its_checksum_whole_and_once(tmp_path) -> None:
    sources = FileSources(tmp_path / "sources")
    sha256 = sources.keep(b"packed")
    assert sha256 == hashlib.sha256(b"packed").hexdigest()
    assert sources.keep(b"packed") == sha256
    assert sources.path(sha256).read_bytes() == b"packed"
    assert [path.name for path in (tmp_path / "sources").iterdir()] == [f"{sha256}.tar.gz"]


def test_a_secret_opens_with_the_key_that_sealed_it_and_no_other(tmp_path) -> None:
    vault = FileVault(tmp_path / "key")
    sealed = vault.seal("សម្ងាត់")
    assert "សម្ងាត់".encode() not in sealed
    assert FileVault(tmp_path / "key").open(sealed) == "សម្ងាត់"
    with pytest.raises(Unavailable, match="sealed with another key"):
        FileVault(tmp_path / "other").open(sealed)
    with pytest.raises(Unavailable):
        vault.open(sealed[:-1] + b"0")


def test_the_key_is_for_the_service_alone(tmp_path) -> None:
    FileVault(tmp_path / "key")
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600


def test_what_is_no_key_is_not_replaced(tmp_path) -> None:
    (tmp_path / "key").write_text("not a key")
    with pytest.raises(CannotStart, match="is no key"):
        FileVault(tmp_path / "key")
    assert (tmp_path / "key").read_text() == "not a key"


@pytest.mark.promise(8)
def test_nobody_else_on_the_machine_reads_the_database(tmp_path) -> None:
    """Jobs run there as users of their own, and find its path by where they are."""
    path = tmp_path / "baray.db"
    path.touch(mode=0o644)  # as older versions left it
    engine = open_engine(f"sqlite:///{path}")
    with engine.execution_options(**WRITES).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE one (n INTEGER)")
        files = list(tmp_path.glob("baray.db*"))
        assert len(files) == 3
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    engine.dispose()
