"""The warden stays small: whatever it imports, every fork pays for."""

import re
import subprocess
import sys
from pathlib import Path

from domain.ids import AttemptId
from tests.contracts.driver_contract import SLEEP, launch, running
from tests.local.rig import LocalRig

ROOT = Path(__file__).parents[2]


def test_the_warden_imports_only_its_own_and_the_calm_part_of_the_standard_library() -> None:
    program = "import sys; sys.path.append(sys.argv[1]); import local.forked.warden; print(*sys.modules, sep='\\n')"
    listing = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, ROOT], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not {name.partition(".")[0] for name in listing} & {
        "domain", "lifecycle", "pathlib", "dataclasses", "inspect", "logging", "socket", "ssl", "hashlib", "tarfile",
        "subprocess", "threading", "selectors", "tempfile", "shutil", "structlog",
    }  # fmt: skip
    assert {name for name in listing if name.startswith("local.") and not name.startswith("local.forked")} == set()
    assert len(listing) < 110


def resident(pid: int) -> int:
    """KiB of anonymous memory: what a fork has to copy."""
    return int(re.search(r"RssAnon:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def test_warden_and_supervisors_take_little_memory(rig: LocalRig) -> None:
    one = AttemptId(1, None, 1)
    rig.driver.start(launch(one, command=SLEEP))
    running(rig.driver, one)
    assert resident(rig.warden()) < 8_000
    assert resident(rig.supervisor(one)) < 8_000


def test_a_supervisor_has_a_name_for_ps(rig: LocalRig) -> None:
    one = AttemptId(1842, 7, 2)
    rig.driver.start(launch(one, command=SLEEP))
    running(rig.driver, one)
    assert Path(f"/proc/{rig.supervisor(one)}/comm").read_text() == "baray 1842_7.2\n"
    assert Path(f"/proc/{rig.warden()}/comm").read_text() == "baray warden\n"
