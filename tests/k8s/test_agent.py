"""The agent as a process, as pods run it, against the real API: what it fetches, what it leaves, what it says."""

import ast
import hashlib
import http.server
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from api.http.services import Services
from domain.ids import AttemptId
from k8s.pod import agent, agent_text
from local.forked import collect as local_collect
from tests.conftest import services_of
from tests.contracts.driver_contract import until
from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.marks import on_sqlite
from tests.support.serving import Api

PYTHON = os.environ.get("BARAY_TEST_AGENT_PYTHON", sys.executable)  # another version, if one is at hand


def packed(**files: str | tarfile.TarInfo) -> bytes:
    """A .tar.gz of texts by name, and of other members as they are given."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content.encode()), 0o755
            archive.addfile(member, io.BytesIO(content.encode()))
    return made.getvalue()


def member(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, link
    return made


@dataclass
class Pod:
    """A pod with its working directory."""

    env: dict[str, str]
    work: Path
    attempt: AttemptId
    services: Services
    said: str = ""
    children: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, task: str, **env: str) -> subprocess.Popen[bytes]:
        self.work.mkdir(exist_ok=True)
        command = [PYTHON, "-I", "-c", agent_text(), task]
        surroundings = {"PATH": "/usr/bin:/bin", **self.env, **env}
        child = subprocess.Popen(
            command,
            env=surroundings,
            cwd=self.work,
            stderr=subprocess.PIPE,
            preexec_fn=_hold_sigterm,  # noqa: PLW1509 - it takes no lock
        )
        self.children.append(child)
        return child

    def end(self, child: subprocess.Popen[bytes]) -> int:
        _, error = child.communicate(timeout=60)
        self.said = error.decode()
        note = Path(self.env["BARAY_TERMINATION_LOG"])
        assert not self.said or note.read_text() in self.said
        return child.returncode

    def run(self, task: str, **env: str) -> int:
        child = self.start(task, **env)
        if task == "collect":
            child.send_signal(signal.SIGTERM)
        return self.end(child)

    def kept(self) -> dict[str, bytes]:
        shelf = self.services.shelf
        assert shelf is not None
        found = shelf.outputs(self.attempt)
        return {one.path: shelf.output(self.attempt, one.path, 0, 2**21) or b"" for one in found}


def _hold_sigterm() -> None:
    """From before its first moment, so that a test need not wait until the agent waits."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


@pytest.fixture
def pod(centre: Centre, tmp_path: Path, open_api: Callable[[Services], Api]) -> Iterator[Callable[..., Pod]]:
    services = services_of(centre, tmp_path)
    api = open_api(services)
    made: list[Pod] = []

    def make(source: bytes | None = None, outputs: tuple[str, ...] = ("results/**",)) -> Pod:
        sha256 = None
        if source is not None:
            sha256 = services.sources.keep(source)
            with centre.store.write() as uow:
                uow.keep_source(sha256, len(source), centre.clock.now_ms())
        job = centre.submit(replace(spec(command="run forever", outputs=outputs), source=sha256))
        centre.settle()
        attempt = centre.attempt(job.id).id
        assert services.passes is not None
        env = {
            "BARAY_CENTRE_URL": api.address,
            "BARAY_PASS": services.passes.issue(attempt),
            "BARAY_SOURCE": sha256 or "",
            "BARAY_OUTPUTS": "\n".join(outputs),
            "BARAY_TERMINATION_LOG": str(tmp_path / f"said-{attempt}"),
        }
        made.append(Pod(env, tmp_path / f"work-{attempt}", attempt, services))
        return made[-1]

    yield make
    for one in made:
        for child in one.children:
            child.kill()
            child.communicate()


def test_the_text_fits_into_an_argument_and_is_old_enough_python() -> None:
    assert len(agent_text().encode()) < 100_000
    assert "$" not in agent_text()
    tree = ast.parse(agent_text(), feature_version=(3, 8))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names


@on_sqlite
def test_the_source_is_brought_into_the_working_directory(pod: Callable[..., Pod]) -> None:
    made = pod(
        packed(**{"train.py": "print(1)", "data/ខ្មែរ.txt": "text", "link": member("link", tarfile.SYMTYPE, "data")})
    )
    assert made.run("fetch") == 0, made.said
    assert (made.work / "train.py").read_text() == "print(1)"
    assert (made.work / "link" / "ខ្មែរ.txt").read_text() == "text"
    assert sorted(path.name for path in made.work.iterdir()) == ["data", "link", "train.py"]
    assert (made.run("fetch"), made.said) == (0, "")  # a repeat, as after a restart of the node


