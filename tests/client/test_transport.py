"""Headers, repeats, pages and what is never sent."""

import time

import pytest

from client import (
    BadAnswerError,
    Baray,
    InvalidArgumentError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
    NotLoggedInError,
    ProblemError,
    RefusedError,
    ServiceError,
    UnreachableError,
)
from tests.client.scripted import JOB, TOKEN, Answer, Centre, page, problem


def test_one_connection_serves_many_calls(centre: Centre, baray: Baray) -> None:
    centre.on("GET /whoami", {"user": "dara"})
    for _ in range(5):
        assert baray.whoami()["user"] == "dara"
    assert centre.connections == 1


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_get_is_repeated_when_the_centre_is_away(centre: Centre, baray: Baray, status: int) -> None:
    centre.on("GET /jobs/1842", problem(status, "unavailable", "not now"), Answer(drop=True), JOB)
    assert baray.jobs.get(1842)["name"] == "train"
    assert len(centre.requests) == 3


def test_repeats_are_bounded(centre: Centre, baray: Baray) -> None:
    centre.on("GET /jobs/1842", problem(503, "unavailable", "the database is away"))
    with pytest.raises(ServiceError, match="the database is away"):
        baray.jobs.get(1842)
    assert len(centre.requests) == 3


def test_repeats_of_broken_connections_are_bounded(centre: Centre, baray: Baray) -> None:
    centre.on("GET /jobs/1842", Answer(drop=True))
    with pytest.raises(UnreachableError):
        baray.jobs.get(1842)
    assert len(centre.requests) == 3


def test_a_post_is_repeated_under_the_same_key(centre: Centre, baray: Baray) -> None:
    centre.on("POST /jobs", Answer(drop=True), problem(503, "unavailable", "not now"), JOB)
    baray.jobs.submit({"project": "speech"})
    baray.jobs.submit({"project": "speech"})
    first, second, third, other = [request.headers["idempotency-key"] for request in centre.requests]
    assert first == second == third
    assert other != first
    assert centre.requests[0].body == centre.requests[2].body


@pytest.mark.parametrize("broken", [Answer(drop=True), problem(503, "unavailable", "not now")], ids=["drop", "503"])
def test_a_change_that_may_have_been_made_is_not_repeated(centre: Centre, baray: Baray, broken: Answer) -> None:
    centre.on("PATCH /tenants/cadt", broken)
    with pytest.raises((UnreachableError, ServiceError)):
        baray.tenants.change("cadt", title="CADT")
    assert len(centre.requests) == 1


@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_call_that_was_held_back_is_repeated_when_the_centre_says(centre: Centre, baray: Baray, method: str) -> None:
    """It did nothing, so that it does not matter what it would have done."""
    held = problem(429, "rate-limited", "too often")
    held = Answer(429, body=held.body, headers={**held.headers, "Retry-After": "1"})
    centre.on(f"{method} /tenants/cadt", held, Answer(json={"name": "cadt"}))
    begun = time.monotonic()
    assert (baray.tenants.get("cadt") if method == "GET" else baray.tenants.change("cadt", title="x"))["name"] == "cadt"
    assert time.monotonic() - begun >= 0.9
    assert len(centre.requests) == 2


@pytest.mark.parametrize(
    "after", [{}, {"Retry-After": "60"}, {"Retry-After": "nonsense"}], ids=["none", "long", "broken"]
)
def test_nobody_waits_for_what_may_take_long(centre: Centre, baray: Baray, after: dict[str, str]) -> None:
    held = problem(429, "rate-limited", "too often")
    centre.on("GET /whoami", Answer(429, body=held.body, headers={**held.headers, **after}))
    with pytest.raises(ProblemError) as caught:
        baray.whoami()
    assert (caught.value.status, caught.value.code) == (429, "rate-limited")
    assert len(centre.requests) == 1


def test_a_centre_that_holds_back_for_ever_is_given_up(centre: Centre, baray: Baray) -> None:
    held = problem(429, "rate-limited", "too often")
    centre.on("GET /whoami", *[Answer(429, body=held.body, headers={**held.headers, "Retry-After": "0"})] * 20)
    with pytest.raises(ProblemError) as caught:
        baray.whoami()
    assert caught.value.code == "rate-limited"
    assert 1 < len(centre.requests) < 10


