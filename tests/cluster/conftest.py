"""The real control plane for the tests of this directory. `make test-cluster` runs them; the other suites pass them by.

``BARAY_TEST_KUBECONFIG`` names the kubeconfig of another cluster to run them against, where they can.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from k8s.permissions import cluster_role
from tests.cluster.rig import fleet, processes
from tests.cluster.rig.control_plane import BARAY, Cluster

GIVEN = "BARAY_TEST_KUBECONFIG"
_HERE = Path(__file__).parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Whoever does not name this directory, or something in it, does not mean it: a control plane costs too much."""
    named = [Path(config.invocation_params.dir, str(one).split("::")[0]) for one in config.invocation_params.args]
    meant = any(one == _HERE or _HERE in one.parents for one in named)
    return None if meant or collection_path.suffix != ".py" else True


def _needed() -> None:
    if os.environ.get(GIVEN):
        pytest.skip(f"this test needs a cluster of its own, not the one of {GIVEN}")
    if why := processes.missing():
        pytest.skip(f"{why}; or set {GIVEN} to the kubeconfig of a cluster")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """The cluster that most tests share, with Kueue and JobSet."""
    _needed()
    with Cluster("one") as running:
        _allow(running)
        yield running


@pytest.fixture(scope="session")
def second_cluster() -> Iterator[Cluster]:
    """Another, with four nodes and without Kueue: for what needs two."""
    _needed()
    with Cluster("two", nodes=fleet.usual(4), guarded=False) as running:
        _allow(running)
        yield running


def _allow(cluster: Cluster) -> None:
    """The centre may do what its documentation asks for, and nothing else."""
    cluster.admin.create("/apis/rbac.authorization.k8s.io/v1/clusterroles", cluster_role("baray"))
    cluster.bind(BARAY, "baray")
