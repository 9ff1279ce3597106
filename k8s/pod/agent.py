"""Brings a job's source into its pod, and its outputs to the centre. Runs in the helper image; nothing imports it.

    python3 -I -c TEXT fetch    before the job: download the packed source, compare its checksum, unpack it
    python3 -I -c TEXT collect  beside it: wait for SIGTERM, which comes once the job ended, then upload its outputs

Standard library only, Python 3.8 or newer. It speaks to nobody but the centre, and follows no redirection.

BARAY_CENTRE_URL, BARAY_PASS or BARAY_PASS_FILE; BARAY_SOURCE: the checksum; BARAY_OUTPUTS: patterns, a line each;
BARAY_WORK_DIR, else the current directory; BARAY_CENTRE_CA: certificates in PEM or a file of them, beside the system's;
BARAY_FETCH_S and BARAY_COLLECT_S: how long it may take; BARAY_SOURCE_LIMIT and BARAY_UNPACKED_LIMIT in bytes.
BARAY_INDEX and BARAY_OFFSET tell the rank, if the pass is no file: outputs of all but the first are below ``rank-N/``.
BARAY_READY is a file that is made once SIGTERM will be heard.
What went wrong, or was left out, is said on standard error and in the message that the cluster keeps of a container.
"""

# Paths go through open directories here.
# ruff: noqa: PTH109, PTH123

from __future__ import annotations

import fnmatch
import hashlib
import http.client
import json
import os
import signal
import ssl
import stat
import sys
import tarfile
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import IO, NoReturn
from urllib.parse import quote, urlsplit

CHUNK = 1 << 16
TRIES = 10
LONGEST_PAUSE = 15.0
PATIENCE = 30.0  # seconds for a connection, and for each piece of an answer
SAID_LIMIT = 3_500  # the cluster keeps 4,096 bytes
MOST_FILES = 10_000
MOST_MEMBERS = 1_000_000
DEEPEST = 64  # directories below the working directory; each holds a descriptor while we are in it
PATH_LIMIT = 4_096
TOO_LARGE = 413
NO, BELOW, NAMED = range(3)  # what a pattern says of a path


class Trouble(Exception):
    """A sentence for people. ``passing``: it may go well the next time. ``status`` is HTTP's, 0 without an answer."""

    def __init__(self, sentence: str, *, passing: bool = False, status: int = 0) -> None:
        super().__init__(sentence)
        self.passing = passing
        self.status = status


