"""Adapters for one picture: their numbers are found by gradient descent, and kept only where they pay."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from adapters.applied import AdaptedLayer
from adapters.cost import Cost
from adapters.descent import Tell, descend, frozen, optimiser_of
from adapters.fit import AdapterPlan, Fit
from adapters.half import halved
from adapters.memory import remembered
from adapters.places import places
from adapters.refine import hard_cost
from adapters.schedule import reached
from adapters.section import read_section, tensors_of
from adapters.sources import Source
from layered.errors import LayeredError
from layered.layer import Context, Latents, Layer

__all__ = ["Tuned", "tune"]

_COARSER = (0.5, 2.0)
"""Factors of the steps that are tried at the end, where the plan leaves the step open."""
_MOST_DROPPED = 32
"""Sites that are tried without, one after another, at the end: of more those that take most bytes."""


@dataclass(frozen=True)
class Tuned:
    """Latents before rounding, coded adapter weights, and the hard-rounded cost with all their bits."""

    latents: Latents
    weights: bytes
    cost: float


def tune(
    layer: Layer,
    original: Tensor,
    context: Context,
    cost: Cost,
    plan: AdapterPlan,
    source: Source,
    generator: torch.Generator,
    half: bool = False,
    tell: Tell | None = None,
) -> Tuned:
    """Adapters for one picture [1, 3, H, W] in [0, 1]; no weights where the plan has them optional and they do not pay.

    source: of the latents, which stay or are optimised at the same time.  half: see `adapters.refine.refine`.
    Raises OptionError for sites that there are not.
    """
    names = places(layer, plan.kind, plan.sites, original, context)
    fit = Fit(layer, plan, names, generator)
    optimiser = optimiser_of((fit.free(), plan.lr), (source.free, source.lr))
    device = original.device.type
    quick = halved(layer, source.latents({}), context, {}).tensors if half else {}
    began = time.monotonic()
    with frozen(layer), remembered(layer, (*names, *source.changing)):
        for step in range(plan.steps):
            elapsed = time.monotonic() - began
            if plan.seconds is not None and elapsed > plan.seconds:
                break
            at = reached(step, plan.steps, elapsed, plan.seconds)
            with torch.enable_grad():
                seen = fit.seen()
                coded = source.coded(seen.tensors, at)
                with torch.autocast(device, torch.bfloat16, enabled=half):
                    picture = AdaptedLayer(layer, {**quick, **seen.tensors}).synthesise(coded.latents, context)
                loss = cost.of(coded.bits + seen.bits, picture, original, layer.fidelity(coded.latents, context)).sum()
                descend(optimiser, loss, plan.share(at))
            if step % fit.coding.lasts == 0:
                fit.refit()
            if tell is not None:
                tell(step + 1, plan.steps)

    def rated(weights: bytes) -> Tuned:
        """As a decoder sees it."""
        tensors = tensors_of(layer, read_section(layer, weights)) if weights else {}
        latents = source.latents(tensors)
        found = float(hard_cost(AdaptedLayer(layer, tensors), latents, original, context, cost))
        return Tuned(latents, weights, found + 8 * len(weights) / (context.height * context.width))

    return _cheapest(fit, rated) if plan.optional else rated(fit.packed())


def _cheapest(fit: Fit, rated: Callable[[bytes], Tuned]) -> Tuned:
    """The best of no adapter, of several steps of the grid, and of fewer and fewer sites."""
    plain = rated(b"")

    def tried(factor: float, without: str | None = None) -> Tuned:
        try:
            found = rated(fit.packed(factor, without))
        except LayeredError:  # weights that no decoder takes
            return replace(plain, cost=math.inf)
        return found if math.isfinite(found.cost) else replace(plain, cost=math.inf)

    def size_without(site: str) -> float:
        try:
            return len(fit.packed(factor, site))
        except LayeredError:
            return math.inf

    by_factor = {factor: tried(factor) for factor in ((1.0, *_COARSER) if fit.plan.step is None else (1.0,))}
    factor = min(by_factor, key=lambda each: by_factor[each].cost)
    best, sites = by_factor[factor], fit.kept()
    if not math.isfinite(best.cost):
        return plain
    if len(sites) > _MOST_DROPPED:
        sites = tuple(sorted(sites, key=size_without))[:_MOST_DROPPED]
    for name in sites if len(sites) > 1 else ():
        fewer = tried(factor, without=name)
        if fewer.cost <= best.cost:
            best = fewer
            fit.leave_out(name)
    return best if best.cost < plain.cost else plain
