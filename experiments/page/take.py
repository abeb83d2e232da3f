"""A run's tables and figure, as the results page keeps them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from experiments.export import write_csv
from experiments.page.figure import draw
from experiments.page.index import INDEX, published
from experiments.page.items import FILE, write_items
from experiments.page.models import MADE, models, weights_of
from experiments.provenance import without_places
from experiments.recipe import Recipe
from experiments.runs import Results
from layered.errors import RecipeError
from layered.files import write_bytes_atomic

__all__ = ["TABLES", "take"]

TABLES = ("points.csv", "bd_rate.csv", "nearest.csv")
"""The tables that are kept, of those that a run has."""

_LIBRARIES = frozenset({"torch", "compressai", "pillow", "numpy"})


def take(results: Results, folder: Path) -> Path:
    """Copy a finished run's tables into a folder of its name below `folder`, numbers with nine digits, and return it.

    Beside them are a figure of them, every item's bytes and PSNR, and by what the run was made: command, commits,
    machine and libraries.
    Raises RecipeError for a run with failures, without its tables, or of other weights than the page's recipe of that
    name has.
    """
    name = results.recipe.name
    _require_weights(results.recipe, folder)
    if results.failures:
        raise RecipeError(f"{name}: {len(results.failures)} items have failed or are missing; it cannot be published")
    tables = [table for table in TABLES if (results.folder / table).is_file()]
    if not {"points.csv", "bd_rate.csv"} <= set(tables):
        raise RecipeError(f"{name}: it has no report yet; layered report {results.folder}")
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    for table in tables:
        header, *rows = csv.reader(io.StringIO((results.folder / table).read_text(encoding="utf-8")))
        write_csv(target / table, header, [[_short(cell) for cell in row] for row in rows])
    draw(results.recipe, target)
    write_items(results.records, target / FILE)
    write_bytes_atomic(target / MADE, (json.dumps(asdict(_made(results)), indent=1) + "\n").encode())
    return target


def _require_weights(recipe: Recipe, folder: Path) -> None:
    """Raises RecipeError where a row is of other weights than in the recipe of the index that has its name."""
    index = published(folder) if (folder / INDEX).is_file() else ()
    wanted = {spec.name: weights_of(spec) for run in index if run.name == recipe.name for spec in run.load().codecs}
    for spec in recipe.codecs:
        if spec.name in wanted and (found := weights_of(spec)) != wanted[spec.name]:
            raise RecipeError(
                f"{recipe.name}: {spec.name!r} is of {found}, on the page it is of {wanted[spec.name]}; "
                "give the run a name of its own, --set name=NAME"
            )


@dataclass(frozen=True)
class Made:
    """By what a run was made.

    coding_seconds: of encoding and decoding all items.  weights: digests of the bundled ones it used, by name.
    """

    command: str
    commits: tuple[str, ...]
    machines: tuple[str, ...]
    threads: int
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
        tuple(sorted({record.provenance.commit or "unknown" for record in records})),
        tuple(sorted({record.provenance.machine for record in records})),
        results.provenance.threads,
        len(results.images()),
        len(records),
        round(sum(record.encode_seconds + record.decode_seconds for record in records)),
        tuple(f"{name} {version}" for name, version in sorted(versions)),
        models(results.recipe, records),
    )


def _short(cell: str) -> str:
    """A number with more digits than nine as one with nine; anything else as it is."""
    try:
        short = f"{float(cell):.9g}"
        return cell if float(short) == float(cell) else short
    except ValueError:
        return cell
