"""Auto-encoder with a finite alphabet and an importance map (AEDC), in the way of Agustsson et al. 2017 and Mentzer
et al. 2018."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from compressai.models.utils import conv, deconv
from torch import Tensor, nn
from torch.nn import functional as F

from layered.base.finite import FiniteLayer
from layered.base.gain import RateGains, lambda_at
from layered.base.transforms import make_steady, pad_to_stride
from layered.entropy.alphabet import Centres
from layered.entropy.checkerboard import Checkerboard
from layered.layer import Context, Latents, for_synthesis, in_double, in_order

__all__ = ["Aedc", "granted_share", "importance_mask"]

LEVELS = 6
BLOCKS = 15
"""Residual blocks of each transform, as in Mentzer et al., without their further skips, which only scale, and without
batch normalisation, whose statistics differ between training and coding."""


class _Block(nn.Module):
    """The identity at the start, so that depth does no harm."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(F.relu(self.first(x)))
        return x + y


class Aedc(FiniteLayer):
    """Base layer of width N with M latent channels at 1/8 of the picture, each one of six learned values.

    An importance map, itself a channel of the encoder and scaled by the quality, says how many of a position's channels
    are used: the others are zero before they are quantised, and so are nearly free where the entropy model foresees
    it.  The map is not sent.  In place of the papers' serial context model a checkerboard one is used.  Latents:
    y [B, M, ceil(H/8), ceil(W/8)].
    """

    stride = 8

    def __init__(self, N: int, M: int, lambdas: Sequence[float] = (0.0067,)) -> None:
        super().__init__()
        self.channels = M

        def blocks() -> Iterator[nn.Module]:
            return (_Block(N) for _ in range(BLOCKS))

        self.g_a = nn.Sequential(
            conv(3, N // 2), nn.ReLU(), conv(N // 2, N), nn.ReLU(), *blocks(), conv(N, M + 1),
        )  # fmt: skip
        self.g_s = nn.Sequential(
            conv(M, N, kernel_size=3, stride=1), *blocks(), deconv(N, N), nn.ReLU(), deconv(N, N // 2), nn.ReLU(),
            deconv(N // 2, 3),
        )  # fmt: skip
        self.centres = Centres(np.linspace(-2, 2, LEVELS).tolist(), learned=True)
        self.entropy_model = Checkerboard(M, LEVELS)
        self.gains = RateGains(lambdas, M)
        self.lambdas = self.gains.lambdas
        make_steady(self)

    def analyse(self, image: Tensor, context: Context) -> Latents:
        y, importance = self.g_a(pad_to_stride(image, self.stride) - 0.5).split([self.channels, 1], 1)
        share = granted_share(self.lambdas, context.quality)
        mask = importance_mask(share * importance.sigmoid(), self.channels)
        return Latents((self.gains.apply_gain(y, context.quality) * mask,))

    def synthesise(self, latents: Latents, context: Context) -> Tensor:
        y = self.gains.remove_gain(for_synthesis(latents.parts[0], context), context.quality)
        image = in_double(self.g_s, y) if context.exact else self.g_s(in_order(y)).float()
        return image[..., : context.height, : context.width] + 0.5


def granted_share(lambdas: Sequence[float], quality: float) -> float:
    """The share of the importance map that a quality grants, in (0, 1]: the fourth root of its lambda, the highest's 1.

    At high rate a step of the quantiser goes with the square root of lambda, and so bits with its logarithm; at a few
    bits a position the slower root spreads the qualities over the channels.
    """
    return float((lambda_at(lambdas, quality) / lambdas[-1]) ** 0.25)


def importance_mask(importance: Tensor, channels: int) -> Tensor:
    """Map [B, 1, h, w] in [0, 1] -> mask [B, channels, h, w] of zeros and ones, the first channels first.

    Backward it is the soft mask clip(channels * map - k, 0, 1) of channel k (Mentzer et al., section 3.3).
    """
    order = torch.arange(channels, device=importance.device)[None, :, None, None]
    soft = (channels * importance.float() - order).clamp(0, 1)
    return soft + (torch.ceil(soft - 1e-4) - soft).detach()  # a hair above a whole number is that number
