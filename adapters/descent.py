"""What all optimisations of one picture share: a step that numbers which are none cannot spoil."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["descend", "frozen", "optimiser_of"]


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
