"""The shelf for what attempts far away leave behind, and the passes of their pods."""

import hashlib
import os
import threading

import pytest

from domain.errors import Invalid, NotLoggedIn, TooLarge
from domain.ids import AttemptId
from domain.jobs import Output
from store.passes import VaultPasses
from store.shelf import FileShelf
from store.vault import FileVault

ONE = AttemptId(1842, 7, 2)
OTHER = AttemptId(1842, 7, 3)


@pytest.fixture
def shelf(tmp_path):
    return FileShelf(tmp_path / "shelf", log_limit_bytes=20, output_limit_bytes=100)


def reopened(tmp_path, **limits):
    return FileShelf(tmp_path / "shelf", **{"log_limit_bytes": 20, "output_limit_bytes": 100, **limits})


def test_a_log_is_read_in_pieces_and_complete_once_it_was_ended(shelf, tmp_path) -> None:
    assert shelf.log(ONE, 0, 5, 10).data == b""
    shelf.append_log(ONE, 0, b"hello ")
    shelf.append_log(ONE, 0, b"world")
    shelf.append_log(ONE, 1, b"another rank")
    first = shelf.log(ONE, 0, 0, 6)
    assert (first.data, first.offset, first.end, first.complete) == (b"hello ", 0, 6, False)
    assert shelf.log(ONE, 0, 6, 100).complete is False
    shelf.end_log(ONE, 0)
    shelf.append_log(ONE, 0, b"late")
    again = reopened(tmp_path)
    assert again.log(ONE, 0, 0, 5).complete is False
    rest = again.log(ONE, 0, 6, 100)
    assert (rest.data, rest.end, rest.complete) == (b"world", 11, True)
    assert again.log(ONE, 1, 0, 100).complete is False
    assert again.log(OTHER, 0, 0, 100).data == b""


def test_a_log_that_was_never_written_can_end(shelf) -> None:
    shelf.end_log(ONE, 3)
    assert shelf.log(ONE, 3, 0, 10).complete is True


def test_a_log_is_cut_at_its_limit_and_says_so_once(shelf, tmp_path) -> None:
    shelf.append_log(ONE, 0, b"0123456789")
    shelf.append_log(ONE, 0, b"0123456789")
    assert shelf.log(ONE, 0, 0, 1_000).data == b"0123456789" * 2
    shelf.append_log(ONE, 0, b"more")
    reopened(tmp_path).append_log(ONE, 0, b"and more")
    text = shelf.log(ONE, 0, 0, 1_000).data
    assert text == b"0123456789" * 2 + b"\n[baray] The output is longer than 20: it is cut here, and the job goes on.\n"


def test_an_output_is_kept_with_its_checksum_and_read_in_pieces(shelf, tmp_path) -> None:
    path = "results/ខ្មែរ model.pt"
    kept = shelf.add_output(ONE, path, iter([b"abc", b"", b"def"]))
    assert kept == Output(path, 6, hashlib.sha256(b"abcdef").hexdigest())
    shelf.add_output(ONE, "results", [b"a file may have the name of a directory"])
    again = reopened(tmp_path)
    assert [output.path for output in again.outputs(ONE)] == ["results", path]
    assert again.outputs(ONE)[1] == kept
    assert again.output(ONE, path, 1, 3) == b"bcd"
    assert again.output(ONE, path, 4, 1_000) == b"ef"
    assert again.output(ONE, path, 6, 10) == b""
    assert again.output(ONE, "results/other", 0, 10) is None
    assert again.output(OTHER, path, 0, 10) is None
    assert again.outputs(OTHER) == ()


def test_a_repeat_replaces_and_frees_what_it_replaces(shelf) -> None:
    shelf.add_output(ONE, "a", [b"x" * 90])
    shelf.add_output(ONE, "a", [b"y" * 95])
    assert [(output.path, output.size) for output in shelf.outputs(ONE)] == [("a", 95)]
    shelf.add_output(ONE, "b", [b"z" * 5])
    with pytest.raises(TooLarge):
        shelf.add_output(ONE, "c", [b"!"])


def test_what_is_too_large_or_breaks_off_leaves_nothing(shelf, tmp_path) -> None:
    def broken():
        yield b"begin"
        raise ConnectionResetError

    shelf.add_output(ONE, "small", [b"x" * 60])
    with pytest.raises(TooLarge, match="larger than 100"):
        shelf.add_output(ONE, "large", [b"x" * 30, b"x" * 30])
    with pytest.raises(Exception, match="cannot be stored"):
        shelf.add_output(ONE, "broken", broken())
    assert [output.path for output in shelf.outputs(ONE)] == ["small"]
    assert len(list((tmp_path / "shelf/1/1842_7.2/outputs").iterdir())) == 1


def test_the_sum_is_counted_anew_after_a_crash(shelf, tmp_path) -> None:
    shelf.add_output(ONE, "a", [b"x" * 60])
    sums = tmp_path / "shelf/1/1842_7.2/outputs.sum"
    assert sums.read_text() == "1 60\n"
    os.truncate(sums, 0)
    with pytest.raises(TooLarge):
        reopened(tmp_path).add_output(ONE, "b", [b"x" * 41])
    reopened(tmp_path).add_output(ONE, "b", [b"x" * 40])


def test_many_at_once_never_exceed_the_limit(tmp_path) -> None:
    refused = []

    def add(number: int) -> None:
        try:
            reopened(tmp_path).add_output(ONE, f"file-{number}", [b"x" * 30])
        except TooLarge:
            refused.append(number)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 9
    assert len(reopened(tmp_path).outputs(ONE)) == 3


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../log.0", "a/../../b", "a//b", "a/", ".", "a/./b", "a\0b", "x" * 5_000, "d/" * 70 + "x", "\ud800"],
)  # fmt: skip
def test_a_path_that_leads_elsewhere_is_refused(shelf, path) -> None:
    with pytest.raises(Invalid, match="no path of an output"):
        shelf.add_output(ONE, path, [b"x"])
    assert shelf.output(ONE, path, 0, 10) is None
    assert shelf.outputs(ONE) == ()


def test_what_the_directory_holds_beside_outputs_is_not_shown(shelf, tmp_path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"of another")
    shelf.add_output(ONE, "mine", [b"x"])
    directory = tmp_path / "shelf/1/1842_7.2/outputs"
    (directory / hashlib.sha256(b"link").hexdigest()).symlink_to(secret)
    (directory / hashlib.sha256(b"short").hexdigest()).write_bytes(b"ab")
    assert [output.path for output in shelf.outputs(ONE)] == ["mine"]
    assert shelf.output(ONE, "link", 0, 10) is None
    assert shelf.output(ONE, "short", 0, 10) is None


def test_a_pass_opens_for_its_attempt_and_nothing_else_is_one(tmp_path) -> None:
    vault = FileVault(tmp_path / "key")
    passes = VaultPasses(vault)
    token = passes.issue(ONE)
    assert VaultPasses(FileVault(tmp_path / "key")).read(token) == ONE
    others = VaultPasses(FileVault(tmp_path / "other"))
    sealed = [vault.seal("1842_7.2").decode(), vault.seal("pass of a pod: 1842").decode()]
    for bad in ("", "x", "ខ្មែរ", "\ud800", token[:-2], "x" * 10_000, others.issue(ONE), *sealed):
        with pytest.raises(NotLoggedIn, match="did not issue"):
            passes.read(bad)
