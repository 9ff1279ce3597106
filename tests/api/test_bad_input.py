"""What is wrong with a request is said once, clearly, with the right status, where it is, and nothing is half done."""

import socket
from typing import Any

import pytest

from domain.quantities import DAY_MS, MICRO
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import H100, spec
from tests.support.marks import the_one_on_sqlite
from tests.support.serving import Answer, Api

MIB = 2**20
GOOD = {"project": "speech", "command": ["run", "1m"], "resources": {"flavor": H100, "gpus": 1, "walltime": "1h"}}


def job(**changes: Any) -> dict[str, Any]:
    """The good job file with changes; those of ``resources`` are merged."""
    resources = {**GOOD["resources"], **changes.pop("resources", {})}
    return {key: value for key, value in {**GOOD, "resources": resources, **changes}.items() if value is not None}


def is_problem(answer: Answer) -> None:
    """RFC 9457, as docs/api.md words it."""
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json
    assert {"type", "title", "status", "detail", "errors", "fixes"} <= told.keys()
    assert told["type"].startswith("/problems/")
    assert told["status"] == answer.status
    assert told["title"]
    assert told["detail"]
    assert told["errors"], "something is said of what is wrong"
    for error in told["errors"]:
        assert error["message"]
        assert error.keys() <= {"field", "message", "fix"}
    assert told["fixes"] == [error["fix"] for error in told["errors"] if "fix" in error]


