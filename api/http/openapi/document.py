"""Completes the OpenAPI document that FastAPI derives: words, examples, links, headers, who may, codes of problems."""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fastapi.routing import APIRoute

from api.http.credentials import CSRF_HEADER, PLAIN_COOKIE, SAFE_COOKIE
from api.http.openapi.codes import CODES
from api.http.openapi.exceptions import ENUMS, OF_SHAPES, PARAMETERS
from api.http.openapi.links import LINKS
from api.http.openapi.operations import OPERATIONS, TAGS
from api.http.openapi.words import FIELDS
from api.http.schemas.base import Problem

Part = dict[str, Any]

EXAMPLES = Path(__file__).with_name("examples.json")

_TOKEN, _SESSION, _PASS = "token", "session", "pass"
_SCHEMES: Mapping[str, Part] = {
    _TOKEN: {"type": "http", "scheme": "bearer", "description": "A token of a user or service: `bry_…`."},
    _SESSION: {
        "type": "apiKey",
        "in": "cookie",
        "name": SAFE_COOKIE,
        "description": f"The session of a browser (`{PLAIN_COOKIE}` without TLS). What changes something must repeat its "
        f"proof against forgery in `{CSRF_HEADER}`.",
    },
    _PASS: {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "`Pass …`: what the pods of a job hold, for its attempt alone.",
    },
}
_HEADERS: Mapping[str, Part] = {
    "X-Request-Id": {"description": "The request's id; the centre's log knows it.", "schema": {"type": "string"}},
    "ETag": {
        "description": "For `If-None-Match`, and of things with a version for `If-Match`.",
        "schema": {"type": "string"},
    },
}
_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A repeat with the same key and content gets the first answer, and nothing is done twice.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
    "example": "5b8b3a1e-2f57-4a52-9d6c-0a1c2d3e4f50",
}
_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "The ETag that was seen: what somebody else changed since is left as it is (412).",
    "schema": {"type": "string", "maxLength": 40, "pattern": '^("[0-9]{1,18}(-[0-9a-f]{16})?"|\\*)$'},
}
_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The ETag of an earlier answer: if it would be the same again, 304 and no body.",
    "schema": {"type": "string", "maxLength": 200},
}
_ANSWERS = {
    "200": "What was asked for, or the thing after the change.",
    "201": "It was made.",
    "202": "It is not done yet: it goes on by itself, or waits for a second person.",
    "204": "It was done; there is nothing to tell.",
    "304": "As it was seen: the ETag fits.",
}
_JSON = "application/json"


def operation_id(route: APIRoute) -> str:
    """The handler's own name: each is there once."""
    return route.name


def complete(document: Part) -> Part:
    """The same document, with everything told. Changes what it is given."""
    components = document.setdefault("components", {})
    schemas = components.setdefault("schemas", {})
    if "Problem" not in schemas:
        problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas |= {**problem.pop("$defs", {}), "Problem": problem}
    schemas["Problem"]["x-codes"] = dict(CODES)
    components["securitySchemes"] = dict(_SCHEMES)
    components["headers"] = dict(_HEADERS)
    components["parameters"] = {"key": _KEY, "match": _MATCH, "none-match": _NONE_MATCH}
    used = {tag for _, _, operation in operations(document) for tag in operation.get("tags", ())}
    document["tags"] = [{"name": tag, "description": text} for tag, text in TAGS.items() if tag in used]
    document["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    for name, schema in schemas.items():
        _tell_fields(name, schema)
        if "enum" in schema and name in ENUMS:
            schema.setdefault("description", ENUMS[name])
    examples = _examples()
    for path, method, operation in operations(document):
        _tell(path, method, operation, examples.get(operation["operationId"], {}))
    _link(document)
    return document


def operations(document: Part) -> Iterator[tuple[str, str, Part]]:
    """Path, method and operation of each."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method.upper(), operation


@cache
def _examples() -> Mapping[str, Part]:
    found: Mapping[str, Part] = json.loads(EXAMPLES.read_text()) if EXAMPLES.exists() else {}
    return found


def _tell_fields(name: str, schema: Part) -> None:
    short = name.rpartition("__")[2]
    for field, told in schema.get("properties", {}).items():
        text = OF_SHAPES.get(f"{short}.{field}") or FIELDS.get(field)
        if "description" not in told and text is not None:
            told["description"] = text


def _tell(path: str, method: str, operation: Part, example: Part) -> None:
    handler = operation["operationId"]
    if not operation.get("description") and handler in OPERATIONS:
        operation["description"] = OPERATIONS[handler]
    if "x-deprecated" in operation:
        operation["deprecated"] = True
    operation["security"] = (
        []
        if "x-permission" not in operation
        else [{_PASS: []}]
        if path.startswith("/api/v1/pods/")
        else [{_TOKEN: []}, {_SESSION: []}]
    )
    shown = example.get("parameters", {})
    for parameter in operation.get("parameters", []):
        if "description" not in parameter and parameter["name"] in PARAMETERS:
            parameter["description"] = PARAMETERS[parameter["name"]]
        if parameter["name"] in shown:
            parameter["example"] = shown[parameter["name"]]
    content = operation.get("requestBody", {}).get("content", {})
    if "request" in example and _JSON in content:
        content[_JSON]["example"] = example["request"]
    _tell_answers(method, operation, example)
    extra = {"POST": ["key"], "PUT": ["match"], "PATCH": ["match"], "DELETE": ["match"], "GET": []}.get(method, [])
    if method == "GET" and "304" in operation["responses"]:
        extra = ["none-match"]
    if extra and operation["security"]:
        references = [{"$ref": f"#/components/parameters/{one}"} for one in extra]
        operation["parameters"] = [*operation.get("parameters", []), *references]


def _tell_answers(method: str, operation: Part, example: Part) -> None:
    responses = operation["responses"]
    if method == "GET" and _JSON in responses.get("200", {}).get("content", {}):
        responses["304"] = {"description": _ANSWERS["304"]}
    for status, answer in responses.items():
        if answer.get("description") in {None, "", "Successful Response"} or status == "304":
            answer["description"] = _ANSWERS.get(status, "An answer.")
        headers = ["X-Request-Id"]
        if method == "GET" and (_JSON in answer.get("content", {}) or status == "304"):
            headers.append("ETag")
        answer["headers"] = {
            **answer.get("headers", {}),
            **{one: {"$ref": f"#/components/headers/{one}"} for one in headers},
        }
        if status in example.get("answers", {}) and _JSON in answer.get("content", {}):
            answer["content"][_JSON]["example"] = example["answers"][status]


def _link(document: Part) -> None:
    found = {operation["operationId"]: operation for _, _, operation in operations(document)}
    for link in LINKS:
        answer = found.get(link.source, {}).get("responses", {}).get(str(link.status))
        if answer is not None and link.target in found:
            links = answer.setdefault("links", {})
            links[link.target] = {"operationId": link.target, "parameters": dict(link.parameters)}
