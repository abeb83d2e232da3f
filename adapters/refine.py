"""Refinement of latents: for one picture they are optimised themselves, instead of the encoder that makes them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.applied import AdaptedLayer
from adapters.cost import Cost
from adapters.descent import Tell, anneal, frozen, optimiser_of
from adapters.half import halved
from adapters.schedule import Schedule
from layered.errors import LayeredError
from layered.layer import Context, Latents, Layer
from layered.rounding import Hard, Rounding

__all__ = ["Best", "Refined", "hard_cost", "leaves", "refine"]


@dataclass(frozen=True)
class Refined:
    """Latents before rounding; cost [B] of the first and of these, hard-rounded; steps and seconds that it took."""

    latents: Latents
    before: Tensor
    after: Tensor
    steps: int
    seconds: float


class Best:
    """The latents, picture by picture, with the lowest cost so far.  Raises LayeredError for latents that are NaN."""

    def __init__(self, latents: Latents, cost: Tensor) -> None:
        if not bool(torch.isfinite(cost).all()):
            raise LayeredError("the encoder's own latents have no finite cost: weights or picture hold NaN")
        self.parts = [part.detach().clone() for part in latents.parts]
        self.cost = cost.clone()

    def consider(self, latents: Latents, cost: Tensor) -> bool:
        """Keep those that are better; whether there were any.  Costs that are NaN are not."""
        better = cost < self.cost
        for kept, part in zip(self.parts, latents.parts, strict=True):
            kept[better] = part.detach()[better]
        self.cost = torch.where(better, cost, self.cost)
        return bool(better.any())


def refine(
    layer: Layer,
    original: Tensor,
    context: Context,
    cost: Cost,
    schedule: Schedule,
    generator: torch.Generator,
    start: Latents | None = None,
    tensors: Mapping[str, Tensor] | None = None,
    half: bool = False,
    compiled: bool = False,
    tell: Tell | None = None,
) -> Refined:
    """Latents with the lowest hard-rounded cost met on the way, and so never worse than those at the start.

    original: [B, 3, H, W] in [0, 1]; each of the batch is on its own.  start: the encoder's latents by default.
    tensors: of an adapted decoder, see `adapters.applied.AdaptedLayer`.  half: the synthesis of the steps, but not of
    what is kept, runs in bfloat16.  compiled: it goes through torch.compile.  Source: Campos et al. 2019, Yang, Bamler
    and Mandt (NeurIPS 2020, section 3).  Raises LayeredError where the start's cost is not finite.
    """
    began = time.monotonic()
    seen = AdaptedLayer(layer, tensors) if tensors else layer
    with frozen(layer):
        with torch.no_grad():
            first = seen.analyse(original, context) if start is None else start
            before = hard_cost(seen, first, original, context, cost)
            quick = halved(layer, first, context, tensors or {}) if half else seen
        synthesise = torch.compile(quick.synthesise) if compiled else quick.synthesise
        best = Best(first, before)
        latents, free = leaves(layer, first)

        def loss(rounding: Rounding) -> Tensor:
            coded = seen.code(latents, context, rounding)
            with torch.autocast(original.device.type, torch.bfloat16, enabled=half):
                picture = synthesise(coded.latents, context)
            return cost.of(coded.bits, picture, original, layer.fidelity(coded.latents, context)).sum()

        def trial() -> bool:
            return best.consider(latents, hard_cost(seen, latents, original, context, cost))

        taken = anneal(schedule, time.monotonic(), generator, optimiser_of((free, schedule.lr)), loss, trial, tell)
    return Refined(Latents(tuple(best.parts)), before, best.cost, taken, time.monotonic() - began)


@torch.no_grad()
def hard_cost(layer: Layer, latents: Latents, original: Tensor, context: Context, cost: Cost) -> Tensor:
    """The cost [B] of latents as they would be coded and decoded, but for the entropy parameters' float64."""
    coded = layer.code(latents, context, Hard(exact=False))
    picture, where = layer.synthesise(coded.latents, context), layer.fidelity(coded.latents, context)
    return cost.decoded(coded.bits, picture, original, where)


def leaves(layer: Layer, latents: Latents) -> tuple[Latents, list[Tensor]]:
    """Copies to be optimised, and those of their parts that may be."""
    copies = latents.leaf()
    free = list(copies.parts[: layer.continuous])
    for part in copies.parts[len(free) :]:
        part.requires_grad_(False)
    return copies, free
