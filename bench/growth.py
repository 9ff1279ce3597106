"""``python -m bench.growth [--svg FILE]``: how the cost of a cycle grows with the queue, nodes, accounts and clusters.

One size is changed at a time, the others stay at 20,000 pending, 625 nodes, 300 accounts and one cluster. The exponent
is the slope of a straight line through the logarithms: 1 is proportional, 0 is no growth.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.planning import Size, cycle_ms
from runtime.simulate.plots import Picture

_BASE = Size(pending=20_000, nodes=625, accounts=300)
_SIZES = {
    "pending": (2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000),
    "nodes": (125, 250, 625, 1_250, 2_500, 5_000),
    "accounts": (30, 100, 300, 1_000, 3_000),
    "clusters": (1, 2, 4, 8, 16),
}
_CYCLES = 15
_LEFT, _TOP, _WIDE, _HIGH = 70, 50, 700, 320


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.growth", description=__doc__)
    parser.add_argument("--svg", type=Path, help="also draw the curves into this file")
    options = parser.parse_args()
    curves: dict[str, list[tuple[float, float]]] = {}
    for name, sizes in _SIZES.items():
        points = [(float(size), cycle_ms(replace(_BASE, **{name: size}), _CYCLES)) for size in sizes]
        curves[name] = points
        line = {
            "name": f"plan-growth-{name}",
            "value": round(slope(points), 2),
            "unit": "exponent",
            "points": {int(size): round(ms, 1) for size, ms in points},
        }
        print(json.dumps(line), flush=True)
    if options.svg is not None:
        options.svg.write_text(picture(curves), encoding="utf-8")
    return 0


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The exponent b of the power law a·x^b that fits best, by least squares of the logarithms."""
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    middle_x, middle_y = sum(xs) / len(xs), sum(ys) / len(ys)
    across = sum((x - middle_x) ** 2 for x in xs)
    return sum((x - middle_x) * (y - middle_y) for x, y in zip(xs, ys, strict=True)) / across


def picture(curves: dict[str, list[tuple[float, float]]]) -> str:
    """All curves over their relative sizes, both axes logarithmic."""
    relative = {name: [(x / points[0][0], y) for x, y in points] for name, points in curves.items()}
    most_x = max(x for points in relative.values() for x, _ in points)
    values = [y for points in relative.values() for _, y in points]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))

    def across(x: float) -> float:
        return _LEFT + _WIDE * math.log(x) / math.log(most_x)

    def up(y: float) -> float:
        return _TOP + _HIGH * (1 - math.log(y / low) / math.log(high / low))

    drawn = Picture("One planning cycle, outlook included", across, up)
    ticks_x = [10**power for power in range(int(math.log10(most_x)) + 1)]
    ticks_y = [low * 10**power for power in range(int(math.log10(high / low) + 0.5) + 1)]
    drawn.axes(
        [(x, f"{x}x") for x in ticks_x], [(y, f"{y:g}") for y in ticks_y], "size, as a multiple of the smallest", "ms"
    )
    for number, points in enumerate(relative.values()):
        drawn.curve(points, number)
    names = [
        f"{name} {int(points[0][0]):,} to {int(points[-1][0]):,}: x^{slope(points):.2f}"
        for name, points in curves.items()
    ]
    return drawn.svg([name[:32] for name in names])


if __name__ == "__main__":
    sys.exit(main())