@pytest.mark.parametrize("told", ["header", "body"])
def test_a_problem_names_its_request(centre: Centre, baray: Baray, told: str) -> None:
    body = {"type": "/problems/bug", "detail": "no"} | ({"request_id": "0123456789abcdef"} if told == "body" else {})
    header = {"X-Request-Id": "0123456789abcdef"} if told == "header" else {}
    centre.on("GET /whoami", Answer(500, json=body, headers=header))
    with pytest.raises(ProblemError) as caught:
        baray.whoami()
    assert caught.value.request_id == "0123456789abcdef"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 422, 500, 507])
def test_an_answer_is_an_answer(centre: Centre, baray: Baray, status: int) -> None:
    refusal = problem(status, "some-rule", "no")
    centre.on("GET /whoami", Answer(status, body=refusal.body, headers={**refusal.headers, "Retry-After": "1"}))
    with pytest.raises(ProblemError) as caught:
        baray.whoami()
    assert (caught.value.status, caught.value.code, caught.value.detail) == (status, "some-rule", "no")
    assert len(centre.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (413, InvalidRequestError),
        (422, InvalidRequestError),
        (401, NotLoggedInError),
        (403, NotAllowedError),
        (404, NotFoundError),
        (409, RefusedError),
        (412, RefusedError),
        (429, RefusedError),
        (500, ServiceError),
    ],
)
def test_each_status_has_its_exception(centre: Centre, baray: Baray, status: int, kind: type[ProblemError]) -> None:
    centre.on("GET /whoami", problem(status, "rule", "no"))
    with pytest.raises(kind):
        baray.whoami()


def test_a_problem_keeps_its_fields_and_fixes(centre: Centre, baray: Baray) -> None:
    wrong = [{"field": "resources.walltime", "message": "is no duration", "fix": "write 8h"}, {"message": "and more"}]
    centre.on("POST /jobs", problem(422, "invalid", "2 things are wrong", wrong, ["write 8h"]))
    with pytest.raises(InvalidRequestError) as caught:
        baray.jobs.submit({})
    first, second = caught.value.errors
    assert (first.field, first.message, first.fix) == ("resources.walltime", "is no duration", "write 8h")
    assert (second.field, second.message) == (None, "and more")
    assert caught.value.fixes == ("write 8h",)


def test_broken_json_keeps_its_place(centre: Centre, baray: Baray) -> None:
    body = b'{"type": "/problems/broken-json", "detail": "an object is not closed", "line": 3, "column": 7}'
    centre.on("POST /jobs", Answer(400, body=body))
    with pytest.raises(InvalidRequestError) as caught:
        baray.jobs.submit({})
    assert [(error.line, error.column) for error in caught.value.errors] == [(3, 7)]


@pytest.mark.parametrize("body", [b"<h1>Bad Gateway</h1>", b"", b"[]", b'{"errors": 7, "fixes": "x"}', b"\xff"])
def test_an_error_page_of_somebody_else_is_still_a_problem(centre: Centre, baray: Baray, body: bytes) -> None:
    centre.on("GET /whoami", Answer(500, body=body))
    with pytest.raises(ServiceError) as caught:
        baray.whoami()
    assert caught.value.status == 500
    assert str(caught.value)


def test_an_answer_that_is_no_json(centre: Centre, baray: Baray) -> None:
    centre.on("GET /whoami", Answer(body=b"<html>", headers={"Content-Type": "text/html"}))
    with pytest.raises(BadAnswerError, match=r"text/html") as caught:
        baray.whoami()
    assert caught.value.fixes == ("check the address",)


def test_the_token_does_not_follow_a_redirect(centre: Centre, baray: Baray) -> None:
    centre.on("GET /whoami", Answer(302, headers={"Location": f"{centre.address}/api/v1/elsewhere"}))
    with pytest.raises(BadAnswerError, match="elsewhere"):
        baray.whoami()
    assert len(centre.requests) == 1


def test_nobody_there() -> None:
    with Baray("http://127.0.0.1:9", TOKEN, retries=1, backoff_s=0.01) as baray:
        with pytest.raises(UnreachableError, match=r"cannot reach http://127\.0\.0\.1:9: connection refused") as caught:
            baray.whoami()
        assert caught.value.fixes


def test_no_answer_in_time(centre: Centre) -> None:
    centre.on("PUT /projects/speech/secrets/KEY", Answer(json={}, delay_s=0.5))
    with (
        Baray(centre.address, TOKEN, timeout_s=0.1) as baray,
        pytest.raises(UnreachableError, match="no answer in time"),
    ):
        baray.projects.set_secret("speech", "KEY", "value")