# What is asked; the status and code; the field; words of the message.
JOBS = {
    "unknown project": (job(project="nope"), 422, "unknown-project", "project", "there is no project 'nope'"),
    "a tenant as project": (job(project="cadt"), 422, "unknown-project", "project", "there is no project 'cadt'"),
    "unknown flavor": (job(resources={"flavor": "h200"}), 422, "invalid", "resources.flavor", "there is no flavor 'h200'"),
    "no GPUs of a GPU flavor": (job(resources={"gpus": 0}), 422, "invalid", "resources.gpus", "asks 0 GPUs"),
    "negative GPUs": (job(resources={"gpus": -1}), 422, "invalid", "resources.gpus", "is out of bounds"),
    "half a GPU": (job(resources={"gpus": 0.5}), 422, "invalid", "resources.gpus", "must be a whole number"),
    "GPUs as text": (job(resources={"gpus": "1"}), 422, "invalid", "resources.gpus", "must be a whole number"),
    "a million million million GPUs": (job(resources={"gpus": 10**18}), 422, "invalid", "resources.gpus", "is out of bounds"),
    "as a float": (job(resources={"gpus": 1e18}), 422, "invalid", "resources.gpus", "must be a whole number"),
    "not a number of GPUs": (job(resources={"gpus": float("nan")}), 422, "invalid", "resources.gpus", "must be a whole number"),
    "endless GPUs": (job(resources={"gpus": float("inf")}), 422, "invalid", "resources.gpus", "must be a whole number"),
    "true GPUs": (job(resources={"gpus": True}), 422, "invalid", "resources.gpus", "must be a whole number"),
    "more GPUs than a node has": (job(resources={"gpus": 5}), 409, "never-fits", "resources", "no cluster could hold"),
    "no nodes": (job(resources={"nodes": 0}), 422, "invalid", "resources.nodes", "is out of bounds"),
    "GPUs of the flavor cpu": (job(resources={"flavor": "cpu"}), 422, "invalid", "resources.flavor", "names none of a flavor"),
    "cpu or GPUs": (job(resources={"flavor": ["cpu", H100]}), 422, "invalid", "resources.flavor", "cpu cannot be an alternative"),
    "a walltime that is none": (job(resources={"walltime": "abc"}), 422, "invalid", "resources.walltime", "'abc' is no duration"),
    "no walltime": (job(resources={"walltime": "0s"}), 422, "invalid", "resources.walltime", "'0s' is out of bounds"),
    "ten years": (job(resources={"walltime": "3650d"}), 422, "invalid", "resources.walltime", "'3650d' is out of bounds"),
    "a walltime as a number": (job(resources={"walltime": 60}), 422, "invalid", "resources.walltime", "must be a text"),
    "a memory that is none": (job(resources={"memory": "lots"}), 422, "invalid", "resources.memory", "'lots' is no size"),
    "no memory": (job(resources={"memory": "0"}), 422, "invalid", "resources.memory", "'0' is out of bounds"),
    "an array of a thousand million": (job(array="1-1000000000"), 422, "invalid", "array", "has too many tasks"),
    "an array that is none": (job(array="a-b"), 422, "invalid", "array", "'a-b' is no array"),
    "an array backwards": (job(array="9-0"), 422, "invalid", "array", "has no tasks"),
    "an array with an endless index": (job(array="99999999999"), 422, "invalid", "array", "index that is too large"),
    "no task at a time": (job(array="0-9%0"), 422, "invalid", "array", "has no tasks"),
    "a variable with an equals sign": (job(env={"A=B": "1"}), 422, "invalid", "env", "'A=B' is no name"),
    "a variable with a NUL": (job(env={"A\0": "1"}), 422, "invalid", "env", "is no name"),
    "a value with a NUL": (job(env={"A": "1\0"}), 422, "invalid", "env.A", "holds a NUL"),
    "a variable of the centre": (job(env={"BARAY_JOB": "1"}), 422, "invalid", "env", "is set by the centre"),
    "an empty variable": (job(env={"": "1"}), 422, "invalid", "env", "is no name"),
    "after nothing known": (job(after=["later:1"]), 422, "invalid", "after.0", "'later:1' is nothing that a job can wait for"),
    "after a number": (job(after=[7]), 422, "invalid", "after.0", "must be a text"),
    "after too many": (job(after=[f"ok:{n}" for n in range(1, 66)]), 422, "invalid", "after", "is out of bounds"),
    "after a job that is not there": (job(after="ok:999999"), 422, "invalid", "after.0", "there is no job 999999"),
    "after one of no batch": (job(after=["any:@0"]), 422, "invalid", "after.0", "stands before this one"),
    "a priority out of bounds": (job(priority=101), 422, "invalid", "priority", "is out of bounds"),
    "a priority far below": (job(priority=-(10**30)), 422, "invalid", "priority", "is out of bounds"),
    "half a priority": (job(priority=0.5), 422, "invalid", "priority", "must be a whole number"),
    "a label that is none": (job(constraint={"require": {"a b": "1"}}), 422, "invalid", "constraint.require.a b", "'a b' is no label"),
    "a label's value that is none": (job(constraint={"forbid": {"a": "é"}}), 422, "invalid", "constraint.forbid.a", "'é' is no label"),
    "a label with a number": (job(constraint={"require": {"a": 1}}), 422, "invalid", "constraint.require.a", "must be a text"),
    "many labels": (job(constraint={"require": {f"l{n}": "1" for n in range(17)}}), 422, "invalid", "constraint.require", "is out of bounds"),
    "required and forbidden": (
        job(constraint={"require": {"a": "1"}, "forbid": {"a": "1"}}), 422, "invalid", "constraint.forbid.a",
        "a=1 is required and forbidden",
    ),
    "together with what": (job(constraint={"together": ["rack"]}), 422, "invalid", "constraint.together", "must be a text"),
    "an unknown constraint": (job(constraint={"prefer": {}}), 422, "invalid", "constraint.prefer", "there is no such key"),
    "a class that is none": (job(data={"classification": "secret"}), 422, "invalid", "data.classification", "'secret' is no class of data"),
    "data of a kind": (job(data={"kind": "x"}), 422, "invalid", "data.kind", "there is no such key"),
    "a label that no node has": (job(constraint={"require": {"rack": "r9"}}), 409, "never-fits", "constraint", "no nodes that its constraint"),
    "data that no cluster may hold": (job(data={"residency": "kh"}), 409, "never-fits", "constraint", "no nodes that its constraint"),
    "much environment": (job(env={"A": "x" * 200_000}), 422, "invalid", "env", "bytes in all"),
    "a command of two megabytes": (job(command=["x" * 2 * MIB]), 422, "invalid", "command", "bytes long"),
    "a script of two megabytes": (job(command=None, run="x" * 2 * MIB), 422, "invalid", "run", "bytes long"),
    "a command with a NUL": (job(command=["a\0"]), 422, "invalid", "command", "holds a NUL"),
    "neither run nor command": (job(command=None), 422, "invalid", "run", "exactly one of run and command"),
    "both run and command": (job(run="echo"), 422, "invalid", "run", "exactly one of run and command"),
    "an empty script": (job(command=None, run=" \n"), 422, "invalid", "run", "is empty"),
    "an empty command": (job(command=[]), 422, "invalid", "command", ""),
    "a key that is none": (job(gpu=1), 422, "invalid", "gpu", "there is no such key"),
    "a volume nowhere": (job(volumes={"data": "d"}), 422, "invalid", "volumes.data", "is no path to mount"),
    "a volume at the root": (job(volumes={"/": "d"}), 422, "invalid", "volumes./", "is no path to mount"),
    "a volume by a way round": (job(volumes={"/a/../etc": "d"}), 422, "invalid", "volumes./a/../etc", "is no path to mount"),
    "a volume over the system": (job(volumes={"/proc/x": "d"}), 422, "invalid", "volumes./proc/x", "is not the job's own"),
    "a volume of no name": (job(volumes={"/d": "a b"}), 422, "invalid", "volumes./d", "is no name of a volume"),
    "many volumes": (job(volumes={f"/d{n}": "d" for n in range(17)}), 422, "invalid", "volumes", "is out of bounds"),
    "a volume that nobody has": (job(volumes={"/data": "khmer@v3"}), 409, "no-such-volume", "volumes", "sim: it has no volume 'khmer@v3'"),
    "roles and a command": (job(roles=[{"name": "a", "run": "x"}]), 422, "invalid", "roles", "no run or command of its own"),
    "no roles": (job(command=None, roles=[]), 422, "invalid", "roles", "is empty"),
    "a role that runs nothing": (job(command=None, roles=[{"name": "a"}]), 422, "invalid", "roles.0.run", "give exactly one"),
    "a role of no name": (job(command=None, roles=[{"name": "A b", "run": "x"}]), 422, "invalid", "roles.0.name", "no name of a role"),
    "two roles of one name": (job(command=None, roles=[{"name": "a", "run": "x"}] * 2), 422, "invalid", "roles.1.name", "there are two roles 'a'"),
    "roles of an array": (job(command=None, array="0-3", roles=[{"name": "a", "run": "x"}]), 422, "invalid", "roles", "an array has no roles"),
    "roles that do not add up": (
        job(command=None, roles=[{"name": "a", "nodes": 2, "run": "x"}], resources={"nodes": 3}), 422, "invalid",
        "resources.nodes", "asks 3 nodes, and the roles 2 in all",
    ),
    "a variable of the centre's in a role": (
        job(command=None, roles=[{"name": "a", "run": "x", "env": {"BARAY_X": "1"}}]), 422, "invalid", "roles.0.env", "is set by the centre",
    ),
    "an environment of two megabytes": (job(env={"A": "x" * 2 * MIB}), 422, "invalid", "env", "is 2097153 bytes in all"),
    "much in a role": (
        job(command=None, roles=[{"name": "a", "run": "x" * 300_000}]), 422, "invalid", "roles.0.run", "bytes long",
    ),
    "much in many roles": (
        job(command=None, env={"A": "x" * 100_000}, roles=[{"name": f"r{n}", "run": "x"} for n in range(6)]), 422, "invalid",
        "roles", "bytes in all",
    ),
    "no project": (job(project=None), 422, "invalid", "project", "is missing"),
    "a QoS that is none": (job(qos="vip"), 422, "invalid", "qos", "there is no QoS 'vip'"),
    "a secret that is not there": (job(secrets=["HF_TOKEN"]), 422, "invalid", "secrets", "has no secret 'HF_TOKEN'"),
    "a source that is not there": (job(source="0" * 64), 422, "invalid", "source", "no source with this checksum"),
    "outputs outside": (job(outputs=["../x"]), 422, "invalid", "outputs.0", "stays inside"),
    "a signal that is none": (job(checkpoint={"signal": "KILL"}), 422, "invalid", "checkpoint.signal", "is no signal to stop by"),
    "a grace of a day": (job(checkpoint={"grace": "1d"}), 422, "invalid", "checkpoint.grace", "is too long"),
    "a name of nothing": (job(name=""), 422, "invalid", "name", "is empty"),
    "a name with half a character": (job(name="\ud800"), 422, "invalid", "name", "half a character"),
    "a script with half a character": (job(command=None, run="\udfff"), 422, "invalid", "run", "half a character"),
    "a word with half a character": (job(command=["a", "\ud800"]), 422, "invalid", "command.1", "half a character"),
    "a value with half a character": (job(env={"A": "\ud800"}), 422, "invalid", "env.A", "half a character"),
    "a variable with half a character": (job(env={"\ud800": "1"}), 422, "invalid", "env", "is no name"),
    "a flavor with half a character": (job(resources={"flavor": "\ud800"}), 422, "invalid", "resources.flavor.0", "half a character"),
    "a number as flavor": (job(resources={"flavor": 5}), 422, "invalid", "resources.flavor", "must be a list"),
    "no flavor of a list": (job(resources={"flavor": []}), 422, "invalid", "resources.flavor", "is empty"),
    "a key with half a character": (job(**{"\ud800": 1}), 422, "invalid", None, "valid string"),
    "a name with a NUL": (job(name="a\0b"), 422, "invalid", "name", "NUL"),
    "a list for a body": ([], 422, "invalid", None, ""),
    "a text for a body": ("job", 422, "invalid", None, ""),
}  # fmt: skip