class Bounded:
    """A file up to a length: one that grows meanwhile is no reason to send more than was announced."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size

    def read(self, size: int = CHUNK) -> bytes:
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


class Centre:
    """The centre as the pods see it."""

    def __init__(self, env: Mapping[str, str]) -> None:
        url = urlsplit(env.get("BARAY_CENTRE_URL", ""))
        if url.scheme not in ("http", "https") or not url.hostname:
            raise Trouble("the pod was not told where the centre is")
        self._host, self._port, self._prefix = url.hostname, url.port, url.path.rstrip("/")
        self._tls = None if url.scheme == "http" else trusted(env.get("BARAY_CENTRE_CA", ""))
        self._pass = read_pass(env)

    def call(
        self,
        method: str,
        path: str,
        take: Callable[[http.client.HTTPResponse], object],
        headers: Mapping[str, str],
        body: Bounded | None = None,
    ) -> None:
        """One call; ``take`` reads a good answer. Raises Trouble."""
        connection = self._connection()
        sent = {"Authorization": f"Pass {self._pass}", "User-Agent": "baray-pod", **headers}
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # it may have said why before it hung up
                connection.request(method, f"{self._prefix}/api/v1/pods/{path}", body, sent)
            answer = connection.getresponse()
            if answer.status >= 300:
                raise refusal(answer)
            take(answer)
        except ssl.SSLCertVerificationError as error:
            raise Trouble(f"the centre's certificate is not trusted: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            raise Trouble(f"the centre does not answer: {said(error)}", passing=True) from error
        finally:
            connection.close()

    def insist(self, until: float, attempt: Callable[[], None]) -> None:
        """Try again while the trouble may pass: a few times, ever later, and not beyond ``until``."""
        for number in range(TRIES):
            try:
                return attempt()
            except Trouble as trouble:
                pause = min(0.5 * 2**number, LONGEST_PAUSE)
                if not trouble.passing or number == TRIES - 1 or time.monotonic() + pause > until:
                    raise
                time.sleep(pause)
        return None

    def _connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=PATIENCE)
        return http.client.HTTPSConnection(self._host, self._port, timeout=PATIENCE, context=self._tls)


def trusted(authority: str) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authority:
        context.load_verify_locations(**{"cadata" if "-----BEGIN" in authority else "cafile": authority})
    return context


def read_pass(env: Mapping[str, str]) -> str:
    """Raises Trouble for what cannot be in a header; it is not shown."""
    text = env.get("BARAY_PASS", "")
    if not text and env.get("BARAY_PASS_FILE"):
        with open(env["BARAY_PASS_FILE"], encoding="ascii") as file:
            text = file.read(PATH_LIMIT).strip()
    if not text or not text.isprintable() or " " in text:
        raise Trouble("the pod has no pass to the centre")
    return text


def refusal(answer: http.client.HTTPResponse) -> Trouble:
    detail = ""
    with suppress(ValueError, AttributeError, OSError, http.client.HTTPException):
        detail = str(json.loads(answer.read(CHUNK)).get("detail") or "")[:500]
    passing = answer.status in (408, 425, 429) or answer.status >= 500
    sentence = detail or f"the centre answered {answer.status}"
    return Trouble(sentence, passing=passing, status=answer.status)


def fetch(env: Mapping[str, str]) -> list[str]:
    """Raises Trouble with what keeps the source from being there. Nothing is left to be said otherwise."""
    wanted, until = env.get("BARAY_SOURCE", ""), time.monotonic() + number_in(env, "BARAY_FETCH_S", 300)
    limit = number_in(env, "BARAY_SOURCE_LIMIT", 64 << 20)
    work = env.get("BARAY_WORK_DIR") or os.getcwd()
    centre = Centre(env)
    with tempfile.TemporaryFile(dir=work) as file:

        def download() -> None:
            file.seek(0)
            file.truncate()
            centre.call("GET", "source", lambda answer: take_source(answer, file, wanted, limit), {})

        centre.insist(until, download)
        file.seek(0)
        unpack(file, work, number_in(env, "BARAY_UNPACKED_LIMIT", 64 << 30))
    return []


def take_source(answer: http.client.HTTPResponse, file: IO[bytes], wanted: str, limit: int) -> None:
    digest, size = hashlib.sha256(), 0
    for data in iter(lambda: answer.read(CHUNK), b""):
        size += len(data)
        if size > limit:
            raise Trouble(f"it is larger than {limit >> 20} MiB")
        digest.update(data)
        file.write(data)
    if digest.hexdigest() != wanted:
        raise Trouble("what came does not have its checksum", passing=True)


def unpack(file: IO[bytes], work: str, limit: int) -> None:
    """Nothing of it gets out of the working directory. Raises Trouble."""
    os.umask(0o022)
    room, count = limit, 0
    try:
        with tarfile.open(fileobj=file, mode="r|gz") as source:
            strict = getattr(tarfile, "data_filter", None)
            if strict is not None:
                source.extraction_filter = strict
            for member in source:
                check_member(member)
                room, count = room - max(0, member.size), count + 1
                if room < 0 or count > MOST_MEMBERS:
                    raise Trouble(f"unpacked it is larger than {limit >> 20} MiB")
                if strict is None:  # Python before 3.11.4
                    member.uid, member.gid, member.uname, member.gname = os.getuid(), os.getgid(), "", ""
                    member.mode &= 0o755
                source.extract(member, work)
    except (tarfile.TarError, OSError, EOFError, ValueError, zlib.error) as error:
        raise Trouble(f"it cannot be unpacked: {said(error)}") from error


def check_member(member: tarfile.TarInfo) -> None:
    """Raises ValueError for devices, and for names and links that lead out. What a link within leads to is its filter's."""
    name, link = member.name, member.linkname
    if name.startswith("/") or ".." in name.split("/"):
        raise ValueError(f"{name[:200]!r} would be outside the working directory")
    if member.isreg() or member.isdir():
        return
    if not (member.issym() or member.islnk()):
        raise ValueError(f"{name[:200]!r} is a device")
    if link.startswith("/") or (".." in link.split("/") and not hasattr(tarfile, "data_filter")):
        raise ValueError(f"the link {name[:200]!r} leads out of the working directory")


