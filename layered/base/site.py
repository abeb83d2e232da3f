"""A place inside a decoder that per-image adaptation may use, where there is no convolution of its own."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Site"]


class Site(nn.Module):
    """The identity, or, while an adapter is applied, x + W x with a matrix W over the channels.

    channels: of x [B, channels, H, W].  It has no parameters, so that weights files do not know of it; `weight`
    [channels, channels] is None without an adapter.  Source: two 1x1 convolutions without a nonlinearity between
    them, Tsubota et al. (WACV 2023), are such a matrix of low rank.
    """

    weight: Tensor | None

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels
        self.register_buffer("weight", None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.weight is None:
            return x
        # A dilation, which means nothing at this size, makes one thread take the kernel that several take.
        mixed: Tensor = F.conv2d(x, self.weight[:, :, None, None].to(x.dtype), dilation=2)
        return x + mixed
