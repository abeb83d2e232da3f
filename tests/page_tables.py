"""The tables of the README and of its page of results, and the files that they come from."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from experiments.bdrate import METHODS, Curve, CurveError, bd_psnr, bd_rate
from experiments.page.items import FILE, read_items

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
README, PAGE = ROOT / "README.md", RESULTS / "README.md"
LINES = {path: path.read_text(encoding="utf-8").splitlines() for path in (README, PAGE)}
TEXT = {path: " ".join(" ".join(lines).split()) for path, lines in LINES.items()}
each_page = pytest.mark.parametrize("path", (README, PAGE), ids=("README", "results"))


def rows(first_cells: str, path: Path = PAGE) -> list[list[str]]:
    """The cells of the table whose header begins so."""
    lines = LINES[path]
    start = next(number for number, line in enumerate(lines) if line.startswith(first_cells)) + 2
    table = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def shown(rate: float) -> str:
    """A BD-rate as tables show it."""
    return f"{rate:+.1f}".replace("+0.0", "0.0").replace("-0.0", "0.0")


def measured(recipe: str, codec: str, anchor: str, layer: int, scales: str | None = None) -> str:
    """The BD-rate as a table shows it, a dash where the curves have too little in common."""
    found = bd_cell(recipe, codec, anchor, layer, scales)
    return shown(float(found)) if found else "-"


def measured_rate(recipe: str, codec: str, anchor: str, layer: int, scales: str | None = None) -> float:
    return float(bd_cell(recipe, codec, anchor, layer, scales))


def bd_cell(
    recipe: str, codec: str, anchor: str, layer: int, scales: str | None = None, rule: str = "curve of averages"
) -> str:
    """The BD-rate in the run's table, empty where there is none."""
    with (RESULTS / recipe / "bd_rate.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            same = (row["codec"], row["anchor"], row["layer"], row["rule"]) == (codec, anchor, str(layer), rule)
            if same and scales in (None, row["scales"]):
                assert row["method"] in METHODS
                return row["bd_rate_percent"]
    raise AssertionError(f"{recipe} has no {codec} against {anchor}")


def points_of(recipe: str) -> dict[tuple[str, str, int], dict[str, str]]:
    """The averages of a run by codec, quality and layer."""
    with (RESULTS / recipe / "points.csv").open(newline="") as file:
        return {(row["codec"], row["quality"], int(row["layer"])): row for row in csv.DictReader(file)}


def each_image(recipe: str, codec: str, anchor: str, layer: int) -> dict[str, float]:
    """BD-rates of single images, from what is kept of every item."""
    curves: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for key, layers in read_items(RESULTS / recipe / FILE).items():
        size, psnr = layers[layer]
        curves.setdefault((key.codec, key.image), []).append((size, float(psnr)))
    made = {key: Curve(*map(tuple, zip(*points, strict=True))) for key, points in curves.items()}
    return {image: bd_rate(made[anchor, image], made[codec, image]) for name, image in made if name == codec}


def more_db(recipe: str, codec: str, anchor: str, layer: int) -> float | None:
    """Mean difference of PSNR in dB at equal rates, of curves of averages; None of no common rate."""
    points = points_of(recipe).items()

    def curve(name: str) -> Curve:
        chosen = [point for (of, _, k), point in points if (of, k) == (name, layer)]
        return Curve(*(tuple(float(point[column]) for point in chosen) for column in ("bpp", "psnr")))

    try:
        return bd_psnr(curve(anchor), curve(codec))
    except CurveError:
        return None
