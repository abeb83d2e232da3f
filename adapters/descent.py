"""What all optimisations of one picture share: a step that numbers which are none cannot spoil, and when to stop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from adapters.schedule import Schedule, reached
from layered.rounding import Rounding

__all__ = ["Tell", "anneal", "descend", "frozen", "optimiser_of"]

Tell = Callable[[int, int], None]
"""Told after each step how many are done, and how many there are at the most."""


def optimiser_of(*groups: tuple[Sequence[Tensor], float]) -> torch.optim.Optimizer:
    """Adam over groups of tensors that take gradients, each with its learning rate."""
    return torch.optim.Adam([{"params": list(free), "lr": lr, "initial_lr": lr} for free, lr in groups if free])


def descend(optimiser: torch.optim.Optimizer, loss: Tensor, share: float) -> None:
    """One step at that share of the learning rates; gradients that are NaN or infinite count as zero."""
    free = [tensor for group in optimiser.param_groups for tensor in group["params"]]
    gradients = torch.autograd.grad(loss, free, allow_unused=True)
    for tensor, gradient in zip(free, gradients, strict=True):
        tensor.grad = None if gradient is None else torch.nan_to_num(gradient, nan=0.0, posinf=0.0, neginf=0.0)
    for group in optimiser.param_groups:
        group["lr"] = share * group["initial_lr"]
    optimiser.step()


def anneal(
    schedule: Schedule,
    began: float,
    generator: torch.Generator,
    optimiser: torch.optim.Optimizer,
    loss: Callable[[Rounding], Tensor],
    trial: Callable[[], bool],
    tell: Tell | None = None,
) -> int:
    """Descend under the schedule's roundings; how many steps were taken.

    began: when the schedule's seconds began, as of `time.monotonic`.  trial: tries the latents as they are now,
    hard-rounded, and says whether they gain; called when the schedule says so, and behind the last step in any case.
    """
    taken = idle = 0
    tried = True
    for step in range(schedule.steps):
        elapsed = time.monotonic() - began
        if schedule.seconds is not None and elapsed > schedule.seconds:
            break
        at = reached(step, schedule.steps, elapsed, schedule.seconds)
        with torch.enable_grad():
            descend(optimiser, loss(schedule.rounding_at(at, generator)), schedule.share(at))
        taken = step + 1
        if tell is not None:
            tell(taken, schedule.steps)
        tried = schedule.is_trial(step)
        if tried:
            idle = 0 if trial() else idle + 1
            if schedule.patience is not None and idle >= schedule.patience:
                break
    if not tried:
        trial()
    return taken


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
