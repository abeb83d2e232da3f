"""Which runs the results page has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml
from pydantic import field_validator

from experiments import provenance
from experiments.known import data_folders
from experiments.recipe import Recipe, load_recipe
from layered.errors import OptionError, RecipeError
from layered.recipes import Strict, check, hint

__all__ = ["INDEX", "RESULTS", "Published", "chosen", "published"]

INDEX = "index.yaml"
"""The list of the runs, in the folder of the page."""

RESULTS = Path(__file__).resolve().parents[2] / provenance.RESULTS
"""The folder of the page, one folder a run in it."""


class Published(Strict):
    """One run: a bundled recipe and what is set in it, as by `--set`; $LAYERED_DATA may stand in it, set or not."""

    recipe: str
    set: tuple[str, ...] = ()

    @field_validator("set")
    @classmethod
    def _settings(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        if wrong := next((value for value in values if "=" not in value), None):
            raise ValueError(f"{wrong!r}: write it as key=value")
        return values

    @property
    def name(self) -> str:
        """Of the run's folder."""
        named = [value.removeprefix("name=") for value in self.set if value.startswith("name=")]
        return named[-1] if named else self.recipe

    def load(self) -> Recipe:
        """Raises RecipeError."""
        return load_recipe(self.recipe, [_placed(value) for value in self.set])


def _placed(value: str) -> str:
    """With variables of the environment; $LAYERED_DATA is the first data folder that holds what is named below it."""
    before, name, below = value.partition("$LAYERED_DATA/")
    if not name:
        return os.path.expandvars(value)
    folders = data_folders()
    folder = next((folder for folder in folders if (folder / below).exists()), folders[0])
    return os.path.expandvars(before + str(folder / below))


class _Index(Strict):
    runs: tuple[Published, ...]


def published(folder: Path = RESULTS) -> tuple[Published, ...]:
    """All runs of `INDEX` in the folder of the page, in its order.  Raises RecipeError."""
    path = folder / INDEX
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: {' '.join(str(error).split())}") from None
    return check(_Index, {"runs": values}, (), str(path)).runs


def chosen(names: Sequence[str], folder: Path = RESULTS) -> tuple[Published, ...]:
    """The runs of these names, all where none is given.  Raises OptionError for one that is not there."""
    runs = {run.name: run for run in published(folder)}
    for name in names:
        if name not in runs:
            raise OptionError(f"the results page has no {name!r}{hint(name, runs)} there are {', '.join(runs)}")
    return tuple(runs[name] for name in names or runs)
