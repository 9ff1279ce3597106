"""A rehearsal as pictures: SVG files that any browser shows, drawn without a library."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from runtime.simulate.outcome import Outcome
from runtime.simulate.show import duration

# Okabe and Ito's colours, told apart by everyone; the lines also differ in their dashes.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#B8A800")
_DASHES = ("", "8 3", "2 3", "10 3 2 3", "5 5", "1 4", "12 4", "4 2 1 2")
_LEFT, _TOP, _WIDE, _HIGH = 70, 50, 700, 320
_TENANTS = 20
_WAITS_S = (10, 60, 600, 3_600, 6 * 3_600, 86_400, 7 * 86_400, 30 * 86_400, 365 * 86_400)


@dataclass(slots=True)
class Picture:
    """A plot's frame. ``across`` and ``up`` turn values into points."""

    title: str
    across: Callable[[float], float]
    up: Callable[[float], float]
    bottom: int = _TOP + _HIGH
    parts: list[str] = field(default_factory=list)

    def text(self, x: float, y: float, words: str, anchor: str = "middle", turn: int = 0, size: int = 12) -> None:
        turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{turned}>{escape(words)}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str = "#ddd") -> None:
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>')

    def curve(self, points: Iterable[tuple[float, float]], number: int) -> None:
        path = " ".join(f"{self.across(x):.1f},{self.up(y):.1f}" for x, y in points)
        dash = f' stroke-dasharray="{_DASHES[number % 8]}"' if _DASHES[number % 8] else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{_COLOURS[number % 8]}" stroke-width="2"{dash}/>'
        )

    def axes(self, xs: Sequence[tuple[float, str]], ys: Sequence[tuple[float, str]], x_says: str, y_says: str) -> None:
        for value, words in xs:
            at = self.across(value)
            self.line(at, _TOP, at, self.bottom)
            self.text(at, self.bottom + 18, words)
        for value, words in ys:
            at = self.up(value)
            self.line(_LEFT, at, _LEFT + _WIDE, at)
            self.text(_LEFT - 6, at + 4, words, "end")
        self.line(_LEFT, self.bottom, _LEFT + _WIDE, self.bottom, "#444")
        self.line(_LEFT, _TOP, _LEFT, self.bottom, "#444")
        self.text(_LEFT + _WIDE / 2, self.bottom + 38, x_says)
        if y_says:
            self.text(18, (_TOP + self.bottom) / 2, y_says, turn=-90)

    def svg(self, names: Sequence[str], *, bars: bool = False) -> str:
        """The whole file, with an entry of the legend for each name: a line, or a bar."""
        below = self.bottom + 62
        for number, name in enumerate(names):
            x, y = _LEFT + number % 3 * (_WIDE / 3), below + number // 3 * 20
            dash = f' stroke-dasharray="{_DASHES[number % 8]}"' if _DASHES[number % 8] and not bars else ""
            self.parts.append(
                f'<line x1="{x:.0f}" y1="{y - 4}" x2="{x + 30:.0f}" y2="{y - 4}" stroke="{_COLOURS[number % 8]}" '
                f'stroke-width="{10 if bars else 3}"{dash}/>'
            )
            self.text(x + 36, y, name if len(name) <= 32 else f"{name[:31]}…", "start")
        height = below + (len(names) - 1) // 3 * 20 + 16
        width = _LEFT + _WIDE + 30
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            f'font-family="sans-serif" font-size="12" fill="#222"><title>{escape(self.title)}</title>'
            f'<rect width="{width}" height="{height}" fill="#fff"/>'
        )
        self.text(_LEFT, 28, self.title, "start", size=16)
        return "\n".join([head, *self.parts, "</svg>", ""])


