"""What the real server answers to the script is what was recorded of it, which the stand-in is held to.

``python -m tests.support.kube.record KUBECONFIG tests/cluster/recordings/script.json`` records it anew.
"""

import json
from typing import Any

from tests.cluster.rig.control_plane import Cluster
from tests.support.kube.record import RECORDING, of_kubeconfig
from tests.support.kube.script import run
from tests.support.kube.steps import STEPS


def test_the_real_server_still_answers_as_it_was_recorded(cluster: Cluster) -> None:
    recorded: list[dict[str, Any]] = json.loads(RECORDING.read_text(encoding="utf-8"))
    told = run(of_kubeconfig(json.dumps(cluster.kubeconfig())), STEPS, "script-again")
    different = [new["step"] for new, old in zip(told, recorded, strict=True) if json.loads(json.dumps(new)) != old]
    assert different == []
