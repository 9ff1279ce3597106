"""Logins of a device over HTTP, its approval in a browser's session, and one's own password."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from api.http.app import PUBLIC, create_app
from api.http.credentials import CSRF_HEADER, PLAIN_COOKIE, csrf_of
from api.http.edge import Edge
from api.http.rates import Limits, Rate
from api.http.services import Services
from domain.people import Token, TokenKind
from lifecycle import people, tokens
from tests.conftest import services_of
from tests.support.centre import Centre
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api, Served

CHOSEN = "five blue rivers going home"


class Browser:
    """Someone's session, as a browser keeps it."""

    def __init__(self, api: Api, centre: Centre, user: str = "dara", **fields: object) -> None:
        now_ms = centre.clock.now_ms()
        with centre.store.write() as uow:
            token = Token(
                0, people.user_named(uow, user).id, "browser", now_ms, kind=TokenKind.SESSION, login_ms=now_ms, level=2
            )
            _, self.text = tokens.keep(uow, replace(token, **fields))  # type: ignore[arg-type]
        self._api = api.as_(None)

    def post(self, path: str, body: object, *, csrf: bool = True) -> Answer:
        headers = {"Cookie": f"{PLAIN_COOKIE}={self.text}"} | ({CSRF_HEADER: csrf_of(self.text)} if csrf else {})
        return self._api.post(path, body, headers=headers)

    def get(self, path: str) -> Answer:
        return self._api.get(path, headers={"Cookie": f"{PLAIN_COOKIE}={self.text}"})


def told(answer: Answer) -> str:
    assert answer.status == 400, answer.body
    assert answer.json["error"] == answer.code
    return answer.code


def test_a_device_is_logged_in_by_a_browser_elsewhere(centre: Centre, api: Api) -> None:
    device = api.as_(None)
    begun = device.post("/login/device", {"client": "a laptop"})
    assert (begun.status, begun.json["expires_in"], begun.json["interval"]) == (200, 600, 5)
    assert begun.headers["Cache-Control"] == "no-store"
    assert begun.json["verification_uri"] == f"{api.address}/device"
    assert begun.json["verification_uri_complete"].endswith(f"?user_code={begun.json['user_code']}")
    asked = {"device_code": begun.json["device_code"]}
    waits = device.post("/login/token", asked)
    assert (told(waits), waits.headers["Retry-After"]) == ("authorization_pending", "5")
    slow = device.post("/login/token", asked)
    assert (told(slow), slow.headers["Retry-After"]) == ("slow_down", "10")
    approved = Browser(api, centre).post("/login/device/approve", {"user_code": begun.json["user_code"].lower()})
    assert (approved.status, approved.json["client"], approved.json["state"]) == (200, "a laptop", "approved")
    centre.clock.advance(seconds=10)
    claimed = device.post("/login/token", asked)
    assert (claimed.status, claimed.json["token_type"], claimed.json["user"]) == (200, "Bearer", "dara")
    assert claimed.headers["Cache-Control"] == "no-store"
    token = api.as_(claimed.json["access_token"]).get("/whoami").json["token"]
    assert (token["kind"], token["level"], token["name"]) == ("login", 2, "a laptop")
    centre.clock.advance(seconds=10)
    assert told(device.post("/login/token", asked)) == "expired_token"
    entries = api.get("/audit/entries", query={"limit": 1000}).json["items"]
    assert sum(one["action"] == "approve_device" for one in entries) == 1


@pytest.mark.promise(8)
@on_sqlite
def test_only_a_session_approves_and_only_from_our_own_page(centre: Centre, api: Api) -> None:
    code = api.as_(None).post("/login/device", {}).json["user_code"]
    for token in (centre.population.tokens["dara"], Browser(api, centre, kind=TokenKind.LOGIN).text):
        assert api.as_(token).post("/login/device/approve", {"user_code": code}).code == "not-allowed"
    browser = Browser(api, centre)
    assert browser.post("/login/device/approve", {"user_code": code}, csrf=False).code == "forged"
    assert api.as_(browser.text).post("/login/device/approve", {"user_code": code}).status == 401, (
        "a session in a header"
    )
    assert api.as_(None).post("/login/device/approve", {"user_code": code}).status == 401
    assert Browser(api, centre, scopes=frozenset()).post("/login/device/approve", {"user_code": code}).status == 403
    assert browser.post("/login/device/approve", {"user_code": code, "approve": False}).json["state"] == "denied"


