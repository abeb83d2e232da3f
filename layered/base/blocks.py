"""The building blocks of the GAN papers: 7x7 and strided convolutions, residual blocks, upsampling, normalisation.

In their notation c7s1-k, dk, Rk and uk (Johnson et al. 2016, pix2pixHD).  Two things are ours: every padding is a
reflection, and uk enlarges by repetition before its 3x3 convolution, which has as many parameters as the papers'
transposed one and draws no checkerboard.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from layered.errors import OptionError

__all__ = ["NORMS", "ChannelNorm", "Conv", "InstanceNorm", "ResidualBlock", "Upsampling", "block", "build_norm"]


class Conv(nn.Module):
    """A convolution of odd size behind reflections, or repetitions where the picture is too small to reflect."""

    def __init__(self, before: int, after: int, size: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, size, stride)
        self.border = size // 2

    def forward(self, x: Tensor) -> Tensor:
        mode = "reflect" if min(x.shape[-2:]) > self.border else "replicate"
        y: Tensor = self.conv(F.pad(x, (self.border,) * 4, mode=mode))
        return y


class InstanceNorm(nn.Module):
    """Mean 0 and variance 1 in every channel, by the picture's own statistics, or by `fix`ed ones of training.

    Fixed ones make the result independent of the picture's size; the papers use them for the second half of training.
    """

    mean: Tensor
    variance: Tensor
    fixed: Tensor

    def __init__(self, channels: int, momentum: float = 0.01) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.register_buffer("fixed", torch.zeros((), dtype=torch.uint8))

    def fix(self, fixed: bool = True) -> None:
        """From now on the statistics that training has seen, or else the picture's own again."""
        self.fixed.fill_(fixed)

    def forward(self, x: Tensor) -> Tensor:
        wide = x if x.dtype == torch.float64 else x.float()
        if self.fixed:
            mean, variance = (value[None, :, None, None] for value in (self.mean, self.variance))
        else:
            variance, mean = torch.var_mean(wide, (2, 3), correction=0, keepdim=True)
            if self.training and wide.requires_grad:  # so not where the layer is frozen
                self.mean.lerp_(mean.detach().mean(0).flatten(), self.momentum)
                self.variance.lerp_(variance.detach().mean(0).flatten(), self.momentum)
        return ((wide - mean) * torch.rsqrt(variance + 1e-5)).to(x.dtype)


class ChannelNorm(nn.Module):
    """Mean 0 and variance 1 over the channels of each position, then a learned scale and offset (HiFiC, 2020)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels))
        self.offset = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        wide = x if x.dtype == torch.float64 else x.float()
        variance, mean = torch.var_mean(wide, 1, correction=0, keepdim=True)
        scale, offset = self.scale[None, :, None, None], self.offset[None, :, None, None]
        return ((wide - mean) * torch.rsqrt(variance + 1e-3) * scale + offset).to(x.dtype)


NORMS: dict[str, Callable[[int], nn.Module]] = {"instance": InstanceNorm, "channel": ChannelNorm}


def build_norm(name: str, channels: int) -> nn.Module:
    """The normalisation of that name.  Raises OptionError listing the valid ones."""
    if name not in NORMS:
        raise OptionError(f"no normalisation is called {name!r}; use one of {', '.join(NORMS)}")
    return NORMS[name](channels)


def block(before: int, after: int, size: int, norm: str, stride: int = 1) -> nn.Sequential:
    """Convolution, normalisation, ReLU: c7s1-k for size 7, dk for size 3 and stride 2."""
    return nn.Sequential(Conv(before, after, size, stride), build_norm(norm, after), nn.ReLU())


class ResidualBlock(nn.Module):
    """Rk: two 3x3 convolutions, a ReLU after the first alone, added to what came in."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.first = block(channels, channels, 3, norm)
        self.second = nn.Sequential(Conv(channels, channels, 3), build_norm(norm, channels))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x))
        return x + y


class Upsampling(nn.Module):
    """uk: twice as high and wide."""

    def __init__(self, before: int, after: int, norm: str) -> None:
        super().__init__()
        self.inner = block(before, after, 3, norm)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(F.interpolate(x, scale_factor=2, mode="nearest"))
        return y