@pytest.mark.parametrize("name", JOBS)
def test_a_bad_job_file(the_api: Api, the_centre: Centre, name: str) -> None:
    body, status, code, field, words = JOBS[name]
    before = the_centre.database.dump()
    answer = the_api.call("POST", "/jobs", body)
    assert (answer.status, answer.code) == (status, code), answer.body[:300]
    is_problem(answer)
    (error,) = answer.json["errors"]
    assert error.get("field") == field
    assert words in error["message"]
    assert the_centre.database.dump() == before, "nothing is half done"


@the_one_on_sqlite
def test_everything_that_is_wrong_is_said_at_once(the_api: Api) -> None:
    """First what cannot be read, all of it; then what does not go together, all of it."""
    answer = the_api.post(
        "/jobs", job(resources={"gpus": 0.5, "walltime": "abc", "memory": "lots"}, array="x", outputs=["/etc"], gpu=1)
    )
    is_problem(answer)
    fields = {error["field"] for error in answer.json["errors"]}
    assert fields == {"resources.gpus", "resources.walltime", "resources.memory", "array", "outputs.0", "gpu"}
    assert answer.json["detail"] == "6 things are wrong with the request"
    answer = the_api.post("/jobs", job(resources={"gpus": 0}, env={"1": "", "A": "\0"}, run="echo"))
    is_problem(answer)
    assert {error["field"] for error in answer.json["errors"]} == {"resources.gpus", "env", "env.A", "run"}


