"""Factorized prior (Balle et al. 2018) as a layer, on CompressAI's modules."""

from __future__ import annotations

from collections.abc import Sequence

from compressai.models.google import FactorizedPrior
from compressai.registry import register_model
from torch import Tensor

from layered.base.gain import RateGains
from layered.base.transforms import TransformLayer, make_steady
from layered.entropy.payload import check_symbols, join_strings, split_strings
from layered.entropy.prior import code_bottleneck, read_bottleneck, write_bottleneck
from layered.layer import Coded, Context, Latents
from layered.rounding import Rounding

__all__ = ["Factorized"]


@register_model("layered-factorized")
class Factorized(FactorizedPrior, TransformLayer):
    """Base layer without hyperprior: transforms of width N, M latent channels under a learned static density.

    With one lambda its parameters, names and pictures are those of CompressAI's `bmshj2018_factorized`.
    Latents: y [B, M, ceil(H/16), ceil(W/16)].
    """

    strings = ("latents",)

    def __init__(self, N: int, M: int, lambdas: Sequence[float] = (0.0067,)) -> None:
        super().__init__(N=N, M=M)
        make_steady(self)
        self.gains = RateGains(lambdas, M)
        self.lambdas = self.gains.lambdas

    def with_hyper_latents(self, y: Tensor) -> Latents:
        return Latents((y,))

    def code(self, latents: Latents, context: Context, rounding: Rounding) -> Coded:
        y_hat, bits = code_bottleneck(self.entropy_bottleneck, latents.parts[0], rounding)
        return Coded(Latents((y_hat,)), bits)

    def write(self, latents: Latents, context: Context) -> bytes:
        return join_strings((write_bottleneck(self.entropy_bottleneck, latents.parts[0]),), context)

    def read(self, data: bytes, context: Context) -> Latents:
        stored, (string,) = split_strings(data, 1)
        height, width = self.latent_size(context)
        y_hat, symbols = read_bottleneck(self.entropy_bottleneck, string, height, width)
        check_symbols(stored, (symbols,), context)
        return Latents((y_hat,))
