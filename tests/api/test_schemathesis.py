"""The whole OpenAPI document against the real application, in the hands of several people: no 5xx, nothing undeclared.

Schemathesis makes the requests, from the schemas (right and wrong ones) and along the links of the document.
"""

from contextlib import suppress
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from schemathesis import Case, GenerationMode
from schemathesis.core.transport import Response
from schemathesis.specs.openapi import checks as of_openapi

from domain.quantities import DAY_MS
from lifecycle import people
from tests.support.centre import Centre
from tests.support.clock import NEW_YEAR_MS
from tests.support.factories import H100, NOBODY, spec
from tests.support.marks import on_sqlite
from tests.support.serving import Api

CHECKS = (
    schemathesis.checks.not_a_server_error,
    of_openapi.status_code_conformance,
    of_openapi.content_type_conformance,
    of_openapi.response_headers_conformance,
    of_openapi.response_schema_conformance,
)
# They hold the line open, or end the token with which all others are asked; each has tests of its own.
LEFT_OUT = frozenset({"stream_logs", "wait_for_job", "logout", "revoke_token"})
PEOPLE = {"admin": "admin", "member": "sok", "nobody": NOBODY, "stranger": None}
SEED = 1842
AT_ONCE = 10  # walks that are made of one seed


@schemathesis.serializer("application/gzip", "application/octet-stream")
def as_bytes(_context: Any, value: Any) -> bytes:
    """Bodies that are no JSON, as the bytes that they are."""
    return value if isinstance(value, bytes) else str(value).encode(errors="replace")


@pytest.fixture(autouse=True)
def furnished(centre: Centre) -> None:
    """With something of most kinds, so that what is asked for is there: a job that is over, one that waits, a secret."""
    centre.submit(spec(command="run 1m leave 42", outputs=("*.txt",)))
    centre.run()
    centre.submit(spec(command="run 1h"))
    centre.submit(spec(held=True))
    centre.settle()
    with centre.store.write() as uow:
        people.put_secret(uow, centre.vault, uow.directory().by_name["speech"], "KEY", "value")


def names_of(path: str) -> dict[str, Any]:
    """What is really there, for the parameters of a path."""
    first = path.removeprefix("/api/v1/").partition("/")[0]
    name = {
        "tenants": "cadt", "projects": "speech", "accounts": "speech", "users": "dara", "clusters": "sim",
        "flavors": H100,
    }.get(first, "class")  # fmt: skip
    known = {
        "name": name, "user": "sok", "secret": "KEY", "account": "speech", "flavor": H100, "role": "member", "job": "2",
        "node": "n1", "path": "result.txt", "grant_id": 1, "allocation_id": 1, "gate_id": 1, "change_id": 1,
        "entry_id": 1,
    }  # fmt: skip
    return {key: value for key, value in known.items() if f"{{{key}}}" in path}


THERE = {
    "project": "speech", "tenant": "cadt", "user": "sok", "account": "speech", "flavor": H100, "funder": "moeys",
    "lead": "dara", "under": "cadt", "run": "run 1h", "role": "member", "kind": "university", "to": 2,
    "su": "1", "reason": "a test", "length": "1h", "grant": "wb-77", "province": "KH-12", "repeat": "daily",
    "classification": "public", "gate": "ethics-decision", "attempt": "1.1",
}  # fmt: skip
SPAN = {"starts_ms": NEW_YEAR_MS, "ends_ms": NEW_YEAR_MS + 30 * DAY_MS}


def likely(case: Case) -> Case:
    """The same request, of what is there: what is made by chance names nothing that is."""
    if isinstance(case.body, dict):
        known = {**THERE, **SPAN}
        case.body = {key: known.get(key, value) for key, value in case.body.items()}
        if "sources" in case.body:
            case.body["sources"] = [{"grant": "wb-77", "su": "1"}]
        if "command" in case.body and "run" in case.body:
            del case.body["command"]
    return case


def schema_of(api: Api) -> Any:
    schema = schemathesis.openapi.from_url(f"{api.address}/api/v1/openapi.json")
    schema.config.generation.update(allow_x00=True)
    return schema.exclude(operation_id=sorted(LEFT_OUT))


def headers_of(api: Api) -> dict[str, str]:
    return {"Authorization": f"Bearer {api.token}"} if api.token else {}


