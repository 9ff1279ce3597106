"""Slurm as a peer, measured in the same run by the scripts in the folder that ``BARAY_PEERS`` names.

The scripts are copied to a scratch place, since they write beside themselves; they install Slurm and need root.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

SOURCE = "peers/slurm bench.sh, same run"

# Our figure -> the phase that measures it and how the line that carries it begins.
_LINES = {
    "submit": ("submit", "submit 1000 jobs on a full cluster, libslurm"),
    "submit-array": ("submit", "submit one 1000-task array"),
    "noop-1000": ("e2e", "1000 no-op jobs"),
    "start-latency": ("latency", "srun true"),
}
_TIMEOUT_S = 3_000


def peer(figure: str) -> dict[str, Any]:
    """Slurm's figure beside ours, or why there is none."""
    folder = os.environ.get("BARAY_PEERS")
    if not folder or not (Path(folder) / "slurm" / "bench.sh").exists():
        return {"name": "Slurm", "value": None, "source": "skipped: BARAY_PEERS does not say where its scripts are"}
    phase, beginning = _LINES[figure]
    lines = _phase(folder, phase)
    found = [line for line in lines if line["name"].startswith(beginning)]
    if not found:
        return {"name": "Slurm", "value": None, "source": f"skipped: its phase {phase} gave no such figure"}
    best = max(found, key=lambda line: line["median"]) if figure == "noop-1000" else found[0]
    return {"name": f"Slurm: {best['name']}", "value": best["median"], "source": SOURCE}


@cache
def _phase(folder: str, phase: str) -> list[dict[str, Any]]:
    """Run one phase and read its figures."""
    scratch = Path(tempfile.mkdtemp(prefix="baray-slurm-"))
    scratch.chmod(0o755)
    shutil.copytree(Path(folder) / "slurm", scratch / "slurm")
    for script in (scratch / "slurm").iterdir():
        script.chmod(0o755)
    done = subprocess.run(
        ["bash", str(scratch / "slurm" / "bench.sh"), phase],
        stdout=sys.stderr, stderr=sys.stderr, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip
    results = scratch / "slurm" / "results.jsonl"
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    if done.returncode:
        print(f"bench: Slurm's phase {phase} ended with {done.returncode}", file=sys.stderr)
    return [json.loads(line) for line in lines]