@pytest.mark.promise(8)
@on_sqlite
def test_guesses_of_user_codes_are_held_back(centre: Centre, server: Served, tmp_path: Path) -> None:
    limits = Limits(failures=Rate(0.001, 10))
    server.switch.app = create_app(services_of(centre, tmp_path), Edge(limits=limits))
    api = Api(server.address, None)
    browser = Browser(api, centre)
    answers = [browser.post("/login/device/approve", {"user_code": "BCDF-GHJK"}).status for _ in range(15)]
    assert answers[:10] == [404] * 10
    assert set(answers[11:]) == {429}


@pytest.mark.promise(8)
@on_sqlite
def test_guesses_of_device_codes_and_passwords_are_held_back(centre: Centre, server: Served, tmp_path: Path) -> None:
    limits = Limits(failures=Rate(0.001, 10))
    server.switch.app = create_app(services_of(centre, tmp_path), Edge(limits=limits))
    device = Api(server.address, None)
    answers = [device.post("/login/token", {"device_code": f"{number:040}"}).status for number in range(15)]
    assert answers[:10] == [400] * 10
    assert set(answers[11:]) == {429}
    server.switch.app = create_app(services_of(centre, tmp_path), Edge(limits=limits))
    dara = device.as_(centre.population.tokens["dara"])
    answers = [dara.post("/me/password", {"old": f"guess {number}", "new": CHOSEN}).status for number in range(15)]
    assert answers[:10] == [403] * 10
    assert set(answers[11:]) == {429}


@on_sqlite
@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        [],
        {"device_code": 7},
        {"device_code": ""},
        {"device_code": "x" * 201},
        {"device_code": "a\0b"},
        {"more": 1},
    ],
)
def test_a_claim_that_is_none_is_a_clear_no(centre: Centre, api: Api, body: object) -> None:
    answer = api.as_(None).post("/login/token", body)
    assert answer.status == 422, answer.body
    for client in ("", " ", "x" * 101, "two\nlines", 7, None):
        assert api.as_(None).post("/login/device", {"client": client}).status == 422


def test_a_one_time_password_is_changed_and_then_forgotten(centre: Centre, api: Api) -> None:
    made = api.post("/users/dara/password")
    assert (made.status, made.json["user"]) == (201, "dara")
    assert len(made.json["password"]) >= 20
    only = Browser(api, centre, scopes=frozenset())  # as the login page makes it for a one-time password
    assert only.get("/projects").status == 403
    wrong = only.post("/me/password", {"old": "something else", "new": CHOSEN})
    assert (wrong.status, wrong.code) == (403, "wrong-password")
    weak = only.post("/me/password", {"old": made.json["password"], "new": "password1234"})
    assert (weak.status, weak.json["errors"][0]["field"]) == (422, "new")
    assert only.post("/me/password", {"old": made.json["password"], "new": CHOSEN}, csrf=False).code == "forged"
    assert only.post("/me/password", {"old": made.json["password"], "new": CHOSEN}).status == 204
    assert only.get("/whoami").status == 401, "it was for choosing a password alone"
    login = Browser(api, centre)
    other = Browser(api, centre)
    assert login.post("/me/password", {"old": CHOSEN, "new": "nine green lamps at night"}).status == 204
    assert (login.get("/whoami").status, other.get("/whoami").status) == (200, 401)
    trail = api.get("/audit/entries", query={"limit": 1000}).body
    for secret in (CHOSEN, made.json["password"], "nine green lamps"):
        assert secret.encode() not in trail


@on_sqlite
def test_nobody_sets_or_chooses_a_password_for_another(centre: Centre, api: Api) -> None:
    sophea, dara = (api.as_(centre.population.tokens[name]) for name in ("sophea", "dara"))
    for caller in (sophea, dara):
        assert caller.post("/users/sok/password").status == 403
    assert sophea.post("/users/nobody/password").status == 403
    assert api.post("/users/nobody/password").status == 404
    act = sophea.post("/acting", {"user": "dara", "reason": "a test"})
    assert act.status == 201, act.body
    answer = sophea.post("/me/password", {"old": "a", "new": CHOSEN}, headers={"Baray-On-Behalf-Of": "dara"})
    assert answer.status == 403
    assert answer.code != "wrong-password"


@on_sqlite
def test_people_are_sent_to_the_address_that_the_centre_is_known_by(
    centre: Centre, open_api: Callable[[Services], Api], tmp_path: Path
) -> None:
    """Not to the one that a request names."""
    api = open_api(replace(services_of(centre, tmp_path), public_url="https://baray.example"))
    begun = api.post("/login/device", {}, headers={"Host": "evil.example"})
    assert begun.json["verification_uri"] == "https://baray.example/device"


@pytest.mark.promise(8)
def test_what_takes_no_token_is_a_short_list_with_reasons() -> None:
    assert set(PUBLIC) == {"/healthz", "/readyz", "/api/v1/login/device", "/api/v1/login/token"}
    assert all(len(why) > 20 for why in PUBLIC.values())
