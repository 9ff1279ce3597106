"""Idempotency-Key: a repeat gets the first answer, byte for byte, and does nothing again."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.centre import Centre
from tests.support.factories import H100
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

JOB = {"project": "speech", "command": ["run", "1m"], "resources": {"flavor": H100}}
KEY = {"Idempotency-Key": "a key, as long as it prints: ~"}


def jobs(centre: Centre) -> int:
    return len(centre.database.rows("SELECT id FROM job"))


@pytest.mark.promise(1)
def test_a_repeat_gets_the_same_bytes_and_makes_nothing(api: Api, centre: Centre) -> None:
    first = api.post("/jobs", JOB, headers=KEY)
    centre.run()
    again = api.post("/jobs", JOB, headers=KEY)
    assert first.status == again.status == 201
    assert first.body == again.body, "as it was then, whatever has happened since"
    assert "Idempotent-Replay" not in first.headers
    assert again.headers["Idempotent-Replay"] == "true"
    assert jobs(centre) == 1


@pytest.mark.promise(1)
def test_eight_identical_requests_at_once_make_one_job_and_get_one_answer(api: Api, centre: Centre) -> None:
    line = threading.Barrier(8)

    def post(_: int) -> Answer:
        line.wait()
        return api.post("/jobs", JOB, headers=KEY)

    for round_ in range(3):
        centre.refound()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(post, range(8)))
        assert {answer.status for answer in answers} == {201}, (round_, [answer.body[:200] for answer in answers])
        assert len({answer.body for answer in answers}) == 1
        assert sum("Idempotent-Replay" not in answer.headers for answer in answers) == 1
        assert jobs(centre) == 1


@on_sqlite
def test_the_same_key_with_another_request_is_refused(api: Api, centre: Centre) -> None:
    api.post("/jobs", JOB, headers=KEY)
    for path, body in (
        ("/jobs", {**JOB, "name": "another"}),
        ("/jobs?dry_run=true", JOB),
        ("/jobs/batch", {"jobs": [JOB]}),
        ("/jobs/1/cancel", None),
    ):
        answer = api.post(path, body, headers=KEY)
        assert (answer.status, answer.code) == (422, "idempotency-mismatch"), path
        assert answer.json["errors"][0]["field"] == "Idempotency-Key"
    assert jobs(centre) == 1
    assert centre.job(1).state.value == "pending"


@on_sqlite
def test_what_a_body_means_counts_and_not_how_it_is_written(api: Api, centre: Centre) -> None:
    first = api.post("/jobs", JOB, headers=KEY)
    spelled = b'{ "command":["run","1m"],\n"resources": {"flavor":["h100-80gb"]}, "project":"speech", "qos": "normal" }'
    again = api.post("/jobs", data=spelled, headers={**KEY, "Content-Type": "application/json"})
    assert (again.status, again.body) == (201, first.body)
    assert jobs(centre) == 1


@on_sqlite
def test_a_key_belongs_to_its_user(api: Api, centre: Centre) -> None:
    api.post("/jobs", JOB, headers=KEY)
    other = api.as_(centre.population.tokens["dara"]).post("/jobs", JOB, headers=KEY)
    assert other.status == 201
    assert other.json["id"] == 2


@on_sqlite
def test_a_request_that_was_refused_may_be_repeated_when_it_has_been_mended(api: Api, centre: Centre) -> None:
    assert api.post("/jobs", {**JOB, "project": "nope"}, headers=KEY).status == 422
    assert api.post("/jobs", JOB, headers=KEY).status == 201
    assert jobs(centre) == 1


@on_sqlite
def test_every_post_takes_a_key(api: Api, centre: Centre) -> None:
    """A tenant, an answer without a body, a control of a job: none is done twice."""
    tenant = {"name": "rupp", "title": "RUPP", "kind": "university"}
    for number, (path, body) in enumerate((("/tenants", tenant), ("/jobs", JOB), ("/jobs/1/hold", None))):
        headers = {"Idempotency-Key": f"k{number}"}
        first, again = api.post(path, body, headers=headers), api.post(path, body, headers=headers)
        assert first.status == again.status < 300, path
        assert first.body == again.body
    caller = api.as_(centre.population.tokens["sok"])
    assert caller.post("/logout", headers=KEY).status == 204
    assert caller.post("/logout", headers=KEY).status == 401, "the token is gone, and with it the way to the answer"


@pytest.mark.promise(8)
def test_a_token_does_not_lie_open_among_the_first_answers(api: Api, centre: Centre) -> None:
    first, again = (api.post("/users/dara/tokens", {"name": "laptop"}, headers=KEY) for _ in range(2))
    assert (first.status, first.body) == (again.status, again.body)
    (row,) = centre.database.rows("SELECT body FROM once")
    assert first.json["token"].encode() not in bytes(row[0])
    assert api.as_(first.json["token"]).get("/whoami").json["user"] == "dara"


@pytest.mark.promise(8)
@on_sqlite
def test_what_is_told_once_is_told_to_the_token_that_asked(api: Api) -> None:
    """A narrower token of the same user that knows key and body does not get the text of a wider one."""
    narrow = api.post("/users/admin/tokens", {"name": "narrow", "scopes": ["read", "user.write"]}).json["token"]
    assert api.post("/users/admin/tokens", {"name": "wide"}, headers=KEY).status == 201
    again = api.as_(narrow).post("/users/admin/tokens", {"name": "wide"}, headers=KEY)
    assert (again.status, again.code) == (422, "idempotency-mismatch")


@on_sqlite
@pytest.mark.parametrize("key", ["", "x" * 201, "\xa0", "a\tb"])
def test_a_key_that_is_none_is_refused(api: Api, centre: Centre, key: str) -> None:
    answer = api.post("/jobs", JOB, headers={"Idempotency-Key": key})
    assert (answer.status, answer.code) == (422, "invalid")
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"
    assert jobs(centre) == 0
