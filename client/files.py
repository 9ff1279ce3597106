"""Files in and out: packed sources up, outputs down with their checksums proven."""

import contextlib
import hashlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Final
from urllib.parse import quote

import urllib3

from client.errors import BrokenDownloadError
from client.models import Output, Source
from client.transport import Transport, segment

CHUNK: Final = 1 << 20

Progress = Callable[[int], object]  # told the bytes that came since the last call


class Files:
    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def upload_source(self, archive: IO[bytes], size: int) -> Source:
        """Send a ``.tar.gz``. The same content is kept once, whoever sends it."""
        source: Source = self._transport.upload("/sources", archive, size, "application/gzip")
        return source

    def outputs(self, job: int | str) -> Iterator[Output]:
        return self._transport.pages(f"/jobs/{segment(job)}/outputs")

    def download(self, job: int | str, output: Output, target: Path, progress: Progress | None = None) -> None:
        """Bring one output to ``target``. It appears there whole and with the promised checksum, or not at all."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            digest = self._fetch(job, output, part, progress)
            if digest != output["sha256"]:
                raise BrokenDownloadError(f"{output['path']}: arrived with another checksum than the centre promised")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _fetch(self, job: int | str, output: Output, part: Path, progress: Progress | None) -> str:
        """Write the file, from the start again after a broken connection; the checksum of what came."""
        broken = ""
        for _ in range(self._transport.retries + 1):
            came, digest = 0, hashlib.sha256()
            try:
                with part.open("wb") as file, contextlib.closing(self._pieces(job, output)) as pieces:
                    for piece in pieces:
                        file.write(piece)
                        digest.update(piece)
                        came += len(piece)
                        if progress:
                            progress(len(piece))
            except urllib3.exceptions.HTTPError as error:
                broken = type(error).__name__
                if progress:
                    progress(-came)
            else:
                return digest.hexdigest()
        raise BrokenDownloadError(f"{output['path']}: the connection broke every time ({broken})")

    def _pieces(self, job: int | str, output: Output) -> Generator[bytes]:
        path = f"/jobs/{segment(job)}/outputs/{quote(str(_inside(output['path'])), safe='/')}"
        response = self._transport.open("GET", path, headers={"Accept": "*/*"}, stream=True)
        try:
            yield from response.stream(CHUNK)
        except BaseException:
            response.close()
            raise
        response.release_conn()


def _inside(path: str) -> PurePosixPath:
    """The path, if it stays below where it starts. The centre is trusted with jobs, not with our disk."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or not pure.parts or any(part in {"..", "."} or "\0" in part for part in pure.parts):
        raise BrokenDownloadError(f"{path!r} would lead out of the directory")
    return pure


def target_of(directory: Path, output: Output) -> Path:
    """Where an output goes below ``directory``."""
    return directory.joinpath(*_inside(output["path"]).parts)
