"""Headers and job files made by chance: whatever comes, a person is told what is wrong, and the centre goes on."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.factories import H100
from tests.support.marks import the_one_on_sqlite
from tests.support.serving import Answer, Api

OFTEN = settings(max_examples=60, suppress_health_check=list(HealthCheck), deadline=None)

# What a header may hold on the wire: Latin-1 without control characters. Anything else never leaves a client.
ANY = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=300)
LIKELY: dict[str, list[str]] = {
    "Authorization": ["Bearer ", "bearer  x", "Basic YTpi", "Pass x", "Bearer bry_" + "x" * 43, "Bearer \xb2"],
    "Idempotency-Key": ["0", "a" * 200, "a" * 201, "\xa0", " "],
    "If-Match": ['"1"', '"1-0123456789abcdef"', "W/", "*", '"9999999999999999999"', '"\xb2"', "-1", '"-"'],
    "If-None-Match": ["*", "W/", '"', ",,,", '"1", W/"2"'],
    "X-Request-Id": ["0123456789abcdef", "-" * 64, "\xff" * 16],
    "Accept": ["*/*", "text/html", "application/json;q=0", ";", "a/b;q=zz"],
    "Content-Type": [
        "application/json",
        "application/json; charset=utf-16",
        "text/plain",
        "",
        "multipart/form-data",
        "\xff",
    ],
    "Content-Encoding": ["gzip", "br", "identity", "\xff"],
    "Range": ["bytes=0-", "bytes=-1", "bytes=9-1"],
    "Last-Event-ID": ["-1", "9" * 30],
    "Cookie": ["baray=x", "__Host-baray=x; baray=y", ";;;=", "baray=\xff"],
    "Origin": ["null", "https://portal.example"],
    "X-CSRF-Token": ["", "\xff"],
    "Baray-On-Behalf-Of": ["sok", "\xff", ""],
    "X-Forwarded-For": ["192.0.2.1", ",", "\xff"],
}
HEADERS = st.dictionaries(st.sampled_from(sorted(LIKELY)), ANY, max_size=4) | st.fixed_dictionaries(
    {}, optional={name: st.sampled_from(values) | ANY for name, values in LIKELY.items()}
)
ASKED = st.sampled_from([
    ("GET", "/whoami", None), ("GET", "/projects/speech", None), ("PATCH", "/projects/speech", {"title": "New"}),
    ("POST", "/jobs", {"project": "speech", "run": "true"}), ("GET", "/jobs?limit=1", None), ("POST", "/sources", None),
    ("DELETE", "/projects/speech/secrets/NONE", None), ("GET", "/nothing", None), ("PUT", "/pods/outputs?path=x", None),
])  # fmt: skip


def said_what_is_wrong(answer: Answer, what: object) -> None:
    assert answer.status < 500, (what, answer.body[:300])
    assert answer.headers["X-Request-Id"]
    if answer.status >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json", what
        told = answer.json
        assert told["status"] == answer.status
        assert told["request_id"] == answer.headers["X-Request-Id"]
        assert told["errors"] or answer.status in {404, 405}
        assert "Traceback" not in str(told)


@the_one_on_sqlite
@given(asked=ASKED, headers=HEADERS)
@OFTEN
def test_whatever_the_headers_are_it_is_no_bug(
    the_api: Api, asked: tuple[str, str, Any], headers: dict[str, str]
) -> None:
    said_what_is_wrong(the_api.call(*asked, headers=headers), (asked, headers))


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30)
    | st.sampled_from([
        "speech", "1h", "0s", "-1h", "1Gi", "9" * 40 + "Gi", H100, "cpu", "0-19%4", "ok:1", "@0", "SIGUSR1", "normal",
        "\x00", "\ud800", "/data", "../..", "scratch", "2026-01-01", "%s", "{}", "9" * 400, 2**63, -(2**70), 1e308,
    ])
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
KEYS = (
    "project", "name", "resources", "run", "command", "array", "qos", "image", "env", "secrets", "source", "outputs",
    "checkpoint", "held", "after", "priority", "constraint", "data", "volumes", "roles", "nonsense",
)  # fmt: skip
INSIDE = {
    "resources": ("gpus", "flavor", "nodes", "cpus", "memory", "walltime"),
    "checkpoint": ("signal", "grace", "restartable"),
    "constraint": ("require", "forbid", "together"),
    "data": ("classification", "residency"),
}


def parts(key: str) -> st.SearchStrategy[Any]:
    inside = INSIDE.get(key)
    if key == "roles":
        role = st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("name", "nodes", "run", "command", "env", "image"), VALUES)
        )
        return VALUES | st.lists(role, max_size=3)
    return VALUES if inside is None else VALUES | st.fixed_dictionaries({}, optional=dict.fromkeys(inside, VALUES))


JOB_FILES = st.fixed_dictionaries(
    {"project": st.just("speech") | LEAVES, "run": st.just("true") | LEAVES},
    optional={key: parts(key) for key in KEYS if key not in {"project", "run"}},
)


@the_one_on_sqlite
@given(body=JOB_FILES, dry_run=st.booleans())
@example(body={"project": "speech", "run": "true", "resources": {"gpus": 1e308}}, dry_run=True)
@OFTEN
def test_whatever_a_job_file_holds_it_is_no_bug(the_api: Api, body: dict[str, Any], dry_run: bool) -> None:
    answer = the_api.post("/jobs", body, query={"dry_run": str(dry_run).lower()})
    said_what_is_wrong(answer, body)


@the_one_on_sqlite
@given(data=st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@example(data=b"[" * 100_000)
@example(data=b'{"a":' * 20_000)
@example(data=b"1" * 5_000)
@example(data=b"\xef\xbb\xbf{}")
@OFTEN
def test_whatever_bytes_come_as_a_job_it_is_no_bug(the_api: Api, data: bytes) -> None:
    answer = the_api.post("/jobs", data=data, headers={"Content-Type": "application/json"})
    assert 400 <= answer.status < 500
    said_what_is_wrong(answer, data)


@pytest.mark.slow
@the_one_on_sqlite
@given(body=JOB_FILES, headers=HEADERS)
@settings(OFTEN, max_examples=3_000)
def test_thousands_of_job_files_and_headers_are_no_bug(
    the_api: Api, body: dict[str, Any], headers: dict[str, str]
) -> None:
    said_what_is_wrong(the_api.post("/jobs", body, headers=headers), (body, headers))