@the_one_on_sqlite
def test_one_bad_job_of_a_batch_refuses_it_whole_and_says_which(the_api: Api, the_centre: Centre) -> None:
    before = the_centre.database.dump()
    answer = the_api.post("/jobs/batch", {"jobs": [GOOD, job(resources={"walltime": "x"}), GOOD]})
    assert answer.status == 422
    is_problem(answer)
    assert [error["field"] for error in answer.json["errors"]] == ["jobs.1.resources.walltime"]
    answer = the_api.post("/jobs/batch", {"jobs": [GOOD, job(project="nope"), job(resources={"gpus": 5})]})
    is_problem(answer)
    assert [error["field"] for error in answer.json["errors"]] == ["jobs.1.project", "jobs.2.resources"]
    assert the_api.post("/jobs/batch", {"jobs": []}).status == 422
    assert the_api.post("/jobs/batch", {"jobs": [GOOD] * 1_001}).status == 422
    assert the_centre.database.dump() == before, "all or nothing"


@the_one_on_sqlite
@pytest.mark.parametrize(
    ("data", "line", "column"),
    [
        (b'{"project": "speech",\n "name": }', 2, 10),
        (b"{", 1, 2),
        (b'{"a": 1}}', 1, 9),
        (b"\x00", 1, 1),
        (b"{\n  'project': 1}", 2, 3),
        ('{"name": "ភាសា",\n}'.encode(), 2, 1),
    ],
)
def test_broken_json_is_told_with_its_place(the_api: Api, data: bytes, line: int, column: int) -> None:
    answer = the_api.post("/jobs", data=data, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, "unreadable"), answer.body
    is_problem(answer)
    assert (answer.json["line"], answer.json["column"]) == (line, column)
    assert f"line {line}, column {column}" in answer.json["detail"]


@the_one_on_sqlite
@pytest.mark.parametrize("data", [b'{"project": "\xff"}', b"[" * 100_000, b'{"a":' * 50_000])
def test_what_is_no_text_or_has_no_end_is_told_too(the_api: Api, data: bytes) -> None:
    answer = the_api.post("/jobs", data=data, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (400, "unreadable"), answer.body
    is_problem(answer)
    assert the_api.get("//healthz").status == 200


@the_one_on_sqlite
@pytest.mark.parametrize("headers", [{}, {"Content-Type": "text/plain"}, {"Content-Type": "application/xml"}])
@pytest.mark.parametrize("data", [b"", b"<xml/>", b"a=b"])
def test_a_body_of_another_kind_is_told_so(the_api: Api, data: bytes, headers: dict[str, str]) -> None:
    answer = the_api.post("/jobs", data=data, headers=headers)
    assert answer.status in {400, 415, 422}, answer.body
    is_problem(answer)


@the_one_on_sqlite
@pytest.mark.parametrize("announced", [True, False])
def test_a_body_of_fifty_megabytes_is_refused_and_the_answer_arrives(the_api: Api, announced: bool) -> None:
    """Announced by its length or sent in chunks."""
    data = b'{"project": "' + b"x" * 50 * MIB + b'"}'
    body = data if announced else (data[begin : begin + MIB] for begin in range(0, len(data), MIB))
    answer = the_api.post("/jobs", data=body, headers={"Content-Type": "application/json"})
    assert (answer.status, answer.code) == (413, "too-large")
    is_problem(answer)
    assert the_api.get("//healthz").status == 200


@the_one_on_sqlite
def test_a_source_that_is_no_archive_is_refused(the_api: Api) -> None:
    answer = the_api.post("/sources", data=b"PK not a tar")
    assert answer.status == 422
    is_problem(answer)


@the_one_on_sqlite
def test_a_request_that_is_no_http_does_not_hurt(the_api: Api) -> None:
    host, port = the_api.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"\x16\x03\x01 not http at all\r\n\r\n")
        connection.recv(1_000)
    assert the_api.get("//healthz").status == 200


SPAN = {"starts_ms": NEW_YEAR_MS, "ends_ms": NEW_YEAR_MS + DAY_MS}
TENANT = {"name": "new", "title": "New", "kind": "university"}
HUGE = 10**30
WHY = {"reason": "a test"}

