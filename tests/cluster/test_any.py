"""What must hold on any cluster: one of ``BARAY_TEST_KUBECONFIG`` if it is set, with real containers, else the rig's.

The login must be an administrator's. Nothing is left there but admission policies and an empty namespace, which go at
the end. ``BARAY_TEST_IMAGE`` is an image with a shell that the cluster can pull.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from domain.accounts import Quota
from domain.clusters import ClusterConfig, Room, Tenancy
from domain.errors import Unavailable
from domain.fleet import CPU_FLAVOR
from domain.jobs import AttemptState, JobSpec, Launch, Placement, Resources
from domain.quantities import MILLI
from k8s import names
from k8s.client import Client
from k8s.driver import KubernetesDriver
from k8s.gateway import KubernetesGateway
from runtime.clock import SystemClock
from store.shelf import FileShelf
from tests.cluster.conftest import GIVEN
from tests.cluster.places import MIB, next_attempt, running, settled
from tests.cluster.waiting import until
from tests.k8s.rig import PlainPasses

_IMAGE = os.environ.get("BARAY_TEST_IMAGE", "docker.io/library/busybox:1.37")
_ORIGIN, _PREFIX = "any", "baray-any-"
_CONFIG = ClusterConfig(prefix=_PREFIX)
_ROOM = "baray-any-speech"


class Here:
    """``go`` starts a job; ``env`` is what kwok goes by, where it is kwok."""

    def __init__(self, kubeconfig: str, root: Path) -> None:
        shelf = FileShelf(root, log_limit_bytes=MIB, output_limit_bytes=MIB)
        self.gateway = KubernetesGateway(_ORIGIN, shelf, PlainPasses(), SystemClock())
        self.access = self.gateway.read_access(kubeconfig, None, _CONFIG)
        self.client = Client(self.access)
        driver = self.gateway.open("any", self.access, _CONFIG, lambda: None)
        assert isinstance(driver, KubernetesDriver)
        self.driver = driver
        self.node = until(lambda: [one.name for one in driver.inventory().nodes], 30)[0]
        driver.tend(
            Tenancy((Room(7, "speech", "cadt"),), {("cadt", CPU_FLAVOR): Quota(8 * MILLI)}, {CPU_FLAVOR: MILLI})
        )

    def go(self, *command: str, **env: str) -> Launch:
        resources = Resources((CPU_FLAVOR,), 0, 1, 1, 32 * MIB, 600_000)
        spec = JobSpec("speech", "any", resources, command=command, image=_IMAGE, grace_ms=2_000, env=env)
        job = Launch(next_attempt(), spec, CPU_FLAVOR, (Placement(self.node, ()),), 7)

        def taken() -> bool:
            with suppress(Unavailable):
                self.driver.start(job)
                return True
            return False

        until(taken, 60)
        return job

    def close(self) -> None:
        self.driver.close()
        root = "/apis/admissionregistration.k8s.io/v1"
        selected = {"labelSelector": f"{names.ORIGIN}={_ORIGIN}"}
        for kind in ("validatingadmissionpolicybindings", "validatingadmissionpolicies"):
            for one in self.client.list(f"{root}/{kind}", **selected).items:
                self.client.delete(f"{root}/{kind}/{one['metadata']['name']}")
        self.client.delete(f"/api/v1/namespaces/{_ROOM}")
        for kind in ("clusterqueues", "resourceflavors"):
            with suppress(Exception):  # where there is no Kueue
                for one in self.client.list(f"/apis/kueue.x-k8s.io/v1beta2/{kind}", **selected).items:
                    self.client.delete(f"/apis/kueue.x-k8s.io/v1beta2/{kind}/{one['metadata']['name']}")
        self.client.close()


@pytest.fixture(scope="module")
def here(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    if given := os.environ.get(GIVEN):
        text = Path(given).read_text(encoding="utf-8")
    else:
        text = json.dumps(request.getfixturevalue("cluster").kubeconfig())
    made = Here(text, tmp_path_factory.mktemp("any"))
    yield made
    made.close()


def test_an_administrator_may_add_it(here: Here) -> None:
    found = here.gateway.examine(here.access, _CONFIG)
    assert (found.problems, found.missing) == ((), ())
    assert found.uid


@pytest.mark.parametrize(
    ("command", "env", "state", "code"),
    [
        (("true",), {}, AttemptState.SUCCEEDED, 0),
        (("sh", "-c", "exit 3"), {"KWOK_EXIT": "3"}, AttemptState.FAILED, 3),
    ],
)
def test_a_job_ends_as_its_program_does(
    here: Here, command: tuple[str, ...], env: dict[str, Any], state: AttemptState, code: int
) -> None:
    job = here.go(*command, **env)
    end = settled(here.driver, job.attempt, 120)
    assert (end.state, end.exit_code) == (state, code)
    here.driver.forget(job.attempt)


def test_what_it_prints_is_kept_and_what_is_stopped_ends(here: Here) -> None:
    job = here.go("sh", "-c", "echo hello; sleep 600", KWOK_PRINT="hello", KWOK_SECONDS="600")
    running(here.driver, job.attempt, 120)
    until(lambda: here.driver.logs(job.attempt, 0, 0, 100).data == b"hello\n", 30)
    here.driver.stop(job.attempt, 1_000)
    assert settled(here.driver, job.attempt, 60).state is AttemptState.CANCELLED
    assert here.driver.logs(job.attempt, 0, 0, 100).data.startswith(b"hello\n")
    here.driver.forget(job.attempt)
