"""The Kubernetes driver keeps the contract of all drivers, on a stand-in cluster whose containers are real processes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contracts.driver_contract import DriverContract
from tests.k8s.rig import KubeRig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[KubeRig]:
    made = KubeRig(tmp_path)
    yield made
    made.close()


class TestKubernetesDriver(DriverContract):
    """On the ``rig`` of this file."""