class Collector:
    """Uploads files that match the patterns. ``left`` says what was not, by the reason."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.left: dict[str, list[str]] = {}
        self.kept = 0
        self._env = env
        self._until = time.monotonic() + number_in(env, "BARAY_COLLECT_S", 240)
        self._centre = Centre(env)
        self._prefix = prefix_of(env)
        self._patterns: list[list[str]] = []
        for text in filter(None, env.get("BARAY_OUTPUTS", "").split("\n")):
            self._patterns.append([part for part in text.split("/") if part not in ("", ".")])
            if text.startswith("/") or ".." in self._patterns[-1]:
                self._leave(text, "outside the working directory")

    @property
    def remarks(self) -> list[str]:
        """One sentence for each reason, naming the first few files."""
        found = []
        for reason, paths in self.left.items():
            more = f" and {len(paths) - 3} more" if len(paths) > 3 else ""
            found.append(f"Not kept as output, {reason}: {', '.join(paths[:3])}{more}.")
        return found

    def run(self) -> None:
        directory = os.open(self._env.get("BARAY_WORK_DIR") or os.getcwd(), os.O_RDONLY | os.O_DIRECTORY)
        try:
            for parent, path in self._walk(directory, []):
                self._take(parent, path)
        finally:
            os.close(directory)

    def _walk(self, directory: int, above: list[str]) -> Iterator[tuple[int, list[str]]]:
        """Open parent and path of each entry that a pattern names and that is no directory, in the order of names."""
        for name in sorted(os.listdir(directory)):
            path = [*above, name]
            verdicts = [follow(path, pattern) for pattern in self._patterns]
            if max(verdicts, default=NO) == NO:
                continue
            try:
                below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            except OSError:  # no directory, or none that may be entered
                if NAMED in verdicts:
                    yield directory, path
                continue
            try:
                if len(path) < DEEPEST:
                    yield from self._walk(below, path)
                else:
                    self._leave("/".join(path), f"{DEEPEST} directories deep")
            finally:
                os.close(below)

    def _take(self, parent: int, path: list[str]) -> None:
        whole = "/".join(path)
        if self.kept == MOST_FILES:
            return self._leave(whole, f"more than {MOST_FILES} files")
        if time.monotonic() > self._until:
            return self._leave(whole, "the time for it was over")
        try:
            name = (self._prefix + whole).encode()
        except UnicodeEncodeError:
            return self._leave(whole, "its name is no UTF-8")
        if len(name) > PATH_LIMIT:
            return self._leave(whole[:200], "its name is too long")
        try:
            file = os.open(path[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
        except OSError:
            return self._leave(whole, "no regular file that can be read")
        with open(file, "rb") as source:
            if not stat.S_ISREG(os.fstat(file).st_mode):
                return self._leave(whole, "no regular file that can be read")
            self._upload(source, whole, quote(name, safe=""))
        return None

    def _upload(self, source: IO[bytes], whole: str, name: str) -> None:
        def attempt() -> None:
            digest, size = hashlib.sha256(), 0
            source.seek(0)
            for data in iter(lambda: source.read(CHUNK), b""):
                digest.update(data)
                size += len(data)
            source.seek(0)
            headers = {"Content-Length": str(size), "Baray-Sha256": digest.hexdigest()}
            body = Bounded(source, size)
            self._centre.call("PUT", f"outputs?path={name}", lambda answer: answer.read(), headers, body)

        try:
            self._centre.insist(self._until, attempt)
            self.kept += 1
        except Trouble as trouble:
            self._leave(whole, "beyond the limit" if trouble.status == TOO_LARGE else str(trouble))
        except OSError as error:
            self._leave(whole, f"it could not be read ({said(error)})")

    def _leave(self, path: str, reason: str) -> None:
        self.left.setdefault(reason, []).append(path)


def prefix_of(env: Mapping[str, str]) -> str:
    """Ranks have directories of their own: what all but the first leave is told apart. A bundle's index is no rank."""
    if env.get("BARAY_PASS_FILE"):
        return ""
    rank = number_in(env, "BARAY_INDEX", 0) + number_in(env, "BARAY_OFFSET", 0)
    return f"rank-{rank}/" if rank else ""


