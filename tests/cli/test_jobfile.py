"""Job files: read strictly, with the place of everything."""

from pathlib import Path

import pytest

from cli import jobfile
from cli.failures import FaultyInputError
from client import FieldError

HERE = Path()


def faults(text: str, name: str = "job.yaml") -> list[str]:
    with pytest.raises(FaultyInputError) as caught:
        jobfile.read(name, text, HERE)
    return [str(fault) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("a: 1\n  b: 2\n", "job.yaml:2:4", "mapping values are not allowed here (check the indentation"),
        ("a: [1,\n", "job.yaml:2:1", "while parsing a flow node"),
        ("a: 'x\n", "job.yaml:2:1", "while scanning a quoted scalar"),
        ("a: *x\n", "job.yaml:1:4", "undefined alias"),
        ("a:\n\tb: 1\n", "job.yaml:2:1", "with spaces, not with tabs"),
        ("a: 1\n---\nb: 2\n", "job.yaml:2:1", "one a file"),
        ("a: 1\nb: \x00\n", "job.yaml:2:4", "a character that may not stand in it"),
        ("", "job.yaml:1:1", "the file is empty"),
        ("# only a comment\n", "job.yaml:1:1", "the file is empty"),
        ("- a\n", "job.yaml:1:1", "'key: value' lines"),
        ("hello\n", "job.yaml:1:1", "'key: value' lines"),
        ("a: !!python/object x\n", "job.yaml:1:4", "means nothing here"),
        ("a: !run x\n", "job.yaml:1:4", "the tag !run means nothing here"),
        ("a: 1\nb: &x {c: *x}\n", "job.yaml:2:4", "refers to itself"),
        ("a: &x\n  - b: [*x]\n", "job.yaml:1:4", "refers to itself"),
        ("a: " + "[" * 2_000 + "]" * 2_000, "job.yaml", "nests too deeply"),
        ("a: .inf\n", "job.yaml:1:4", "no number"),
        ("[a]: 1\n", "job.yaml:1:1", "plain word"),
        ("name: a\nrun: x\nname: b\n", "job.yaml:3:1", "'name' is here a second time; the first is at job.yaml:1:1"),
    ],
)
def test_what_cannot_be_read_is_shown_where_it_is(text: str, where: str, words: str) -> None:
    (fault,) = faults(text)
    assert fault.startswith(f"{where}: ")
    assert words in fault


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{\n  "a": 1,\n}', "job.json:3:1"),
        ('{"a" 1}', "job.json:1:6"),
        ('{"a": 1', "job.json:1:8"),
        ("{'a': 1}", "job.json:1:2"),
    ],
)
def test_broken_json(text: str, where: str) -> None:
    (fault,) = faults(text, "job.json")
    assert fault.startswith(f"{where}: broken JSON: ")


def test_all_faults_at_once() -> None:
    found = faults("a: !x 1\na: 2\nb: .nan\n")
    assert [fault.split(": ")[0] for fault in found] == ["job.yaml:1:4", "job.yaml:2:1", "job.yaml:3:4"]


def test_yaml_is_of_version_1_2() -> None:
    text = "on: no\ntime: 1:30\ndate: 2026-01-01\nrate: 1e-3\nn: 0o17\nnothing: null\nyes: true\n"
    assert jobfile.read("job.yaml", text, HERE).spec == {
        "on": "no", "time": "1:30", "date": "2026-01-01", "rate": 0.001, "n": 15, "nothing": None, "yes": True,
    }  # fmt: skip


def test_a_variable_stays_as_it_was_written() -> None:
    text = "env: {LR: 3e-4, FLAG: true, N: 007, EMPTY: '', T: 2026-01-01}\n"
    assert jobfile.read("job.yaml", text, HERE).spec["env"] == {
        "LR": "3e-4", "FLAG": "true", "N": "007", "EMPTY": "", "T": "2026-01-01",
    }  # fmt: skip
    assert jobfile.read("job.json", '{"env": {"N": 7, "X": "y"}}', HERE).spec["env"] == {"N": "7", "X": "y"}


