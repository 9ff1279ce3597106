from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.rig import LocalRig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[LocalRig]:
    made = LocalRig(tmp_path / "local")
    yield made
    made.close()