def follow(path: list[str], pattern: list[str]) -> int:
    """Whether the pattern names the path or a directory above it, or may name something below it, or neither.

    ``**`` is any number of directories: ``at`` are all places in the pattern that the path may have brought us to.
    """
    at = past_stars({0}, pattern)
    for name in path:
        if len(pattern) in at:
            return NAMED
        stay = {place for place in at if pattern[place] == "**"}
        step = {place + 1 for place in at if place not in stay and fnmatch.fnmatchcase(name, pattern[place])}
        at = past_stars(stay | step, pattern)
    if len(pattern) in at:
        return NAMED
    return BELOW if at else NO


def past_stars(at: set[int], pattern: list[str]) -> set[int]:
    for place in range(len(pattern)):
        if place in at and pattern[place] == "**":
            at.add(place + 1)
    return at


def collect(env: Mapping[str, str]) -> list[str]:
    """Wait for the job's end, then do it. Answers what was left out, in sentences."""
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    collector = Collector(env)
    collector.run()
    return collector.remarks


def number_in(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 19 else default


def said(error: BaseException) -> str:
    """What went wrong, in the system's words."""
    strerror = error.strerror if isinstance(error, OSError) else None
    return str(strerror or str(error) or type(error).__name__)[:600]


def tell(env: Mapping[str, str], sentence: str) -> None:
    """For the container's log, and the message that the cluster keeps of it."""
    sentence = sentence if len(sentence) <= SAID_LIMIT else sentence[:SAID_LIMIT] + " ..."
    text = sentence.encode("utf-8", "backslashreplace")[:SAID_LIMIT]
    sys.stderr.buffer.write(b"[baray] " + text + b"\n")
    sys.stderr.flush()
    with suppress(OSError), open(env.get("BARAY_TERMINATION_LOG", "/dev/termination-log"), "wb") as file:
        file.write(text)


def main(task: str, env: Mapping[str, str]) -> NoReturn:
    if task == "collect":  # before anything else: it may come at once
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        if "BARAY_READY" in env:
            open(env["BARAY_READY"], "wb").close()
    try:
        remarks = fetch(env) if task == "fetch" else collect(env)
    except (Trouble, OSError, ValueError) as trouble:
        what = "source could not be brought" if task == "fetch" else "outputs could not be collected"
        remarks = [f"The {what}: {said(trouble)}."]
    if remarks:
        tell(env, " ".join(remarks))
    sys.exit(1 if remarks else 0)


if __name__ == "__main__":
    if sys.argv[-1] not in ("fetch", "collect"):
        sys.exit("the agent knows fetch and collect alone")
    main(sys.argv[-1], os.environ)
