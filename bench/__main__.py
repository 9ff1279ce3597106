"""``python -m bench [--only NAME …] [--runs N]``: one JSON line per figure."""

import argparse
import json
import sys
import time

from bench.figures import FIGURES, Figure
from bench.slurm import peer


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=[figure.name for figure in FIGURES], help="these alone")
    parser.add_argument("--runs", type=int, default=3, help="runs of each figure (3)")
    options = parser.parse_args()
    chosen = [figure for figure in FIGURES if not options.only or figure.name in options.only]
    failed = False
    for figure in chosen:
        try:
            print(json.dumps(_line(figure, options.runs)), flush=True)
        except (RuntimeError, OSError) as error:
            failed = True
            print(json.dumps({"name": figure.name, "value": None, "error": str(error)}), flush=True)
    return 1 if failed else 0


def _line(figure: Figure, runs: int) -> dict[str, object]:
    skipped = figure.skipped() if figure.skipped is not None else None
    if skipped is not None:
        return {"name": figure.name, "value": None, "unit": figure.unit, "target": figure.target, "skipped": skipped}
    begun = time.perf_counter()
    values = list(figure.measure(runs))
    line: dict[str, object] = {
        "name": figure.name,
        "value": round(figure.summary(values), 2),
        "unit": figure.unit,
        "target": figure.target,
        "runs": len(values),
        "min": round(min(values), 2),
        "max": round(max(values), 2),
        "took_s": round(time.perf_counter() - begun, 1),
    }
    if figure.notes is not None:
        line |= figure.notes()
    if figure.peer is not None:
        line["peer"] = peer(figure.peer) if isinstance(figure.peer, str) else dict(figure.peer)
    return line


if __name__ == "__main__":
    sys.exit(main())
