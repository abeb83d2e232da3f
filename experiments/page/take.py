"""A run's tables and figure, as the results page keeps them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from experiments.page.figure import draw
from experiments.page.index import INDEX, Published, published
from experiments.page.items import FILE, write_items
from experiments.page.kept import write_table
from experiments.page.models import MADE, models, weights_of
from experiments.provenance import without_places
from experiments.recipe import Recipe
from experiments.report import write_tables
from experiments.runs import Results
from experiments.tables import Tables
from layered.errors import RecipeError
from layered.files import write_bytes_atomic

__all__ = ["take"]

_LIBRARIES = frozenset({"torch", "compressai", "pillow", "numpy"})


def take(results: Results, folder: Path) -> Path:
    """Write a finished run's tables into a folder of its name below `folder`, numbers with nine digits and
    seconds with four, and return it.

    Beside them are a figure of them, every item's bytes and PSNR, and by what the run was made: command, commits,
    machine and libraries.  What was there of that name goes, once all of it is written.
    Raises RecipeError for a run with failures, or of other data, codecs, weights or settings than the page's recipe of
    that name has.
    """
    name = results.recipe.name
    if (wanted := next((run for run in _index(folder) if run.name == name), None)) is not None:
        _require_same(results.recipe, wanted.load())
    if results.failures:
        raise RecipeError(f"{name}: {len(results.failures)} items have failed or are missing; it cannot be published")
    target, made = folder / name, folder / f".{name}.new"
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    for table in write_tables(Tables(results), made):
        header, *rows = csv.reader(io.StringIO(table.read_text(encoding="utf-8")))
        digits = [4 if name.endswith("_seconds") else 9 for name in header]
        write_table(table, header, [[_short(*pair) for pair in zip(row, digits, strict=True)] for row in rows])
    draw(results.recipe, made)
    write_items(results.records, made / FILE)
    write_bytes_atomic(made / MADE, (json.dumps(asdict(_made(results)), indent=1) + "\n").encode())
    shutil.rmtree(target, ignore_errors=True)
    return made.rename(target)


def _index(folder: Path) -> tuple[Published, ...]:
    return published(folder) if (folder / INDEX).is_file() else ()


def _require_same(recipe: Recipe, wanted: Recipe) -> None:
    """Raises RecipeError unless a recipe measures what the page's one of its name does, with the same weights."""
    weights = {spec.name: weights_of(spec) for spec in wanted.codecs}
    for spec in recipe.codecs:
        if spec.name in weights and (found := weights_of(spec)) != weights[spec.name]:
            raise RecipeError(
                f"{recipe.name}: {spec.name!r} is of {found}, on the page it is of {weights[spec.name]}; "
                "give the run a name of its own, --set name=NAME"
            )
    ours, theirs = recipe.measuring(), wanted.measuring()
    if others := [key for key in theirs if ours[key] != theirs[key]]:
        raise RecipeError(
            f"{recipe.name}: other {' and '.join(others)} than in the page's recipe of that name; "
            "give the run a name of its own, --set name=NAME"
        )


@dataclass(frozen=True)
class Made:
    """By what a run was made.

    coding_seconds: of encoding and decoding all items, each once.  weights: digests of the bundled ones used, by name.
    """

    command: str
    commits: tuple[str, ...]
    machines: tuple[str, ...]
    threads: tuple[int, ...]
    images: int
    records: int
    coding_seconds: int
    libraries: tuple[str, ...]
    weights: dict[str, str]


def _made(results: Results) -> Made:
    records = results.records
    versions = {pair for record in records for pair in record.fingerprint.items() if pair[0] in _LIBRARIES}
    return Made(
        without_places(results.provenance.command),
        results.commits(),
        results.machines(),
        results.threads(),
        len(results.images()),
        len(records),
        round(sum(piece.encode_seconds + piece.decode_seconds for piece in results.pieces)),
        tuple(f"{name} {version}" for name, version in sorted(versions)),
        models(results.recipe, records),
    )


def _short(cell: str, digits: int) -> str:
    """A number with more digits than these as one with so many; anything else as it is."""
    try:
        short = f"{float(cell):.{digits}g}"
        return cell if float(short) == float(cell) else short
    except ValueError:
        return cell
