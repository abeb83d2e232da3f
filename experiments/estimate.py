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

__all__ = ["Estimate", "describe", "estimate", "picture_sizes", "processes"]

TRIAL_SIDE = 256
"""Trials are made on one of the images, shrunk to this side."""


@dataclass(frozen=True)
class Estimate:
    """What the items of one codec ask for.  seconds: of one process; None if the trial failed, `fault` says why."""

    codec: str
    items: int
    megapixels: float
    seconds: float | None
    fault: str = ""


def estimate(items: Sequence[Item], sizes: Mapping[Picture, tuple[int, int]]) -> tuple[Estimate, ...]:
    """One estimate per codec: the time per pixel of a trial times the pixels of all layers of all its items.

    sizes: width and height of the pictures that can be read; items of others will fail at once.
    Small pictures cost more per pixel, so that long runs rather end sooner.
    """
    estimates = []
    for method in dict.fromkeys(item.method for item in items):
        own = [item for item in items if item.method == method and item.picture in sizes]
        pixels = [_pixels(item, *sizes[item.picture]) for item in own]
        per_pixel, fault = _trial(own[len(own) // 2]) if own else (0.0, "")
        seconds = None if per_pixel is None else per_pixel * sum(pixels)
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


def _trial(item: Item) -> tuple[float | None, str]:
    """Seconds per pixel, or why there are none."""
    side = min(TRIAL_SIDE, item.picture.longest_side or TRIAL_SIDE)
    small = replace(item.picture, longest_side=side)
    trial = replace(item, picture=small, image_sha256=small.digest())
    here = Where(0, item.provenance.threads)
    outcomes = run_all([trial] * 3, measure, here)
    outcome = next(outcomes)  # loads the weights and warms up
    times = [time.perf_counter()]
    for outcome in outcomes:  # noqa: B007
        times.append(time.perf_counter())
    if outcome.value is None:
        return None, outcome.reason or "no reason given"
    seconds = min(end - start for start, end in pairwise(times))  # the rest is other processes'
    return seconds / sum(layer.width * layer.height for layer in outcome.value.record.layers), ""


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
