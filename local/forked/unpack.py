"""The job's source directory: a .tar.gz, unpacked by a child of the supervisor that already is the project's user.

So an archive can do no more than the project's own programs, and a broken or endless one is stopped like a job.
"""

import os

from local.forked.ranks import become_user

# ruff: noqa: PLC0415 - few attempts need tarfile and its compressors, and all would pay for them in the warden

_SENTENCE_LIMIT = 500


def unpack(archive: int, work: str, uid: int, report: int) -> None:
    """Unpack the open file into ``work``. Writes a sentence to ``report`` and exits with 1 if it cannot."""
    import tarfile  # before we are a user who may not be allowed to read Baray's own Python
    import zlib

    os.umask(0o022)
    become_user(uid)
    os.chdir(work)
    try:
        with open(archive, "rb") as file, tarfile.open(fileobj=file, mode="r|gz") as source:
            if hasattr(tarfile, "data_filter"):
                source.extractall(filter="data")
            else:  # Python before 3.11.4
                for member in source:
                    _refuse_escape(member.name, member.linkname, plain=member.isreg() or member.isdir())
                    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
                    member.mode &= 0o755
                    source.extract(member)
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        os.write(report, reason[:_SENTENCE_LIMIT].encode(errors="backslashreplace"))
        os._exit(1)


def _refuse_escape(name: str, link: str, *, plain: bool) -> None:
    """What the standard library's own filter refuses, and every link that goes upwards. Raises ValueError."""
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"{name!r} would be outside the working directory")
    if not plain and (not link or link.startswith("/") or ".." in link.split("/")):
        raise ValueError(f"{name!r} is a device, or leads out of the working directory")
