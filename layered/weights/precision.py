"""With how many bits the numbers of a codec are kept in a weights file."""

from __future__ import annotations

import torch
from torch import Tensor

from layered.errors import OptionError

__all__ = ["keeps_all", "rounded"]

_FULL = ("entropy_bottleneck", "gaussian_conditional", "gains", "entropy_model", "centres")


def keeps_all(name: str) -> bool:
    """Whether a tensor of that name keeps every bit: entropy models, whose tables follow from it, and gains."""
    return any(part in name for part in _FULL)


def rounded(values: Tensor, bits: int) -> Tensor:
    """Each to the nearest number of so many significant bits.  Raises OptionError for other than 2 to 11."""
    if not 2 <= bits <= 11:
        raise OptionError(f"weights keep 2 to 11 significant bits, not {bits}")
    mantissas, exponents = torch.frexp(values.double())
    return torch.ldexp((mantissas * 2**bits).round() / 2**bits, exponents).to(values.dtype)
