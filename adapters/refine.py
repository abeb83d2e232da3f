"""Refinement of latents: for one picture they are optimised themselves, instead of the encoder that makes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.applied import AdaptedLayer
from adapters.cost import Cost
from adapters.descent import descend, frozen, optimiser_of
from adapters.half import halved
from adapters.schedule import Schedule
from layered.errors import LayeredError
from layered.layer import Context, Latents, Layer
from layered.rounding import Hard

__all__ = ["Best", "Refined", "Tell", "hard_cost", "leaves", "refine"]

Tell = Callable[[int, int], None]
"""Told after each step how many are done, and how many there are at the most."""


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
    tell: Tell | None = None,
) -> Refined:
    """Latents with the lowest hard-rounded cost met on the way, and so never worse than those at the start.

    original: [B, 3, H, W] in [0, 1]; each of the batch is on its own.  start: the encoder's latents by default.
    tensors: of an adapted decoder, see `adapters.applied.AdaptedLayer`.
    half: the synthesis of the steps, but not of what is kept, runs in bfloat16.  Source: Campos et al. 2019, Yang,
    Bamler and Mandt (NeurIPS 2020, section 3).  Raises LayeredError where the start's cost is not finite.
    """
    began = time.monotonic()
    seen = AdaptedLayer(layer, tensors) if tensors else layer
    with frozen(layer):
        with torch.no_grad():
            first = layer.analyse(original, context) if start is None else start
            before = hard_cost(seen, first, original, context, cost)
            quick = halved(layer, first, context, tensors or {}) if half else seen
        best = Best(first, before)
        latents, free = leaves(layer, first)
        optimiser = optimiser_of((free, schedule.lr))
        taken = idle = 0
        for step in _steps(schedule, began):
            taken = step + 1
            with torch.enable_grad():
                coded = seen.code(latents, context, schedule.rounding_at(step, generator))
                with torch.autocast(original.device.type, torch.bfloat16, enabled=half):
                    picture = quick.synthesise(coded.latents, context)
                loss = cost.of(coded.bits, picture, original).sum()
                descend(optimiser, loss, schedule.share(step))
            if tell is not None:
                tell(taken, schedule.steps)
            if schedule.is_trial(step):
                found = best.consider(latents, hard_cost(seen, latents, original, context, cost))
                idle = 0 if found else idle + 1
                if schedule.patience is not None and idle >= schedule.patience:
                    break
    return Refined(Latents(tuple(best.parts)), before, best.cost, taken, time.monotonic() - began)


@torch.no_grad()
def hard_cost(layer: Layer, latents: Latents, original: Tensor, context: Context, cost: Cost) -> Tensor:
    """The cost [B] of latents as they would be coded and decoded, but for the entropy parameters' float64."""
    coded = layer.code(latents, context, Hard(exact=False))
    return cost.decoded(coded.bits, layer.synthesise(coded.latents, context), original)


def leaves(layer: Layer, latents: Latents) -> tuple[Latents, list[Tensor]]:
    """Copies to be optimised, and those of their parts that may be."""
    copies = latents.leaf()
    free = list(copies.parts[: layer.continuous])
    for part in copies.parts[len(free) :]:
        part.requires_grad_(False)
    return copies, free


def _steps(schedule: Schedule, began: float) -> Iterator[int]:
    for step in range(schedule.steps):
        if schedule.seconds is not None and time.monotonic() - began > schedule.seconds:
            return
        yield step
