"""Adapters for one picture: their numbers are found by gradient descent, and kept only where they pay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.applied import AdaptedLayer
from adapters.cost import Cost
from adapters.descent import descend, frozen, optimiser_of
from adapters.fit import AdapterPlan, Fit
from adapters.half import halved
from adapters.memory import remembered
from adapters.places import places
from adapters.refine import Tell, hard_cost
from adapters.section import adapted_layer
from adapters.sources import Source
from layered.layer import Context, Latents, Layer

__all__ = ["Tuned", "tune"]

_COARSER = (0.5, 2.0)
"""Factors of the steps that are tried at the end, where the plan leaves the step open."""
_REFIT = 20
_MOST_DROPPED = 32
"""Sites that are tried without, one after another, at the end."""


@dataclass(frozen=True)
class Tuned:
    """Latents before rounding, coded adapter weights, and the cost with all their bits."""

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
    """Adapters for one picture [1, 3, H, W] in [0, 1]; no weights where the plan has gates and they do not pay.

    source: of the latents, which stay or are optimised at the same time.  half: see `adapters.refine.refine`.
    Raises OptionError for sites that there are not.
    """
    names = places(layer, plan.kind, plan.sites, original, context)
    fit = Fit(layer, plan, names, generator)
    optimiser = optimiser_of((fit.free(), plan.lr), (source.free, source.lr))
    device = original.device.type
    quick = halved(layer, source.latents(), context, {}).tensors if half else {}
    with frozen(layer), remembered(layer, (*names, *source.changing)):
        for step in range(plan.steps):
            with torch.enable_grad():
                seen = fit.seen()
                coded = source.coded(seen.tensors, step)
                with torch.autocast(device, torch.bfloat16, enabled=half):
                    picture = AdaptedLayer(layer, {**quick, **seen.tensors}).synthesise(coded.latents, context)
                loss = cost.of(coded.bits + seen.bits, picture, original).sum()
                descend(optimiser, loss, plan.share(step))
            if step % _REFIT == 0:
                fit.refit()
            if tell is not None:
                tell(step + 1, plan.steps)
    latents = source.latents()

    def rated(weights: bytes) -> Tuned:
        """As a decoder sees it."""
        changed = adapted_layer(layer, weights) if weights else layer
        found = float(hard_cost(changed, latents, original, context, cost))
        return Tuned(latents, weights, found + 8 * len(weights) / (context.height * context.width))

    return _cheapest(fit, rated) if plan.gates else rated(fit.packed())


def _cheapest(fit: Fit, rated: Callable[[bytes], Tuned]) -> Tuned:
    """The best of no adapter, of several steps of the grid, and of fewer and fewer sites."""
    factors = (1.0, *_COARSER) if fit.plan.step is None else (1.0,)
    tried = {factor: rated(fit.packed(factor)) for factor in factors}
    factor = min(tried, key=lambda each: tried[each].cost)
    best, sites = tried[factor], fit.open_sites()
    for name in sites if 1 < len(sites) <= _MOST_DROPPED else ():
        fewer = rated(fit.packed(factor, without=name))
        if fewer.cost <= best.cost:
            best = fewer
            fit.shut(name)
    return min(rated(b""), best, key=lambda each: each.cost)
