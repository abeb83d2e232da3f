"""The figure of a published run, drawn from its tables alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from baselines.learned import LEARNED
from experiments.method import CodecSpec
from experiments.page.chart import Line, Panel, chart
from experiments.page.kept import read_table
from experiments.plots import colours, dash
from experiments.recipe import Recipe
from experiments.words import layer_label, printable, quantity
from layered.errors import RecipeError
from layered.files import write_bytes_atomic

__all__ = ["FIGURE", "draw", "figure"]

FIGURE = "figure.svg"

Row = dict[str, str]


def draw(recipe: Recipe, folder: Path) -> Path:
    """Write the figure of the run whose tables are in `folder`.  Raises RecipeError where they are not there."""
    path = folder / FIGURE
    write_bytes_atomic(path, figure(recipe, folder).encode())
    return path


def figure(recipe: Recipe, folder: Path) -> str:
    """The figure as SVG.

    Of one ladder of scales: a panel a layer with the curves of all codecs.  Of several: BD-rate of the top layer of the
    first layered codec, or the first at all, against every other codec, ladder by ladder.  Codecs that have no such
    numbers are named in the title.  Raises RecipeError for tables that are not there, or are none of a run.
    """
    try:
        points = read_table(folder / "points.csv")
        if not (ladders := tuple(dict.fromkeys(row["scales"] for row in points))):
            raise ValueError("no point")
        if len(ladders) == 1:
            return _curves(recipe, points)
        return _rates(recipe, ladders, read_table(folder / "bd_rate.csv"))
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{folder}: not the tables of a run ({error})") from None


def _number(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} among its numbers")
    return value


def _curves(recipe: Recipe, points: Sequence[Row]) -> str:
    panels = []
    learned = {spec.name for spec in recipe.codecs if _is_learned(spec) and not spec.adaptation}
    for layer, scale in enumerate(recipe.scales[0]):
        lines = []
        for spec, colour in zip(recipe.codecs, colours(recipe.codecs), strict=True):
            own = [row for row in points if (row["codec"], row["layer"]) == (spec.name, str(layer))]
            curve = tuple(sorted((_number(row["bpp"]), _number(row["psnr"])) for row in own))
            lines.append(Line(printable(spec.name), curve, colour, dash(spec), spec.codec == "layered"))
        window = _window([row for row in points if row["layer"] == str(layer) and row["codec"] in learned])
        title = layer_label(layer, scale) if len(recipe.scales[0]) > 1 else ""
        panels.append(Panel(title, "bits per pixel of this layer, accumulated bytes", tuple(lines), window=window))
    missing = [spec.name for spec in recipe.codecs if spec.name not in {row["codec"] for row in points}]
    title = f"{recipe.name}: mean of {quantity(int(points[0]['images']), 'image')}{_without(missing)}"
    return chart(printable(title), "RGB PSNR (dB)", panels)


def _without(missing: Sequence[str]) -> str:
    return f", without {', '.join(missing)}" if missing else ""


def _is_learned(spec: CodecSpec) -> bool:
    return spec.weights is not None or spec.codec == "layered" or spec.of in LEARNED


def _window(rows: Sequence[Row]) -> tuple[float, float] | None:
    """The rates of learned codecs, unadapted, with some room, where there are any: others may go far beyond."""
    rates = [_number(row["bpp"]) for row in rows]
    return (0.6 * min(rates), 1.5 * max(rates)) if rates else None


def _rates(recipe: Recipe, ladders: Sequence[str], rates: Sequence[Row]) -> str:
    ours = next((spec.name for spec in recipe.codecs if spec.codec == "layered"), recipe.codecs[0].name)
    known = {
        (row["anchor"], row["scales"]): _number(row["bd_rate_percent"])
        for row in rates
        if row["codec"] == ours and row["rule"] == "curve of averages" and _is_top(row) and row["bd_rate_percent"]
    }
    lines: list[Line] = []
    missing = []
    others = [spec for spec in recipe.codecs if spec.name != ours]
    for colour, spec in enumerate(others):
        rated = [(k, known[spec.name, label]) for k, label in enumerate(ladders) if (spec.name, label) in known]
        lines += [Line(f"against {printable(spec.name)}", run, colour, dash(spec)) for run in _unbroken(rated)]
        missing += [spec.name] if not rated else []
    panel = Panel("", "scales of the layers", tuple(lines), tuple(ladders))
    title = f"{recipe.name}: the top layer of {ours}, below 0 means fewer bits{_without(missing)}"
    return chart(printable(title), "BD-rate (%)", [panel])


def _unbroken(points: Sequence[tuple[int, float]]) -> list[tuple[tuple[float, float], ...]]:
    """Runs of neighbours; where a rate is missing nothing is drawn."""
    runs: list[list[tuple[float, float]]] = []
    for place, rate in points:
        if runs and runs[-1][-1][0] == place - 1:
            runs[-1].append((place, rate))
        else:
            runs.append([(place, rate)])
    return [tuple(run) for run in runs]


def _is_top(row: Row) -> bool:
    return int(row["layer"]) == len(row["scales"].split()) - 1
