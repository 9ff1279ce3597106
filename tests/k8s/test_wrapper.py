"""What a container runs, run for real: by each shell that is here, as the first process of a namespace of its own."""

import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.jobs import Launch
from k8s.manifests import wrapper
from k8s.manifests.part import bundled, roles, whole
from k8s.manifests.wrapper import SHELL, Words, literal, words
from tests.k8s.expansion import expand
from tests.k8s.launches import ROLES, bundle, launch

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
SIGNALS = [
    "SIGTERM",
    "SIGINT",
    "SIGUSR1",
    *(pytest.param(name, marks=pytest.mark.slow) for name in ("SIGHUP", "SIGUSR2", "SIGQUIT")),
]
NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


def _namespaces() -> bool:
    return (
        shutil.which("unshare") is not None
        and subprocess.run((*NAMESPACE, "true"), capture_output=True, check=False).returncode == 0
    )


first = pytest.mark.skipif(
    not _namespaces(), reason="a container's first process needs a namespace, and root to make it"
)
each_shell = pytest.mark.parametrize(
    "shell", [*SHELLS[:1], *(pytest.param(one, marks=pytest.mark.slow) for one in SHELLS[1:])]
)

text = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=60)


@given(text | st.from_regex(r"(\$|\(|\)|[A-Z]){0,20}", fullmatch=True))
def test_what_the_job_says_arrives_as_it_was_said(said: str) -> None:
    assert expand(literal(said), {"A": "expanded"}) == said


def test_a_plain_command_runs_as_it_is() -> None:
    given_launch = launch(command=("python", "train.py"))
    assert words(given_launch.spec, whole(given_launch)) == Words(("python",), ("train.py",), alone=True)


@pytest.mark.parametrize(
    "spec",
    [
        {"run": "echo"},
        {"command": ("true",), "stop_signal": "SIGUSR1"},
        {"command": ("true",), "outputs": ("results/**",)},
    ],
)
def test_what_needs_more_than_that_runs_behind_the_shell(spec: dict[str, Any]) -> None:
    given_launch = launch(**spec)
    said = words(given_launch.spec, whole(given_launch))
    assert said.command == ("/bin/sh", "-c", SHELL)
    assert not said.alone


