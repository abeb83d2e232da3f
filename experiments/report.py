"""The report of a run: tables on the terminal, `report.md`, `report.html`, curves, CSV and CompressAI's JSON."""

from __future__ import annotations

import io
import shutil
import sys
from pathlib import Path

from rich.box import SIMPLE_HEAD, Box
from rich.console import Console
from rich.table import Table

from experiments.export import write_bd_csv, write_compressai, write_csv, write_points_csv, write_records_csv
from experiments.grids import bd_grids, codec_grid, published_grids, rd_grids, score_grids
from experiments.html import write_html
from experiments.markdown import grid_markdown
from experiments.nearest import nearest_grid
from experiments.plots import plot_curves
from experiments.runs import Failure, Results, load_results
from experiments.spending import spending_grids
from experiments.tables import Tables
from experiments.words import ladder_label, printable, quality_text, quantity, threads_text
from layered.files import write_bytes_atomic

__all__ = ["terminal_text", "write_report", "write_tables"]

SHOWN_FAILURES = 20

_HOW = """\
Rate: 8 x file bytes / pixels of the layer. For layered and simulcast coding the bytes of layer k are all that
it needs, the layers below included; a single-layer file counts alone. PSNR and MS-SSIM: RGB, 8 bits, decoded
from the files, against the original resized to the layer (antialiased bicubic). Seconds: wall time of all
layers together, without loading the model."""


def write_report(out: str | Path | Results) -> str:
    """Write the report of a run into its folder and return the text for the terminal.

    out: a run's results, its folder, or a folder that holds one run.  Raises RecipeError when there is none.
    """
    results = out if isinstance(out, Results) else load_results(out)
    tables, folder = Tables(results), results.folder
    write_records_csv(results, folder / "records.csv")
    (folder / "records.parquet").unlink(missing_ok=True)  # of earlier records, perhaps
    write_tables(tables, folder)
    write_compressai(tables, folder / "compressai")
    plot_curves(tables, folder)
    write_bytes_atomic(folder / "report.md", _markdown(tables).encode())
    write_html(tables, folder / "report.html")
    page = printable(str(folder / "report.html"))
    return terminal_text(tables) + f"\nreport: {page}, and as text report.md beside it\n"


def write_tables(tables: Tables, folder: Path) -> tuple[Path, ...]:
    """Averages, BD-rates and, where the recipe has it, the table at one rate as CSV files; return them."""
    points, rates, nearest = (folder / f"{name}.csv" for name in ("points", "bd_rate", "nearest"))
    write_points_csv(tables, points)
    write_bd_csv(tables, rates)
    if (near := nearest_grid(tables.results)) is None:
        nearest.unlink(missing_ok=True)
        return points, rates
    write_csv(nearest, near.header, near.rows)
    return points, rates, nearest


def terminal_text(tables: Tables, width: int | None = None) -> str:
    """What stands beside published numbers, BD-rates or, without anchors, rate and distortion, then what failed."""
    size = width or max(80, shutil.get_terminal_size((120, 40)).columns)
    console = Console(file=io.StringIO(), width=size, highlight=False, markup=False, color_system=None)
    beside = published_grids(tables)
    brief = bool(beside) and len(tables.ladders) > 1  # else they would be lost among very many tables
    near = nearest_grid(tables.results)
    others = bd_grids(tables) or (() if near else rd_grids(tables))
    for grid in (*beside, *((near,) if near else ()), *(() if brief else others)):
        table = Table(*grid.header, title=grid.title, box=_box(), title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)
        for number, note in enumerate(grid.notes, 1):
            console.print(f"[{number}] {note}", soft_wrap=False)
        if grid.notes:
            console.print()
    if brief:
        console.print("BD-rates of every codec against every anchor: report.md and bd_rate.csv\n")
    for line in _failures(tables.results):
        console.print(line)
    text = console.file.getvalue() if isinstance(console.file, io.StringIO) else ""
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _box() -> Box:
    """A line between header and rows; of hyphens where standard output has no better one."""
    try:
        str(SIMPLE_HEAD).encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return Box(str(SIMPLE_HEAD).replace("─", "-"))
    return SIMPLE_HEAD


def _failures(results: Results) -> list[str]:
    if not results.failures:
        return []
    lines = [f"{quantity(len(results.failures), 'record')} missing (all, with tracebacks, are in run.json):"]
    alike: dict[tuple[str, str], list[Failure]] = {}
    for failure in results.failures:
        alike.setdefault((failure.codec, failure.reason), []).append(failure)
    for (codec, reason), failures in list(alike.items())[:SHOWN_FAILURES]:
        first = failures[0]
        what = f"{codec}, quality {quality_text(first.quality)}, {first.image}, {ladder_label(first.scales)}"
        others = f" and {quantity(len(failures) - 1, 'other')}" if failures[1:] else ""
        lines.append("  " + " ".join(f"{what}{others}: {reason}".split()))
    if len(alike) > SHOWN_FAILURES:
        lines.append(f"  and {quantity(len(alike) - SHOWN_FAILURES, 'reason')} more")
    return lines


def _markdown(tables: Tables) -> str:
    results, recipe = tables.results, tables.results.recipe
    size = f", shrunk to at most {recipe.data.longest_side} a side" if recipe.data.longest_side else ""
    parts = [f"# {recipe.name}"]
    if recipe.description:
        parts.append(recipe.description)
    parts.append(
        f"{quantity(len(results.images()), 'image')} of {Path(recipe.data.source).name}{size}; "
        f"{quantity(len(results.records), 'record')}.\n"
        f"Command `{results.provenance.command}`, commit {', '.join(results.commits())}, "
        f"{' and '.join(results.machines())}, {threads_text(results.threads())}."
    )
    parts.append(_HOW)
    if failures := _failures(results):
        parts += ["## Failures", "\n".join(["```", *failures, "```"])]
    if grids := published_grids(tables):
        parts += ["## Beside published results", *map(grid_markdown, grids)]
    if grids := bd_grids(tables):
        parts += ["## BD-rate", "Below 0: fewer bits than the anchor at equal PSNR."]
        parts += map(grid_markdown, grids)
    if (grid := nearest_grid(results)) is not None:
        parts += ["## At one rate", grid_markdown(grid)]
    parts.append("## Rate and distortion")
    if len(tables.ladders) == 1:
        for layer, grid in enumerate(rd_grids(tables)):
            parts += [f"![{tables.ladders[0].layers[layer]}](rd_layer{layer}.svg)", grid_markdown(grid)]
    else:
        parts.append("The averages of all layers are in points.csv. Curves of the top layer of each set of scales:")
        parts += [f"![{ladder.label}](rd_ladder{index}.svg)" for index, ladder in enumerate(tables.ladders)]
    if grids := score_grids(tables):
        parts += ["## Scores", "Of the top layer; all layers are in points.csv.", *map(grid_markdown, grids)]
    if grids := spending_grids(tables):
        parts += ["## Where the bits went", *map(grid_markdown, grids)]
    parts += ["## Codecs", grid_markdown(codec_grid(results))]
    return "\n\n".join(parts) + "\n"
