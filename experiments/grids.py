"""The tables of a report as text, before any layout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from baselines.learned import LAYERED, LEARNED
from experiments.known import KNOWN
from experiments.published import published_rates
from experiments.recipe import Published
from experiments.runs import Results
from experiments.scores import NOTES
from experiments.tables import RULES, Cell, Tables
from experiments.words import ladder_label, quality_text, quantity
from layered.errors import LayeredError
from layered.weights.card import catalogue

__all__ = ["Grid", "bd_grids", "codec_grid", "published_grids", "rd_grids", "score_grids"]


_UNDEFINED = "No value: not defined for one picture or more, such as flat or very small ones."


@dataclass(frozen=True)
class Grid:
    """A table as text: cells, and footnotes that cells refer to by [number].

    numbers: whether the columns after the first hold numbers, which are aligned to the right.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    numbers: bool = True


def bd_grids(tables: Tables) -> tuple[Grid, ...]:
    """BD-rates with both aggregation rules in each cell.

    Of a recipe with one ladder a table per anchor, codecs by layers; of one with several a table per anchor and
    codec, ladders by layers.
    """
    grids = []
    method = tables.results.recipe.bd_rate
    several = len(tables.ladders) > 1
    for anchor in tables.results.recipe.anchors:
        codecs = [codec for codec in tables.codecs if codec != anchor]
        parts = [(codec,) for codec in codecs] if several else [tuple(codecs)]
        for part in parts:
            notes: list[str] = []
            rows = [
                (ladder.label if several else codec, *_bd_cells(tables, anchor, codec, index, notes))
                for codec in part
                for index, ladder in enumerate(tables.ladders)
            ]
            who = f"of {part[0]} " if several else ""
            title = f"BD-rate {who}in % of RGB PSNR ({method}) against {anchor}: {RULES[0]} / {RULES[1]}"
            header = ("scales" if several else "codec", *_layer_names(tables))
            filled = tuple((*row, *("",) * (len(header) - len(row))) for row in rows)
            grids.append(Grid(title, header, filled, tuple(notes)))
    return tuple(grids)


def rd_grids(tables: Tables, ladder: int = 0) -> tuple[Grid, ...]:
    """One table per layer of a ladder: the averages of every codec at every quality."""
    grids = []
    counted = tables.results.recipe.operations
    columns = ["codec", "quality", "images", "bpp", "PSNR dB", "MS-SSIM", "encode s", "decode s"]
    header = tuple(columns + ["decode Gop"] * counted)
    for layer, label in enumerate(tables.ladders[ladder].layers):
        rows: list[tuple[str, ...]] = []
        notes: list[str] = []
        for codec in tables.codecs:
            try:
                points = tables.points(codec, layer, ladder)
            except LayeredError as error:
                rows.append((codec, *("-",) * (len(header) - 2), _mark(str(error), notes)))
                continue
            for p in points:
                missing = _no_similarity(tables)
                similarity = f"{p.ms_ssim:.4f}" if p.ms_ssim is not None else _mark(missing, notes)
                values = [f"{p.bpp:.4f}", f"{p.psnr:.2f}", similarity]
                values += [f"{p.encode_seconds:.3f}", f"{p.decode_seconds:.3f}"]
                if counted:
                    counted_here = p.decode_operations
                    values.append("-" if counted_here is None else f"{counted_here / 1e9:.1f}")
                rows.append((codec, quality_text(p.quality), str(p.images), *values))
        grids.append(Grid(f"{label}: means over the images", header, tuple(rows), tuple(notes)))
    return tuple(grids)


def score_grids(tables: Tables) -> tuple[Grid, ...]:
    """The mean scores of every codec at every quality, a table for the top layer of each ladder, if any are wanted."""
    scores = tables.results.recipe.scores
    grids = []
    for index, ladder in enumerate(tables.ladders if scores else ()):
        rows: list[tuple[str, ...]] = []
        notes = [f"{score.label}: {NOTES[score.name]}." for score in scores if score.name in NOTES]
        for codec in tables.codecs:
            try:
                points = tables.points(codec, ladder.top, index)
            except LayeredError as error:
                rows.append((codec, *("-",) * (len(scores) + 1), _mark(str(error), notes)))
                continue
            for p in points:
                values = (_mark(_UNDEFINED, notes) if v is None else f"{v:.4g}" for v in p.scores.values())
                rows.append((codec, quality_text(p.quality), f"{p.bpp:.4f}", *values))
        header = ("codec", "quality", "bpp", *(score.label for score in scores))
        title = f"{ladder.layers[ladder.top]}: scores, means over the images"
        grids.append(Grid(title, header, tuple(rows), tuple(notes)))
    return tuple(grids)


