"""People's rights over HTTP: what they get to see is all of theirs and none of others', and what is erased stays away."""

import csv
import io
import json
import zipfile
from html.parser import HTMLParser
from typing import Any

import pytest

from domain.personal import AUDIT, RECORDS
from domain.quantities import DAY_MS
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import spec
from tests.support.markers import Marked, kinds_with_rows, mark
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

WHY = {"reason": "a test"}


class Page(HTMLParser):
    """Its text, and the names of its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def unpacked(answer: Answer) -> tuple[dict[str, Any], dict[str, str]]:
    """data.json, and every file as text."""
    assert answer.status == 200, answer.body
    assert answer.headers["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name).decode() for name in archive.namelist()}
    return json.loads(files["data.json"]), files


@pytest.fixture
def sok(centre: Centre) -> Marked:
    return mark(centre, "sok", "zebra", "rith")


def me(api: Api, centre: Centre, name: str = "sok") -> Api:
    return api.as_(centre.population.tokens[name])


@pytest.mark.promise(8)
def test_the_export_has_every_field_of_the_register_and_nothing_of_others(
    centre: Centre, api: Api, sok: Marked
) -> None:
    other = mark(centre, "rith", "walrus", "sok")
    data, files = unpacked(me(api, centre).get("/me/data"))
    kinds = {record.kind for record in (*RECORDS, AUDIT)}
    assert data["data"].keys() == kinds
    with_rows = kinds_with_rows(centre, sok.user)
    assert len(with_rows) >= 18
    for record in RECORDS:
        rows = data["data"][record.kind]
        assert bool(rows) == (record.kind in with_rows), record.kind
        shown = {field.column for field in record.fields if not field.hidden}
        for row in rows:
            assert shown - row.keys() <= {field.column for field in record.fields if field.by}, record.kind
            assert not row.keys() & {field.column for field in record.fields if field.hidden}, record.kind
        if rows:
            table = list(csv.DictReader(io.StringIO(files[f"{record.kind}.csv"])))
            assert len(table) == len(rows), record.kind
    every = "".join(files.values())
    assert [word for word in sok.marks if word not in files["data.json"]] == []
    assert [word for word in sok.marks if word not in "".join(t for n, t in files.items() if n.endswith(".csv"))] == []
    assert [word for word in sok.secrets if word in every] == []
    mine = {"walrus-acting", "walrus-about"}  # what sok wrote of rith
    assert [word for word in (*other.marks[1:], *other.secrets) if word in every and word not in mine] == []


@pytest.mark.promise(8)
def test_the_page_explains_every_field_and_runs_nothing(centre: Centre, api: Api) -> None:
    body = {"title": "<script>alert(1)</script>"}
    assert me(api, centre).call("PATCH", "/me", body).status == 200
    data, files = unpacked(me(api, centre).get("/me/data"))
    page = Page()
    page.feed(files["index.html"])
    assert page.tags <= {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "dl", "dt", "dd", "table", "tr", "th", "td",
        "ul", "li",
    }  # fmt: skip
    assert "<script>alert(1)</script>" in page.text
    for record in (*RECORDS, AUDIT):
        assert record.says in page.text
        assert all(field.says[1:] in page.text for field in record.fields)
    assert data["contact"] == "write to the centre"
    assert "write to the centre" in page.text


@on_sqlite
def test_a_table_is_no_program_for_a_spreadsheet(centre: Centre, api: Api) -> None:
    assert me(api, centre).call("PATCH", "/me", {"title": "=HYPERLINK(1)"}).status == 200
    _, files = unpacked(me(api, centre).get("/me/data"))
    assert "'=HYPERLINK(1)" in files["user.csv"]


@pytest.mark.promise(8)
@on_sqlite
def test_another_persons_data_takes_a_reason_that_they_can_read(centre: Centre, api: Api, sok: Marked) -> None:
    assert api.post("/users/sok/data", {}).status == 422
    data, _ = unpacked(api.post("/users/sok/data", WHY))
    assert data["about"] == "sok"
    own, _ = unpacked(me(api, centre).get("/me/data"))
    (entry,) = (one for one in own["data"]["audit"] if one["action"] == "export_person")
    assert (entry["you"], entry["by"], entry["reason"], entry["path"]) == (["about"], "somebody else", "a test", None)
    assert api.post("/users/nobody-here/data", WHY).status == 404


@pytest.mark.promise(8)
def test_a_correction_is_seen_by_the_person_and_by_administrators(centre: Centre, api: Api) -> None:
    mine = me(api, centre)
    before = mine.get("/me")
    answer = mine.call(
        "PATCH", "/me", {"title": "សុខ ដារ៉ា", "email": None}, headers={"If-Match": before.headers["ETag"]}
    )
    assert (answer.json["title"], answer.json["email"], answer.json["contact"]) == (
        "សុខ ដារ៉ា", None, "write to the centre",
    )  # fmt: skip
    assert mine.call("PATCH", "/me", {"title": "x"}, headers={"If-Match": before.headers["ETag"]}).status == 412
    assert api.call("PATCH", "/users/sok", {"email": "sok@new.example", **WHY}).json["email"] == "sok@new.example"
    for asked in (mine.get("/me/changes"), api.get("/users/sok/changes")):
        told = [(one["field"], one["before"], one["by"]) for one in asked.json["items"]]
        assert told == [("email", "sok@centre.example", "sok"), ("title", "Sok", "sok"), ("email", "", "admin")]
    sealed = centre.database.rows("SELECT sealed FROM person_change")
    assert not [row for row in sealed if b"centre.example" in bytes(row.sealed)]


@on_sqlite
@pytest.mark.parametrize(
    "email",
    [
        "",
        "x",
        "a@b",
        "a b@c.example",
        "a@b.example\n",
        "a@" + "b" * 300 + ".kh",
        "<a@b.example>",
        "a@b.example, c@d.example",
        "a\u202e@b.example",
    ],
)
def test_what_is_no_address_is_refused(centre: Centre, api: Api, email: str) -> None:
    assert me(api, centre).call("PATCH", "/me", {"email": email}).status == 422
    assert me(api, centre).call("PATCH", "/me", {"title": None}).status == 422
    assert me(api, centre).get("/me/changes").json["items"] == []


@pytest.mark.promise(8)
def test_erased_over_http_leaves_not_even_the_request_that_did_it(centre: Centre, api: Api, sok: Marked) -> None:
    mine = me(api, centre)
    assert mine.delete("/me/erase-request").status == 204
    assert mine.post("/me/erase-request", {"reason": "I left"}).status == 201
    assert mine.post("/me/erase-request", {}).status == 409
    (asked,) = api.get("/erase-requests").json["items"]
    assert (asked["user"], asked["reason"]) == ("sok", "I left")
    answer = api.post("/users/sok/erase", WHY, headers={"Idempotency-Key": "once"})
    assert answer.status == 200, answer.body
    assert answer.json["user"] == f"erased-{sok.user.id}"
    assert answer.json["contact"] == "write to the centre"
    assert api.post("/users/sok/erase", WHY, headers={"Idempotency-Key": "once"}).body == answer.body
    assert mine.get("/whoami").status == 401
    assert api.get("/erase-requests").json["items"] == []
    text = json.dumps(centre.database.dump(), default=lambda value: bytes(value).decode("latin-1"))
    assert [word for word in ('"sok', "/sok", "sok@", "zebra title", "zebra@") if word in text] == []
    (entry,) = api.get("/audit/entries?action=erase_user").json["items"]
    assert json.loads(entry["personal"])["by"] == "admin"
    assert (entry["subject"], entry["facts"]["user"]) == ("/users/{name}/erase", sok.user.id)
    assert "before" not in entry["facts"]
    assert api.post("/users", {"name": "erased-7", "title": "x"}).status == 422


@pytest.mark.promise(8)
@on_sqlite
def test_who_cannot_be_erased_yet_is_told_why(centre: Centre, api: Api) -> None:
    centre.submit(spec(command="run 1h"), "dara")
    answer = api.post("/users/dara/erase", WHY)
    assert (answer.status, answer.code) == (409, "not-erasable")
    assert len(answer.json["errors"]) == 2
    hold = api.post("/legal-holds", {"account": "cadt", **WHY})
    assert hold.json["account"] == "cadt"
    assert api.post("/users/sok/erase", WHY).code == "legal-hold"
    lifted = api.post(f"/legal-holds/{hold.json['id']}/lift", WHY)
    assert (lifted.json["lifted_by"], lifted.json["lifted_ms"]) == ("admin", centre.clock.now_ms())
    assert api.post(f"/legal-holds/{hold.json['id']}/lift", WHY).status == 409
    assert api.post("/legal-holds/99/lift", WHY).status == 404
    assert api.post("/legal-holds", {"account": "cadt", "user": "sok", **WHY}).status == 422
    assert api.post("/users/sok/erase", {"reason": "sok left"}).status == 422
    assert api.post("/users/sok/erase", WHY).status == 200


@on_sqlite
def test_the_register_is_open_and_says_what_is_in_force(centre: Centre, api: Api) -> None:
    mine = me(api, centre, "nary")
    register = mine.get("/personal-data").json
    assert [one["kind"] for one in register["records"]] == [record.kind for record in (*RECORDS, AUDIT)]
    document = {"audit": {"days": 30, "source": "Prakas 12", "basis": "public task"}}
    body = {"document": document, "from_ms": NEW_YEAR_MS + DAY_MS, **WHY}
    assert api.put("/retention", body).status == 200

    def audit() -> tuple[int | None, str]:
        found = next(one for one in mine.get("/personal-data").json["records"] if one["kind"] == "audit")
        return found["days"], found["source"]

    assert audit()[0] == 3_650
    centre.clock.set(NEW_YEAR_MS + DAY_MS)
    assert audit() == (30, "Prakas 12")
    (rule,) = mine.get("/retention").json["rules"]
    assert (rule["document"], rule["by"], rule["reason"]) == (document, "admin", "a test")


@on_sqlite
@pytest.mark.parametrize(
    "document",
    [
        {"nothing": {"days": 1, "source": "x"}},
        {"audit": {"days": 0, "source": "x"}},
        {"audit": {"days": True, "source": "x"}},
        {"audit": {"days": 40_000, "source": "x"}},
        {"audit": {"days": None, "source": "x"}},
        {"audit": {"days": 5}},
        {"audit": {"days": 5, "source": ""}},
        {"audit": {"days": 5, "source": 7}},
        {"audit": {"basis": "because", "source": "x"}},
        {"audit": {"basis": ["x"], "source": "x"}},
        {"audit": {"more": 1, "source": "x"}},
        {"audit": 5},
        {"work": {"days": 5, "source": "x"}},
    ],
)
def test_a_rule_of_retention_that_says_nothing_sound_is_refused(api: Api, document: dict[str, Any]) -> None:
    answer = api.put("/retention", {"document": document, **WHY})
    assert answer.status == 422, answer.body
    assert api.get("/retention").json["rules"] == []


@on_sqlite
def test_a_run_is_rehearsed_and_asked_for(centre: Centre, api: Api) -> None:
    centre.clock.advance(days=100)
    with centre.database.connect(writes=True) as connection:
        connection.exec_driver_sql("UPDATE token SET revoked_ms = 5 WHERE name = 'test' AND user_id > 3")
    assert api.post("/sweeps/check").json["removed"]["token"] > 3
    assert api.get("/sweeps").json["items"] == []
    assert api.post("/sweeps").status == 202
    with centre.store.read() as uow:
        assert uow.custody.mark("sweep-asked") == centre.clock.now_ms()
