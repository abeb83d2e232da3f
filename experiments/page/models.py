"""Of which bundled weights the runs of the results page are, and which of those have been replaced since."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from baselines.registry import build
from experiments.method import Method
from experiments.page.index import RESULTS, Published, published
from experiments.recipe import Recipe
from experiments.record import Record
from layered.errors import RecipeError
from layered.weights.card import catalogue

__all__ = ["MADE", "earlier", "models", "replaced", "weights_of"]

MADE = "made.json"
"""By what a run was made, beside its tables."""


def weights_of(method: Method) -> str | None:
    """The weights that a row of a recipe is measured with, by their name or place; None of codecs without any."""
    made = build(method.codec, method.of, method.weights, options=method.options, adaptation=method.adaptation)
    found = getattr(getattr(made, "picture", made), "weights", None)
    return found if isinstance(found, str) else None


def models(recipe: Recipe, records: Iterable[Record]) -> dict[str, str]:
    """The digest of each bundled weights that a run was measured with, by their name."""
    digests = {record.codec: record.fingerprint.get("model") for record in records}
    bundled = {card.name for card in catalogue()}
    named = {weights_of(spec): digests.get(spec.name) for spec in recipe.codecs}
    return {name: digest for name, digest in sorted(named.items(), key=str) if name in bundled and digest}


def earlier(run: Published, folder: Path = RESULTS) -> tuple[str, ...]:
    """The bundled weights of a run's recipe that are others now than when it was measured.

    All of them where the run is of a time when it was not yet noted.  Raises RecipeError for a damaged note.
    """
    digests = _noted(folder / run.name)
    now = {card.name: card.digest for card in catalogue()}
    used = {weights_of(spec) for spec in run.load().codecs}
    return tuple(name for name in sorted(now) if name in used and digests.get(name) != now[name])


def replaced(folder: Path = RESULTS) -> dict[str, tuple[str, ...]]:
    """Of every run in the folder of the page, those weights among its that are others now.

    Runs that the index does not name are taken at their note.  Raises RecipeError for a damaged one.
    """
    found = {run.name: earlier(run, folder) for run in published(folder)}
    now = {card.name: card.digest for card in catalogue()}
    for path in sorted(folder.glob(f"*/{MADE}")):
        if (name := path.parent.name) not in found:
            found[name] = tuple(of for of, digest in sorted(_noted(path.parent).items()) if now.get(of) != digest)
    return found


def _noted(run: Path) -> dict[str, str]:
    """The digests of its weights that the run in this folder has noted, by name.  Raises RecipeError."""
    path = run / MADE
    try:
        digests = json.loads(path.read_text(encoding="utf-8")).get("weights", {}) if path.is_file() else {}
        if not isinstance(digests, dict):
            raise ValueError("weights: not a mapping of names to digests")
    except (OSError, ValueError, RecursionError, AttributeError) as error:
        raise RecipeError(f"{path}: not a note of how a run was made ({error})") from None
    return digests
