"""Variable rate: one gain vector a trained lambda, exponential interpolation between them (Cui et al. 2020)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from layered.errors import OptionError, outside

__all__ = ["RateGains", "lambda_at"]


def lambda_at(lambdas: Sequence[float], quality: float) -> float:
    """The trade-off at a real quality in [1, len(lambdas)], interpolated exponentially.  Raises OptionError."""
    low, part = _position(lambdas, quality)
    high = min(low + 1, len(lambdas) - 1)
    return math.exp((1 - part) * math.log(lambdas[low]) + part * math.log(lambdas[high]))


def _position(lambdas: Sequence[float], quality: float) -> tuple[int, float]:
    if not 1 <= quality <= len(lambdas):
        raise OptionError(f"quality {quality} {outside(1, len(lambdas))} that these weights were trained for")
    low = min(int(quality) - 1, max(len(lambdas) - 2, 0))
    return low, quality - 1 - low


class RateGains(nn.Module):
    """Per-channel gains before the quantiser and inverse gains behind it.

    lambdas: increasing trade-offs.  channels: of the latents.  With one lambda there are no parameters and
    both directions are the identity.  The gains start at the steps that are optimal for a uniform quantiser
    at high rate, proportional to the square root of lambda.
    """

    def __init__(self, lambdas: Sequence[float], channels: int) -> None:
        super().__init__()
        self.lambdas = tuple(float(value) for value in lambdas)
        rising = all(a < b for a, b in pairwise((0.0, *self.lambdas)))
        if not (self.lambdas and rising and all(map(math.isfinite, self.lambdas))):
            raise OptionError(f"lambdas must be positive and increasing, got {self.lambdas}")
        self.log_gain: nn.Parameter | None = None
        self.log_inverse: nn.Parameter | None = None
        if len(self.lambdas) > 1:
            middle = sum(math.log(value) for value in self.lambdas) / len(self.lambdas)
            start = torch.tensor([(math.log(value) - middle) / 2 for value in self.lambdas])
            self.log_gain = nn.Parameter(start[:, None].repeat(1, channels))
            self.log_inverse = nn.Parameter(-start[:, None].repeat(1, channels))

    def apply_gain(self, latents: Tensor, quality: float) -> Tensor:
        """Latents [B, C, h, w] scaled so that the quantiser's step of 1 suits `quality`."""
        return self._scaled(latents, self.log_gain, quality)

    def remove_gain(self, latents: Tensor, quality: float) -> Tensor:
        """Quantised latents [B, C, h, w] scaled back for the synthesis transform."""
        return self._scaled(latents, self.log_inverse, quality)

    def _scaled(self, latents: Tensor, table: Tensor | None, quality: float) -> Tensor:
        low, part = _position(self.lambdas, quality)
        if table is None:
            return latents
        near, far = table[low].to(latents.dtype), table[low + 1].to(latents.dtype)
        return latents * torch.exp(torch.lerp(near, far, part))[None, :, None, None]
