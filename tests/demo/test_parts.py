"""The parts of the demo that only show where something is out of the ordinary."""

import os
import subprocess
from pathlib import Path

import pytest

from domain.errors import CannotStart
from local.gpus import parse_nodes
from runtime.demo.centre import FUNDERS, GRANTS, NODES, POOL, PROJECTS, TENANTS
from runtime.demo.failure import DemoFailed
from runtime.demo.place import open_place
from runtime.demo.python import _copy
from runtime.demo.server import Server


def test_a_copied_python_runs_and_finds_its_packages(tmp_path: Path) -> None:
    """What jobs get where their users cannot reach ours: nothing of it may lead back to where we are."""
    python = _copy(tmp_path / "python")
    says = "import sys, numpy, sklearn; print(sys.prefix, numpy.__file__, sklearn.__file__)"
    done = subprocess.run(
        [python.path, "-c", says], env=python.env, cwd="/", capture_output=True, text=True, check=True
    )
    assert all(path.startswith(str(tmp_path)) for path in done.stdout.split())
    assert all(path.stat().st_mode & 0o004 for path in (tmp_path / "python").rglob("*") if path.is_file())


def test_a_centre_that_cannot_start_is_told_about_in_its_own_words(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "thesis.tex").write_text("years of work")
    with Server(data, NODES, tmp_path / "server.log") as server, pytest.raises(DemoFailed) as failed:
        server.wait_ready()
    assert "the centre did not start" in failed.value.message
    assert "is no data directory of Baray" in failed.value.message


def test_a_centre_that_dies_is_noticed(tmp_path: Path) -> None:
    with Server(tmp_path / "data", NODES, tmp_path / "server.log") as server:
        server.wait_ready()
        server.check()
        os.kill(server.pid, 9)
        with pytest.raises(DemoFailed, match="died with exit code -9"):
            server.wait()


def test_a_directory_with_a_centre_in_it_is_refused(tmp_path: Path) -> None:
    with open_place(str(tmp_path / "data")) as place:
        assert place.kept
    assert place.own.is_dir()
    with pytest.raises(CannotStart, match="holds a centre already"), open_place(str(tmp_path / "data")):
        pass


def test_a_temporary_place_is_gone_afterwards() -> None:
    with open_place(None) as place:
        (place.results / "one.json").write_text("{}")
    assert not place.data_dir.exists()


def test_the_example_centre_is_sound() -> None:
    """Eight GPUs of two flavors on nodes alike; guarantees within capacity; allocations within grants."""
    nodes = parse_nodes(NODES)
    flavors = sorted({flavor for node in nodes for flavor in node.devices})
    assert len(flavors) == POOL.flavors
    assert all(list(node.devices.values()) == [POOL.gpus] for node in nodes)
    assert len(nodes) == POOL.flavors * POOL.nodes
    assert POOL.total == 8
    assert all(sum(guaranteed) <= POOL.widest for guaranteed in zip(*(one.guaranteed for one in TENANTS), strict=True))
    assert {project.tenant for project in PROJECTS} == {tenant.name for tenant in TENANTS}
    assert {funder for funder, _ in GRANTS.values()} == set(FUNDERS)
    for grant, (_, su) in GRANTS.items():
        assert sum(int(project.paid.get(grant, "0")) for project in PROJECTS) <= int(su)


@pytest.mark.parametrize("tenant", TENANTS, ids=lambda tenant: tenant.name)
def test_every_tenant_may_run_the_widest_job(tenant: object) -> None:
    """A replayed job is cut to the pool, so no quota may refuse one of that width for good."""
    ceilings = zip(tenant.guaranteed, tenant.borrow, strict=True)  # type: ignore[attr-defined]
    assert any(borrow is None or guaranteed + borrow >= POOL.widest for guaranteed, borrow in ceilings)