@pytest.mark.parametrize(
    "evil",
    [
        member("../outside", tarfile.REGTYPE),
        member("/tmp/outside", tarfile.REGTYPE),
        member("link", tarfile.SYMTYPE, "/etc"),
        member("link", tarfile.SYMTYPE, "../outside"),
        member("link", tarfile.LNKTYPE, "../outside"),
        member("device", tarfile.CHRTYPE),
        member("pipe", tarfile.FIFOTYPE),
    ],
    ids=lambda one: f"{one.name}-{one.linkname}",
)
@on_sqlite
def test_nothing_gets_out_of_the_working_directory(pod: Callable[..., Pod], evil: tarfile.TarInfo) -> None:
    made = pod(packed(evil=evil, later="text"))
    assert made.run("fetch") == 1
    assert "[baray] The source could not be brought: it cannot be unpacked: " in made.said
    assert list(made.work.iterdir()) == []


@on_sqlite
def test_what_is_broken_too_large_or_not_the_source_is_refused(pod: Callable[..., Pod]) -> None:
    made = pod(packed(a="x" * 1_000_000))
    assert made.run("fetch", BARAY_SOURCE_LIMIT="10") == 1
    assert "larger than" in made.said
    assert made.run("fetch", BARAY_UNPACKED_LIMIT="999999") == 1
    assert "unpacked it is larger than" in made.said
    assert made.run("fetch", BARAY_SOURCE="0" * 64, BARAY_FETCH_S="0") == 1
    assert "does not have its checksum" in made.said
    assert list(made.work.iterdir()) == []
    broken = pod(packed(a="text")[:40])
    assert broken.run("fetch") == 1
    assert "cannot be unpacked" in broken.said


@on_sqlite
def test_what_a_pod_may_not_have_is_said_at_once(pod: Callable[..., Pod]) -> None:
    made = pod()
    for env, words in (
        ({}, "has no source"),
        ({"BARAY_PASS": "x"}, "did not issue this pass"),
        ({"BARAY_PASS": ""}, "has no pass to the centre"),
        ({"BARAY_CENTRE_URL": "ftp://centre"}, "was not told where the centre is"),
        ({"BARAY_CENTRE_URL": "http://127.0.0.1:1", "BARAY_FETCH_S": "0"}, "the centre does not answer"),
    ):
        assert made.run("fetch", **env) == 1
        assert words in made.said
        assert made.env["BARAY_PASS"] not in made.said


@on_sqlite
def test_outputs_are_collected_once_the_job_ended(pod: Callable[..., Pod]) -> None:
    made = pod(outputs=("results/**", "*.log", "../outside", "/etc/passwd"))
    child = made.start("collect")
    (made.work / "results" / "deep").mkdir(parents=True)
    for name, text in {
        "results/a.txt": "abc",
        "results/deep/ខ្មែរ.bin": "x" * 200_000,
        "train.log": "",
        "other": "no",
    }.items():
        (made.work / name).write_text(text)
    (made.work / "results" / "passwd").symlink_to("/etc/passwd")
    (made.work / "results" / "root").symlink_to("/etc")
    os.mkfifo(made.work / "results" / "pipe")
    assert child.poll() is None
    child.send_signal(signal.SIGTERM)
    assert made.end(child) == 1
    assert made.kept() == {"results/a.txt": b"abc", "results/deep/ខ្មែរ.bin": b"x" * 200_000, "train.log": b""}
    assert "outside the working directory: ../outside, /etc/passwd." in made.said
    assert "no regular file that can be read: results/passwd, results/pipe, results/root." in made.said


@on_sqlite
def test_what_is_beyond_the_limit_is_left_and_named(pod: Callable[..., Pod]) -> None:
    made = pod()
    (made.work / "results").mkdir(parents=True)
    for name, size in (("a", 2**19), ("b", 5 * 2**20), ("c", 2**19)):
        (made.work / "results" / name).write_bytes(b"x" * size)
    assert made.run("collect") == 1
    assert sorted(made.kept()) == ["results/a", "results/c"]
    assert made.said == "[baray] Not kept as output, beyond the limit: results/b.\n"


