"""Packing a directory: the same bytes for the same content, nothing that is ignored, nothing that escapes."""

import gzip
import hashlib
import os
import random
import tarfile
from pathlib import Path

import pytest

from cli.failures import CliError
from cli.pack import pack


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tmp_path / "src"


def write(top: Path, *paths: str, text: str = "x") -> None:
    for path in paths:
        file = top / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def names(top: Path) -> list[str]:
    with pack(top) as packed, tarfile.open(fileobj=packed.file) as tar:
        return tar.getnames()


def content(top: Path) -> bytes:
    with pack(top) as packed:
        data = packed.file.read()
        assert packed.size == len(data)
        assert packed.sha256 == hashlib.sha256(data).hexdigest()
        return data


def test_the_same_content_is_the_same_bytes(tmp_path: Path) -> None:
    paths = ["b.py", "a/z.py", "a/b/c.txt", "run.sh"]
    write(tmp_path / "one", *paths)
    write(tmp_path / "two", *reversed(paths))
    for number, top in enumerate(("one", "two")):
        (tmp_path / top / "run.sh").chmod(0o700 if number else 0o755)
        (tmp_path / top / "b.py").chmod(0o600 if number else 0o664)
        os.utime(tmp_path / top / "b.py", (number, number))
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_nobody_and_no_time_is_in_it(source: Path) -> None:
    write(source, "b.py", "a/run.sh")
    (source / "a/run.sh").chmod(0o755)
    (source / "empty").mkdir()
    (source / "link").symlink_to("a/run.sh")
    data = content(source)
    assert data[4:8] == b"\0\0\0\0"
    with tarfile.open(fileobj=__import__("io").BytesIO(gzip.decompress(data))) as tar:
        members = tar.getmembers()
    assert [(m.name, oct(m.mode)) for m in members] == [
        ("a/run.sh", "0o755"), ("b.py", "0o644"), ("empty", "0o755"), ("link", "0o777"),
    ]  # fmt: skip
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(0, 0, 0, "", "")}
    assert members[3].linkname == "a/run.sh"


def test_ignore_files_of_every_directory_count(source: Path) -> None:
    write(source, "keep.py", "a.log", "keep.log", "build/x", "data/big.bin", "data/small.txt", "sub/a.log", "sub/b.tmp")
    write(source, ".git/config", "sub/deep/only.here", "deep/only.here", "node_modules/m/x.js", "sub/.git")
    (source / ".gitignore").write_text("*.log\n!keep.log\nbuild/\n/only.here\nnode_modules\n")
    (source / ".barayignore").write_text("data/*.bin\n")
    (source / "sub/.gitignore").write_text("*.tmp\n!a.log\ndeep/only.here\n")
    assert names(source) == [
        ".barayignore", ".gitignore", "data/small.txt", "deep/only.here", "keep.log", "keep.py", "sub/.gitignore",
        "sub/a.log", "sub/deep",
    ]  # fmt: skip


def test_barayignore_has_the_last_word(source: Path) -> None:
    write(source, "model.bin", "notes.txt")
    (source / ".gitignore").write_text("*.bin\n")
    (source / ".barayignore").write_text("!model.bin\nnotes.txt\n.*ignore\n")
    assert names(source) == ["model.bin"]


def test_a_broken_ignore_file(source: Path) -> None:
    write(source, ".gitignore", text="!\n")
    with pytest.raises(CliError, match=r"\.gitignore: is no ignore file"):
        pack(source)


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../outside", "..", "../src/sub/x"])
def test_a_link_that_leads_out_is_refused(source: Path, target: str) -> None:
    write(source, "sub/x", "../outside")
    (source / "link").symlink_to(target)
    with pytest.raises(CliError, match=r"src/link: the link leads out of the directory, to "):
        pack(source)


def test_a_link_that_leads_out_over_another_link_is_refused(source: Path) -> None:
    write(source, "a/b/c/x", "s/y", "../outside")
    (source / "a/b/l").symlink_to("../../s")
    (source / "m").symlink_to("a/b/l/../../outside")
    with pytest.raises(CliError, match="src/m: the link leads out"):
        pack(source)


def test_links_inside_and_broken_ones_may_stay(source: Path) -> None:
    write(source, "a/x")
    (source / "a/up").symlink_to("../a/x")
    (source / "broken").symlink_to("a/none")
    (source / "dir").symlink_to("a")
    assert names(source) == ["a/up", "a/x", "broken", "dir"]


def test_a_pipe_is_refused_and_may_be_ignored(source: Path) -> None:
    write(source, "x")
    os.mkfifo(source / "pipe")
    with pytest.raises(CliError, match="no file that can be packed"):
        pack(source)
    (source / ".barayignore").write_text("pipe\n")
    assert names(source) == [".barayignore", "x"]


def test_what_is_too_large_is_named(source: Path) -> None:
    noise = random.Random(7)
    for name, size in (("huge.bin", 300_000), ("big.bin", 200_000), ("tiny.txt", 10)):
        source.mkdir(exist_ok=True)
        (source / name).write_bytes(noise.randbytes(size))
    with pytest.raises(CliError) as caught:
        pack(source, bound=100_000)
    assert "more than 97.7 KiB; its largest entries: huge.bin (293.0 KiB), big.bin (195.3 KiB), tiny.txt" in str(
        caught.value
    )
    assert caught.value.code == 2
    assert ".barayignore" in caught.value.fixes[0]
    with pack(source, bound=1_000_000) as packed:
        assert packed.files == 3


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(CliError, match="is no directory"):
        pack(tmp_path / "none")
