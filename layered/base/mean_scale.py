"""Mean-scale hyperprior (Minnen et al. 2018, without context model) as a layer, on CompressAI's modules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from compressai.models.google import MeanScaleHyperprior
from compressai.registry import register_model
from torch import Tensor, nn

from layered.base.gain import RateGains
from layered.base.transforms import TransformLayer, ceil_div, make_steady, strided
from layered.entropy.payload import check_symbols, join_strings, split_strings
from layered.entropy.prior import (
    code_bottleneck,
    code_gaussian,
    read_bottleneck,
    read_gaussian,
    write_bottleneck,
    write_gaussian,
)  # fmt: skip
from layered.layer import Coded, Context, Latents, in_double
from layered.rounding import Rounding

__all__ = ["MeanScale", "RatedLatents"]


@dataclass(frozen=True)
class RatedLatents(Latents):
    """Quantised latents with the float64 scales and means that `code` rounded them by, which `write` needs again."""

    gaussians: tuple[Tensor, Tensor]


@register_model("layered-mean-scale")
class MeanScale(MeanScaleHyperprior, TransformLayer):
    """Base layer with transforms of width N and M latent channels; also the residual module of COMPASS.

    With one lambda its parameters, names and pictures are those of CompressAI's `mbt2018_mean`.  Latents:
    y [B, M, ceil(H/16), ceil(W/16)] and z [B, N, ceil(H/64), ceil(W/64)].
    """

    strings = ("hyper-latents", "latents")
    h_a: nn.Sequential
    h_s: nn.Sequential

    def __init__(self, N: int, M: int, lambdas: Sequence[float] = (0.0067,)) -> None:
        super().__init__(N=N, M=M)
        make_steady(self)
        self.gains = RateGains(lambdas, M)
        self.lambdas = self.gains.lambdas

    def with_hyper_latents(self, y: Tensor) -> Latents:
        return Latents((y, strided(self.h_a, y)))

    def start_entropy(self, spread: Tensor) -> None:
        last: Any = self.h_s[-1]
        last.weight *= 0.1
        last.bias.copy_(torch.cat([spread, torch.zeros_like(spread)]))

    def code(self, latents: Latents, context: Context, rounding: Rounding) -> Coded:
        y, z = latents.parts
        z_hat, z_bits = code_bottleneck(self.entropy_bottleneck, z, rounding)
        scales, means = self._gaussians(z_hat, y.shape[-2], y.shape[-1], rounding.exact)
        y_hat, y_bits = code_gaussian(self.gaussian_conditional, y, scales, means, rounding)
        parts = (y_hat, z_hat)
        return Coded(RatedLatents(parts, (scales, means)) if rounding.exact else Latents(parts), y_bits + z_bits)

    def write(self, latents: Latents, context: Context) -> bytes:
        y_hat, z_hat = latents.parts
        if isinstance(latents, RatedLatents):
            scales, means = latents.gaussians
        else:
            scales, means = self._gaussians(z_hat, y_hat.shape[-2], y_hat.shape[-1], exact=True)
        z = write_bottleneck(self.entropy_bottleneck, z_hat)
        y = write_gaussian(self.gaussian_conditional, y_hat, scales, means)
        return join_strings((z, y), context)

    def read(self, data: bytes, context: Context) -> Latents:
        stored, (z_string, y_string) = split_strings(data, 2)
        height, width = self.latent_size(context)
        z_hat, z = read_bottleneck(self.entropy_bottleneck, z_string, ceil_div(height, 4), ceil_div(width, 4))
        scales, means = self._gaussians(z_hat, height, width, exact=True)
        y_hat, y = read_gaussian(self.gaussian_conditional, y_string, scales, means)
        check_symbols(stored, (z, y), context)
        return Latents((y_hat, z_hat))

    def _gaussians(self, z_hat: Tensor, height: int, width: int, exact: bool) -> tuple[Tensor, Tensor]:
        """Scales and means [B, M, height, width]; float64 where they choose the coder's tables."""
        parameters = in_double(self.h_s, z_hat) if exact else self.h_s(z_hat)
        scales, means = parameters[..., :height, :width].chunk(2, 1)
        return scales, means
