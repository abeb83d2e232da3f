"""The report of a run: tables on the terminal, `report.md`, curves, CSV and CompressAI's JSON."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE_HEAD, Box
from rich.console import Console
from rich.table import Table

from experiments.export import quality_text, write_bd_csv, write_compressai, write_records_csv
from experiments.plots import plot_curves
from experiments.results import Results, load_results
from experiments.tables import RULES, Cell, Tables
from layered.errors import LayeredError
from layered.files import write_bytes_atomic

__all__ = ["Grid", "bd_grids", "rd_grids", "terminal_text", "write_report"]

SHOWN_FAILURES = 20

_HOW = """\
Rate: 8 x file bytes / pixels of the layer. For layered and simulcast coding the bytes of layer k are all that
it needs, the layers below included; a single-layer file counts alone. PSNR and MS-SSIM: RGB, 8 bits, decoded
from the files, against the original resized to the layer (antialiased bicubic). Seconds: wall time of all
layers together, without loading the model."""


@dataclass(frozen=True)
class Grid:
    """A table as text: cells, and footnotes that cells refer to by [number]."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def write_report(out: str | Path | Results) -> str:
    """Write the report of a run into its folder and return the text for the terminal.

    out: a run's results, its folder, or a folder that holds one run.  Raises RecipeError when there is none.
    """
    results = out if isinstance(out, Results) else load_results(out)
    tables, folder = Tables(results), results.folder
    write_records_csv(results, folder / "records.csv")
    write_bd_csv(tables, folder / "bd_rate.csv")
    write_compressai(tables, folder / "compressai")
    plot_curves(tables, folder)
    write_bytes_atomic(folder / "report.md", _markdown(tables).encode())
    return terminal_text(tables) + f"\nreport: {folder / 'report.md'}\n"


def bd_grids(tables: Tables) -> tuple[Grid, ...]:
    """One table per anchor: codecs by layers, both aggregation rules in each cell."""
    grids = []
    method = tables.results.recipe.bd_rate
    for anchor in tables.results.recipe.anchors:
        notes: list[str] = []
        rows = []
        for codec in tables.codecs:
            if codec == anchor:
                continue
            row = [codec]
            for layer in range(len(tables.layers)):
                cells = [tables.bd_cell(anchor, codec, layer, rule) for rule in RULES]
                row.append(" / ".join(_cell_text(cell, notes) for cell in cells))
            rows.append(tuple(row))
        title = f"BD-rate in % of RGB PSNR ({method}) against {anchor}: {RULES[0]} / {RULES[1]}"
        grids.append(Grid(title, ("codec", *tables.layers), tuple(rows), tuple(notes)))
    return tuple(grids)


def rd_grids(tables: Tables) -> tuple[Grid, ...]:
    """One table per layer: the averages of every codec at every quality."""
    grids = []
    header = ("codec", "quality", "images", "bpp", "PSNR dB", "MS-SSIM", "encode s", "decode s")
    for layer, label in enumerate(tables.layers):
        rows: list[tuple[str, ...]] = []
        notes: list[str] = []
        for codec in tables.codecs:
            try:
                points = tables.points(codec, layer)
            except LayeredError as error:
                rows.append((codec, *("-",) * (len(header) - 2), _mark(str(error), notes)))
                continue
            for p in points:
                missing = _no_similarity(tables)
                similarity = f"{p.ms_ssim:.4f}" if p.ms_ssim is not None else _mark(missing, notes)
                values = (f"{p.bpp:.4f}", f"{p.psnr:.2f}", similarity)
                times = (f"{p.encode_seconds:.3f}", f"{p.decode_seconds:.3f}")
                rows.append((codec, quality_text(p.quality), str(p.images), *values, *times))
        grids.append(Grid(f"{label}: means over the images", header, tuple(rows), tuple(notes)))
    return tuple(grids)


def terminal_text(tables: Tables, width: int | None = None) -> str:
    """BD-rate tables, or rate-distortion tables where no anchor is named, then what failed; plain text."""
    size = width or max(80, shutil.get_terminal_size((120, 40)).columns)
    console = Console(file=io.StringIO(), width=size, highlight=False, markup=False, color_system=None)
    for grid in bd_grids(tables) or rd_grids(tables):
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


def _cell_text(cell: Cell, notes: list[str]) -> str:
    marks = "".join(f" {_mark(note, notes)}" for note in cell.notes)
    return (f"{cell.value:+.2f}" if cell.value is not None else "none") + marks


def _mark(note: str, notes: list[str]) -> str:
    if note not in notes:
        notes.append(note)
    return f"[{notes.index(note) + 1}]"


def _no_similarity(tables: Tables) -> str:
    if not tables.results.recipe.ms_ssim:
        return "MS-SSIM: switched off in the recipe"
    return "MS-SSIM: not defined for pictures with a side below 161 pixels"


def _failures(results: Results) -> list[str]:
    if not results.failures:
        return []
    lines = [f"{len(results.failures)} items have no record:"]
    for failure in results.failures[:SHOWN_FAILURES]:
        quality = quality_text(failure.quality)
        lines.append(f"  {failure.codec}, quality {quality}, {failure.image}: {failure.reason}")
    if len(results.failures) > SHOWN_FAILURES:
        lines.append(f"  and {len(results.failures) - SHOWN_FAILURES} more, all listed in run.json")
    return lines


def _markdown(tables: Tables) -> str:
    results, recipe = tables.results, tables.results.recipe
    size = f", shrunk to at most {recipe.data.longest_side} a side" if recipe.data.longest_side else ""
    parts = [f"# {recipe.name}"]
    if recipe.description:
        parts.append(recipe.description)
    parts.append(
        f"{len(results.images())} images of {Path(recipe.data.source).name}{size}; "
        f"{len(results.records)} records.\n"
        f"Command `{results.provenance.command}`, commit {results.provenance.commit or 'unknown'}, "
        f"{results.provenance.machine}, {recipe.threads} thread(s) per process."
    )
    parts.append(_HOW)
    if failures := _failures(results):
        parts += ["## Failures", "\n".join(["```", *failures, "```"])]
    if grids := bd_grids(tables):
        parts += ["## BD-rate", "Below 0: fewer bits than the anchor at equal PSNR."]
        parts += map(_grid_markdown, grids)
    parts.append("## Rate and distortion")
    for layer, grid in enumerate(rd_grids(tables)):
        parts += [f"![{tables.layers[layer]}](rd_layer{layer}.svg)", _grid_markdown(grid)]
    parts += ["## Codecs", _grid_markdown(_codec_grid(results))]
    return "\n\n".join(parts) + "\n"


def _grid_markdown(grid: Grid) -> str:
    lines = [f"**{grid.title}**", "", _row(grid.header), _row(["---", *["---:"] * (len(grid.header) - 1)])]
    lines += [_row(row) for row in grid.rows]
    if grid.notes:
        lines += ["", *(f"[{number}] {note}  " for number, note in enumerate(grid.notes, 1))]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _codec_grid(results: Results) -> Grid:
    rows = []
    made = {record.codec: record.fingerprint for record in results.records}
    for spec in results.recipe.codecs:
        depends = "; ".join(f"{key} {value}" for key, value in made.get(spec.name, {}).items())
        qualities = ", ".join(map(quality_text, spec.qualities))
        rows.append((spec.name, spec.codec, spec.of or "", spec.weights or "", qualities, depends))
    header = ("name", "codec", "of", "weights", "qualities", "depends on")
    return Grid("What each row is", header, tuple(rows))