def asked(operation: Any) -> st.SearchStrategy[Case]:
    """Right and wrong requests, of anything and of what is there."""
    known = names_of(operation.path)
    wanted = [operation.as_strategy(), operation.as_strategy(GenerationMode.NEGATIVE)]
    wanted.append(operation.as_strategy(path_parameters=known or None).map(likely))
    return st.one_of(*wanted)


def ask_everything(api: Api, examples: int) -> None:
    wanted = headers_of(api)
    for found in schema_of(api).get_all_operations():
        operation = found.ok()

        @seeded(SEED)
        @settings(
            max_examples=examples, phases=[Phase.generate], deadline=None, database=None,
            suppress_health_check=list(HealthCheck), derandomize=False,
        )  # fmt: skip
        @given(case=asked(operation))
        def ask(case: Case) -> None:
            case.headers.pop("Idempotency-Key", None)  # nearly every one would be a repeat
            case.call_and_validate(base_url=api.address, headers=wanted, checks=list(CHECKS))

        ask()


def walk_along_the_links(api: Api, centre: Centre, walks: int, steps: int) -> set[str]:
    """Each walk begins from the same centre. Answers the operations that answered well."""
    answered: set[str] = set()
    wrong: list[str] = []
    wanted, rows = headers_of(api), centre.database.dump()

    class Walk(schema_of(api).as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            super().setup()
            centre.database.empty()
            centre.database.load(rows)

        def before_call(self, case: Case) -> None:
            case.headers.pop("Idempotency-Key", None)
            case.headers.pop("If-Match", None)
            likely(case)

        def get_call_kwargs(self, case: Case) -> dict[str, Any]:
            return {"headers": wanted, "base_url": api.address}

        def call(self, case: Case, **options: Any) -> Response:
            return super().call(case, **options)

        def validate_response(self, response: Response, case: Case, **options: Any) -> None:
            if response.status_code < 300:
                answered.add(case.operation.definition.raw["operationId"])
            try:
                case.validate_response(response, checks=list(CHECKS))
            except BaseException as error:
                wrong.append(str(error))
                raise

    def walk() -> None:
        # That a walk does not go the same way twice is no fault: tokens and times differ. What is wrong is kept above.
        with suppress(Flaky):
            Walk.run(settings=of)

    of = settings(
        max_examples=AT_ONCE, stateful_step_count=steps, phases=[Phase.generate], deadline=None, database=None,
        suppress_health_check=list(HealthCheck), derandomize=False,
    )  # fmt: skip
    for number in range(walks // AT_ONCE):
        seeded(SEED + number)(Walk)
        walk()
        assert not wrong, wrong[0]
    return answered


@on_sqlite
@pytest.mark.parametrize("who", PEOPLE)
def test_whatever_is_asked_is_answered_as_declared(api: Api, centre: Centre, who: str) -> None:
    user = PEOPLE[who]
    theirs = api.as_(None if user is None else centre.population.tokens[user])
    ask_everything(theirs, 3 if who == "admin" else 2)
    if user is not None:
        assert theirs.get("/whoami").status == 200, "the token was lost on the way, so that nothing was shown"


@on_sqlite
def test_whoever_follows_the_links_meets_no_bug(api: Api, centre: Centre) -> None:
    answered = walk_along_the_links(api, centre, walks=20, steps=8)
    assert api.get("/whoami").status == 200
    assert len(answered) > 10


@pytest.mark.slow
@on_sqlite
@pytest.mark.parametrize("who", PEOPLE)
def test_much_more_of_it_is_answered_as_declared(api: Api, centre: Centre, who: str) -> None:
    user = PEOPLE[who]
    ask_everything(api.as_(None if user is None else centre.population.tokens[user]), 16 if who == "admin" else 6)


@pytest.mark.slow
@on_sqlite
def test_long_walks_along_the_links_meet_no_bug(api: Api, centre: Centre) -> None:
    answered = walk_along_the_links(api, centre, walks=150, steps=12)
    assert {"add_tenant", "submit_job", "add_user"} <= answered, answered
    paths = api.get("/openapi.json").json["paths"]
    linked = {told["operationId"] for path, ways in paths.items() if "{" in path for told in ways.values()}
    assert answered & linked, "no walk went on from what it had made"