@on_sqlite
def test_outputs_of_later_ranks_are_told_apart_and_a_bundles_index_is_no_rank(
    pod: Callable[..., Pod], tmp_path: Path
) -> None:
    made = pod()
    (made.work / "results").mkdir(parents=True)
    (made.work / "results" / "a").write_text("a")
    assert made.run("collect", BARAY_INDEX="0") == 0
    assert made.run("collect", BARAY_INDEX="2", BARAY_OFFSET="1") == 0
    assert sorted(made.kept()) == ["rank-3/results/a", "results/a"]
    (tmp_path / "pass").write_text(f"{made.env['BARAY_PASS']}\n")
    (made.work / "results" / "a").write_text("changed")
    assert made.run("collect", BARAY_INDEX="5", BARAY_PASS="", BARAY_PASS_FILE=str(tmp_path / "pass")) == 0
    assert made.kept()["results/a"] == b"changed"


@on_sqlite
def test_collecting_keeps_to_its_time(pod: Callable[..., Pod]) -> None:
    made = pod()
    (made.work / "results").mkdir(parents=True)
    (made.work / "results" / "a").write_text("a")
    assert made.run("collect", BARAY_COLLECT_S="0") == 1
    assert "the time for it was over: results/a" in made.said
    assert made.run("collect", BARAY_COLLECT_S="1", BARAY_CENTRE_URL="http://127.0.0.1:1") == 1
    assert "the centre does not answer: Connection refused: results/a" in made.said


class Moody(http.server.BaseHTTPRequestHandler):
    """A centre that fails a few times, in different ways, before it answers; and one that points elsewhere."""

    moods: tuple[Any, ...] = ()
    asked: list[str] = []  # noqa: RUF012 - of the test

    def do_GET(self) -> None:
        mood = self.moods[min(len(self.asked), len(self.moods) - 1)]
        self.asked.append(self.headers["Authorization"])
        if mood is None:
            self.connection.close()
            return
        status, body, headers = mood
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Not here."""


@pytest.fixture
def moody() -> Iterator[tuple[type[Moody], str]]:
    handler = type("Handler", (Moody,), {"asked": []})
    server = http.server.HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield handler, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@on_sqlite
def test_a_centre_that_comes_back_is_asked_again(pod: Callable[..., Pod], moody: tuple[type[Moody], str]) -> None:
    handler, address = moody
    source = packed(a="text")
    problem = json.dumps({"detail": "not now"}).encode()
    handler.moods = (
        None,
        (503, problem, {}),
        (200, source[:-5], {"Content-Length": str(len(source))}),
        (200, source, {}),
    )
    made = pod()
    env = {"BARAY_CENTRE_URL": address, "BARAY_SOURCE": hashlib.sha256(source).hexdigest()}
    assert made.run("fetch", **env) == 0, made.said
    assert (made.work / "a").read_text() == "text"
    assert len(handler.asked) == 4


@on_sqlite
def test_the_pass_goes_nowhere_else(pod: Callable[..., Pod], moody: tuple[type[Moody], str]) -> None:
    handler, address = moody
    handler.moods = ((302, b"", {"Location": f"{address}/elsewhere"}),)
    made = pod()
    assert made.run("fetch", BARAY_CENTRE_URL=address) == 1
    assert len(handler.asked) == 1
    assert "the centre answered 302" in made.said


PATTERNS = ["results/**", "**/*.pt", "*", "a/*/c", "**", "a/**/c/**", "[ab].txt", "results", "a/**/**/d", "x?z"]
PATHS = [
    "results",
    "results/a",
    "a",
    "a.txt",
    "a/b/c",
    "a/b",
    "a/b/c/d",
    "x/y/model.pt",
    "model.pt",
    "xyz",
    "a/d",
    "A.txt",
]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns_mean_the_same_as_on_the_local_cluster(pattern: str) -> None:
    for path in PATHS:
        assert agent.follow(path.split("/"), pattern.split("/")) == local_collect._follow(
            path.split("/"), pattern.split("/")
        )


@on_sqlite
def test_the_collector_says_when_it_listens_and_from_then_on_hears_its_end(
    pod: Callable[..., Pod], tmp_path: Path
) -> None:
    """As the first process of a container, which hears no signal that it has not asked for: nobody holds SIGTERM here."""
    made = pod()
    ready = tmp_path / "ready"
    child = made.start("collect", BARAY_OUTPUTS="a", BARAY_READY=str(ready))
    until(ready.exists)
    (made.work / "a").write_text("kept")
    child.send_signal(signal.SIGTERM)
    assert made.end(child) == 0
    assert made.kept() == {"a": b"kept"}