def test_the_token_shows_nowhere(centre: Centre) -> None:
    centre.on("GET /whoami", Answer(400, body=f'{{"detail": "bad header Bearer {TOKEN}"}}'.encode()))
    with Baray(centre.address, TOKEN) as baray:
        assert TOKEN not in repr(baray)
        with pytest.raises(ProblemError) as caught:
            baray.whoami()
    assert TOKEN not in str(caught.value)
    assert "***" in str(caught.value)


@pytest.mark.parametrize("token", ["with space", "line\nbreak", "ក", ""])
def test_a_token_that_cannot_be_sent_is_refused_unseen(token: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        Baray("http://127.0.0.1:9", token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["", "gpu.example", "ftp://gpu.example", "http://", "http://user:pw@gpu", "http://a/?x"]
)
def test_an_address_that_is_none(address: str) -> None:
    with pytest.raises(InvalidArgumentError):
        Baray(address, TOKEN)


def test_an_address_may_have_a_path(centre: Centre) -> None:
    with Baray(f"{centre.address}/", TOKEN) as baray:
        centre.on("GET /whoami", {"user": "dara"})
        assert baray.whoami()["user"] == "dara"


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_cannot_lead_elsewhere(baray: Baray, name: str) -> None:
    with pytest.raises(InvalidArgumentError):
        baray.projects.get(name)


def test_a_name_is_quoted(centre: Centre, baray: Baray) -> None:
    centre.on("GET /projects/a/b?c", {"name": "odd"})
    assert baray.projects.get("a/b?c")["name"] == "odd"


def test_pages_are_joined(centre: Centre, baray: Baray) -> None:
    centre.on("GET /queue", page({"job": 1}, {"job": 2}, after="c1"), page({"job": 3}, after="c2"), page({"job": 4}))
    assert [entry["job"] for entry in baray.jobs.queue()] == [1, 2, 3, 4]
    assert [request.query.get("cursor") for request in centre.requests] == [None, ["c1"], ["c2"]]
    assert centre.requests[0].query["limit"] == ["1000"]


def test_no_more_is_asked_than_is_wanted(centre: Centre, baray: Baray) -> None:
    centre.on("GET /jobs", page({"id": 3}, {"id": 2}, after="c1"))
    found = list(baray.jobs.each(limit=2, states=["running", "pending"], project="speech"))
    assert [entry["id"] for entry in found] == [3, 2]
    (asked,) = centre.requests
    assert asked.query == {"limit": ["2"], "state": ["running", "pending"], "project": ["speech"]}


def test_pages_without_an_end_are_noticed(centre: Centre, baray: Baray) -> None:
    centre.on("GET /queue", page({"job": 1}, after="same"))
    with pytest.raises(BadAnswerError, match="again and again"):
        list(baray.jobs.queue())


def test_a_change_keeps_what_is_not_named_and_overwrites_nobody(centre: Centre, baray: Baray) -> None:
    quota = {"account": "cadt", "flavor": "h100", "guaranteed": 8, "borrow_limit": None, "lend_limit": 4, "held": 2}
    centre.on("GET /quotas/cadt/h100", Answer(json=quota, headers={"ETag": '"v7"'}))
    centre.on("PUT /quotas/cadt/h100", quota | {"guaranteed": 16})
    baray.quotas.change("cadt", "h100", guaranteed=16)
    put = centre.asked("PUT /quotas/cadt/h100")[0]
    assert put.json == {"guaranteed": 16, "borrow_limit": None, "lend_limit": 4}
    assert put.headers["if-match"] == '"v7"'


def test_a_first_quota_is_written_as_it_is(centre: Centre, baray: Baray) -> None:
    centre.on("GET /quotas/cadt/h100", problem(404, "not-found", "no such quota"))
    centre.on("PUT /quotas/cadt/h100", {"guaranteed": 16})
    baray.quotas.change("cadt", "h100", guaranteed=16)
    put = centre.asked("PUT /quotas/cadt/h100")[0]
    assert put.json == {"guaranteed": 16}
    assert "if-match" not in put.headers


def test_an_answer_without_content(centre: Centre, baray: Baray) -> None:
    centre.on("POST /logout", Answer(204))
    centre.on("DELETE /tokens/7", Answer(204))
    baray.logout()
    baray.users.remove_token(7)
