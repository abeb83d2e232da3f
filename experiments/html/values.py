"""What the page shows in numbers: averages, BD-rates of every codec against every other, and what they mean."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from experiments.grids import Grid, codec_grid, published_grids, score_grids
from experiments.metrics import MS_SSIM_MIN_SIDE
from experiments.plots import colours
from experiments.runs import Results
from experiments.spending import spending_grids
from experiments.tables import RULES, Tables
from experiments.words import ladder_label, quality_text, threads_text
from layered.errors import LayeredError

__all__ = ["finite", "page_values"]


def page_values(tables: Tables) -> dict[str, Any]:
    """All but the pictures.  Numbers are shortened to what can be seen."""
    results, recipe = tables.results, tables.results.recipe
    return {
        "name": recipe.name,
        "description": recipe.description,
        "facts": _facts(results),
        "method": recipe.bd_rate,
        "rules": RULES,
        "anchors": [tables.codecs.index(name) for name in recipe.anchors],
        "codecs": [
            {"name": spec.name, "kind": spec.codec, "colour": colour}
            for spec, colour in zip(recipe.codecs, colours(recipe.codecs), strict=True)
        ],
        "ladders": [{"label": ladder.label, "layers": ladder.layers} for ladder in tables.ladders],
        "points": [
            [[_points(tables, codec, layer, index) for codec in tables.codecs] for layer in range(len(ladder.scales))]
            for index, ladder in enumerate(tables.ladders)
        ],
        "noSimilarity": "" if recipe.ms_ssim else "switched off in the recipe",
        "operations": recipe.operations,
        "minSide": MS_SSIM_MIN_SIDE,
        "rates": _rates(tables),
        "failures": [
            [failure.codec, quality_text(failure.quality), failure.image, ladder_label(failure.scales), failure.reason]
            for failure in results.failures
        ],
        "scores": [_grid(grid) for grid in score_grids(tables)],
        "spending": [_grid(grid) for grid in spending_grids(tables)],
        "published": [_grid(grid) for grid in published_grids(tables)],
        "settings": _grid(codec_grid(results)),
    }


def finite(value: float | None, digits: int) -> float | str | None:
    """A number with that many significant digits, or `inf` as text, which JSON lacks."""
    if value is None or math.isfinite(value):
        return None if value is None else float(f"{value:.{digits}g}")
    return "inf"


def _facts(results: Results) -> list[tuple[str, str]]:
    recipe = results.recipe
    size = f", shrunk to at most {recipe.data.longest_side} a side" if recipe.data.longest_side else ""
    return [
        ("Images", f"{len(results.images())} of {Path(recipe.data.source).name}{size}"),
        ("Measured", f"{len(results.records):,} records, {len(results.failures) or 'none'} missing"),
        ("Command", results.provenance.command),
        ("Commit", ", ".join(results.commits())),
        ("Machine", f"{' and '.join(results.machines())}; {threads_text(results.threads())}"),
    ]


def _points(tables: Tables, codec: str, layer: int, ladder: int) -> dict[str, Any]:
    """Averages in order of rate, or why there are none."""
    try:
        points = sorted(tables.points(codec, layer, ladder), key=lambda point: point.bpp)
    except LayeredError as error:
        return {"why": str(error)}
    return {
        "images": points[0].images,
        "gaps": tables.gaps(codec, ladder),
        "at": [
            [quality_text(p.quality), finite(p.bpp, 6), finite(p.psnr, 6), finite(p.ms_ssim, 6),
             finite(p.encode_seconds, 4), finite(p.decode_seconds, 4), finite(p.decode_operations, 4)]
            for p in points
        ],
    }  # fmt: skip


def _rates(tables: Tables) -> dict[str, Any]:
    """BD-rates as [ladder][layer][rule][anchor][codec], None where there is none.

    notes: by `ladder.layer.rule.anchor.codec`, numbers of texts.
    """
    texts: dict[str, int] = {}
    notes: dict[str, list[int]] = {}
    codecs = list(enumerate(tables.codecs))

    def number(at: tuple[int, int, int], anchor: tuple[int, str], test: tuple[int, str]) -> float | None:
        ladder, layer, rule = at
        if anchor == test:
            return None
        cell = tables.bd_cell(anchor[1], test[1], layer, RULES[rule], ladder)
        if cell.notes:
            key = ".".join(map(str, (*at, anchor[0], test[0])))
            notes[key] = [texts.setdefault(note, len(texts)) for note in cell.notes]
        return None if cell.value is None else round(cell.value, 2)

    table = [
        [
            [[[number((k, layer, rule), a, t) for t in codecs] for a in codecs] for rule in range(len(RULES))]
            for layer in range(len(ladder.scales))
        ]
        for k, ladder in enumerate(tables.ladders)
    ]
    return {"table": table, "notes": notes, "texts": list(texts)}


def _grid(grid: Grid) -> dict[str, Any]:
    return {"title": grid.title, "header": grid.header, "rows": grid.rows, "notes": grid.notes}
