"""All that a run has measured, on disk and in memory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from baselines.protocol import Quality
from experiments.item import Item
from experiments.recipe import Recipe
from experiments.record import Provenance, Record
from experiments.store import Store
from layered.errors import RecipeError
from layered.files import write_bytes_atomic

__all__ = ["Failure", "Results", "find_run", "load_results", "save_run"]

RUN_FILE = "run.json"


@dataclass(frozen=True)
class Failure:
    """An item without a record, and why.  trace: Python's, for developers; empty when there is none."""

    codec: str
    quality: Quality
    image: str
    reason: str
    trace: str = ""

    @staticmethod
    def of(item: Item, reason: str, trace: str = "") -> Failure:
        return Failure(item.spec.name, item.quality, item.picture.name, reason, trace)


@dataclass(frozen=True)
class Results:
    """records: in the order of the recipe's codecs, qualities and images.  folder: where they lie."""

    folder: Path
    recipe: Recipe
    provenance: Provenance
    records: tuple[Record, ...]
    failures: tuple[Failure, ...]

    def images(self) -> tuple[str, ...]:
        """Names of the images that have a record, in order."""
        return tuple(dict.fromkeys(record.image for record in self.records))


def save_run(
    folder: Path, recipe: Recipe, provenance: Provenance, items: Sequence[Item], failures: Sequence[Failure]
) -> None:
    """Write what belongs to the run, beside the records themselves."""
    listed = [[item.key, item.spec.name, item.quality, item.picture.name] for item in items]
    values = {
        "recipe": recipe.model_dump(mode="json"),
        "provenance": asdict(provenance),
        "items": listed,
        "failures": [asdict(failure) for failure in failures],
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(folder / RUN_FILE, (json.dumps(values, indent=1) + "\n").encode())


def load_results(folder: str | Path) -> Results:
    """The run in `folder`, or the only one below it; items that were not measured yet appear as failures.

    Raises RecipeError when there is no run or its list of items is damaged.
    """
    folder = find_run(Path(folder))
    try:
        values = json.loads((folder / RUN_FILE).read_text(encoding="utf-8"))
        recipe = Recipe.model_validate(values["recipe"])
        provenance = Provenance(**values["provenance"])
        failed = {_name(f["codec"], f["quality"], f["image"]): f for f in values["failures"]}
        listed = [(str(k), str(codec), quality, str(image)) for k, codec, quality, image in values["items"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RecipeError(f"{folder / RUN_FILE} is damaged ({error}); run the recipe again") from None
    store, records, failures = Store(folder / "records"), [], []
    for key, codec, quality, image in listed:
        record = store.load(key)
        if record is not None:
            records.append(record)
            continue
        failure = failed.get(_name(codec, quality, image), {})
        reason = str(failure.get("reason", "not measured yet; run the recipe again"))
        points = tuple(quality) if isinstance(quality, list) else float(quality)
        failures.append(Failure(codec, points, image, reason, str(failure.get("trace", ""))))
    return Results(folder, recipe, provenance, tuple(records), tuple(failures))


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


def _name(codec: Any, quality: Any, image: Any) -> str:
    return json.dumps([codec, quality, image])
