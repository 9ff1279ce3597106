"""Starting fast: what is imported for help, and that every command that is listed is there."""

import subprocess
import sys

import click
import pytest

from cli.catalogue import ADMIN, COMMANDS
from cli.commands.admin import admin
from cli.main import baray
from tests.cli.conftest import ROOT, Run

HEAVY = {"urllib3", "rich", "ruamel", "pathspec", "client", "http", "ssl", "csv", "tempfile"}


def imported_by(*arguments: str) -> set[str]:
    code = "import sys, cli.main\nsys.stdout = open('/dev/null', 'w')\ncli.main.main(sys.argv[1:])\n"
    code += "print(*{name.split('.')[0] for name in sys.modules}, file=sys.__stdout__)"
    command = [sys.executable, "-c", code, *arguments]
    return set(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout.split())


@pytest.mark.parametrize("arguments", [["--help"], ["submit", "--help"], ["jobs", "--help"], ["admin", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert imported_by(*arguments) & HEAVY == set()


def test_help_is_light_on_the_processor() -> None:
    import os

    def spent() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-m", "cli", "--help"], capture_output=True, check=True, cwd=ROOT)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(spent() for _ in range(5)) <= 0.15


@pytest.mark.parametrize(("group", "sections"), [(baray, COMMANDS), (admin, ADMIN)])
def test_every_listed_command_is_there(group: click.Group, sections: dict) -> None:
    context = click.Context(group)
    for section in sections.values():
        for name, (_, line) in section.items():
            command = group.get_command(context, name)
            assert command.name == name
            assert line.endswith(".")


def commands(group: click.Group, *path: str):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, *path, name)


LEAVES = [(path, command) for path, command in commands(baray) if not isinstance(command, click.Group)]


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[" ".join(path) for path, _ in LEAVES])
def test_every_command_explains_itself(run: Run, path: tuple[str, ...], command: click.Command) -> None:
    if command.context_settings.get("help_option_names") == []:
        pytest.skip("its help is the runtime's own")
    found = run(*path, "--help")
    assert found.code == 0
    assert found.err == ""
    assert command.help
    for option in ("--format", "--project", "--context", "--quiet", "--no-input"):
        assert option in found.out or path == ("completion",)


def test_version(run: Run) -> None:
    assert run("--version").out.startswith("baray ")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(run: Run, shell: str) -> None:
    found = run("completion", shell)
    assert (found.code, found.err) == (0, "")
    assert "_BARAY_COMPLETE=" in found.out


def test_completion_of_an_unknown_shell(run: Run) -> None:
    assert run("completion", "tcsh").code == 2


@pytest.mark.parametrize(
    ("words", "wanted"), [("baray su", "submit"), ("baray admin al", "allocation"), ("baray jobs --st", "--state")]
)
def test_completion_finds(spawn: Run, words: str, wanted: str) -> None:
    count = len(words.split()) - 1
    found = spawn(_BARAY_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(count))
    assert f"plain,{wanted}" in found.out.split("\n")


def test_completion_stays_light() -> None:
    code = "import sys, os, cli.main\ntry: cli.main.main([])\nexcept SystemExit: pass\n"
    code += "print(*sys.modules, file=sys.stderr)"
    env = {"_BARAY_COMPLETE": "bash_complete", "COMP_WORDS": "baray ", "COMP_CWORD": "1"}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, env=env)
    assert "plain,submit" in found.stdout
    assert not [name for name in found.stderr.split() if name.startswith("cli.commands.")]
