"""Job files and scripts made by chance: a faulty one is told as such, with its place, and nothing else escapes."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cli import jobfile
from cli.failures import CliError, FaultyInputError

LINES = st.sampled_from([
    "project: speech", "run: |", "  python train.py", "resources:", "  gpus: 4", "  flavor: [a, b]", "- x", "env: {A: 1}",
    "run: 'x", 'name: "\\x', "a: &a", "b: *a", "<<: *a", "? x", "--- ", "...", "!!python/object:os.system x", "%YAML 1.1",
    "\tx: 1", "array: 0-9", "after: [ok:1]", "run: >-", "checkpoint: {signal: SIGUSR1}", "date: 2026-01-01", "n: 0x1F",
    "walltime: 12:30:00", "x: .inf", "x: !!binary aGk=", "x: ~", "project: speech", "{", "}", "[", "]", ":", "#", "\ufeff",
])  # fmt: skip
YAML = st.lists(LINES | st.text(max_size=20), max_size=10).map("\n".join) | st.text(max_size=200)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["project", "run", "env", "x"]), inner, max_size=3),
    max_leaves=8,
).map(json.dumps)  # fmt: skip
OFTEN = settings(max_examples=80, suppress_health_check=list(HealthCheck), deadline=None)


def read(name: str, text: str) -> None:
    try:
        draft = jobfile.read(name, text, Path())
    except FaultyInputError as error:
        faults = error.faults
    else:
        faults = ()
        json.dumps(draft.spec)
    assert all(fault.where.startswith(name) and fault.message for fault in faults)


@given(text=YAML)
@example(text="a: &a [*a]")
@example(text="a: &a [" + "x, " * 100 + "]\n" + "\n".join(f"{n}: [*a, *a, *a, *a]" for n in "bcdefgh"))
@example(text="[" * 1_500)
@example(text="{" * 1_500)
@example(text="x: " + "9" * 5_000)
@example(text="? {a: 1}\n: x")
@OFTEN
def test_whatever_is_in_a_yaml_file_it_is_told(text: str) -> None:
    read("job.yaml", text)


@given(text=JSON | st.text(max_size=100).map("{{{}".format))
@example(text='{"a":' * 1_500)
@example(text='{"a": ' + "9" * 5_000 + "}")
@example(text='{"a": NaN}')
@example(text='{"a": "\\ud800"}')
@OFTEN
def test_whatever_is_in_a_json_file_it_is_told(text: str) -> None:
    read("job.json", text)


@given(data=st.binary(max_size=200))
@OFTEN
def test_bytes_that_are_no_text_are_told(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("job") / "job.yaml"
    file.write_bytes(data)
    try:
        text = jobfile.text_of(str(file))
    except CliError as error:
        said = error.message
    else:
        said = "is not UTF-8 text"
        read("job.yaml", text)
    assert "is not UTF-8 text" in said
