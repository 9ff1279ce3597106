"""Packed source directories, as files named by their checksum in the data directory."""

import hashlib
import os
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
        if path.exists():
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
