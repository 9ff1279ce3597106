"""What a cluster far away must know of the centre: rooms for whom, and how much at the most."""

import pytest

from domain.accounts import AccountState, Quota
from domain.clusters import ClusterConfig, Room
from domain.fleet import CPU_FLAVOR
from lifecycle import accounts, clusters, moves
from tests.support.centre import Centre
from tests.support.factories import A100, CLUSTER, CPU, H100, resources, spec
from tests.support.gateway import FakeGateway, kubeconfig


def put(centre: Centre, account: str, flavor: str, quota: Quota) -> None:
    with centre.store.write() as uow:
        accounts.put_quota(uow, uow.directory().by_name[account], flavor, quota, None, overcommit=True)


def rooms(centre: Centre, cluster: str = CLUSTER) -> dict[str, Room]:
    with centre.store.read() as uow:
        return {room.project: room for room in clusters.tenancy(uow, cluster).rooms}


@pytest.mark.promise(3)
def test_a_room_is_as_large_as_the_least_quota_above_it_allows(centre: Centre) -> None:
    with centre.store.write() as uow:
        moves.add_group(uow, "lab", "cadt", "Lab", 1)
        moves.move(uow, "speech", "lab", None, centre.clock.now_ms())
    assert all(room.ceilings == {} for room in rooms(centre).values())
    put(centre, "cadt", H100, Quota(2, 6))
    put(centre, "lab", H100, Quota(1, 2))
    put(centre, "speech", H100, Quota(0, 9))
    put(centre, "centre", A100, Quota(0, 1))
    found = rooms(centre)
    assert dict(found["speech"].ceilings) == {H100: 3, A100: 1}
    assert dict(found["vision"].ceilings) == {H100: 8, A100: 1}
    assert dict(found["flood"].ceilings) == {A100: 1}
    put(centre, "cadt", "total", Quota(0, 2))
    assert dict(rooms(centre)["vision"].ceilings) == {H100: 2, A100: 1}


def test_a_project_has_a_room_while_it_is_active_or_runs(centre: Centre) -> None:
    running = centre.submit(spec(needs=resources(1), command="run 1h"))
    centre.settle()
    for name, state in (("speech", AccountState.SUSPENDED), ("vision", AccountState.CLOSED)):
        with centre.store.write() as uow:
            accounts.change(uow, uow.directory().by_name[name], None, state=state)
    found = rooms(centre)
    assert {name: room.active for name, room in found.items()} == {"speech": False, "flood": True}
    assert (found["flood"].tenant, found["flood"].project_id) == ("itc", centre.population.projects["flood"])
    centre.control("cancel", running.id)
    centre.run()
    assert rooms(centre).keys() == {"flood"}


def test_a_cluster_is_told_of_its_own_flavors_alone(centre: Centre) -> None:
    gateway = FakeGateway.usual(centre.clock)
    looked = clusters.look(gateway, kubeconfig("kpt"), None, ClusterConfig())
    with centre.store.write() as uow:
        clusters.add(uow, centre.vault, "kpt", looked, ClusterConfig(), centre.clock.now_ms())
    for flavor in (H100, A100, CPU):
        put(centre, "cadt", flavor, Quota(1, 1, 1))
    put(centre, "speech", H100, Quota(1, 0))
    with centre.store.read() as uow:
        told = clusters.tenancy(uow, "kpt")
    assert told.quotas == {("cadt", H100): Quota(1, 1, 1), ("cadt", CPU_FLAVOR): Quota(1, 1, 1)}
    assert told.millis == {H100: 1_000}
    assert {room.project: dict(room.ceilings) for room in told.rooms} == {
        "speech": {H100: 1}, "vision": {H100: 2}, "flood": {},
    }  # fmt: skip
