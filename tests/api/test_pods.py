"""What pods fetch from the centre and leave there, with a pass: for their own attempt, while it is live."""

import hashlib
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from api.http.routes import pods
from api.http.services import Services
from api.http.turnstile import Turnstile
from domain.errors import Refused
from domain.ids import AttemptId
from tests.conftest import services_of
from tests.support.centre import Centre
from tests.support.factories import spec
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

PACKED = b"\x1f\x8b packed"


class Pod:
    """An attempt's pod, as far as the centre sees it."""

    def __init__(self, api: Api, services: Services, attempt: AttemptId) -> None:
        assert services.passes is not None
        self.api, self.attempt, self.services = api.as_(None), attempt, services
        self.token = services.passes.issue(attempt)

    def source(self) -> Answer:
        return self.api.get("/pods/source", headers={"Authorization": f"Pass {self.token}"})

    def put(self, path: str, data: bytes, checksum: str | None = None) -> Answer:
        headers = {"Authorization": f"Pass {self.token}", "Baray-Sha256": checksum or hashlib.sha256(data).hexdigest()}
        return self.api.put("/pods/outputs", data=data, query={"path": path}, headers=headers)

    def kept(self, path: str) -> bytes | None:
        assert self.services.shelf is not None
        return self.services.shelf.output(self.attempt, path, 0, 2**20)


Make = Callable[..., Pod]


@pytest.fixture
def services(centre: Centre, tmp_path: Path) -> Services:
    return services_of(centre, tmp_path)


@pytest.fixture
def pod(centre: Centre, services: Services, open_api: Callable[[Services], Api]) -> Make:
    """Makes a job that runs, and a pod of it."""
    api = open_api(services)

    sha256 = services.sources.keep(PACKED)
    with centre.store.write() as uow:
        uow.keep_source(sha256, len(PACKED), centre.clock.now_ms())

    def make(**more: Any) -> Pod:
        made = spec(command="run forever stops-after 5s", outputs=("results/**",))
        job = centre.submit(replace(made, **{"source": sha256, **more}))
        centre.settle()
        return Pod(api, services, centre.attempt(job.id).id)

    return make


def test_a_pod_fetches_its_source_and_leaves_outputs(pod: Make) -> None:
    made = pod()
    answer = made.source()
    assert (answer.status, answer.body) == (200, PACKED)
    data = b"x" * 300_000
    kept = made.put("results/ខ្មែរ.pt", data)
    assert (kept.status, kept.json) == (
        200,
        {"path": "results/ខ្មែរ.pt", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()},
    )
    assert made.kept("results/ខ្មែរ.pt") == data
    assert made.put("results/ខ្មែរ.pt", b"again").status == 200
    assert made.kept("results/ខ្មែរ.pt") == b"again"


@on_sqlite
def test_what_arrives_broken_or_too_large_is_not_kept(pod: Make) -> None:
    made = pod()
    wrong = made.put("a", b"data", checksum="0" * 64)
    assert (wrong.status, wrong.code) == (422, "invalid")
    large = made.put("b", b"x" * (2**20 + 1))
    assert (large.status, large.code) == (413, "too-large")
    for path in ("../a", "/a", "a//b", ""):
        assert made.put(path, b"data").status == 422
    assert made.services.shelf.outputs(made.attempt) == ()


@on_sqlite
def test_an_upload_that_breaks_off_is_not_kept(pod: Make) -> None:
    made = pod()
    where = urlsplit(made.api.address)
    with socket.create_connection((where.hostname, where.port)) as line:
        line.sendall(
            f"PUT /api/v1/pods/outputs?path=a HTTP/1.1\r\nHost: x\r\nAuthorization: Pass {made.token}\r\n"
            f"Content-Length: 100\r\n\r\nbeginning".encode()
        )
    assert made.put("b", b"data").status == 200
    assert [output.path for output in made.services.shelf.outputs(made.attempt)] == ["b"]


@on_sqlite
def test_a_pass_is_for_its_own_attempt(pod: Make) -> None:
    first, second = pod(), pod(source=None)
    assert first.put("x", b"of the first").status == 200
    assert second.put("x", b"of the second").status == 200
    assert first.kept("x") == b"of the first"
    assert second.kept("x") == b"of the second"
    assert (second.source().status, second.source().code) == (404, "not-found")


@on_sqlite
def test_without_outputs_to_collect_none_are_taken(pod: Make) -> None:
    answer = pod(outputs=()).put("x", b"data")
    assert (answer.status, answer.code) == (409, "no-outputs")


def test_once_the_attempt_is_over_the_pass_is_of_no_use(pod: Make, centre: Centre) -> None:
    made = pod()
    centre.control("cancel", made.attempt.job)
    assert made.put("stopping", b"is live").status == 200
    centre.run()
    for answer in (made.source(), made.put("x", b"data")):
        assert (answer.status, answer.code) == (409, "attempt-over")
    assert made.kept("x") is None


@on_sqlite
@pytest.mark.promise(8)
def test_a_pass_opens_no_other_route_and_a_token_not_these(pod: Make, api: Api, centre: Centre) -> None:
    made = pod()
    for scheme in ("Pass", "Bearer"):
        headers = {"Authorization": f"{scheme} {made.token}"}
        for path in (f"/jobs/{made.attempt.job}", "/whoami", "/status"):
            assert made.api.get(path, headers=headers).status == 401
    made.token = made.token[:-6] + "AAAAAA"
    assert (made.source().status, made.source().code) == (401, "not-logged-in")
    assert api.get("/pods/source").status == 401


@on_sqlite
def test_a_project_that_uploads_too_much_at_once_is_held_back_and_no_other(pod: Make, centre: Centre) -> None:
    """However many attempts it has: slow ones of one project never take all places."""
    made, other, now_s = pod(), pod(), time.monotonic()
    with centre.store.read() as uow:
        own = uow.jobs.get(made.attempt.job).project_id
    for project, status in ((own, 429), (own + 1, 200)):
        with ExitStack() as inside:
            for _ in range(8):
                inside.enter_context(pods.turnstile.pass_through(project, now_s))
            answers = [made.put("a", b"data"), other.put("a", b"data")]
        assert [answer.status for answer in answers] == [status] * 2
        if status == 429:
            assert (answers[0].code, answers[0].headers["Retry-After"]) == ("rate-limited", "1")
    assert made.put("a", b"data").status == 200


def test_a_turnstile_counts_who_is_inside_and_how_often_they_came() -> None:
    turnstile = Turnstile("calls", at_once=3, of_one=2, per_second=2.0, burst=4.0)

    def comes(who: str, now_s: float) -> bool:
        try:
            with turnstile.pass_through(who, now_s):
                return True
        except Refused:
            return False

    with turnstile.pass_through("a", 0), turnstile.pass_through("a", 0):
        assert (comes("a", 0), comes("b", 0)) == (False, True)
        with turnstile.pass_through("b", 0):
            assert not comes("c", 0)
    assert [comes("a", 0) for _ in range(3)] == [True, True, False]
    assert [comes("a", 1) for _ in range(3)] == [True, True, False]
    assert comes("c", 1)
