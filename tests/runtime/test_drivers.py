"""The drivers follow the database; what clusters far away have reaches the planner, and what they must have reaches them."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from domain.accounts import Quota
from domain.clusters import ClusterConfig, Tenancy
from domain.fleet import Node
from domain.jobs import JobState
from lifecycle import accounts, clusters, fleet
from lifecycle.lookout import Lookout
from lifecycle.reach import Contact
from lifecycle.stock import SILENT_MS
from lifecycle.tending import EVERY_MS, SOON_MS
from monitoring.metrics import Metrics
from runtime.controller import Controller
from runtime.drivers import Drivers
from tests.runtime.test_controller import said, until
from tests.support.centre import Centre
from tests.support.factories import CLUSTER, GIB, H100, resources, spec
from tests.support.gateway import L40S, MIG, SECRET, FakeGateway, FarDriver, kubeconfig
from tests.support.marks import on_sqlite

ROOT = Path(__file__).parents[2]


@pytest.fixture
def gateway(centre: Centre) -> FakeGateway:
    return FakeGateway.usual(centre.clock)


Opened = Callable[..., Drivers]


@pytest.fixture
def opened(centre: Centre, gateway: FakeGateway) -> Iterator[Opened]:
    """The drivers of another process of the centre."""
    made: list[Drivers] = []

    def open_() -> Drivers:
        drivers = Drivers(
            {CLUSTER: centre.driver}, centre.database.store(), centre.vault, lambda: gateway, lambda: None, look_s=0
        )
        made.append(drivers)
        return drivers

    yield open_
    for drivers in made:
        drivers.close()


def add(centre: Centre, gateway: FakeGateway, name: str = "pp", config: ClusterConfig | None = None) -> list[str]:
    config = config or ClusterConfig(image="registry.example/base:1")
    looked = clusters.look(gateway, kubeconfig(name), None, config)
    with centre.store.write() as uow:
        return clusters.add(uow, centre.vault, name, looked, config, centre.clock.now_ms())


def controller(centre: Centre, drivers: Drivers, holder: str = "one") -> Controller:
    store = centre.database.store()
    return Controller(
        store=store, lookout=Lookout(store), drivers=drivers, vault=centre.vault, clock=centre.clock,
        metrics=Metrics(store), holder=holder, beat_ms=60_000, lease_ms=10_000_000, alone=False, used_tokens={},
    )  # fmt: skip


def beat(centre: Centre, one: Controller, ms: int = 1_000) -> None:
    centre.clock.advance(ms)
    assert one.cycle()


def node_names(centre: Centre, cluster: str) -> list[str]:
    with centre.store.read() as uow:
        return [node.name for node in uow.fleet.nodes([cluster])]


class TestFollowing:
    def test_what_is_added_is_opened_and_what_is_removed_is_closed(
        self, centre: Centre, gateway: FakeGateway, opened: Opened
    ) -> None:
        drivers = opened()
        drivers.refresh()
        assert list(drivers) == [CLUSTER]
        add(centre, gateway, "pp", ClusterConfig(pull_secret='{"auths": {}}'))
        assert "pp" not in drivers
        drivers.refresh()
        driver = drivers["pp"]
        assert isinstance(driver, FarDriver)
        assert driver.config.pull_secret == '{"auths": {}}', "it is told what nobody is shown"
        assert list(drivers) == [CLUSTER, "pp"]
        drivers.refresh()
        assert len(gateway.opened) == 1
        with centre.store.write() as uow:
            fleet.set_cluster_state(uow, "pp", "draining", None)
        drivers.refresh()
        assert len(gateway.opened) == 1, "it is dealt with as before"
        with centre.store.write() as uow:
            clusters.remove(uow, "pp", None)
        drivers.refresh()
        assert list(drivers) == [CLUSTER]
        assert driver.closed

    def test_another_manner_or_other_credentials_open_it_again(
        self, centre: Centre, gateway: FakeGateway, opened: Opened
    ) -> None:
        add(centre, gateway)
        drivers = opened()
        drivers.refresh()
        first = gateway.driver("pp")
        with centre.store.write() as uow:
            clusters.set_config(uow, centre.vault, "pp", {"digest_only": True}, None)
        drivers.refresh()
        second = gateway.driver("pp")
        assert (second.config.digest_only, first.closed, second.closed) == (True, True, False)
        looked = clusters.look(gateway, kubeconfig("pp", token="new"), None, ClusterConfig())
        with centre.store.write() as uow:
            clusters.renew(uow, centre.vault, "pp", looked, None)
        drivers.refresh()
        assert (len(gateway.opened), second.closed, drivers["pp"]) == (3, True, gateway.driver("pp"))

    def test_one_that_cannot_be_opened_does_not_keep_the_others_from_it(
        self, centre: Centre, gateway: FakeGateway, opened: Opened
    ) -> None:
        add(centre, gateway, "pp")
        add(centre, gateway, "kpt")
        gateway.refuses.add("pp")
        with centre.store.write() as uow:
            uow.clusters.set_access("kpt", b"sealed with another key")
        drivers = opened()
        one = controller(centre, drivers)
        job = centre.submit(spec(command="run 1m")).id
        beat(centre, one)
        beat(centre, one)
        assert list(drivers) == [CLUSTER]
        assert centre.job(job).state is JobState.RUNNING
        with centre.store.read() as uow:
            notes = {name: " ".join(found.notes) for name, found in uow.directory().clusters.items()}
        assert "it cannot be opened: unexpectedly (RuntimeError)" in notes["pp"]
        assert SECRET not in str(notes)
        assert "another key" in notes["kpt"]
        assert said(one, "baray_cluster_up", cluster="pp") == 0
        gateway.refuses.clear()
        looked = clusters.look(gateway, kubeconfig("kpt"), None, ClusterConfig())
        with centre.store.write() as uow:
            sealed = clusters.seal(centre.vault, looked.access, "")
            uow.clusters.set_access("kpt", sealed)
        beat(centre, one)
        beat(centre, one)
        assert sorted(drivers) == ["kpt", "pp", CLUSTER]
        with centre.store.read() as uow:
            assert uow.directory().clusters["pp"].contact.trouble == ""
        assert said(one, "baray_cluster_up", cluster="pp") == 1

    @on_sqlite
    def test_a_process_that_does_not_lead_opens_what_it_is_asked_for(
        self, centre: Centre, gateway: FakeGateway, opened: Opened
    ) -> None:
        add(centre, gateway)
        drivers = opened()
        drivers.refresh(opens=False)
        assert gateway.opened == []
        assert drivers["pp"] is gateway.driver("pp")
        with pytest.raises(KeyError):
            drivers["none"]
        assert drivers.get("none") is None
        with centre.store.write() as uow:
            clusters.set_config(uow, centre.vault, "pp", {"exec": False}, None)
        drivers.refresh(opens=False)
        assert drivers["pp"] is gateway.driver("pp")
        assert not gateway.driver("pp").config.exec
        assert len(gateway.opened) == 2

    @on_sqlite
    def test_the_database_is_not_asked_again_at_once(self, centre: Centre, gateway: FakeGateway) -> None:
        drivers = Drivers({}, centre.database.store(), centre.vault, lambda: gateway, lambda: None, look_s=3_600)
        drivers.refresh()
        add(centre, gateway)
        drivers.refresh()
        assert list(drivers) == []


class TestStock:
    def test_what_a_cluster_has_reaches_the_planner(self, centre: Centre, gateway: FakeGateway, opened: Opened) -> None:
        assert add(centre, gateway) == [MIG, L40S]
        one = controller(centre, opened())
        beat(centre, one)
        with centre.store.write() as uow:
            fleet.add_rate(uow, L40S, 0, 1_000_000, centre.clock.now_ms())
        centre.submit(spec(needs=resources(4, L40S), command="run 1h"))
        job = centre.submit(spec(needs=resources(4, L40S), command="run 1h")).id
        beat(centre, one)
        assert centre.job(job).state is JobState.PENDING
        place = gateway.places["pp"]
        place.nodes = (*place.nodes, Node("pp-3", {L40S: 4}, 64, 512 * GIB))
        beat(centre, one)
        assert {placement.node for placement in centre.attempt(job).placements} == {"pp-3"}
        place.nodes = place.nodes[:1]
        beat(centre, one)
        assert node_names(centre, "pp") == ["pp-1"]
        with centre.store.read() as uow:
            assert uow.directory().clusters["pp"].notes == ("a far note",)

    def test_a_flavor_that_comes_up_later_is_named_with_its_part_of_a_gpu_and_no_rate(
        self, centre: Centre, gateway: FakeGateway, opened: Opened
    ) -> None:
        small = "h100-mig-2g.20gb"
        add(centre, gateway)
        place = gateway.places["pp"]
        one = controller(centre, opened())
        beat(centre, one)
        place.millis, place.nodes = {small: 286}, (*place.nodes, Node("pp-4", {small: 3}, 8, GIB))
        beat(centre, one)
        with centre.store.read() as uow:
            found = uow.directory()
        assert found.flavors[small].milli == 286
        assert small not in found.rates

    def test_one_that_does_not_answer_keeps_its_nodes_and_gets_nothing_new(
        self, centre: Centre, gateway: FakeGateway, opened: Opened
    ) -> None:
        add(centre, gateway, "kpt")
        centre.driver.nodes = ()
        one = controller(centre, opened())
        beat(centre, one)
        place = gateway.places["kpt"]
        place.silent_ms, place.nodes = centre.clock.now_ms(), ()
        beat(centre, one)
        assert node_names(centre, "kpt") == ["k-1"], "what it does not say is not so"
        assert said(one, "baray_cluster_up", cluster="kpt") == 0
        first = centre.submit(spec(needs=resources(1, H100))).id
        beat(centre, one)
        assert centre.attempt(first).cluster == "kpt", "a moment's silence is none"
        beat(centre, one, SILENT_MS)
        second = centre.submit(spec(needs=resources(1, H100))).id
        beat(centre, one)
        assert said(one, "baray_cluster_silent_seconds", cluster="kpt") == (SILENT_MS + 3_000) / 1_000
        assert centre.attempts(second) == []
        with centre.store.read() as uow:
            assert not uow.directory().clusters["kpt"].open
        place.silent_ms, place.whole = None, False
        beat(centre, one)
        assert node_names(centre, "kpt") == ["k-1"], "its list is under way"
        assert centre.attempt(second).cluster == "kpt"
        place.whole = True
        beat(centre, one)
        assert node_names(centre, "kpt") == []

    @on_sqlite
    def test_nothing_is_written_while_nothing_changes(
        self, centre: Centre, gateway: FakeGateway, opened: Opened
    ) -> None:
        add(centre, gateway)
        one = controller(centre, opened())
        beat(centre, one)
        beat(centre, one)
        with one.store.read() as uow:
            before = uow.directory()
        for _ in range(3):
            beat(centre, one)
        with one.store.read() as uow:
            assert uow.directory() is before

    def test_only_the_leader_writes(self, centre: Centre, gateway: FakeGateway, opened: Opened) -> None:
        add(centre, gateway)
        one = controller(centre, opened())
        beat(centre, one)
        with centre.store.write() as uow:
            uow.leader.take("another", centre.clock.now_ms() + 10_000_000, 10_000_000, alone=False)
        gateway.places["pp"].nodes = ()
        centre.clock.advance(1_000)
        assert not one.cycle()
        assert node_names(centre, "pp") == ["pp-1", "pp-2"]

    def test_one_that_is_removed_meanwhile_stays_so(self, centre: Centre, gateway: FakeGateway, opened: Opened) -> None:
        add(centre, gateway)
        drivers = Drivers(
            {}, centre.database.store(), centre.vault, lambda: gateway, lambda: None, look_s=3_600
        )  # it looks rarely
        one = controller(centre, drivers)
        beat(centre, one)
        with centre.store.write() as uow:
            fleet.set_cluster_state(uow, "pp", "draining", None)
            clusters.remove(uow, "pp", None)
        gateway.places["pp"].nodes = gateway.places["pp"].nodes[:1]
        beat(centre, one)
        assert node_names(centre, "pp") == []
        assert "pp" in drivers
        drivers.close()


class TestTending:
    def test_projects_and_quotas_reach_the_cluster(self, centre: Centre, gateway: FakeGateway, opened: Opened) -> None:
        add(centre, gateway, "kpt")
        with centre.store.write() as uow:
            cadt = uow.directory().by_name["cadt"]
            accounts.put_quota(uow, cadt, H100, Quota(2, 3), None)
        one = controller(centre, opened())
        beat(centre, one)
        driver = gateway.driver("kpt")
        until(lambda: driver.tended)
        tenancy = driver.tended[0]
        assert [room.project for room in tenancy.rooms] == ["speech", "vision", "flood"]
        assert [dict(room.ceilings) for room in tenancy.rooms] == [{H100: 5}, {H100: 5}, {}]
        assert tenancy.quotas == {("cadt", H100): Quota(2, 3)}
        assert tenancy.millis == {H100: 1_000}
        with centre.store.write() as uow:
            accounts.add_project(uow, "ocr", "itc", "OCR", None, 1)
        beat(centre, one, SOON_MS)
        until(lambda: len(driver.tended) == 2)
        assert driver.tended[1].rooms[-1].project == "ocr"
        beat(centre, one, SOON_MS)
        beat(centre, one, EVERY_MS)
        until(lambda: len(driver.tended) == 3)

    def test_what_others_altered_is_told(self, centre: Centre, gateway: FakeGateway, opened: Opened) -> None:
        add(centre, gateway)
        gateway.places["pp"].altered = ["the quota of namespace baray-speech was raised"]
        one = controller(centre, opened())
        beat(centre, one)
        until(lambda: gateway.driver("pp").tended)
        until(lambda: beat(centre, one) or said(one, "baray_cluster_drift_total", cluster="pp") == 1)
        beat(centre, one)
        with centre.store.read() as uow:
            found = uow.directory().clusters["pp"]
        assert found.contact.drift == ("the quota of namespace baray-speech was raised",)
        assert found.notes[-1] == found.contact.drift[0]
        beat(centre, one, 3_600_000)
        beat(centre, one)
        with centre.store.read() as uow:
            assert uow.directory().clusters["pp"].contact.drift == ()

    @on_sqlite
    @pytest.mark.promise(9)
    def test_a_slow_or_absent_cluster_holds_up_nothing(
        self, centre: Centre, gateway: FakeGateway, opened: Opened
    ) -> None:
        add(centre, gateway, "pp")
        add(centre, gateway, "kpt")
        gateway.places["kpt"].away = True
        drivers = opened()
        drivers.refresh()
        held, driver = threading.Event(), gateway.driver("pp")

        def slow(_tenancy: Tenancy) -> tuple[str, ...]:
            held.wait(20)
            return ()

        driver.tend = slow  # type: ignore[method-assign]
        one = controller(centre, drivers)
        job = centre.submit(spec(command="run 1m")).id
        for _ in range(3):
            beat(centre, one, EVERY_MS)
        assert centre.job(job).state is JobState.SUCCEEDED
        gateway.places["kpt"].away = False
        beat(centre, one, EVERY_MS)
        until(lambda: gateway.driver("kpt").tended)
        held.set()


@on_sqlite
def test_what_a_cluster_said_of_itself_is_kept_with_what_is_found_later(
    centre: Centre, gateway: FakeGateway, opened: Opened
) -> None:
    add(centre, gateway)
    one = controller(centre, opened())
    gateway.places["pp"].silent_ms = centre.clock.now_ms()
    beat(centre, one, SILENT_MS)
    with centre.store.read() as uow:
        contact = uow.directory().clusters["pp"].contact
    assert contact == replace(Contact("v1.36.3", "v1beta2"), silent_ms=gateway.places["pp"].silent_ms)


ALONE = """
import sys, threading
from pathlib import Path
from runtime.settings import Settings
from runtime.wiring import build
centre = build(Settings(data_dir=Path(sys.argv[1]), local_nodes="n1:h100-80gb=2,cpus=8,memory=64Gi"))
before = {thread.name for thread in threading.enumerate()}
for _ in range(3):
    assert centre.controller.cycle()
started = {thread.name for thread in threading.enumerate()} - before
print(sorted(name for name in started if not name.startswith("baray-local")))
print(sorted(name for name in sys.modules if name.partition(".")[0] in {"kubernetes", "k8s", "websocket"}))
centre.close()
"""


def test_a_centre_of_one_machine_pays_nothing_for_clusters_far_away(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path / "data")], cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()) == (0, ["[]", "[]"]), done.stderr
