"""The stand-in answers as a real API server does: the script's answers, against those that were recorded from one.

``tests/cluster/test_script.py`` shows that a real server still answers as it was recorded.
"""

import json

import pytest

from tests.support.kube.record import RECORDING, caller
from tests.support.kube.script import run
from tests.support.kube.server import ADMIN, KubeServer
from tests.support.kube.steps import STEPS

_RECORDED = {entry["step"]: entry for entry in json.loads(RECORDING.read_text(encoding="utf-8"))}


@pytest.fixture(scope="module")
def told() -> dict[str, dict[str, object]]:
    with KubeServer(kubelets=False) as server:
        answers = run(caller(server.url, ADMIN), STEPS, "script-stand-in", wait_s=5.0)
        assert server.strange == []
    return {entry["step"]: json.loads(json.dumps(entry)) for entry in answers}


def test_every_step_was_recorded() -> None:
    assert [step.title for step in STEPS] == list(_RECORDED)


@pytest.mark.parametrize("title", list(_RECORDED))
def test_it_answers_as_the_real_one(told: dict[str, dict[str, object]], title: str) -> None:
    assert told[title] == _RECORDED[title]
