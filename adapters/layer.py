"""One layer of one picture, adapted by a method."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite

import torch
from torch import Tensor

from adapters.cost import Cost
from adapters.descent import Tell
from adapters.filed import filed
from adapters.methods import Method
from adapters.refine import refine
from adapters.schedule import SCHEDULES
from adapters.section import read_section, tensors_of
from adapters.sources import Encoder, Fixed, Free, Source
from adapters.tune import tune
from layered.errors import LayeredError
from layered.layer import Context, Latents, Layer

__all__ = ["Outcome", "adapt_layer"]


@dataclass(frozen=True)
class Outcome:
    """Latents before rounding and coded weights; cost of the layer's file as it is and with these; seconds taken."""

    latents: Latents
    weights: bytes
    before: float
    after: float
    seconds: float


def adapt_layer(
    layer: Layer,
    original: Tensor,
    context: Context,
    cost: Cost,
    method: Method,
    generator: torch.Generator,
    half: bool = False,
    compiled: bool = False,
    start: Latents | None = None,
    tell: Callable[[str], Tell] | None = None,
) -> Outcome:
    """Adapt a layer to its picture [1, 3, H, W] in [0, 1].

    A method whose adapters are optional, or that has none, never costs more than the layer as it is, by the bytes and
    pictures of files; the settings of some papers may.  half, compiled: see `adapters.refine.refine`.  start: latents
    before rounding, those of the encoder by default.  tell: of the name of a stage, what is told of its steps.  Raises
    OptionError for sites that there are not, LayeredError where the latents at the start have no finite cost.
    """
    began = time.monotonic()
    free = replace(context, exact=False, _made={})  # what is found does not depend on the last bits

    def told(stage: str) -> Tell | None:
        return None if tell is None else tell(stage)

    def rated(latents: Latents, weights: bytes = b"") -> float:
        return filed(layer, latents, weights, original, context, cost).cost

    with torch.no_grad():
        latents, weights = layer.analyse(original, free) if start is None else start, b""
    before = rated(latents)
    if not isfinite(before):
        raise LayeredError("the encoder's own latents have no finite cost: weights or picture hold NaN")
    outcomes = [(before, latents, weights)]
    if method.first is not None:
        refined = refine(
            layer, original, free, cost, method.first, generator, latents, half=half, compiled=compiled,
            tell=told("latents"),
        )  # fmt: skip
        latents = refined.latents
        outcomes.append((rated(latents), latents, weights))
    if method.plan is not None:
        source = _source(layer, original, free, method, latents, generator)
        tuned = tune(layer, original, free, cost, method.plan, source, generator, half, told("adapters"))
        latents, weights = tuned.latents, tuned.weights
    if method.last is not None:
        tensors = tensors_of(layer, read_section(layer, weights)) if weights else None
        refined = refine(
            layer, original, free, cost, method.last, generator, latents, tensors, half, compiled,
            told("latents again"),
        )  # fmt: skip
        latents = refined.latents
    if method.plan is not None or method.last is not None:
        outcomes.append((rated(latents, weights), latents, weights))
    if method.plan is None or method.plan.optional:
        after, latents, weights = min(outcomes, key=lambda each: each[0])
    else:
        after = outcomes[-1][0]
    return Outcome(latents, weights, before, after, time.monotonic() - began)


def _source(
    layer: Layer, original: Tensor, context: Context, method: Method, latents: Latents, generator: torch.Generator
) -> Source:
    assert method.plan is not None
    if method.latents == "encoder":
        return Encoder(layer, original, context, method.plan.lr, generator)
    if method.latents == "free":
        schedule = method.last or method.first or SCHEDULES["fast"]
        return Free(layer, latents, context, schedule.model_copy(update={"steps": method.plan.steps}), generator)
    return Fixed(layer, latents, context)
