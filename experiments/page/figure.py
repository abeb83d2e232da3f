"""The figure of a published run, drawn from its tables alone."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from baselines.learned import LEARNED
from experiments.method import CodecSpec
from experiments.page.chart import Line, Panel, chart
from experiments.plots import colours
from experiments.recipe import Recipe
from experiments.words import layer_label, quantity
from layered.errors import RecipeError
from layered.files import write_bytes_atomic

__all__ = ["FIGURE", "draw", "figure"]

FIGURE = "figure.svg"
_DASHES = {"layered": "solid", "single": "dotted"}  # simulcast and the rest are dashed

Row = dict[str, str]


def draw(recipe: Recipe, folder: Path) -> Path:
    """Write the figure of the run whose tables are in `folder`.  Raises RecipeError where they are not there."""
    path = folder / FIGURE
    write_bytes_atomic(path, figure(recipe, folder).encode())
    return path


def figure(recipe: Recipe, folder: Path) -> str:
    """The figure as SVG.

    Of one ladder of scales: a panel a layer with the curves of all codecs.  Of several: BD-rate of the top layer of the
    first layered codec, or the first at all, against every other codec, ladder by ladder.
    """
    points = _rows(folder / "points.csv")
    ladders = tuple(dict.fromkeys(row["scales"] for row in points))
    if len(ladders) == 1:
        return _curves(recipe, points)
    return _rates(recipe, ladders, _rows(folder / "bd_rate.csv"))


def _rows(path: Path) -> list[Row]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise RecipeError(f"{path}: {error.strerror}") from None


def _curves(recipe: Recipe, points: Sequence[Row]) -> str:
    panels = []
    learned = {spec.name for spec in recipe.codecs if _is_learned(spec) and not spec.adaptation}
    for layer, scale in enumerate(recipe.scales[0]):
        lines = []
        for spec, colour in zip(recipe.codecs, colours(recipe.codecs), strict=True):
            own = [row for row in points if (row["codec"], row["layer"]) == (spec.name, str(layer))]
            curve = tuple(sorted((float(row["bpp"]), float(row["psnr"])) for row in own))
            lines.append(Line(spec.name, curve, colour, _DASHES.get(spec.codec, "dashed"), spec.codec == "layered"))
        window = _window([row for row in points if row["layer"] == str(layer) and row["codec"] in learned])
        title = layer_label(layer, scale) if len(recipe.scales[0]) > 1 else ""
        panels.append(Panel(title, "bits per pixel of this layer, accumulated bytes", tuple(lines), window=window))
    title = f"{recipe.name}: mean of {quantity(int(points[0]['images']), 'image')}"
    return chart(title, "RGB PSNR (dB)", panels)


def _is_learned(spec: CodecSpec) -> bool:
    return spec.weights is not None or spec.codec == "layered" or spec.of in LEARNED


def _window(rows: Sequence[Row]) -> tuple[float, float] | None:
    """The rates of learned codecs, unadapted, with some room, where there are any: others may go far beyond."""
    rates = [float(row["bpp"]) for row in rows]
    return (0.6 * min(rates), 1.5 * max(rates)) if rates else None


def _rates(recipe: Recipe, ladders: Sequence[str], rates: Sequence[Row]) -> str:
    ours = next((spec.name for spec in recipe.codecs if spec.codec == "layered"), recipe.codecs[0].name)
    known = {
        (row["anchor"], row["scales"]): float(row["bd_rate_percent"])
        for row in rates
        if row["codec"] == ours and row["rule"] == "curve of averages" and _is_top(row) and row["bd_rate_percent"]
    }
    lines: list[Line] = []
    for spec in recipe.codecs:
        rated = tuple((k, known[spec.name, label]) for k, label in enumerate(ladders) if (spec.name, label) in known)
        if rated and spec.name != ours:
            lines.append(Line(f"against {spec.name}", rated, len(lines), _DASHES.get(spec.codec, "dashed")))
    panel = Panel("", "scales of the layers", tuple(lines), tuple(ladders))
    return chart(f"{recipe.name}: the top layer of {ours}, below 0 means fewer bits", "BD-rate (%)", [panel])


def _is_top(row: Row) -> bool:
    return int(row["layer"]) == len(row["scales"].split()) - 1