class Container:
    """A container's process, under its parent that made the namespace."""

    def __init__(self, shell: str, said: Words, place: Path, env: dict[str, str]) -> None:
        start = ("busybox", "sh") if shell == "busybox" else (shell,)
        given_words = [word.replace(wrapper.RUN, str(place)) for word in (*said.command[1:], *said.args)]
        self.process = subprocess.Popen(
            [*NAMESPACE, *start, *given_words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=place,
            env={"PATH": os.environ["PATH"], **env},
        )

    def stop(self) -> None:
        """SIGTERM to the first process of the namespace, as a kubelet sends it."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        os.kill(int(children[0]), signal.SIGTERM)

    def says(self, line: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().strip() == line

    def ends(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=20)
        return self.process.returncode, output


@contextmanager
def container(shell: str, said: Words, place: Path, **env: str) -> Iterator[Container]:
    started = Container(shell, said, place, {"BARAY_JOB": "1842", **env})
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.process.kill()
        started.process.wait()


def run(shell: str, given_launch: Launch, place: Path, **env: str) -> tuple[int, str]:
    part = bundled(given_launch) if given_launch.bundle else whole(given_launch)
    with container(shell, words(given_launch.spec, part), place, **env) as started:
        return started.ends()


@first
@each_shell
def test_a_script_runs_whole_and_its_exit_code_is_passed_on(shell: str, tmp_path: Path) -> None:
    script = "echo 'a  $HOME \\n' \"$X\" $(echo in)\necho ខ្មែរ >&2\nexit 7"
    assert run(shell, launch(run=script), tmp_path, X="y  z") == (7, "a  $HOME \\n y  z in\nខ្មែរ\n")


@first
@each_shell
def test_a_script_chooses_its_interpreter(shell: str, tmp_path: Path) -> None:
    script = "#!/usr/bin/env python3\nimport sys\nprint('python', len(sys.argv))\n"
    assert run(shell, launch(run=script), tmp_path) == (0, "python 1\n")


@first
@each_shell
def test_a_long_script_arrives_whole(shell: str, tmp_path: Path) -> None:
    """The kernel takes no argument longer than 128 KiB."""
    lines = [f"echo {'ក' * 40} {number}" for number in range(2_000)]
    code, output = run(shell, launch(run="\n".join(lines)), tmp_path)
    assert (code, output.count("\n")) == (0, 2_000)


@first
@each_shell
def test_a_command_gets_its_words(shell: str, tmp_path: Path) -> None:
    command = ("python3", "-c", "import sys; print(sys.argv[1:])", "a b", "", "$HOME", "*")
    given_launch = launch(command=command, stop_signal="SIGUSR1")
    assert run(shell, given_launch, tmp_path) == (0, "['a b', '', '$HOME', '*']\n")


@first
@each_shell
@pytest.mark.parametrize("command", [("no-such-program", "x"), ("_baray_stop",), ("eval", "echo")])
def test_a_command_that_does_not_exist_is_none_of_the_shells(
    shell: str, command: tuple[str, ...], tmp_path: Path
) -> None:
    code, output = run(shell, launch(command=command, stop_signal="SIGUSR1"), tmp_path)
    assert code == 127
    assert command[0] in output


@first
@each_shell
@pytest.mark.parametrize("name", SIGNALS)
def test_the_stop_signal_reaches_what_the_script_started(shell: str, name: str, tmp_path: Path) -> None:
    """A program below a script, as train.py is, gets it, and its checkpoint counts."""
    program = (
        "import os, signal, time\n"
        f"signal.signal(signal.{name}, lambda *_: (os.write(1, b'checkpoint\\n'), os._exit(0)))\n"
        "os.write(1, b'up\\n')\ntime.sleep(60)\n"
    )
    (tmp_path / "train.py").write_text(program)
    number = name.removeprefix("SIG")
    script = f"trap : {number}\npython3 train.py\necho code $?\nexit 5\n"
    given_launch = launch(run=script, stop_signal=name, grace_ms=15_000)
    with container(shell, words(given_launch.spec, whole(given_launch)), tmp_path) as started:
        started.says("up")
        started.stop()
        assert started.ends() == (5, "checkpoint\ncode 0\n")


@first
@each_shell
def test_a_program_that_a_signal_ends_leaves_its_number(shell: str, tmp_path: Path) -> None:
    given_launch = launch(run="echo up; exec sleep 60", stop_signal="SIGUSR1")
    with container(shell, words(given_launch.spec, whole(given_launch)), tmp_path) as started:
        started.says("up")
        started.stop()
        assert started.ends() == (128 + signal.SIGUSR1, "")


@first
@each_shell
def test_what_does_not_heed_its_signal_is_killed_after_the_grace(shell: str, tmp_path: Path) -> None:
    script = "trap '' TERM\necho up\nwhile :; do sleep 0.05; done"
    given_launch = launch(run=script, grace_ms=1_000)
    with container(shell, words(given_launch.spec, whole(given_launch)), tmp_path) as started:
        started.says("up")
        before = time.monotonic()
        started.stop()
        assert started.ends()[0] == 128 + signal.SIGKILL
        assert 0.9 < time.monotonic() - before < 10


@first
@each_shell
def test_a_checkpoint_has_all_its_grace_and_the_code_is_that_of_the_end(shell: str, tmp_path: Path) -> None:
    script = "trap 'sleep 1; echo saved; exit 3' USR1\necho up\nwhile :; do sleep 0.05; done"
    given_launch = launch(run=script, stop_signal="SIGUSR1", grace_ms=10_000)
    with container(shell, words(given_launch.spec, whole(given_launch)), tmp_path) as started:
        started.says("up")
        started.stop()
        again = threading.Timer(0.3, started.stop)  # told twice, the signal goes once
        again.start()
        code, output = started.ends()
        assert (code, output.splitlines()[-1]) == (3, "saved")
        again.join()


@first
@each_shell
def test_each_index_of_a_bundle_is_its_task(shell: str, tmp_path: Path) -> None:
    given_launch = bundle(4, run="echo $BARAY_TASK $BARAY_ATTEMPT")
    told = [run(shell, given_launch, tmp_path, BARAY_INDEX=str(index)) for index in range(4)]
    assert told == [(0, "5 1842_5.1\n"), (0, "7 1842_7.2\n"), (0, "9 1842_9.1\n"), (0, "11 1842_11.2\n")]


@first
@each_shell
def test_a_member_that_was_told_to_stop_before_does_not_run(shell: str, tmp_path: Path) -> None:
    given_launch = bundle(12, run="echo ran", skipped=(1, 10))
    told = [run(shell, given_launch, tmp_path, BARAY_INDEX=str(index)) for index in (0, 1, 10, 11)]
    assert [("ran" in output) for _, output in told] == [True, False, False, True]
    assert [code for code, _ in told] == [0, 143, 143, 0]
    assert "told to stop" in told[1][1]


@first
@each_shell
def test_ranks_go_on_from_role_to_role(shell: str, tmp_path: Path) -> None:
    run_ranks = tuple(replace(role, run="echo $RANK $BARAY_RANK", command=()) for role in ROLES)
    given_launch = launch(nodes=4, roles=run_ranks)
    _, actors = roles(given_launch)
    with container(shell, words(given_launch.spec, actors), tmp_path, BARAY_INDEX="2", RANK="2") as started:
        assert started.ends() == (0, "3 3\n")


def test_where_it_is_not_the_first_process_it_reaches_no_further_than_its_own(tmp_path: Path) -> None:
    """Else it would end everything of its user."""
    given_launch = launch(run="echo up; exec sleep 60")
    said = words(given_launch.spec, whole(given_launch))
    arguments = [word.replace(wrapper.RUN, str(tmp_path)) for word in said.args]
    with subprocess.Popen(
        ["/bin/sh", "-c", f"exec 3<&0; {SHELL}", *arguments], stdout=subprocess.PIPE, text=True
    ) as found:
        assert found.stdout is not None
        assert found.stdout.readline() == "up\n"
        found.send_signal(signal.SIGTERM)
        assert found.wait(10) == 128 + signal.SIGTERM
