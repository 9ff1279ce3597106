"""Names on a cluster: valid whatever they are made from, different for different things, and readable back."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ids import AttemptId
from domain.jobs import Array, Bundle, Placement
from k8s import names
from tests.k8s.launches import GANG, launch

DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
LABEL_VALUE = re.compile(r"(|[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)")

ids = st.builds(AttemptId, st.integers(1, 10**18 - 1), st.none() | st.integers(0, 10**9 - 1), st.integers(1, 10**9 - 1))
texts = st.one_of(st.text(max_size=90), st.from_regex(r"[a-z0-9-]{1,80}", fullmatch=True))


def test_objects_are_named_by_their_attempt() -> None:
    assert names.object_name(AttemptId(1842, None, 1)) == "j-1842-a1"
    assert names.object_name(AttemptId(1842, 7, 2)) == "j-1842-7-a2"
    assert names.object_name(AttemptId(1842, 7, 2), bundle=True) == "b-1842-7-a2"


@given(ids, ids)
def test_names_of_objects_leave_room_for_those_of_their_pods_and_are_never_shared(
    one: AttemptId, other: AttemptId
) -> None:
    assert DNS_LABEL.fullmatch(f"{names.object_name(one)}-99999-abcde")
    assert names.object_name(one)[0].isalpha()  # as a Service's must be
    assert (names.object_name(one) == names.object_name(other)) is (one == other)
    assert names.object_name(one) != names.object_name(other, bundle=True)


@pytest.mark.parametrize(
    ("project", "name"),
    [
        ("speech", "baray-speech"),
        ("khmer-asr-2", "baray-khmer-asr-2"),
        ("Khmer ASR", r"baray-khmer-asr-[0-9a-f]{10}"),
        ("ការនិយាយ", r"baray-[0-9a-f]{10}"),
        ("x" * 80, r"baray-x{46}-[0-9a-f]{10}"),
        ("ends-with-", r"baray-ends-with-[0-9a-f]{10}"),
    ],
)
def test_a_project_has_a_namespace_that_people_recognise(project: str, name: str) -> None:
    assert re.fullmatch(name, names.namespace("baray-", project))


@given(texts, texts)
def test_namespaces_are_valid_and_never_shared(one: str, other: str) -> None:
    for project in (one, other):
        assert DNS_LABEL.fullmatch(names.namespace("baray-", project))
    assert (names.namespace("baray-", one) == names.namespace("baray-", other)) is (one == other)


def test_no_project_can_be_called_what_anothers_namespace_is_called() -> None:
    first = names.namespace("baray-", "Khmer ASR")
    assert names.namespace("baray-", first.removeprefix("baray-")) != first
    value = names.label_value("Khmer ASR")
    assert names.label_value(value) != value


@given(texts, texts)
def test_values_of_labels_are_valid_and_never_shared(one: str, other: str) -> None:
    assert LABEL_VALUE.fullmatch(names.label_value(one))
    assert (names.label_value(one) == names.label_value(other)) is (one == other)


@given(st.text(max_size=40), st.integers(names.SHORTEST, 63))
def test_labels_are_as_short_as_they_must_be(text: str, longest: int) -> None:
    assert len(names.dns_label(text, longest)) <= longest
    assert DNS_LABEL.fullmatch(names.dns_label(text, longest))


@given(ids)
def test_an_object_says_which_attempt_it_stands_for(attempt: AttemptId) -> None:
    assert LABEL_VALUE.fullmatch(str(attempt))
    assert names.attempts_of({"labels": {names.ATTEMPT: str(attempt)}}) == (attempt,)


@given(st.lists(st.tuples(st.integers(0, 10**9 - 1), st.integers(1, 99)), min_size=1, max_size=20))
def test_a_bundle_says_the_attempt_of_each_index(tasks: list[tuple[int, int]]) -> None:
    members = tuple(AttemptId(1842, index, number) for index, number in tasks)
    metadata = {"labels": {names.JOB: "1842"}, "annotations": {names.MEMBERS: names.write_members(members)}}
    assert names.attempts_of(metadata) == members


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        {"labels": None, "annotations": None},
        {"labels": {names.ATTEMPT: "nonsense"}},
        {"annotations": {names.MEMBERS: "1.1"}},
        {"labels": {names.JOB: "7"}, "annotations": {names.MEMBERS: "1.1 x"}},
    ],
)
def test_what_says_nothing_of_ours_stands_for_nothing(metadata: dict) -> None:
    assert names.attempts_of(metadata) == ()


def test_the_hash_is_of_what_runs_and_where() -> None:
    one = launch()
    assert names.spec_hash(one) == names.spec_hash(launch())
    assert re.fullmatch("[0-9a-f]{64}", names.spec_hash(one))
    others = [
        launch(run="echo other"),
        launch(env={"LR": "1"}),
        launch(attempt=AttemptId(1842, None, 2)),
        launch(flavor="a100-40gb"),
        launch(image="registry.example/other:1"),
        replace(one, placements=(Placement("n2", (0,)),)),
        replace(one, placements=(Placement("n1", (1,)),)),
        replace(one, project_id=8),
        launch(**GANG),
    ]
    assert len({names.spec_hash(other) for other in (one, *others)}) == len(others) + 1


def test_the_hash_leaves_out_what_may_differ_when_a_start_is_repeated() -> None:
    one = launch(secrets={"HF_TOKEN": "a"})
    extended = replace(one.spec, resources=replace(one.spec.resources, walltime_ms=99_000))
    assert names.spec_hash(replace(one, spec=extended)) == names.spec_hash(one)
    assert names.spec_hash(replace(one, secrets={"HF_TOKEN": "b"})) == names.spec_hash(one)


def test_the_hash_of_a_bundle_is_the_same_whichever_member_is_started_and_whoever_is_skipped() -> None:
    members = tuple((AttemptId(9, index, 1), (Placement("n1", (index,)),)) for index in range(3))
    spec = {"array": Array(0, 2)}
    found = {
        names.spec_hash(replace(launch(attempt=member, **spec), placements=places, bundle=Bundle(members, skipped)))
        for member, places in members
        for skipped in (frozenset(), frozenset({members[1][0]}))
    }
    assert len(found) == 1
    fewer = replace(launch(attempt=members[0][0], **spec), bundle=Bundle(members[:2]))
    assert names.spec_hash(fewer) not in found


def test_a_field_that_a_later_version_adds_changes_no_hash_of_before() -> None:
    """What is at its default is not in it. The checksum below was taken when this was written."""
    assert names.spec_hash(launch()) == "59e1af19994dcadf3da8a492b50cf14be06d258ed34845065fbb097cd205450f"
