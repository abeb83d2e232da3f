"""Refinement of latents: for one picture they are optimised themselves, instead of the encoder that makes them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from adapters.cost import Cost
from adapters.schedule import Schedule
from layered.errors import LayeredError
from layered.layer import Context, Latents, Layer
from layered.rounding import Hard, Rounding

__all__ = ["Best", "Refined", "Tell", "frozen", "refine", "synthesised"]

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


@contextmanager
def frozen(*modules: nn.Module) -> Iterator[None]:
    """No parameter takes gradients within: their own would be a third of the work, and nobody reads them."""
    held = [p for module in modules for p in module.parameters() if p.requires_grad]
    try:
        for parameter in held:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)


def refine(
    layer: Layer,
    original: Tensor,
    context: Context,
    cost: Cost,
    schedule: Schedule,
    generator: torch.Generator,
    start: Latents | None = None,
    half: bool = False,
    tell: Tell | None = None,
) -> Refined:
    """Latents with the lowest hard-rounded cost met on the way, and so never worse than those at the start.

    original: [B, 3, H, W] in [0, 1]; each of the batch is on its own.  start: the encoder's latents by default.
    half: the synthesis of the steps, but not of what is kept, runs in bfloat16.  Source: Campos et al. 2019, Yang,
    Bamler and Mandt (NeurIPS 2020, section 3).  Raises LayeredError where the start's cost is not finite.
    """
    began = time.monotonic()
    with frozen(layer):
        with torch.no_grad():
            first = layer.analyse(original, context) if start is None else start
            before = _hard(layer, first, original, context, cost)
        best = Best(first, before)
        latents, free = _leaves(layer, first)
        optimiser = torch.optim.Adam(free, lr=schedule.lr)
        step = idle = 0
        for step in _steps(schedule, began):
            with torch.enable_grad():
                rounding = schedule.rounding_at(step, generator)
                bits, picture = synthesised(layer, latents, context, rounding, half)
                loss = cost.of(bits, picture, original).sum()
            optimiser.param_groups[0]["lr"] = schedule.rate(step)
            for part, gradient in zip(free, torch.autograd.grad(loss, free), strict=True):
                part.grad = torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
            optimiser.step()
            if tell is not None:
                tell(step + 1, schedule.steps)
            if schedule.is_trial(step):
                with torch.no_grad():
                    found = best.consider(latents, _hard(layer, latents, original, context, cost))
                idle = 0 if found else idle + 1
                if schedule.patience is not None and idle >= schedule.patience:
                    break
    taken = step + 1 if schedule.steps else 0
    return Refined(Latents(tuple(best.parts)), before, best.cost, taken, time.monotonic() - began)


def synthesised(
    layer: Layer, latents: Latents, context: Context, rounding: Rounding, half: bool = False
) -> tuple[Tensor, Tensor]:
    """Bits [B] and picture [B, 3, H, W] of latents under a rounding; half: synthesis in bfloat16."""
    coded = layer.code(latents, context, rounding)
    with torch.autocast(latents.parts[0].device.type, torch.bfloat16, enabled=half):
        return coded.bits, layer.synthesise(coded.latents, context)


def _hard(layer: Layer, latents: Latents, original: Tensor, context: Context, cost: Cost) -> Tensor:
    return cost.decoded(*synthesised(layer, latents, context, Hard(exact=False)), original)


def _leaves(layer: Layer, latents: Latents) -> tuple[Latents, list[Tensor]]:
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
