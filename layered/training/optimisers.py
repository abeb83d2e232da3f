"""Optimisers of a phase, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from layered.errors import OptionError, install

__all__ = ["OPTIMISERS", "build_optimiser"]


def build_optimiser(name: str, parameters: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
    """The optimiser of that name over these parameters.  Raises OptionError where it is unknown or not installed."""
    if name not in OPTIMISERS:
        raise OptionError(f"no optimiser is called {name!r}; use one of {', '.join(OPTIMISERS)}")
    return OPTIMISERS[name](parameters, lr)


def _adam(parameters: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=lr, fused=True)


def _soap(parameters: Iterable[Tensor], lr: float) -> torch.optim.Optimizer:
    try:
        from pytorch_optimizer import SOAP
    except ImportError:
        raise OptionError(f"optimiser: soap needs pytorch-optimizer: {install('soap')}") from None
    made: torch.optim.Optimizer = SOAP(parameters, lr=lr, weight_decay=0.0)
    return made


OPTIMISERS: dict[str, Callable[[Iterable[Tensor], float], torch.optim.Optimizer]] = {"adam": _adam, "soap": _soap}
"""adam: Kingma and Ba (2015).  soap: Adam in the eigenbasis of Shampoo's preconditioner (Vyas et al. 2024), its basis
turned every 10 steps, which for learned codecs needs a third of Adam's steps (Zhang and Zhu 2026).
"""