# Other routes: method, path, body; status and field.
OTHERS = {
    "a name with a space": ("POST", "/tenants", {**TENANT, "name": "a b"}, 422, "name"),
    "a name in capitals": ("POST", "/tenants", {**TENANT, "name": "A"}, 422, "name"),
    "a name that is taken": ("POST", "/tenants", {**TENANT, "name": "cadt"}, 409, "name"),
    "a title with a NUL": ("POST", "/tenants", {**TENANT, "title": "a\0b"}, 422, "title"),
    "a kind that is none": ("POST", "/tenants", {**TENANT, "kind": "club"}, 422, "kind"),
    "no weight": ("POST", "/tenants", {**TENANT, "weight": 0}, 422, "weight"),
    "a project of no tenant": ("POST", "/projects", {"name": "x", "tenant": "no", "title": "X"}, 422, "tenant"),
    "a project of a project": ("POST", "/projects", {"name": "x", "tenant": "speech", "title": "X"}, 422, "tenant"),
    "a lead who is nobody": ("POST", "/projects", {"name": "x", "tenant": "cadt", "title": "X", "lead": "no"}, 422, "lead"),
    "a state that is none": ("PATCH", "/projects/speech", {"state": "asleep"}, 422, "state"),
    "a role that is none": ("POST", "/users/dara/roles", {"account": "speech", "role": "king"}, 422, "role"),
    "a role on nothing": ("POST", "/users/dara/roles", {"account": "nope", "role": "lead"}, 422, "account"),
    "a member as administrator": ("POST", "/projects/speech/members", {"user": "dara", "role": "centre-admin"}, 422, "role"),
    "a member who is nobody": ("POST", "/projects/speech/members", {"user": "no", "role": "lead"}, 422, "user"),
    "a quota of a flavor that is none": ("PUT", "/quotas/speech/h200", {"guaranteed": 1}, 404, "flavor"),
    "too much guaranteed": ("PUT", f"/quotas/speech/{H100}", {"guaranteed": 9}, 409, "guaranteed"),
    "a quota in total that guarantees": ("PUT", "/quotas/speech/total", {"guaranteed": 1, "borrow_limit": 1}, 422, "guaranteed"),
    "a quota in total without a cap": ("PUT", "/quotas/speech/total", {}, 422, "borrow_limit"),
    "a negative pace": ("PUT", "/limits/speech", {"submissions_per_minute": -1}, 422, "submissions_per_minute"),
    "an account above itself": ("POST", "/accounts/cadt/move", {"under": "speech"}, 409, "under"),
    "a tenant under a tenant": ("POST", "/accounts/itc/move", {"under": "cadt"}, 409, "under"),
    "a project to nowhere": ("POST", "/accounts/speech/move", {"under": "centre"}, 409, "under"),
    "the centre moved": ("POST", "/accounts/centre/move", {"under": "cadt"}, 409, "under"),
    "a move under an account that is none": ("POST", "/accounts/speech/move", {"under": "x"}, 422, "under"),
    "a move of an account that is none": ("POST", "/accounts/x/move", {"under": "cadt"}, 404, "account"),
    "a group under an account that is none": ("POST", "/accounts", {"name": "g", "under": "x", "title": "G"}, 422, "under"),
    "a closure in use": ("PATCH", "/accounts/speech", {"state": "closed"}, 409, "state"),
    "a gate that is none": ("POST", "/gates", {"gate": "x", "account": "cadt", "reason": "y"}, 422, "gate"),
    "a gate without a reason": ("POST", "/gates", {"gate": "terms-accepted", "account": "cadt", "reason": ""}, 422, "reason"),
    "a gate of an account that is none": ("POST", "/gates", {"gate": "terms-accepted", "account": "x", "reason": "y"}, 404, "account"),
    "a gate rule that is none": ("DELETE", "/gates/99", None, 404, "gate"),
    "terms without a text": ("POST", "/terms", {"version": "v1", "title": "T"}, 422, "text"),
    "terms that are none": ("POST", "/terms/acceptance", {"version": "v9"}, 404, "version"),
    "a negative quota": ("PUT", f"/quotas/speech/{H100}", {"guaranteed": -1}, 422, "guaranteed"),
    "a limit that is none": ("PUT", "/limits/speech", {"walltime": "soon"}, 422, "walltime"),
    "an endless limit": ("PUT", "/limits/speech", {"running_jobs": HUGE}, 422, "running_jobs"),
    "a token that is over": ("POST", "/users/dara/tokens", {"name": "x", "expires_ms": 1}, 422, "expires_ms"),
    "a rate in the past": ("POST", f"/flavors/{H100}/rates", {"from_ms": 1, "su_per_hour": "1"}, 422, "from_ms"),
    "a negative rate": ("POST", f"/flavors/{H100}/rates", {"from_ms": 2**52, "su_per_hour": "-1"}, 422, "su_per_hour"),
    "a rate of a thousand million": ("POST", f"/flavors/{H100}/rates", {"from_ms": 2**52, "su_per_hour": "1000000000"}, 422, "su_per_hour"),
    "a flavor of nothing": ("POST", "/flavors", {"name": "x", "title": "X", "milli": 0}, 422, "milli"),
    "a grant of nothing": ("POST", "/grants", {"name": "x", "funder": "moeys", "su": "0", **SPAN}, 422, "su"),
    "a grant of too much": ("POST", "/grants", {"name": "x", "funder": "moeys", "su": "9" * 15, **SPAN}, 422, "su"),
    "a grant in SU and money": ("POST", "/grants", {"name": "x", "funder": "moeys", "su": "1", "amount": "1", "currency": "USD", **SPAN}, 422, "su"),
    "a grant without an amount": ("POST", "/grants", {"name": "x", "funder": "moeys", **SPAN}, 422, "su"),
    "a grant in no currency": ("POST", "/grants", {"name": "x", "funder": "moeys", "amount": "1", "currency": "usd", **SPAN}, 422, "currency"),
    "a grant of a float": ("POST", "/grants", {"name": "x", "funder": "moeys", "amount": 1.5, "currency": "USD", **SPAN}, 422, "amount"),
    "a grant of too much money": ("POST", "/grants", {"name": "x", "funder": "moeys", "amount": "9" * 13, "currency": "USD", **SPAN}, 422, "amount"),
    "a negative grant": ("POST", "/grants", {"name": "x", "funder": "moeys", "amount": "-1", "currency": "USD", **SPAN}, 422, "amount"),
    "a grant for no flavor": ("POST", "/grants", {"name": "x", "funder": "moeys", "su": "1", "conditions": {"flavors": ["b200"]}, **SPAN}, 422, "conditions.flavors"),
    "a grant for no sector": ("POST", "/grants", {"name": "x", "funder": "moeys", "su": "1", "conditions": {"sectors": ["fish"]}, **SPAN}, 422, "conditions.sectors"),
    "a grant for no class": ("POST", "/grants", {"name": "x", "funder": "moeys", "su": "1", "conditions": {"classification": "top"}, **SPAN}, 422, "conditions.classification"),
    "a price of nothing": ("POST", "/prices", {"currency": "USD", "amount": "0", "reason": "x"}, 422, "amount"),
    "a price of a float": ("POST", "/prices", {"currency": "USD", "amount": 2.5, "reason": "x"}, 422, "amount"),
    "a price without a reason": ("POST", "/prices", {"currency": "USD", "amount": "2"}, 422, "reason"),
    "a price for nobody": ("POST", "/prices", {"currency": "USD", "amount": "2", "tenant_kind": "bank", "reason": "x"}, 422, "tenant_kind"),
    "half a rule": ("POST", "/reclaim-rules", {"after_percent": 50, "reason": "x"}, 422, "after_percent"),
    "a rule of too much": ("POST", "/reclaim-rules", {"after_percent": 101, "reason": "x"}, 422, "after_percent"),
    "a grant of nobody": ("POST", "/grants", {"name": "x", "funder": "no", "su": "1", **SPAN}, 422, "funder"),
    "a grant backwards": ("POST", "/grants", {"name": "x", "funder": "moeys", "su": "1", "starts_ms": 2, "ends_ms": 1}, 422, "ends_ms"),
    "a number of SU": ("POST", "/grants", {"name": "x", "funder": "moeys", "su": 1.5, **SPAN}, 422, "su"),
    "an allocation of no grant": ("POST", "/allocations", {"project": "speech", **WHY, "sources": [{"grant": "no", "su": "1"}], **SPAN}, 422, "sources.0.grant"),
    "an allocation of more than there is": ("POST", "/allocations", {"project": "speech", **WHY, "sources": [{"grant": "wb-77", "su": "99999"}], **SPAN}, 409, "sources.0.su"),
    "an allocation out of its grant's time": ("POST", "/allocations", {"project": "speech", **WHY, "sources": [{"grant": "wb-77", "su": "1"}], "starts_ms": 1, "ends_ms": SPAN["ends_ms"]}, 422, "sources.0.grant"),
    "an allocation that names a grant twice": ("POST", "/allocations", {"project": "speech", **WHY, "sources": [{"grant": "wb-77", "su": "1"}] * 2, **SPAN}, 422, "sources"),
    "an allocation for no reason": ("POST", "/allocations", {"project": "speech", "sources": [{"grant": "wb-77", "su": "1"}], **SPAN}, 422, "reason"),
    "an allocation for a blank reason": ("POST", "/allocations", {"project": "speech", "sources": [{"grant": "wb-77", "su": "1"}], **SPAN, "reason": " "}, 422, "reason"),
    "an allocation that is over": ("POST", "/allocations", {**WHY, "project": "speech", "sources": [{"grant": "wb-77", "su": "1"}], "starts_ms": 1, "ends_ms": 2}, 422, "ends_ms"),
    "an allocation backwards": ("POST", "/allocations", {**WHY, "project": "speech", "sources": [{"grant": "wb-77", "su": "1"}], "starts_ms": SPAN["ends_ms"], "ends_ms": SPAN["starts_ms"]}, 422, "ends_ms"),
    "an allocation of half a number": ("POST", "/allocations", {**WHY, "project": "speech", "sources": [{"grant": "wb-77", "su": 1.5}], **SPAN}, 422, "sources.0.su"),
    "an allocation beyond JSON's numbers": ("POST", "/allocations", {**WHY, "project": "speech", "sources": [{"grant": "wb-77", "su": 2**53 + 1}], **SPAN}, 422, "sources.0.su"),
    "an allocation beyond all SU": ("POST", "/allocations", {**WHY, "project": "speech", "sources": [{"grant": "wb-77", "su": "999999999999999"}], **SPAN}, 422, "sources"),
    "an allocation of less than nothing": ("POST", "/allocations", {**WHY, "project": "speech", "sources": [{"grant": "wb-77", "su": "-1"}], **SPAN}, 422, "sources.0.su"),
    "shares that do not sum to one": ("POST", "/allocations", {**WHY, "project": "speech", "su": "10", "sources": [{"grant": "wb-77", "share": "0.6"}, {"grant": "moeys-2026", "share": "0.3"}], **SPAN}, 422, "sources"),
    "a share as a number": ("POST", "/allocations", {**WHY, "project": "speech", "su": "10", "sources": [{"grant": "wb-77", "share": 0.6}], **SPAN}, 422, "sources.0.share"),
    "a share that is none": ("POST", "/allocations", {**WHY, "project": "speech", "su": "10", "sources": [{"grant": "wb-77", "share": "60%"}], **SPAN}, 422, "sources.0.share"),
    "dated shares that do not sum to one": ("POST", "/allocations", {**WHY, "project": "speech", "sources": [{"grant": "wb-77", "su": "1"}], "shares": [{"from_ms": SPAN["starts_ms"], "shares": {"wb-77": "0.5"}}], **SPAN}, 422, "shares.0.shares"),
    "instalments that do not sum": ("POST", "/allocations", {**WHY, "project": "speech", "sources": [{"grant": "wb-77", "su": "3"}], "instalments": [{"su": "1"}, {"su": "1", "on_report": True}], **SPAN}, 422, "instalments"),
    "an instalment that is due never": ("POST", "/allocations", {**WHY, "project": "speech", "sources": [{"grant": "wb-77", "su": "2"}], "instalments": [{"su": "1"}, {"su": "1"}], **SPAN}, 422, "instalments.1.due_ms"),
    "a request of nothing": ("POST", "/allocation-requests", {"project": "speech", "su": "0", "purpose": "x", **SPAN}, 422, "su"),
    "a request for no project": ("POST", "/allocation-requests", {"project": "nope", "su": "1", "purpose": "x", **SPAN}, 404, "project"),
    "a request for no purpose": ("POST", "/allocation-requests", {"project": "speech", "su": "1", "purpose": "", **SPAN}, 422, "purpose"),
    "an approval of what nobody asked for": ("POST", "/allocations/1/approve", {**WHY, "sources": [{"grant": "wb-77", "su": "1"}]}, 409, "allocation"),
    "a top-up of nothing": ("POST", "/allocations/1/top-up", {**WHY, "su": "0"}, 422, "su"),
    "a top-up of neither": ("POST", "/allocations/1/top-up", WHY, 422, "su"),
    "a top-up of more than there is": ("POST", "/allocations/1/top-up", {**WHY, "sources": [{"grant": "wb-77", "su": "99999"}]}, 409, "sources.0.su"),
    "an extension backwards": ("POST", "/allocations/1/extend", {**WHY, "ends_ms": 1}, 422, "ends_ms"),
    "an extension beyond its grants": ("POST", "/allocations/1/extend", {**WHY, "ends_ms": 2**52}, 422, "ends_ms"),
    "a transfer of more than is available": ("POST", "/allocations/1/transfer", {**WHY, "su": "99999", "to": 2}, 409, "su"),
    "a transfer to nothing": ("POST", "/allocations/1/transfer", {**WHY, "su": "1", "to": 999}, 422, "to"),
    "a transfer to an endless number": ("POST", "/allocations/1/transfer", {**WHY, "su": "1", "to": HUGE}, 422, "to"),
    "a split for no project": ("POST", "/allocations/1/split", {**WHY, "su": "1", "project": "nope"}, 422, "project"),
    "an instalment that is none": ("POST", "/allocations/1/release", {**WHY, "instalment": 2}, 422, "instalment"),
    "a change of nothing": ("POST", "/allocations/999/close", WHY, 404, "allocation"),
    "a change that is none": ("POST", "/allocation-changes/999/approve", WHY, 404, "change"),
    "a state of a change that is none": ("GET", "/allocation-changes?state=lost", None, 422, "state"),
    "a state of an allocation that is none": ("GET", "/allocations?state=lost", None, 422, "state"),
    "a secret with a NUL": ("PUT", "/projects/speech/secrets/A", {"value": "a\0"}, 422, "value"),
    "a secret with half a character": ("PUT", "/projects/speech/secrets/A", {"value": "\ud800"}, 422, "value"),
    "a role with half a character": ("POST", "/users/dara/roles", {"account": "speech", "role": "\ud800"}, 422, "role"),
    "a secret of nothing": ("PUT", "/projects/speech/secrets/A", {"value": ""}, 422, "value"),
    "a secret with a bad name": ("PUT", "/projects/speech/secrets/A-B", {"value": "a"}, 422, "name"),
    "a job that is none": ("GET", "/jobs/abc", None, 422, "job"),
    "a job with an endless number": ("GET", f"/jobs/{HUGE}", None, 422, "job"),
    "a job that is not there": ("GET", "/jobs/99999", None, 404, "job"),
    "a grant with an endless number": ("GET", f"/grants/{HUGE}", None, 422, "grant_id"),
    "an allocation with an endless number": ("GET", f"/allocations/{HUGE}", None, 422, "allocation_id"),
    "a token with an endless number": ("DELETE", f"/tokens/{HUGE}", None, 422, "token_id"),
    "a token below nothing": ("DELETE", "/tokens/-1", None, 422, "token_id"),
    "a state to filter by that is none": ("GET", "/jobs?state=asleep", None, 422, "state"),
    "a name to filter by with a NUL": ("GET", "/jobs?name=a%00b", None, 422, None),
    "a user to filter by with a NUL": ("GET", "/jobs?user=%00", None, 422, None),
    "a project with a NUL": ("GET", "/projects/a%00b", None, 422, None),
    "a user with a NUL": ("GET", "/users/a%00b", None, 422, None),
    "a cursor that is none": ("GET", "/jobs?cursor=abc", None, 422, "cursor"),
    "an endless cursor": ("GET", f"/jobs?cursor={HUGE}", None, 422, "cursor"),
    "a page of nothing": ("GET", "/jobs?limit=0", None, 422, "limit"),
    "an endless page": ("GET", "/users?limit=100000", None, 422, "limit"),
    "a report by nothing": ("GET", "/usage?by=colour", None, 422, "by"),
    "a report of an endless time": ("GET", f"/usage?from_ms={HUGE}", None, 422, "from_ms"),
    "a route that is none": ("GET", "/nothing", None, 404, None),
    "a method that is none": ("DELETE", "/jobs", None, 405, None),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_bad_request(the_api: Api, the_centre: Centre, name: str) -> None:
    method, path, body, status, field = OTHERS[name]
    before = the_centre.database.dump()
    answer = the_api.call(method, path, body)
    assert answer.status == status, answer.body[:300]
    is_problem(answer)
    assert [error.get("field") for error in answer.json["errors"]] == [field]
    assert the_centre.database.dump() == before, "nothing is half done"


@the_one_on_sqlite
@pytest.mark.parametrize("header", ["Last-Event-ID", "If-Match", "Idempotency-Key", "Authorization", "Range"])
@pytest.mark.parametrize("value", ["\xb2", "\xff\xfe", "-1", "9" * 50, '"', "W/", "x" * 5_000])
def test_odd_headers_are_never_a_bug(the_api: Api, the_centre: Centre, header: str, value: str) -> None:
    if not the_centre.database.rows("SELECT id FROM job WHERE name = 'over'"):
        the_centre.submit(spec(command="run 1m", name="over"))
        the_centre.run()
    (over,) = the_centre.database.rows("SELECT id FROM job WHERE name = 'over'")
    for method, path, body in (
        ("GET", f"/jobs/{over.id}/logs/stream", None),
        ("PATCH", "/projects/speech", {"title": "New"}),
        ("POST", "/jobs", GOOD),
    ):
        answer = the_api.call(method, path, body, headers={header: value})
        assert answer.status < 500, (method, path, answer.body)
        if answer.status >= 400:
            is_problem(answer)


@pytest.mark.parametrize("state", ["cancelled", "succeeded"])
def test_a_job_that_is_over_cannot_be_cancelled_again(the_api: Api, the_centre: Centre, state: str) -> None:
    number = the_centre.submit().id
    if state == "cancelled":
        assert the_api.post(f"/jobs/{number}/cancel").json["state"] == "cancelled"
    else:
        the_centre.run()
    before = the_centre.database.dump()
    answer = the_api.post(f"/jobs/{number}/cancel")
    assert (answer.status, answer.code) == (409, "already-over")
    assert answer.json["detail"] == f"job {number} is {state} already"
    is_problem(answer)
    assert the_centre.database.dump() == before


@the_one_on_sqlite
def test_a_job_that_alone_exceeds_the_budget_is_refused_with_what_would_pass(the_api: Api) -> None:
    """flood has 1,000 SU: 4 GPUs at 2 SU an hour for 125 hours."""
    answer = the_api.post("/jobs", job(project="flood", resources={"gpus": 4, "walltime": "200h"}))
    assert (answer.status, answer.code) == (409, "budget-exceeded")
    assert answer.json["fixes"] == ["a walltime of 5d5h or less would pass"]
    assert the_api.post("/jobs", job(project="flood", resources={"gpus": 4, "walltime": "5d5h"})).status == 201


@the_one_on_sqlite
def test_a_hold_beyond_all_numbers_is_refused_and_not_a_bug(the_api: Api, the_centre: Centre) -> None:
    """Cores at the highest rate there is: more micro-SU than a database's integer holds."""
    with the_centre.store.write() as uow:
        uow.fleet.add_rate("cpu", NEW_YEAR_MS - 1, 10**6 * MICRO)
    answer = the_api.post(
        "/jobs", job(resources={"flavor": "cpu", "gpus": 0, "cpus": 32, "nodes": 2, "walltime": "31d"})
    )
    assert (answer.status, answer.code) == (409, "budget-exceeded")


@the_one_on_sqlite
def test_the_good_job_is_good(the_api: Api) -> None:
    """The one that all bad ones differ from by one thing."""
    assert the_api.post("/jobs", GOOD).status == 201


@the_one_on_sqlite
def test_an_amount_is_a_text_and_its_message_says_what_to_do(the_api: Api) -> None:
    grant = {"name": "x", "funder": "moeys", **SPAN}
    for amount, message, fix in (
        (5.5, "must be a text", "put it in quotes"),
        (2**53 + 1, "must be a text", "put it in quotes"),
        (str(2**53 + 1), "'9007199254740993' is no amount of SU", "at most 15 digits"),
        ("-5", "'-5' is no amount of SU", "not below 0"),
    ):
        (told,) = the_api.call("POST", "/grants", {**grant, "su": amount}).json["errors"]
        assert (told["field"], told["message"], fix in told["fix"]) == ("su", message, True)
    told = the_api.call("POST", "/allocation-requests", {"project": "speech", "su": "1", "purpose": "", **SPAN}).json
    assert told["errors"] == [{"field": "purpose", "message": "is empty", "fix": "fill it in"}]
    correction = {"attempt": "1.1", "su": "1.5x", "reason": "x"}
    (told,) = the_api.call("POST", "/adjustments", correction).json["errors"]
    assert (told["field"], told["message"]) == ("su", "'1.5x' is no amount of SU")
