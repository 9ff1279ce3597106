"""Every example of the OpenAPI document is one that the service took or gave, and fits its schema.

The examples are recorded from the walk over all routes: ``BARAY_WRITE_EXAMPLES=1 pytest tests/api/test_examples.py``
writes ``api/http/openapi/examples.json`` anew.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from api.http.openapi.codes import CODES
from api.http.openapi.document import EXAMPLES, operations
from api.http.openapi.links import LINKS
from tests.api.test_openapi import Checked, walk
from tests.support.centre import Centre
from tests.support.marks import on_sqlite
from tests.support.serving import Answer, Api

ROOT = Path(__file__).parents[2]

# What is secret, or a test's own, is shown as what stands for it.
STAND_INS = {
    "kubeconfig": "apiVersion: v1\nkind: Config\n…", "token": "bry_…", "access_token": "bry_…", "device_code": "…",
    "user_code": "ABCD-EFGH", "password": "…", "old": "…", "new": "…", "salt": "…",
}  # fmt: skip
MOST_ITEMS = 2


class Recorder(Checked):
    """Remembers what each operation took and gave."""

    def __init__(self, api: Api, document: dict[str, Any], kept: dict[str, dict[str, Any]] | None = None) -> None:
        super().__init__(api, document)
        self.kept = {} if kept is None else kept

    def as_(self, token: str | None) -> "Recorder":
        return Recorder(self.api.as_(token), self.document, self.kept)

    def __call__(self, method: str, route: str, body: Any = None, *, data: bytes | None = None, **where: Any) -> Answer:
        answer = super().__call__(method, route, body, data=data, **where)
        if answer.status >= 300:
            return answer
        path = route[1:] if route.startswith("//") else f"/api/v1{route}"
        declared = self.document["paths"][path][method.lower()]
        one = self.kept.setdefault(declared["operationId"], {"requests": [], "parameters": {}, "answers": {}})
        if body is not None:
            one["requests"].append(shown(body))
        given = {**where, **(where.get("query") or {})}
        for parameter in declared.get("parameters", []):
            name = parameter.get("name")
            if name in given and name not in one["parameters"]:
                texts = parameter["schema"].get("type") == "string"
                one["parameters"][name] = str(given[name]) if texts else given[name]
        if answer.body and answer.headers.get("Content-Type", "").partition(";")[0] == "application/json":
            one["answers"].setdefault(str(answer.status), trimmed(shown(answer.json)))
        return answer


def shown(part: Any) -> Any:
    if isinstance(part, dict):
        return {
            key: STAND_INS[key] if key in STAND_INS and isinstance(value, str) else shown(value)
            for key, value in part.items()
        }
    return [shown(one) for one in part] if isinstance(part, list) else part


def trimmed(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: trimmed(value) for key, value in part.items()}
    return [trimmed(one) for one in part[:MOST_ITEMS]] if isinstance(part, list) else part


@pytest.fixture
def document(api: Api) -> dict[str, Any]:
    return api.get("/openapi.json").json


@on_sqlite
def test_what_is_shown_as_a_request_is_taken(api: Api, centre: Centre, document: dict[str, Any]) -> None:
    recorder = Recorder(api, document)
    walk(recorder, centre)
    if os.environ.get("BARAY_WRITE_EXAMPLES"):
        write(recorder.kept)
        pytest.skip("written; run the tests again")
    for path, method, operation in operations(document):
        took = recorder.kept.get(operation["operationId"], {})
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        if content:
            assert "example" in content, f"{method} {path} has no example: see this file's first lines"
            assert content["example"] in took["requests"], f"{method} {path} does not take its example"
        for status, answer in operation["responses"].items():
            told = answer.get("content", {}).get("application/json", {})
            if told and status in took.get("answers", {}):
                assert "example" in told, f"{method} {path} {status} has no example: see this file's first lines"


def write(kept: dict[str, dict[str, Any]]) -> None:
    examples = {}
    for name, one in sorted(kept.items()):
        request = {"request": one["requests"][0]} if one["requests"] else {}
        examples[name] = {"parameters": one["parameters"], **request, "answers": one["answers"]}
    lines = [f"{json.dumps(name)}: {json.dumps(one, ensure_ascii=False)}" for name, one in examples.items()]
    EXAMPLES.write_text("{\n" + ",\n".join(lines) + "\n}\n")


@on_sqlite
def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    def fits(content: dict[str, Any], what: str) -> None:
        schema = {**content["schema"], "components": document["components"]}
        for error in jsonschema_rs.validator_for(schema).iter_errors(content["example"]):
            raise AssertionError(f"{what}: {error.message}")

    found = 0
    for path, method, operation in operations(document):
        contents = [
            operation.get("requestBody", {}),
            *operation["responses"].values(),
            *operation.get("parameters", []),
        ]
        for one in contents:
            for content in (*one.get("content", {}).values(), one):
                if "example" in content:
                    fits(content, f"{method} {path}")
                    found += 1
    assert found > 300


@on_sqlite
def test_everything_is_told(document: dict[str, Any]) -> None:
    """A field, a parameter, an enum or an answer without words: see ``api/http/openapi``."""
    bare = []
    for name, schema in document["components"]["schemas"].items():
        bare += [
            f"{name}.{field}" for field, told in schema.get("properties", {}).items() if not told.get("description")
        ]
        bare += [name] if "enum" in schema and not schema.get("description") else []
    for path, method, operation in operations(document):
        what = f"{method} {path}"
        bare += [] if operation.get("description") or operation.get("summary") else [what]
        for parameter in operation.get("parameters", []):
            told = parameter.get("description") or parameter.get("schema", {}).get("description") or "$ref" in parameter
            bare += [] if told else [f"{what}: {parameter['name']}"]
        for status, answer in operation["responses"].items():
            told = answer.get("description") not in {None, "", "Successful Response", "An answer."}
            bare += [] if told else [f"{what} {status}"]
        bare += [
            f"{what}: the tag {tag}" for tag in operation["tags"] if tag not in {t["name"] for t in document["tags"]}
        ]
    assert not bare, bare


@on_sqlite
def test_who_may_is_told_of_every_operation(document: dict[str, Any]) -> None:
    schemes = document["components"]["securitySchemes"]
    for path, method, operation in operations(document):
        open_to_all = "x-permission" not in operation
        assert (operation["security"] == []) is open_to_all, f"{method} {path}"
        assert all(name in schemes for one in operation["security"] for name in one)


@on_sqlite
def test_every_link_leads_to_an_operation_that_takes_what_it_gives(document: dict[str, Any]) -> None:
    by_name = {operation["operationId"]: (method, operation) for _, method, operation in operations(document)}
    for link in LINKS:
        answers = by_name[link.source][1]["responses"]
        assert answers[str(link.status)]["links"][link.target]["operationId"] == link.target
        taken = {one["name"] for one in by_name[link.target][1].get("parameters", []) if one.get("in") == "path"}
        assert set(link.parameters) == taken, f"{link.source} to {link.target}"


_CODE = re.compile(r"\bcode ?= ?\"([a-z]+(?:-[a-z]+)*)\"")
_PLACES = ("api", "domain", "lifecycle", "local", "quotas", "store")
# Of processes that people start, and never of an answer.
_NEVER_ANSWERED = {"cannot-start", "error", "broken-tree"}


def codes_of_the_code() -> Iterator[str]:
    for place in _PLACES:
        for file in (ROOT / place).rglob("*.py"):
            yield from _CODE.findall(file.read_text())


@on_sqlite
def test_every_code_of_a_problem_is_listed(document: dict[str, Any]) -> None:
    listed = document["components"]["schemas"]["Problem"]["x-codes"]
    assert listed == dict(CODES)
    assert set(codes_of_the_code()) - set(listed) - _NEVER_ANSWERED == set()
