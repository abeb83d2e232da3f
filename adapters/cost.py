"""What adaptation minimises: bits per pixel, and lambda times a distortion."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from layered.codec import as_decoded
from layered.errors import OptionError

__all__ = ["DISTORTIONS", "Cost"]

_MS_SSIM_SIDE = 161
_MS_SSIM_WEIGHT = 1300.0
"""Between the lambdas of CompressAI's models for MSE and for MS-SSIM: .0018 and 2.4, .013 and 16.6."""


@dataclass(frozen=True)
class Cost:
    """bits / pixels + lam * distortion, of each picture of a batch.

    lam: the trade-off in the units of the codec's training, 0 or more.  distortion: `mse`, which is 255^2 times that of
    [0, 1], or `ms-ssim`, which is 1300 * (1 - MS-SSIM).  Raises OptionError for others.
    """

    lam: float
    distortion: str = "mse"

    def __post_init__(self) -> None:
        if self.distortion not in DISTORTIONS:
            raise OptionError(f"no distortion is called {self.distortion!r}; use one of {', '.join(DISTORTIONS)}")
        if not 0 <= self.lam < float("inf"):
            raise OptionError(f"lambda must be 0 or more, got {self.lam}")

    def weighted(self, weight: float) -> Cost:
        """The cost where distortion counts that many times as much, 0 or more."""
        return replace(self, lam=weight * self.lam)

    def of(self, bits: Tensor, picture: Tensor, original: Tensor, where: Tensor | None = None) -> Tensor:
        """bits [B], pictures [B, 3, H, W] in [0, 1] -> [B], differentiable.

        where: [B, 1, H, W] in [0, 1], what counts of the pictures, see `layered.layer.Layer.fidelity`; all by default.
        Raises OptionError where MS-SSIM is asked for pictures of fewer than 161 pixels a side.
        """
        rate = bits / (original.shape[-2] * original.shape[-1])
        if self.lam == 0:  # the picture may be too small for MS-SSIM
            return rate
        picture, original = picture.float(), original.float()
        if where is not None:
            picture = original + where * (picture - original)
        return rate + self.lam * DISTORTIONS[self.distortion](picture, original)

    @torch.no_grad()
    def decoded(self, bits: Tensor, picture: Tensor, original: Tensor, where: Tensor | None = None) -> Tensor:
        """The same of the pictures as a decoder gives them, in 8 bits."""
        return self.of(bits, as_decoded(picture), original, where)


def _squared(picture: Tensor, original: Tensor) -> Tensor:
    return 255**2 * (picture - original).square().mean((1, 2, 3))


def _ms_ssim(picture: Tensor, original: Tensor) -> Tensor:
    from pytorch_msssim import ms_ssim

    if min(picture.shape[-2:]) < _MS_SSIM_SIDE:
        raise OptionError(f"MS-SSIM needs {_MS_SSIM_SIDE} pixels a side; use the distortion mse")
    similarity: Tensor = ms_ssim(picture, original, data_range=1.0, size_average=False)
    return _MS_SSIM_WEIGHT * (1 - similarity)


DISTORTIONS = {"mse": _squared, "ms-ssim": _ms_ssim}
