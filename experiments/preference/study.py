"""What a study compares: two codecs of a run at one quality each, image by image, and traps among the trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product, zip_longest

import numpy as np

from baselines.protocol import Quality
from experiments.html.choice import LADDER, mean_rates
from experiments.preference.orders import Order, counterbalanced
from experiments.preference.votes import ORIGINAL
from experiments.record import Record
from experiments.store import digest_of
from experiments.tables import Tables
from experiments.words import quality_text
from layered.errors import OptionError

__all__ = ["TRAPS", "Contender", "Side", "Study", "StudyOptions", "Trial", "plan_study"]

TRAPS = 4
"""Traps of a study where nothing is said, as far as there are images for them."""


@dataclass(frozen=True)
class StudyOptions:
    """codecs: two names of the run.  qualities: of each, as reports write them; else the two nearest in mean rate.

    layer: the number of the layer shown, by default the top one.  traps: how many, by default TRAPS.  seed: another
    gives other orders and traps.
    """

    codecs: tuple[str, str]
    qualities: tuple[str, str] | None = None
    layer: int | None = None
    traps: int | None = None
    seed: int = 0


@dataclass(frozen=True)
class Contender:
    """A codec at a quality.  bpp: mean over the images, at the study's layer."""

    codec: str
    quality: Quality
    bpp: float

    @property
    def label(self) -> str:
        """`name @ quality`: other qualities are other contenders, whose votes must not be added up."""
        return f"{self.codec} @ {quality_text(self.quality)}"


@dataclass(frozen=True)
class Side:
    """One of the two pictures of a trial.  record: None where it is the original."""

    label: str
    record: Record | None


@dataclass(frozen=True)
class Trial:
    """Two pictures of one image.  In a trap the first is the original itself."""

    image: str
    sides: tuple[Side, Side]

    @property
    def trap(self) -> bool:
        """Whether the answer is known."""
        return self.sides[0].record is None


@dataclass(frozen=True)
class Study:
    """digest: names all that raters see; in every vote.  layer: number of the layer.  missing: images left out."""

    digest: str
    contenders: tuple[Contender, Contender]
    layer: int
    seed: int
    trials: tuple[Trial, ...]
    orders: tuple[Order, ...]
    missing: tuple[str, ...]


def plan_study(tables: Tables, options: StudyOptions) -> Study:
    """The trials of a study of the first set of scales of a run, and the orders in which they are shown.

    A trap is one of the two codecs at its lowest rate, so that the original is surely the better one.  Raises
    OptionError for codecs, qualities or layers that the run does not have, and for more traps than it has pictures.
    """
    ladder = tables.ladders[LADDER]
    layer = ladder.top if options.layer is None else options.layer
    if not 0 <= layer <= ladder.top:
        raise OptionError(f"no layer {layer}; the run has layers 0 to {ladder.top}")
    rates = _rates(tables, options.codecs, layer)
    contenders = _named(rates, options) if options.qualities else _nearest(rates, options.codecs)
    both = {image: _sides(tables, image, contenders) for image in tables.results.images()}
    trials = [Trial(image, sides) for image, sides in both.items() if sides is not None]
    if not trials:
        raise OptionError(f"no image was measured with both {contenders[0].label} and {contenders[1].label}")
    rng = np.random.default_rng(options.seed)
    trials += _traps(tables, rates, layer, [trial.image for trial in trials], options, rng)
    orders = counterbalanced([trial.trap for trial in trials], rng)
    digest = _digest(tables, options.codecs, layer, options.seed, trials, orders)
    missing = tuple(image for image, sides in both.items() if sides is None)
    return Study(digest, contenders, layer, options.seed, tuple(trials), orders, missing)


Rates = Mapping[str, Mapping[Quality, float]]


def _rates(tables: Tables, codecs: Sequence[str], layer: int) -> Rates:
    """Mean bpp by quality of both codecs."""
    measured = mean_rates(tables, layer)
    for name in codecs:
        if name not in tables.codecs:
            raise OptionError(f"no codec {name!r} in this run; there are {', '.join(tables.codecs)}")
        if name not in measured:
            raise OptionError(f"{name} has no record in this run")
        if name == ORIGINAL:
            raise OptionError(f"a codec called {ORIGINAL!r} cannot be told from the original; rename it")
    if codecs[0] == codecs[1]:
        raise OptionError(f"a study needs two codecs, not {codecs[0]!r} twice")
    return {name: measured[name] for name in codecs}


def _named(rates: Rates, options: StudyOptions) -> tuple[Contender, Contender]:
    found = []
    for name, text in zip(options.codecs, options.qualities or (), strict=True):
        try:
            wanted = quality_text(tuple(map(float, text.split("/"))))
        except ValueError:
            wanted = text
        matching = [quality for quality in rates[name] if quality_text(quality) == wanted]
        if not matching:
            known = ", ".join(map(quality_text, rates[name]))
            raise OptionError(f"{name} was not measured at quality {text}; there are {known}")
        found.append(Contender(name, matching[0], rates[name][matching[0]]))
    return found[0], found[1]


def _nearest(rates: Rates, codecs: tuple[str, str]) -> tuple[Contender, Contender]:
    pairs = product(*(rates[name].items() for name in codecs))
    (a, rate_a), (b, rate_b) = min(pairs, key=lambda pair: abs(math.log(pair[0][1] / pair[1][1])))
    return Contender(codecs[0], a, rate_a), Contender(codecs[1], b, rate_b)


def _sides(tables: Tables, image: str, contenders: Sequence[Contender]) -> tuple[Side, Side] | None:
    first, second = (
        Side(each.label, tables.record(each.codec, each.quality, image, LADDER)) for each in contenders
    )
    return None if first.record is None or second.record is None else (first, second)


def _traps(
    tables: Tables, rates: Rates, layer: int, images: Sequence[str], options: StudyOptions, rng: np.random.Generator
) -> list[Trial]:
    """The codecs in turn, of other images as long as there are some."""
    drawn = [images[k] for k in rng.permutation(len(images))]
    possible: list[list[Trial]] = [[], []]
    for name, trials in zip(options.codecs, possible, strict=True):
        quality, rate = min(rates[name].items(), key=lambda entry: entry[1])
        label = Contender(name, quality, rate).label
        for image in drawn:
            record = tables.record(name, quality, image, LADDER)
            if record is not None and math.isfinite(record.layers[layer].psnr):
                trials.append(Trial(image, (Side(ORIGINAL, None), Side(label, record))))
        drawn = drawn[len(drawn) // 2 :] + drawn[: len(drawn) // 2]
    traps = [trap for turn in zip_longest(*possible) for trap in turn if trap is not None]
    wanted = min(TRAPS, len(images), len(traps)) if options.traps is None else options.traps
    if not 0 <= wanted <= len(traps):
        raise OptionError(f"{wanted} traps: the run has pictures for 0 to {len(traps)}")
    return traps[:wanted]


def _digest(
    tables: Tables, codecs: Sequence[str], layer: int, seed: int, trials: Sequence[Trial], orders: Sequence[Order]
) -> str:
    methods = {spec.name: spec.method.words for spec in tables.results.recipe.codecs if spec.name in codecs}
    records = [record for trial in trials for side in trial.sides if (record := side.record) is not None]
    return digest_of({
        "codecs": methods,
        "scales": tables.ladders[LADDER].scales,
        "layer": layer,
        "seed": seed,
        "trials": [[trial.image, [side.label for side in trial.sides]] for trial in trials],
        "pictures": [[record.image_sha256, record.files_sha256] for record in records],
        "orders": orders,
    })  # fmt: skip
