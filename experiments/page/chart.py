"""Line charts as SVG small enough to be kept beside their tables: the same data give the same bytes anywhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax import saxutils

__all__ = ["DASHES", "Line", "Panel", "chart"]

DASHES = {"solid": "", "dashed": "5 3", "dotted": "1.5 2.5"}
_COLOURS = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f", "#bcbd22", "#17becf",
)  # fmt: skip
_HEIGHT, _WIDTH = 230, 260
_LEFT, _TOP, _BELOW, _GAP = 46, 46, 50, 16
_NAME, _LETTER, _ROW = 34, 6, 15


@dataclass(frozen=True)
class Line:
    """One curve.  points: (x, y), in the order they are joined.  colour: any number; it is taken modulo ten."""

    label: str
    points: tuple[tuple[float, float], ...]
    colour: int
    dash: str = "solid"
    marked: bool = False


@dataclass(frozen=True)
class Panel:
    """Curves over one pair of axes.

    names: what stands at x = 0, 1, ... instead of numbers, each word on a line of its own.
    window: the least and greatest x to show, instead of all; curves are cut there.
    """

    title: str
    below: str
    lines: tuple[Line, ...]
    names: tuple[str, ...] = ()
    window: tuple[float, float] | None = None


def chart(title: str, beside: str, panels: Sequence[Panel]) -> str:
    """An SVG of panels side by side with one legend of what can be seen.  beside: what y is."""
    width = max(_WIDTH * (1 if len(panels) > 1 else 2), *(_NAME * len(panel.names) for panel in panels), 0)
    deep = _BELOW + max(11 * (len(name.split()) - 1) for panel in panels for name in panel.names or ("",))
    full = _LEFT + len(panels) * (width + _LEFT) - _LEFT + _GAP
    shown = (line for panel in panels for line in panel.lines if _cut(line.points, panel.window))
    entries = list({line.label: line for line in shown}.values())
    wide = 36 + _LETTER * max((len(line.label) for line in entries), default=0)
    columns = max(1, (full - _GAP) // wide)
    high = _TOP + _HEIGHT + deep + _ROW * math.ceil(len(entries) / columns) + 4
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {full} {high}" width="{full}" height="{high}">',
        "<style>text{font:10px sans-serif;fill:#000}.t{font-size:12px}.m{text-anchor:middle}.e{text-anchor:end}"
        ".g{stroke:#ddd;stroke-width:.8}.f{fill:none;stroke:#888;stroke-width:.8}"
        "polyline{fill:none;stroke-width:1.3}.b{stroke-width:2.2}</style>",
        f'<rect width="{full}" height="{high}" fill="#fff"/>',
        f'<text class="t m" x="{full // 2}" y="16">{escape(title)}</text>',
        f'<text class="m" transform="translate(11 {_TOP + _HEIGHT // 2}) rotate(-90)">{escape(beside)}</text>',
    ]
    for number, panel in enumerate(panels):
        parts.append(f'<g transform="translate({_LEFT + number * (width + _LEFT)} {_TOP})">')
        parts += [*_panel(panel, width, deep), "</g>"]
    for number, line in enumerate(entries):
        x, y = _GAP + number % columns * wide, _TOP + _HEIGHT + deep + _ROW * (number // columns)
        parts.append(_polyline([(x, y), (x + 22, y)] if len(line.points) > 1 else [(x + 11, y)], line))
        parts.append(f'<text x="{x + 27}" y="{y + 3}">{escape(line.label)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, width: int, deep: int) -> list[str]:
    seen = [point for line in panel.lines for point in _cut(line.points, panel.window)]
    xs, ys = ([point[axis] for point in seen] or [0.0, 1.0] for axis in (0, 1))
    across = _Axis(*((-0.5, len(panel.names) - 0.5) if panel.names else panel.window or (min(xs), max(xs))), 0, width)
    up = _Axis(min(ys), max(ys), _HEIGHT, 0)
    parts = [f'<text class="m" x="{width // 2}" y="-7">{escape(panel.title)}</text>']
    for value, text in up.ticks():
        y = up.at(value)
        parts.append(
            f'<path class="g" d="M0 {_text(y)}H{width}"/><text class="e" x="-4" y="{_text(y + 3)}">{text}</text>'
        )
    ticks = across.ticks() if not panel.names else list(enumerate(panel.names))
    for value, text in ticks:
        x = _text(across.at(value))
        parts.append(f'<path class="g" d="M{x} 0V{_HEIGHT}"/>')
        parts += [
            f'<text class="m" x="{x}" y="{_HEIGHT + 13 + 11 * row}">{escape(word)}</text>'
            for row, word in enumerate(text.split())
        ]
    parts.append(f'<path class="f" d="M0 0V{_HEIGHT}H{width}"/>')
    parts.append(f'<text class="m" x="{width // 2}" y="{_HEIGHT + deep - 13}">{escape(panel.below)}</text>')
    for line in panel.lines:
        if drawn := _cut(line.points, panel.window):
            parts.append(_polyline([(across.at(x), up.at(y)) for x, y in drawn], line))
    return parts


def _cut(points: Sequence[tuple[float, float]], window: tuple[float, float] | None) -> list[tuple[float, float]]:
    """What of a curve of rising x lies in a window, with the points where it enters and leaves."""
    if window is None:
        return list(points)
    kept = [point for point in points if window[0] <= point[0] <= window[1]]
    for edge, place in zip(window, (0, len(kept) + 1), strict=True):
        for (x0, y0), (x1, y1) in pairwise(points):
            if x0 < edge < x1:
                kept.insert(place, (edge, y0 + (y1 - y0) * (edge - x0) / (x1 - x0)))
    return kept


def _polyline(points: Sequence[tuple[float, float]], line: Line) -> str:
    colour = _COLOURS[line.colour % len(_COLOURS)]
    dash = f' stroke-dasharray="{DASHES[line.dash]}"' if DASHES[line.dash] else ""
    bold = ' class="b"' if line.marked else ""
    places = " ".join(f"{_text(x)},{_text(y)}" for x, y in points)
    drawn = f'<polyline{bold} stroke="{colour}"{dash} points="{places}"/>'
    if line.marked or len(points) == 1:
        drawn += "".join(f'<circle cx="{_text(x)}" cy="{_text(y)}" r="2.6" fill="{colour}"/>' for x, y in points)
    return drawn


def escape(text: str) -> str:
    """As XML has it; characters that it forbids are left out."""
    return saxutils.escape("".join(letter for letter in text if letter.isprintable()))


class _Axis:
    """Values to pixels, with some room at both ends."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        room = (high - low) * 0.03 or max(abs(low) * 0.03, 1e-3)
        self.low, self.high = low - room, high + room
        self.start, self.end = start, end

    def at(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[tuple[float, str]]:
        """Four to ten round values, and how they are written."""
        wide = self.high - self.low
        step = 10.0 ** math.floor(math.log10(wide / 4))
        step *= next(factor for factor in (5, 2, 1) if wide / (step * factor) >= 4)
        decimals = max(0, -math.floor(math.log10(step) + 1e-9))
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [(k * step, f"{k * step:.{decimals}f}") for k in range(first, last + 1)]


def _text(value: float) -> str:
    """Pixels in tenths."""
    return f"{value:.1f}".removesuffix(".0")
