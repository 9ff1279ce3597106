"""An import as the centre's own steps take it, and what files to bring."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lifecycle.brought import Batch
from lifecycle.imports import rehearse
from lifecycle.imports.plan import Plan
from lifecycle.imports.words import Options, read_zone
from tests.support.centre import Centre

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples" / "import"
REASON = "we move"

Bring = Callable[..., Plan]


def csv_files() -> dict[str, str]:
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(EXAMPLES.glob("*.csv"))}


def recorded() -> dict[str, str]:
    return {"sacct.txt": (HERE / "sacct-22.05.txt").read_text(encoding="utf-8")}


def rehearsed(centre: Centre, kind: str, files: dict[str, str], options: Options) -> Plan:
    bundle = rehearse.read(kind, files, options)
    with centre.store.read() as uow:
        return rehearse.rehearse(uow, centre.caller("admin"), bundle, options, centre.clock.now_ms())


def applied(
    centre: Centre, kind: str, files: dict[str, str], options: Options, digest: str
) -> tuple[Plan, Batch | None]:
    bundle = rehearse.read(kind, files, options)
    with centre.store.write() as uow:
        return rehearse.apply(uow, centre.caller("admin"), kind, bundle, options, digest, REASON, centre.clock.now_ms())


@pytest.fixture
def bring(centre: Centre) -> Bring:
    """Rehearse and apply; answers the plan."""

    def call(kind: str, files: dict[str, str], **given: object) -> Plan:
        options = Options(**{"origin": "slurm" if kind == "sacct" else kind, **given})
        digest = rehearsed(centre, kind, files, options).digest(kind, options)
        return applied(centre, kind, files, options, digest)[0]

    return call


PHNOM_PENH = read_zone("+07:00")
