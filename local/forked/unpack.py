"""The job's source directory: a .tar.gz, unpacked by a child of the supervisor that already is the project's user.

So an archive can do no more than the project's own programs, and a broken or endless one is stopped like a job.
"""

import os

from local.forked.ranks import become_user

_SENTENCE_LIMIT = 500


def unpack(archive: int, work: str, uid: int, report: int) -> None:
    """Unpack the open file into ``work``. Writes a sentence to ``report`` and exits with 1 if it cannot."""
    import tarfile  # noqa: PLC0415 - few attempts need it, and all would pay for it in the warden
    import zlib  # noqa: PLC0415 - both now: the project's user may not be able to read this Python's library

    os.umask(0o022)
    become_user(uid)
    os.chdir(work)
    try:
        with open(archive, "rb") as file, tarfile.open(fileobj=file, mode="r|gz") as source:
            source.extractall(filter="data")
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        os.write(report, reason[:_SENTENCE_LIMIT].encode(errors="backslashreplace"))
        os._exit(1)
