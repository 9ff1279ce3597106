"""The wire that tests cut: a request that arrives although its answer is lost is the worst that a network does."""

import json

import pytest

from k8s.client import Client
from k8s.errors import Unreachable
from tests.cluster.rig.control_plane import Cluster
from tests.cluster.rig.wire import Wire

_MAPS = "/api/v1/namespaces/default/configmaps"


def test_what_is_sent_over_a_mute_wire_is_done_and_not_answered(cluster: Cluster) -> None:
    with Wire(cluster.port) as wire:
        client = Client(json.dumps(wire.kubeconfig(cluster.kubeconfig())), timeout_s=1)
        assert client.get(f"{_MAPS}/unheard") is None
        wire.mute()
        with pytest.raises(Unreachable):
            client.create(_MAPS, {"metadata": {"name": "unheard"}})
        assert cluster.admin.find(f"{_MAPS}/unheard") is not None
        wire.mend()
        assert client.delete(f"{_MAPS}/unheard")
        wire.stall()
        with pytest.raises(Unreachable):
            client.create(_MAPS, {"metadata": {"name": "stalled"}})
        wire.cut()
        with pytest.raises(Unreachable):
            client.create(_MAPS, {"metadata": {"name": "cut"}})
        wire.mend()
        assert client.get(f"{_MAPS}/cut") is None
        client.close()
