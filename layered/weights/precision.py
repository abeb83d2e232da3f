"""With how many bits the numbers of a codec are kept in a weights file."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from layered.errors import OptionError

__all__ = ["ALL_BITS", "Significant", "bits_of", "keeps_all", "rounded"]

ALL_BITS = 11
"""Significant bits of a float16."""

Significant = int | Mapping[str, int]
"""Significant bits of every tensor, or of those below a name: `{"": 8, "h_s": 4, "g_a.4": 5}`."""

_FULL = ("entropy_bottleneck", "gaussian_conditional", "gains", "entropy_model", "centres")


def keeps_all(name: str) -> bool:
    """Whether a tensor of that name keeps every bit: entropy models, whose tables follow from it, and gains."""
    return any(part in name for part in _FULL)


def bits_of(name: str, significant: Significant) -> int:
    """The significant bits of the tensor called `name`: those of the longest name that it lies below, else all.

    A name is one or several parts of the tensor's, as `h_s` and `g_a.4` are of `base.h_s.0.weight` and
    `base.g_a.4.bias`; the empty one is that of all tensors.
    """
    if isinstance(significant, int):
        return significant
    parts = f".{name}."
    fitting = [given for given in significant if not given or f".{given}." in parts]
    return significant[max(fitting, key=len)] if fitting else ALL_BITS


def rounded(values: Tensor, bits: int) -> Tensor:
    """Each to the nearest number of so many significant bits.  Raises OptionError for other than 2 to 11."""
    if not 2 <= bits <= ALL_BITS:
        raise OptionError(f"weights keep 2 to {ALL_BITS} significant bits, not {bits}")
    mantissas, exponents = torch.frexp(values.double())
    return torch.ldexp((mantissas * 2**bits).round() / 2**bits, exponents).to(values.dtype)