def test_labels_stay_as_they_were_written() -> None:
    text = "constraint: {require: {nvlink: true, rack: 07}, forbid: {spot: null}}\nafter: [ok:1842, any:3_4, singleton]"
    assert jobfile.read("j.yaml", text, Path()).spec == {
        "constraint": {"require": {"nvlink": "true", "rack": "07"}, "forbid": {"spot": None}},
        "after": ["ok:1842", "any:3_4", "singleton"],
    }
    data = '{"constraint": {"require": {"nvlink": true, "rack": 7}}, "data": 3}'
    assert jobfile.read("j.json", data, Path()).spec == {
        "constraint": {"require": {"nvlink": "true", "rack": "7"}}, "data": 3,
    }  # fmt: skip


def test_roles_and_volumes_are_read_as_they_were_written() -> None:
    text = (
        "roles:\n- {name: learner, nodes: 2, env: {LR: 3e-4}}\n- {name: actor}\nvolumes: {/data: 7, /scratch: scratch}"
    )
    assert jobfile.read("j.yaml", text, Path()).spec == {
        "roles": [{"name": "learner", "nodes": 2, "env": {"LR": "3e-4"}}, {"name": "actor"}],
        "volumes": {"/data": "7", "/scratch": "scratch"},
    }
    data = '{"roles": [{"name": "a", "nodes": 2, "env": {"N": 7}}, 3]}'
    assert jobfile.read("j.json", data, Path()).spec == {"roles": [{"name": "a", "nodes": 2, "env": {"N": "7"}}, 3]}


def test_json_with_tabs_and_emoji() -> None:
    draft = jobfile.read("job.json", '{\n\t"name": "\\ud83d\\ude00",\n\t"resources": {"gpus": 1}\n}', HERE)
    assert draft.spec["name"] == "\N{GRINNING FACE}"
    assert draft.where("resources.gpus") == "job.json:3:16"


def test_a_file_that_repeats_itself_without_end() -> None:
    text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    for before, name in zip("abcdef", "bcdefg", strict=True):
        text += f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n"
    assert "repeats itself" in faults(text)[0]


FILE = """\
project: speech
resources:
  gpus: 4
  flavor: [h100-80gb, a100-80gb]
  walltme: 8h
env: {LR: "3e-4"}
outputs:
  - results/**
  - ../escape
"""


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("project", "1:1"),
        ("resources", "2:1"),
        ("resources.gpus", "3:3"),
        ("resources.flavor", "4:3"),
        ("resources.flavor.1", "4:23"),
        ("resources.flavor[1]", "4:23"),
        ("env.LR", "6:7"),
        ("outputs.1", "9:5"),
        ("resources.walltime", "2:1"),
        ("name", "1:1"),
        (None, "1:1"),
    ],
)
def test_a_field_is_found_where_it_was_written(path: str | None, where: str) -> None:
    assert jobfile.read("job.yaml", FILE, HERE).where(path) == f"job.yaml:{where}"


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("resources.walltme", "did you mean 'walltime'?"),
        ("comand", "did you mean 'command'?"),
        ("gpus", "did you mean 'resources.gpus'?"),
        ("zzz", None),
        ("roles.0.imge", "did you mean 'image'?"),
        ("env.walltme", None),
        ("resources.walltime", None),
    ],
)
def test_a_key_that_nobody_knows_is_guessed(path: str, hint: str | None) -> None:
    draft = jobfile.read("job.yaml", FILE, HERE)
    assert draft.fault(FieldError("unknown key", path)).fix == hint
    assert draft.fault(FieldError("unknown key", path, "the centre's own")).fix == hint or "the centre's own"


def test_json_that_nests_without_end_is_refused() -> None:
    assert faults('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}", "job.json") == [
        "job.json: nests too deeply to be meant"
    ]
