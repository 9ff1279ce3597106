"""Packed source directories, as files named by their checksum in the data directory."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from domain.errors import Unavailable


class FileSources:
    """See ``lifecycle.ports.Sources``. A file is there whole or not at all."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(mode=0o711, exist_ok=True)

    def path(self, sha256: str) -> Path:
        return self._root / f"{sha256}.tar.gz"

    def keep(self, data: bytes) -> str:
        sha256 = hashlib.sha256(data).hexdigest()
        path = self.path(sha256)
        try:
            os.utime(path)  # sent again: it is kept as long as if it were new
        except FileNotFoundError:
            pass
        else:
            return sha256
        part = path.with_suffix(f".{os.getpid()}.{id(data)}.part")
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise Unavailable(f"the source cannot be stored: {error.strerror}", fix="try again later") from error
        return sha256

    def old(self, before_ms: int) -> Iterator[str]:
        """Those that were last sent before then."""
        with os.scandir(self._root) as found:
            for entry in found:
                sha256, dot, rest = entry.name.partition(".")
                with suppress(FileNotFoundError):
                    if dot and rest == "tar.gz" and entry.stat().st_mtime_ns < before_ms * 1_000_000:
                        yield sha256

    def discard(self, sha256: str, before_ms: int) -> None:
        """Remove a source, unless it was sent again since."""
        with suppress(FileNotFoundError):
            if self.path(sha256).stat().st_mtime_ns < before_ms * 1_000_000:
                self.path(sha256).unlink()
