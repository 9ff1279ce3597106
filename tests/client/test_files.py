"""Sources up, outputs down, with proof."""

import hashlib
import io
from pathlib import Path

import pytest

from client import Baray, BrokenDownloadError
from client.files import target_of
from client.models import Output
from tests.client.scripted import Answer, Centre, page

DATA = bytes(range(256)) * 1000


def output(path: str = "results/a b.bin", data: bytes = DATA) -> Output:
    return {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_a_source_is_sent_whole_also_the_second_time(centre: Centre, baray: Baray) -> None:
    centre.on("POST /sources", Answer(drop=True), {"sha256": "ab", "size": len(DATA)})
    assert baray.files.upload_source(io.BytesIO(DATA), len(DATA))["sha256"] == "ab"
    assert [request.body == DATA for request in centre.requests] == [True, True]
    assert centre.requests[1].headers["content-type"] == "application/gzip"


def test_an_output_arrives_with_its_checksum(centre: Centre, baray: Baray, tmp_path: Path) -> None:
    centre.on("GET /jobs/7/outputs", page(output()))
    centre.on("GET /jobs/7/outputs/results/a b.bin", Answer(body=DATA))
    (found,) = baray.files.outputs(7)
    came: list[int] = []
    target = target_of(tmp_path, found)
    baray.files.download(7, found, target, came.append)
    assert target.read_bytes() == DATA
    assert sum(came) == len(DATA)
    assert [path.name for path in target.parent.iterdir()] == ["a b.bin"]


def test_a_wrong_checksum_leaves_nothing(centre: Centre, baray: Baray, tmp_path: Path) -> None:
    centre.on("GET /jobs/7/outputs/a", Answer(body=DATA + b"!"))
    with pytest.raises(BrokenDownloadError, match="checksum"):
        baray.files.download(7, output("a"), tmp_path / "a")
    assert list(tmp_path.iterdir()) == []


def test_a_broken_download_begins_again(centre: Centre, baray: Baray, tmp_path: Path) -> None:
    centre.on("GET /jobs/7/outputs/a", Answer(body=DATA, cut=1000), Answer(body=DATA))
    came: list[int] = []
    baray.files.download(7, output("a"), tmp_path / "a", came.append)
    assert (tmp_path / "a").read_bytes() == DATA
    assert sum(came) == len(DATA)


def test_broken_downloads_are_bounded(centre: Centre, baray: Baray, tmp_path: Path) -> None:
    centre.on("GET /jobs/7/outputs/a", Answer(body=DATA, cut=1000))
    with pytest.raises(BrokenDownloadError, match="every time"):
        baray.files.download(7, output("a"), tmp_path / "a")
    assert len(centre.requests) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["../escape", "/etc/passwd", "a/../../b", ""])
def test_a_path_cannot_leave_the_directory(tmp_path: Path, path: str) -> None:
    with pytest.raises(BrokenDownloadError):
        target_of(tmp_path, output(path))
