"""How long a run will take, from a short trial of every codec on this machine."""

from __future__ import annotations

import io
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from rich.console import Console
from rich.table import Table

from baselines.registry import SEPARATE
from experiments.cluster import Where, run_all, visible_gpus, worker_environments
from experiments.data import Picture
from experiments.harness import pending_items
from experiments.item import Item, measure
from experiments.plan import plan
from experiments.provenance import command_line, machine
from experiments.recipe import Recipe
from experiments.record import Provenance
from experiments.store import Store
from experiments.words import quantity
from layered.errors import LayeredError
from layered.image import layer_sizes

__all__ = ["Cost", "Estimate", "describe", "estimate", "picture_sizes", "processes"]

TRIAL_SIDES = (96, 256)
"""Trials are made on one of the images, shrunk to these sides: what an item costs besides its pixels shows by two."""


@dataclass(frozen=True)
class Estimate:
    """What the items of one codec ask for.  seconds: of one process; None if the trial failed, `fault` says why."""

    codec: str
    items: int
    megapixels: float
    seconds: float | None
    fault: str = ""


def estimate(items: Sequence[Item], sizes: Mapping[Picture, tuple[int, int]]) -> tuple[Estimate, ...]:
    """One estimate per codec: a time for each item and one for each pixel of all its layers, both from two trials.

    sizes: width and height of the pictures that can be read; items of others will fail at once.
    """
    estimates = []
    for method in dict.fromkeys(item.method for item in items):
        own = [item for item in items if item.method == method and item.picture in sizes]
        pixels = [_pixels(item, *sizes[item.picture]) for item in own]
        cost, fault = _trial(own[pixels.index(max(pixels))]) if own else (Cost(0.0, 0.0), "")
        seconds = None if cost is None else cost.item * len(own) + cost.pixel * sum(pixels)
        estimates.append(Estimate(method.label, len(own), sum(pixels) / 1e6, seconds, fault))
    return tuple(estimates)


def picture_sizes(pictures: Iterable[Picture]) -> dict[Picture, tuple[int, int]]:
    """Width and height of those that can be read."""
    sizes = {}
    for picture in pictures:
        with suppress(LayeredError):
            height, width = picture.load().shape[:2]
            sizes[picture] = (width, height)
    return sizes


def _pixels(item: Item, width: int, height: int) -> int:
    return sum(w * h for w, h in layer_sizes(width, height, item.scales))


@dataclass(frozen=True)
class Cost:
    """Seconds of an item, whatever its size, and of each of its pixels."""

    item: float
    pixel: float

    @classmethod
    def of_trials(cls, few: tuple[int, float], many: tuple[int, float]) -> Cost:
        """That of two trials, each (pixels, seconds), the second of as many pixels or more."""
        (less, first), (more, second) = few, many
        if more == less:  # the picture is small, and all that it costs may be its pixels
            return cls(0.0, second / more)
        if second <= first:  # more pixels cost nothing that can be seen
            return cls(second, 0.0)
        pixel = min((second - first) / (more - less), second / more)
        return cls(second - pixel * more, pixel)


def _trial(item: Item) -> tuple[Cost | None, str]:
    """What an item costs, or why that is not known."""
    found = []
    for side in TRIAL_SIDES:
        small = replace(item.picture, longest_side=min(side, item.picture.longest_side or side))
        trial = replace(item, picture=small, image_sha256=small.digest())
        outcomes = run_all([trial] * 3, measure, Where(0, item.provenance.threads))
        outcome = next(outcomes)  # loads the weights and warms up
        times = [time.perf_counter()]
        for outcome in outcomes:  # noqa: B007
            times.append(time.perf_counter())
        if outcome.value is None:
            return None, outcome.reason or "no reason given"
        seconds = min(end - start for start, end in pairwise(times))  # the rest is other processes'
        found.append((sum(layer.width * layer.height for layer in outcome.value.record.layers), seconds))
    return Cost.of_trials(*found), ""


def processes(recipe: Recipe, workers: int | None, items: int) -> int:
    """How many of them share the items when `experiments.harness.run` is given so many workers.  Raises OptionError."""
    if workers == 0 or items == 0:
        return 1
    gpus = visible_gpus() if recipe.device == "cuda" else ()
    return len(worker_environments(Where(workers, recipe.threads, None, recipe.device), gpus)[:items])


def describe(recipe: Recipe, out: str | Path, workers: int | None = None) -> str:
    """What `experiments.harness.run` would do with these arguments, for people; writes nothing."""
    provenance = Provenance(command_line(), None, machine(recipe.device), recipe.threads)
    planned = plan(recipe, provenance)
    pending = pending_items(planned.items, Store(Path(out) / recipe.name / "records"))
    count = processes(recipe, workers, len(pending))
    console = Console(file=io.StringIO(), width=100, highlight=False, markup=False, color_system=None)
    table = Table("codec", "items", "Mpixels", "one process", box=None, title_justify="left")
    for column in table.columns[1:]:
        column.justify = "right"
    sizes = picture_sizes(planned.pictures)
    estimates = estimate(pending, sizes)
    shared = any(SEPARATE.get(spec.codec, False) for spec in recipe.codecs)
    for entry in estimates:
        shown = _duration(entry.seconds) if entry.seconds is not None else f"fails: {entry.fault}"
        table.add_row(entry.codec, str(entry.items), f"{entry.megapixels:.1f}", shown)
    if estimates:
        console.print(table)
    total = sum(entry.seconds or 0.0 for entry in estimates) / count
    console.print(
        f"{len(planned.items)} items for {len(planned.entries)} records, {len(pending)} of them to be measured; "
        f"about {_duration(total)} with {quantity(count, 'process', 'processes')}"
    )
    for picture in planned.pictures:
        if picture not in sizes:
            console.print(f"{picture.name} cannot be read, so that its items will fail")
    if shared:
        console.print("simulcast rows are put together from the files of single pictures, which are coded once for all")
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
