"""Whether items of the results page come out as they did."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from experiments.item import measure
from experiments.page.index import RESULTS, Published
from experiments.page.items import FILE, ItemKey, Layers, layers_of, read_items
from experiments.page.models import earlier, weights_of
from experiments.plan import plan
from experiments.provenance import command_line, commit, machine
from experiments.recipe import Recipe
from experiments.record import Provenance, join
from experiments.redecode import TOLERANCE
from experiments.work import attempt, limit_threads
from layered.errors import LayeredError, RecipeError

__all__ = ["Verdict", "recheck", "sampled"]


@dataclass(frozen=True)
class Verdict:
    """What came of one item.

    outcome: skipped where the page's software, data or recipe is not here, failed where measuring raised an error.
    told: what differs, or why nothing was measured.
    """

    run: str
    item: ItemKey
    outcome: Literal["equal", "differs", "failed", "skipped"]
    told: str = ""


def sampled(run: Published, count: int, seed: int, adapted: bool, folder: Path = RESULTS) -> list[ItemKey]:
    """So many items of a run that are drawn by `seed`; per-image adaptation, which takes minutes, only if `adapted`.

    None that was measured with weights that have been replaced since (`experiments.page.models.earlier`).  Raises
    RecipeError where the page has no items of the run, or not those of its recipe.
    """
    recipe = run.load()
    replaced = earlier(run, folder)
    left_out = {spec.name for spec in recipe.codecs if weights_of(spec) in replaced}
    left_out |= {spec.name for spec in recipe.codecs if spec.adaptation is not None and not adapted}
    items = [key for key in read_items(folder / run.name / FILE) if key.codec not in left_out]
    names = {spec.name for spec in recipe.codecs}
    if missing := next((key.codec for key in items if key.codec not in names), None):
        raise RecipeError(f"{run.name}: the recipe has no codec {missing!r} any more")
    return random.Random(f"{seed}/{run.name}").sample(items, min(count, len(items)))


def recheck(run: Published, keys: list[ItemKey], folder: Path = RESULTS) -> Iterator[Verdict]:
    """Measure items again and compare them with the page's: bytes exactly, PSNR within a hundredth of a dB."""
    recipe, known = run.load(), read_items(folder / run.name / FILE)
    for codec in dict.fromkeys(key.codec for key in keys):
        chosen = [key for key in keys if key.codec == codec]
        try:
            again = _Again(recipe, codec)
        except LayeredError as error:  # such as software that is not here
            yield from (Verdict(run.name, key, "skipped", str(error)) for key in chosen)
            continue
        for key in chosen:
            if key not in again:
                yield Verdict(run.name, key, "skipped", "the recipe has no such item any more, or no such picture")
                continue
            found, reason, _ = attempt(again.measured, key)
            if found is None:
                yield Verdict(run.name, key, "failed", reason or "")
                continue
            told = _difference(known[key], found)
            yield Verdict(run.name, key, "differs" if told else "equal", told)


class _Again:
    """One codec of a recipe, whose items may be measured again."""

    def __init__(self, recipe: Recipe, codec: str) -> None:
        one = recipe.model_copy(update={
            "codecs": tuple(spec for spec in recipe.codecs if spec.name == codec), "anchors": (), "previews": False,
            "ms_ssim": False, "operations": False, "scores": (),
        })  # fmt: skip
        planned = plan(one, Provenance(command_line(), commit(), machine(recipe.device), recipe.threads))
        self._threads = recipe.threads
        self._items = {item.key: item for item in planned.items}
        self._entries = {ItemKey.of(entry): entry for entry in planned.entries}

    def __contains__(self, key: ItemKey) -> bool:
        return key in self._entries

    def measured(self, key: ItemKey) -> Layers:
        """Raises what `experiments.item.measure` does."""
        limit_threads(self._threads)  # a search may depend on their number
        entry = self._entries[key]
        records = [measure(self._items[piece]).record for piece in entry.keys]
        return layers_of(join(entry.codec, entry.quality, records, entry.cumulative))


def _difference(known: Layers, found: Layers) -> str:
    if len(known) != len(found):
        return f"{len(found)} layers instead of {len(known)}"
    told = []
    for number, ((size, psnr), (new_size, new_psnr)) in enumerate(zip(known, found, strict=True)):
        if size != new_size:
            told.append(f"layer {number}: {new_size} bytes instead of {size}")
        if psnr != new_psnr and not abs(float(psnr) - float(new_psnr)) <= TOLERANCE:
            told.append(f"layer {number}: {new_psnr} dB instead of {psnr}")
    return ", ".join(told)
