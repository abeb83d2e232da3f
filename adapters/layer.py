"""One layer of one picture, adapted by a method."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapters.cost import Cost
from adapters.fit import AdapterPlan
from adapters.methods import Method
from adapters.refine import Tell, hard_cost, refine
from adapters.schedule import SCHEDULES, Schedule
from adapters.section import adapted_layer, read_section, tensors_of
from adapters.sources import Encoder, Fixed, Free, Source
from adapters.tune import tune
from layered.layer import Context, Latents, Layer

__all__ = ["Outcome", "adapt_layer"]


@dataclass(frozen=True)
class Outcome:
    """Latents before rounding and coded weights; cost of the layer as it is and with these; seconds that it took."""

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
    start: Latents | None = None,
    tell: Callable[[str], Tell] | None = None,
) -> Outcome:
    """Adapt a layer to its picture [1, 3, H, W] in [0, 1].

    A method whose adapters have gates, or that has none, never costs more than the layer as it is; the settings of
    some papers may.  start: latents before rounding, those of the encoder by default.  tell: of the name of a stage,
    what is told of its steps.  Raises OptionError for sites that there are not, LayeredError where the encoder's own
    latents have no finite cost.
    """
    began = time.monotonic()
    context = replace(context, exact=False, _made={})  # what is found does not depend on the last bits

    def told(stage: str) -> Tell | None:
        return None if tell is None else tell(stage)

    with torch.no_grad():
        encoded = layer.analyse(original, context) if start is None else start
    before = float(hard_cost(layer, encoded, original, context, cost))
    latents, weights = encoded, b""
    if method.first is not None:
        refined = refine(
            layer, original, context, cost, method.first, generator, latents, half=half, tell=told("latents")
        )  # fmt: skip
        latents = refined.latents
    if method.plan is not None:
        source = _source(layer, original, context, method.plan, method.latents, latents, generator)
        tuned = tune(layer, original, context, cost, method.plan, source, generator, half, told("adapters"))
        latents, weights = tuned.latents, tuned.weights
    if method.last is not None:
        tensors = tensors_of(layer, read_section(layer, weights)) if weights else None
        refined = refine(
            layer, original, context, cost, method.last, generator, latents, tensors, half, told("latents again")
        )  # fmt: skip
        latents = refined.latents
    seen = adapted_layer(layer, weights) if weights else layer
    after = float(hard_cost(seen, latents, original, context, cost)) + 8 * len(weights) / original[0, 0].numel()
    guarded = method.plan is None or method.plan.gates
    if guarded and not after < before:
        latents, weights, after = encoded, b"", before
    return Outcome(latents, weights, before, after, time.monotonic() - began)


def _source(
    layer: Layer, original: Tensor, context: Context, plan: AdapterPlan, kind: str, latents: Latents,
    generator: torch.Generator,
) -> Source:  # fmt: skip
    if kind == "encoder":
        return Encoder(layer, original, context, plan.lr, generator)
    if kind == "free":
        schedule: Schedule = SCHEDULES["fast"].model_copy(update={"steps": plan.steps})
        return Free(layer, latents, context, schedule, generator)
    return Fixed(layer, latents, context)