def published_grids(tables: Tables) -> tuple[Grid, ...]:
    """Our BD-rates beside the published ones, cell by cell; a table per codec that the recipe pairs with a paper's."""
    wanted = tables.results.recipe.published
    if wanted is None:
        return ()
    rates = published_rates(wanted.paper)
    notes = (
        *_other_data(tables.results, wanted),
        "Rows are paired by the ratios of the layers' sizes, whatever size the paper's base layer has.",
        f"Published: {rates.source}; {rates.training}; {rates.rule}.",
        *_budgets(tables.results, wanted),
    )
    grids = []
    for test, paper_test in wanted.names.items():
        anchors = [(ours, theirs) for ours, theirs in wanted.names.items() if ours != test]
        rows: dict[str, tuple[tuple[str, ...], ...]] = {}
        remarks = list(notes)
        for index, ladder in enumerate(tables.ladders):
            for layer in range(len(ladder.scales)):
                scales = ladder.scales[: layer + 1]  # what lies above does not matter
                found = [rates.find(wanted.data, paper_test, theirs, scales) for _, theirs in anchors]
                if any(value is not None for value in found):
                    label = ladder_label(scales)
                    if label not in rows:
                        ours = [tables.bd_cell(anchor, test, layer, RULES[0], index) for anchor, _ in anchors]
                        rows[label] = (
                            (label, "ours", *(_cell_text(_with_base(cell, layer), remarks) for cell in ours)),
                            ("", "paper", *("-" if value is None else f"{value:+.2f}" for value in found)),
                        )
        if rows:
            of = Path(tables.results.recipe.data.source).name
            ours_on = f"{quantity(len(tables.results.images()), 'image')} of {of}"
            title = f"BD-rate of {test} in %, ours ({RULES[0]}, {ours_on}) and the paper's ({wanted.data}), against"
            header = ("top layer of", "", *(ours for ours, _ in anchors))
            listed = tuple(row for pair in rows.values() for row in pair)
            grids.append(Grid(title, header, listed, tuple(remarks)))
    return tuple(grids)


def codec_grid(results: Results) -> Grid:
    """What each row of the other tables is."""
    rows = []
    made = {record.codec: record.fingerprint for record in results.records}
    for spec in results.recipe.codecs:
        depends = "; ".join(f"{key} {value}" for key, value in made.get(spec.name, {}).items())
        qualities = ", ".join(map(quality_text, spec.qualities))
        rows.append((spec.name, spec.codec, spec.picture, spec.model, qualities, depends))
    header = ("name", "codec", "of", "weights", "qualities", "depends on")
    return Grid("What each row is", header, tuple(rows), numbers=False)


def _bd_cells(tables: Tables, anchor: str, codec: str, ladder: int, notes: list[str]) -> list[str]:
    return [
        " / ".join(_cell_text(tables.bd_cell(anchor, codec, layer, rule, ladder), notes) for rule in RULES)
        for layer in range(len(tables.ladders[ladder].scales))
    ]


def _layer_names(tables: Tables) -> tuple[str, ...]:
    if len(tables.ladders) == 1:
        return tables.ladders[0].layers
    most = max(len(ladder.scales) for ladder in tables.ladders)
    return tuple("BL" if layer == 0 else f"EL{layer}" for layer in range(most))


def _cell_text(cell: Cell, notes: list[str]) -> str:
    marks = "".join(f" {_mark(note, notes)}" for note in cell.notes)
    return (f"{cell.value:+.2f}" if cell.value is not None else "none") + marks


def _with_base(cell: Cell, layer: int) -> Cell:
    """The cell, with a note where it is 0 because both methods have one and the same base layer."""
    same = layer == 0 and cell.value == 0
    return replace(cell, notes=(*cell.notes, "The same base layer, so that 0 says nothing.")) if same else cell


def _mark(note: str, notes: list[str]) -> str:
    if note not in notes:
        notes.append(note)
    return f"[{notes.index(note) + 1}]"


def _no_similarity(tables: Tables) -> str:
    if not tables.results.recipe.ms_ssim:
        return "MS-SSIM: switched off in the recipe"
    return "MS-SSIM: not defined for pictures with a side below 161 pixels"


def _other_data(results: Results, wanted: Published) -> list[str]:
    """How our images differ from the paper's, if they do.

    A set that recipes name is the published one, which is checked when it is read; a folder may hold anything.
    """
    data, of = results.recipe.data, wanted.data.lower().replace(" ", "")
    known = next((known for name, known in KNOWN.items() if name == data.source and name.startswith(of)), None)
    if known is None:
        told = f"NO COMPARISON: ours are of {Path(data.source).name}, not known to be the paper's {wanted.data}"
        named = [name for name in KNOWN if name.startswith(of)]
        return [f"{told}; `data: {named[0]}` would be." if named else f"{told}."]
    count = len(results.images())
    if data.longest_side is not None:
        return [f"NO COMPARISON: ours are shrunk to {data.longest_side} a side."]
    if count < known.count:
        return [f"Ours are of {quantity(count, 'image')} of the paper's {known.count}; that few may differ by much."]
    return []


def _budgets(results: Results, wanted: Published) -> list[str]:
    """What training our rows cost, by their weights, as far as these are bundled."""
    specs = {spec.name: spec for spec in results.recipe.codecs}
    rows = [specs[name] for name in wanted.names]
    names = {spec.weights or (LAYERED if spec.codec == "layered" else LEARNED.get(spec.picture)) for spec in rows}
    found = [f"Ours, {entry.name}: {entry.budget}." for entry in catalogue() if entry.name in names]
    flattered = "A learned method that was trained this briefly is a weak anchor, and flatters what is better trained."
    return [*found, flattered] if found else []
