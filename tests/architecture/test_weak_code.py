"""What ships makes no code of text, reads nothing that could be code, checks every certificate and guesses no secrets."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
ROOMS = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]

# Parsers that run or fetch what they read, and languages that we do not speak.
NEVER = {
    "pickle", "marshal", "shelve", "dill", "cloudpickle", "xml", "lxml", "yaml", "ldap", "ldap3", "telnetlib", "ftplib",
    "smtplib", "imaplib", "pylibmc", "pymemcache",
}  # fmt: skip

# Randomness that may be foretold: simulations and examples, no secrets.
REPEATABLE = {"runtime/demo", "runtime/simulate", "runtime/workload", "scheduler/sim"}

# A kubeconfig that asks for an unchecked connection is refused (tests/k8s/test_kubeconfig.py); the client knows the word.
UNCHECKED = {"k8s/client.py"}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


MODULES = list(modules())


def test_the_linter_looks_for_weak_code_in_all_that_ships() -> None:
    """Ruff's S rules (bandit's) are the static analysis of security: on, but for starting processes and asserts."""
    lint = PROJECT["tool"]["ruff"]["lint"]
    assert "ALL" in lint["select"]
    assert {rule for rule in lint["ignore"] if rule.startswith("S") and rule[1:].isdigit()} == {"S101", "S603", "S607"}
    freed = {files for files, rules in lint["per-file-ignores"].items() if any(rule.startswith("S") and rule != "SLF" for rule in rules)}  # fmt: skip
    assert freed == {"tests/**", "bench/**", "examples/**"}


def test_nothing_reads_what_could_run() -> None:
    found = []
    for name, tree in MODULES:
        for node in ast.walk(tree):
            names = (
                [one.name for one in node.names] if isinstance(node, ast.Import)
                else [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            )  # fmt: skip
            found += [f"{name}: {one}" for one in names if one.partition(".")[0] in NEVER]
    assert found == []


def test_no_text_becomes_code_or_a_shells_command() -> None:
    found = []
    for name, tree in MODULES:
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in {"eval", "exec", "compile", "__import__", "os.system", "os.popen"}:
                found.append(f"{name}: {called}")
            shell = [one.value for one in node.keywords if one.arg == "shell"]
            if any(not (isinstance(one, ast.Constant) and one.value is False) for one in shell):
                found.append(f"{name}: {called} in a shell")
    assert found == []


def test_every_certificate_is_checked() -> None:
    found = set()
    for name, tree in MODULES:
        for node in ast.walk(tree):
            weak = (isinstance(node, ast.Attribute) and node.attr in {"CERT_NONE", "_create_unverified_context"}) or (
                isinstance(node, ast.keyword)
                and node.arg in {"verify", "verify_ssl", "assert_hostname", "check_hostname"}
                and isinstance(node.value, ast.Constant)
                and node.value.value is False
            )
            if weak:
                found.add(name)
    assert found <= UNCHECKED


def test_no_digest_is_a_weak_one() -> None:
    """SHA-256 and BLAKE2 alone, whatever it is for."""
    used = {node.attr for _, tree in MODULES for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "hashlib"}  # fmt: skip
    assert used <= {"sha256", "blake2b", "file_digest", "new"}
    named = {ast.unparse(node.args[0]) for _, tree in MODULES for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "hashlib.new"}  # fmt: skip
    assert named <= {"'sha256'"}


def test_what_can_be_foretold_protects_nothing() -> None:
    """``random`` and seeds are for simulations; everything that must not be guessed is of ``secrets`` or ``os.urandom``."""
    users = set()
    for name, tree in MODULES:
        for node in ast.walk(tree):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else [node.module] if isinstance(node, ast.ImportFrom) else []  # fmt: skip
            if "random" in names:
                users.add("/".join(name.split("/")[:2]))
    assert users <= REPEATABLE


def test_fields_for_passwords_hide_what_is_typed_and_let_managers_fill_them_in() -> None:
    """In every template of the pages; nor may a script or an attribute stand in the way of pasting."""
    fields = [
        field
        for path in sorted((ROOT / "api").rglob("*.html"))
        for field in re.findall(r"<input[^>]*password[^>]*>", path.read_text(encoding="utf-8"))
    ]
    for field in fields:
        assert 'type="password"' in field
        assert re.search(r'autocomplete="(current|new)-password"', field)
        assert not re.search(r"\son\w+=|readonly", field)


def test_the_tests_bark(tmp_path: Path) -> None:
    """Each rule finds what it is for."""
    bad = ast.parse("import pickle\neval('1')\nrun('x', shell=True)\nssl.CERT_NONE\nhashlib.md5()\nimport random\n")
    before = list(MODULES)
    MODULES.append(("api/bad.py", bad))
    try:
        for rule in (
            test_nothing_reads_what_could_run, test_no_text_becomes_code_or_a_shells_command,
            test_every_certificate_is_checked, test_no_digest_is_a_weak_one, test_what_can_be_foretold_protects_nothing,
        ):  # fmt: skip
            with pytest.raises(AssertionError):
                rule()
    finally:
        MODULES[:] = before
