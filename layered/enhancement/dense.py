"""Linear layers with ReLU, by the fastest matrix product that is here."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["relu_of_linear"]

_PRODUCT = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
"""oneDNN's product, as PyTorch's compiler calls it: up to twice as fast as MKL's on some processors."""


def relu_of_linear(h: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[n, i] -> ReLU of the linear layer's answer, [n, o]; differentiable where gradients are enabled."""
    floats = h.device.type == "cpu" and h.dtype == weight.dtype == bias.dtype == torch.float32
    free = not torch.is_grad_enabled() and not torch.is_autocast_enabled("cpu")
    there = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled
    if _PRODUCT is None or not (floats and free and there):
        return F.relu(F.linear(h, weight, bias), inplace=True)
    # Its ReLU would make zeros of NaN, and it reads a bias as if that were contiguous.
    answer: Tensor = _PRODUCT(h, weight, bias.contiguous(), "none", [], "")
    return F.relu(answer, inplace=True)
