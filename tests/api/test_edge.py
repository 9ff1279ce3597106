"""What comes with every answer: an id, headers that protect browsers, ETags; and pages of other origins, where allowed."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi import FastAPI

from api.http.app import _Application, create_app
from api.http.deprecation import deprecated, told
from api.http.edge import Edge
from api.http.protection import POLICY
from tests.conftest import services_of
from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api, Served

Around = Callable[..., Api]

OURS = re.compile(r"[0-9a-f]{32}")


@pytest.fixture
def around(centre: Centre, server: Served, tmp_path: Path) -> Around:
    """The API with what stands around it, in the hands of the administrator."""

    def made(**edge: object) -> Api:
        server.switch.app = create_app(services_of(centre, tmp_path), Edge(**edge))
        return Api(server.address, centre.population.tokens["admin"])

    return made


def every_kind(api: Api) -> list[Answer]:
    """Answers that come from different depths: a route, refusals, what no route answers, what cannot be read."""
    return [
        api.get("/whoami"),
        api.get("//healthz"),
        api.get("//metrics"),
        api.get("/nothing"),
        api.as_(None).get("/whoami"),
        api.get("/jobs/9"),
        api.post("/jobs", {}),
        api.post("/jobs", data=b"{"),
        api.post("/jobs", data=b" " * (5 * 2**20)),
        api.call("OPTIONS", "/jobs"),
        api.call("TRACE", "/jobs"),
    ]


@on_sqlite
def test_every_answer_has_an_id_and_every_problem_tells_it(around: Around) -> None:
    for answer in every_kind(around()):
        made = answer.headers["X-Request-Id"]
        assert OURS.fullmatch(made)
        if answer.status >= 400:
            assert answer.json["request_id"] == made


@on_sqlite
@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("0123456789abcdef", True),
        ("67e55044-10b1-426f-9247-bb680e5fe0c8", True),
        ("a" * 64, True),
        ("a" * 65, False),
        ("a" * 15, False),
        ("67E55044-10B1-426F-9247-BB680E5FE0C8", False),
        ("<script>alert(1)</script>", False),
        ("0123456789abcdef\\n", False),
        ("", False),
    ],
)
def test_an_id_that_is_given_is_taken_if_it_is_proper(around: Around, given: str, taken: bool) -> None:
    answer = around().get("/jobs/9", headers={"X-Request-Id": given})
    assert (answer.headers["X-Request-Id"] == given) is taken
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]


@on_sqlite
def test_a_bug_has_an_id_and_headers_too(centre: Centre, server: Served, tmp_path: Path) -> None:
    app = create_app(services_of(centre, tmp_path))
    app.add_api_route("/bug", lambda: 1 // 0)
    server.switch.app = app
    answer = Api(server.address, None).get("//bug")
    assert (answer.status, answer.code) == (500, "bug")
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert answer.headers["Content-Security-Policy"] == POLICY


@on_sqlite
def test_every_answer_protects_browsers(around: Around) -> None:
    for answer in every_kind(around()):
        told = {name: answer.headers[name] for name in ("X-Content-Type-Options", "Referrer-Policy", "X-Frame-Options")}
        assert list(told.values()) == ["nosniff", "no-referrer", "DENY"]
        assert answer.headers["Content-Security-Policy"] == POLICY
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Strict-Transport-Security" not in answer.headers  # only over TLS
        assert "Access-Control-Allow-Origin" not in answer.headers


@on_sqlite
def test_a_page_keeps_the_policy_that_it_sets_itself(centre: Centre, server: Served, tmp_path: Path) -> None:
    from fastapi.responses import HTMLResponse

    own = {"Content-Security-Policy": "default-src 'self'", "Cache-Control": "private, max-age=60"}
    app = create_app(services_of(centre, tmp_path))
    app.add_api_route("/page", lambda: HTMLResponse("<p>x", headers=own))
    server.switch.app = app
    answer = Api(server.address, None).get("//page")
    assert {name: answer.headers[name] for name in own} == own
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


PORTAL = "https://portal.example"


@on_sqlite
def test_pages_of_other_origins_may_not_read_unless_they_are_named(around: Around) -> None:
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,idempotency-key"}
    none, one = around(), around(cors_origins=(PORTAL,))
    server = one.address
    assert none.address == server
    allowed = one.get("/whoami", headers={"Origin": PORTAL})
    assert allowed.headers["Access-Control-Allow-Origin"] == PORTAL
    assert "Access-Control-Allow-Credentials" not in allowed.headers
    assert allowed.headers["Vary"] == "Origin"
    before = one.call("OPTIONS", "/jobs", headers={"Origin": PORTAL, **asked})
    assert (before.status, before.headers["Access-Control-Allow-Origin"]) == (200, PORTAL)
    for origin in (
        "https://portal.example.evil.example", "http://portal.example", "https://portal.example:8443", "null", "*",
        "https://PORTAL.example", "https://xportal.example",
    ):  # fmt: skip
        for answer in (
            one.get("/whoami", headers={"Origin": origin}),
            one.call("OPTIONS", "/jobs", headers={"Origin": origin, **asked}),
        ):
            assert "Access-Control-Allow-Origin" not in answer.headers, origin
    refused = one.as_("bry_no").get("/whoami", headers={"Origin": PORTAL})
    assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (401, PORTAL)


@on_sqlite
def test_what_was_seen_already_is_not_sent_again(around: Around, centre: Centre) -> None:
    api = around()
    for path, of_version in (
        ("/projects/speech", True),
        ("/projects", False),
        ("/whoami", False),
        ("//healthz", False),
    ):
        seen = api.get(path)
        tag = seen.headers["ETag"]
        assert re.fullmatch(r'"\d+-[0-9a-f]{16}"' if of_version else r'W/"[0-9a-f]{16}"', tag), path
        for given in (tag, f'"x", {tag}', tag.removeprefix("W/"), "*"):
            again = api.get(path, headers={"If-None-Match": given})
            assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag), (path, given)
            assert "Content-Type" not in again.headers
            assert again.headers["Cache-Control"] == "no-store"
        for given in ('"1"', '""', "x", tag[:-3], '"1-", W/'):
            assert api.get(path, headers={"If-None-Match": given}).body == seen.body
    changed = api.change("/projects/speech", {"title": "New"})
    assert changed.status == 200
    assert api.get("/projects/speech", headers={"If-None-Match": tag}).json["title"] == "New"


@on_sqlite
def test_a_tag_changes_with_what_no_version_counts(around: Around, centre: Centre) -> None:
    """What is free of a cluster changes while its version stays; a repeat must not hide it."""
    api = around()
    seen = api.get("/clusters/sim")
    centre.submit(spec(command="run 1h"))
    centre.settle()
    later = api.get("/clusters/sim", headers={"If-None-Match": seen.headers["ETag"]})
    assert (later.status, later.version) == (200, seen.version)
    assert later.json["nodes"] != seen.json["nodes"]
    drain = {"state": "draining"}
    assert api.change("/clusters/sim", drain, headers={"If-Match": seen.headers["ETag"]}).status == 200


def test_a_route_that_will_go_says_when_in_its_answers_and_in_the_document(server: Served) -> None:
    @deprecated(since_ms=1_767_225_600_000, sunset_ms=1_798_761_600_000, instead="/api/v2/thing")
    def old() -> dict[str, str]:
        return {}

    app = _Application(Edge(), title="sample", version="1")
    app.add_api_route("/old", old, openapi_extra=told(old))

    def new() -> dict[str, str]:
        return {}

    app.add_api_route("/new", new, openapi_extra=told(new))
    server.switch.app = app
    api = Api(server.address, None)
    answer = api.get("//old")
    assert answer.headers["Deprecation"] == "@1767225600"
    assert answer.headers["Sunset"] == "Fri, 01 Jan 2027 00:00:00 GMT"
    assert answer.headers["Link"] == '</api/v2/thing>; rel="successor-version"'
    assert not {"Deprecation", "Sunset", "Link"} & set(api.get("//new").headers)
    document = FastAPI.openapi(app)
    assert document["paths"]["/old"]["get"]["deprecated"] is True
    assert "deprecated" not in document["paths"]["/new"]["get"]


def test_a_route_does_not_go_without_notice() -> None:
    with pytest.raises(AssertionError, match="half a year"):
        deprecated(since_ms=0, sunset_ms=86_400_000)


@on_sqlite
def test_headers_that_mean_nothing_are_no_bug(around: Around) -> None:
    api = around(cors_origins=(PORTAL,))
    for name in ("X-Request-Id", "If-None-Match", "Origin", "X-Forwarded-For", "Accept", "Cookie"):
        for value in ("\xff\xfe", ",,,,", '"' * 5_000, "W/" * 5_000, "; ; =", json.dumps({})):
            assert api.get("/whoami", headers={name: value}).status == 200, (name, value[:20])