def write(outcomes: Sequence[Outcome], folder: Path) -> list[Path]:
    """Write every picture, and answer where they are."""
    made = {"wait.svg": waits(outcomes), "utilisation.svg": utilisation(outcomes), "tenants.svg": tenants(outcomes)}
    paths = []
    for name, text in made.items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def waits(outcomes: Sequence[Outcome]) -> str:
    """How many of the jobs waited at most so long; waits on a logarithmic axis from a second on."""
    longest = max((max(o.series.waits_s, default=1.0) for o in outcomes), default=1.0)
    top = math.log10(max(longest, 10) * 1.1)
    picture = Picture(
        "Jobs that waited at most so long",
        lambda wait: _LEFT + _WIDE * math.log10(max(wait, 1)) / top,
        lambda share: _TOP + _HIGH * (1 - share),
    )
    marks = [(1.0, "at once"), *((s, duration(s).removesuffix(" 0h").removesuffix(" 0m").removesuffix(" 0s"))
                                 for s in _WAITS_S if math.log10(s) <= top)]  # fmt: skip
    picture.axes(marks, _percents(), "wait", "share of the jobs")
    for number, outcome in enumerate(outcomes):
        sorted_waits = outcome.series.waits_s
        count = max(1, len(sorted_waits) - 1)
        picture.curve([(wait, at / count) for at, wait in enumerate(sorted_waits)], number)
    return picture.svg([outcome.trial.name for outcome in outcomes])


def utilisation(outcomes: Sequence[Outcome]) -> str:
    """What was held of the capacity, over the time of submissions."""
    last = max((max(o.series.times_s, default=1.0) for o in outcomes), default=1.0) or 1.0
    picture = Picture(
        "GPUs held, of those that there were",
        lambda second: _LEFT + _WIDE * second / last,
        lambda share: _TOP + _HIGH * (1 - share),
    )
    unit, name = (86_400, "days") if last > 3 * 86_400 else (3_600, "hours")
    step = _round(last / unit / 8)
    marks = [(at * step * unit, f"{at * step:g}") for at in range(int(last / unit / step) + 1)]
    picture.axes(marks, _percents(), f"{name} after the first submission", "share of the GPUs")
    for number, outcome in enumerate(outcomes):
        picture.curve(zip(outcome.series.times_s, outcome.series.used, strict=True), number)
    return picture.svg([outcome.trial.name for outcome in outcomes])


def tenants(outcomes: Sequence[Outcome]) -> str:
    """What each tenant held of its fair entitlement while GPUs were short: 100 % is exactly its share."""
    counts = outcomes[0].measures.by_tenant
    names = sorted(counts, key=lambda name: (-counts[name].jobs, name))[:_TENANTS]
    row = max(18, 7 * len(outcomes) + 6)
    most = max((o.measures.share_by_tenant.get(name, 0.0) for o in outcomes for name in names), default=1.0)
    most = max(1.2, math.ceil(most * 5) / 5)
    picture = Picture(
        "Held, of the fair entitlement, while more was asked for than there was",
        lambda share: _LEFT + 60 + (_WIDE - 60) * share / most,
        lambda place: _TOP + row * place,
        bottom=_TOP + row * len(names),
    )
    step = 0.2 if most <= 2 else _round(most / 8)
    picture.axes([(at * step, f"{at * step * 100:.0f} %") for at in range(int(most / step) + 1)], [],
                 "mean over the hours at which the tenant asked for GPUs", "")  # fmt: skip
    for place, name in enumerate(names):
        picture.text(_LEFT + 54, picture.up(place) + row / 2 + 4, name if len(name) <= 18 else f"{name[:17]}…", "end")
        for number, outcome in enumerate(outcomes):
            share = outcome.measures.share_by_tenant.get(name)
            if share is not None:
                y = picture.up(place) + 3 + number * (row - 6) / len(outcomes)
                picture.parts.append(
                    f'<rect x="{picture.across(0):.1f}" y="{y:.1f}" width="{picture.across(share) - picture.across(0):.1f}" '
                    f'height="{max(2.0, (row - 6) / len(outcomes) - 1):.1f}" fill="{_COLOURS[number % 8]}"/>'
                )
    fair = picture.across(1)
    picture.line(fair, _TOP, fair, picture.bottom, "#000")
    return picture.svg([outcome.trial.name for outcome in outcomes], bars=True)


def _percents() -> list[tuple[float, str]]:
    return [(part / 4, f"{part * 25} %") for part in range(5)]


def _round(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, …"""
    power = 10 ** math.floor(math.log10(max(value, 1e-9)))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value))
