"""All that a run has measured, on disk and in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from baselines.protocol import Quality
from experiments.plan import Entry
from experiments.recipe import Recipe
from experiments.record import Provenance, Record, join
from experiments.store import Store
from layered.errors import RecipeError
from layered.files import write_bytes_atomic
from layered.recipes import faults

__all__ = ["Failure", "Results", "find_run", "load_results", "save_run"]

RUN_FILE = "run.json"


@dataclass(frozen=True)
class Failure:
    """An entry without a record, and why.  trace: Python's, for developers; empty when there is none."""

    codec: str
    quality: Quality
    image: str
    scales: tuple[float, ...]
    reason: str
    trace: str = ""


@dataclass(frozen=True)
class Results:
    """One run.

    records: in the order of ladders, codecs, qualities and images.  keys: for each record those of the items
    that it was put together from, by which the store knows their pictures.  folder: where all of it lies.  provenance:
    of the last command.  pieces: the items' own records, each once, however many records share it.
    """

    folder: Path
    recipe: Recipe
    provenance: Provenance
    records: tuple[Record, ...]
    keys: tuple[tuple[str, ...], ...]
    failures: tuple[Failure, ...]
    pieces: tuple[Record, ...] = ()

    def provenances(self) -> tuple[Provenance, ...]:
        """By what the items were made, which may have been several commands; the last one where there are none yet."""
        found = {piece.provenance for piece in self.pieces} or {self.provenance}
        return tuple(sorted(found, key=str))

    def commits(self) -> tuple[str, ...]:
        """Of the checkouts in which the items were made, `unknown` outside of any."""
        return tuple(sorted({made.commit or "unknown" for made in self.provenances()}))

    def machines(self) -> tuple[str, ...]:
        """On which the items were made."""
        return tuple(sorted({made.machine for made in self.provenances()}))

    def threads(self) -> tuple[int, ...]:
        """Of each process in which the items were made."""
        return tuple(sorted({made.threads for made in self.provenances()}))

    def images(self) -> tuple[str, ...]:
        """Names of the images that have a record, in order."""
        return tuple(dict.fromkeys(record.image for record in self.records))


def save_run(
    folder: Path,
    recipe: Recipe,
    provenance: Provenance,
    entries: Sequence[Entry],
    failed: Mapping[str, tuple[str, str]],
) -> None:
    """Write what belongs to the run, beside the records themselves.  failed: key to reason and trace."""
    values = {
        "recipe": recipe.model_dump(mode="json"),
        "provenance": asdict(provenance),
        "entries": [list(vars(entry).values()) for entry in entries],
        "failed": failed,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(folder / RUN_FILE, (json.dumps(values) + "\n").encode())


def load_results(folder: str | Path) -> Results:
    """The run in `folder`, or the only one below it; entries that were not measured yet appear as failures.

    Raises RecipeError when there is no run or its list of entries is damaged.
    """
    folder = find_run(Path(folder))
    try:
        values = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        recipe = Recipe.model_validate(values["recipe"])
        provenance = Provenance(**values["provenance"])
        failed = {str(key): (str(reason), str(trace)) for key, (reason, trace) in values["failed"].items()}
        entries = [_entry(*entry) for entry in values["entries"]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = faults(error) if isinstance(error, ValidationError) else str(error)
        raise RecipeError(f"{folder / RUN_FILE} is damaged ({what}); run the recipe again") from None
    store = Store(folder / "records")
    pieces = {key: store.load(key) for entry in entries for key in entry.keys}
    records, keys, failures = [], [], []
    for entry in entries:
        found = [piece for key in entry.keys if (piece := pieces[key]) is not None]
        if len(found) == len(entry.keys):
            records.append(join(entry.codec, entry.quality, found, entry.cumulative))
            keys.append(entry.keys)
            continue
        causes = [failed[key] for key in entry.keys if pieces[key] is None and key in failed]
        reason, trace = causes[0] if causes else ("not measured yet; run the recipe again", "")
        failures.append(Failure(entry.codec, entry.quality, entry.image, entry.scales, reason, trace))
    held = tuple(piece for piece in pieces.values() if piece is not None)
    return Results(folder, recipe, provenance, tuple(records), tuple(keys), tuple(failures), held)


def find_run(folder: Path) -> Path:
    """`folder` itself if it holds a run, else the only folder in it that does.  Raises RecipeError."""
    if (folder / RUN_FILE).is_file():
        return folder
    below = sorted(path.parent for path in folder.glob(f"*/{RUN_FILE}"))
    if len(below) == 1:
        return below[0]
    if below:
        raise RecipeError(f"{folder} holds several runs, name one: {', '.join(str(path) for path in below)}")
    raise RecipeError(f"{folder}: no run here; a run's folder holds {RUN_FILE}")


def _entry(codec: str, quality: Any, image: str, scales: Any, keys: Any, cumulative: bool) -> Entry:
    points = tuple(map(float, quality)) if isinstance(quality, list) else float(quality)
    return Entry(str(codec), points, str(image), tuple(map(float, scales)), tuple(map(str, keys)), bool(cumulative))
