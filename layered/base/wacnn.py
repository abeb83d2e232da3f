"""WACNN (Zou, Song and Zhang, CVPR 2022): window attention, and latents coded in slices that see those before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from compressai.layers import GDN, conv3x3, subpel_conv3x3
from compressai.models.utils import conv, deconv
from torch import Tensor, nn

from layered.base.attention import AttentionBlock
from layered.base.gain import RateGains
from layered.base.mean_scale import RatedLatents
from layered.base.transforms import TransformLayer, ceil_div, make_steady, strided
from layered.entropy.payload import check_symbols, join_strings, split_strings
from layered.entropy.prior import (
    SlicedGaussians,
    code_bottleneck,
    code_gaussian,
    read_bottleneck,
    write_bottleneck,
    write_gaussian,
)  # fmt: skip
from layered.errors import OptionError
from layered.layer import Coded, Context, Latents, in_double
from layered.rounding import Rounding

__all__ = ["Wacnn"]

_REACH = 0.5 * (1 - 2.0**-20)
"""What is added to a quantised latent stays below a half, so that its integer can be told from the sum."""


class Wacnn(TransformLayer):
    """Base layer with transforms of width N and M latent channels, which are coded in `slices` equal parts.

    support: how many of the first slices the later ones see.  hyper: widths of the hyper-analysis from the latents
    on, the last of which is that of z; the two hyper-synthesis transforms mirror it.  context: widths between the
    networks' inputs and their slice.  heads, windows: of the attention at 1/4 and at 1/16 of the size.
    Latents: y [B, M, ceil(H/16), ceil(W/16)] and z [B, hyper[4], ceil(H/64), ceil(W/64)].  Quantised y is what the
    synthesis sees: integer plus mean plus the predicted rounding error, 0.5 tanh(.), of Minnen and Singh (ICIP 2020).
    By default the paper's network of 75,235,779 parameters, except that pictures are padded to multiples of 16, not
    64, and what is filled up further takes no part in the attention.  On a CPU pictures are the same on any number of
    threads where N and M are multiples of 16; of other widths oneDNN and MKL add up otherwise.  Raises OptionError.
    """

    strings = ("hyper-latents", "latents")
    h_a: nn.Sequential
    h_mean_s: nn.Sequential
    h_scale_s: nn.Sequential

    def __init__(
        self,
        N: int = 192,
        M: int = 320,
        slices: int = 10,
        support: int = 5,
        hyper: Sequence[int] = (320, 288, 256, 224, 192),
        context: Sequence[int] = (224, 176, 128, 64),
        heads: int = 8,
        windows: Sequence[int] = (8, 4),
        lambdas: Sequence[float] = (0.0067,),
    ) -> None:
        super().__init__()
        if M % slices:
            raise OptionError(f"wacnn: {slices} slices do not divide M = {M} channels")
        self.slices, self.support, self.width = slices, support, M // slices
        fine, coarse = windows
        self.g_a = nn.Sequential(
            conv(3, N), GDN(N), conv(N, N), GDN(N), AttentionBlock(N, heads, fine),
            conv(N, N), GDN(N), conv(N, M), AttentionBlock(M, heads, coarse),
        )  # fmt: skip
        self.g_s = nn.Sequential(
            AttentionBlock(M, heads, coarse), deconv(M, N), GDN(N, inverse=True),
            deconv(N, N), GDN(N, inverse=True), AttentionBlock(N, heads, fine),
            deconv(N, N), GDN(N, inverse=True), deconv(N, 3),
        )  # fmt: skip
        a, b, c, d, e = hyper
        self.h_a = _with_gelu(conv3x3(M, a), conv3x3(a, b), conv3x3(b, c, stride=2), conv3x3(c, d), conv3x3(d, e, 2))
        self.h_mean_s, self.h_scale_s = (
            _with_gelu(conv3x3(e, e), subpel_conv3x3(e, d, 2), conv3x3(d, c), subpel_conv3x3(c, b, 2), conv3x3(b, a))
            for _ in range(2)
        )
        seen = [a + self.width * min(k, support) for k in range(slices)]
        self.cc_mean_transforms = nn.ModuleList(_stack(into, context, self.width) for into in seen)
        self.cc_scale_transforms = nn.ModuleList(_stack(into, context, self.width) for into in seen)
        self.lrp_transforms = nn.ModuleList(_stack(into + self.width, context, self.width) for into in seen)
        self.entropy_bottleneck = EntropyBottleneck(e)
        self.gaussian_conditional = GaussianConditional(None)
        make_steady(self)
        self.gains = RateGains(lambdas, M)
        self.lambdas = self.gains.lambdas

    def with_hyper_latents(self, y: Tensor) -> Latents:
        return Latents((y, strided(self.h_a, y)))

    def code(self, latents: Latents, context: Context, rounding: Rounding) -> Coded:
        y, z = latents.parts
        z_hat, bits = code_bottleneck(self.entropy_bottleneck, z, rounding)
        hyper = self._hyper(z_hat, y.shape[-2], y.shape[-1], rounding.exact)
        known: list[Tensor] = []
        gaussians: list[tuple[Tensor, Tensor]] = []
        for k, part in enumerate(y.split(self.width, 1)):
            scales, means = self._gaussians(k, hyper, known, rounding.exact)
            values, part_bits = code_gaussian(self.gaussian_conditional, part, scales, means, rounding)
            known.append(self._completed(k, hyper[0], known, values, rounding.exact))
            gaussians.append((scales, means))
            bits = bits + part_bits
        parts = (torch.cat(known, 1), z_hat)
        return Coded(RatedLatents(parts, _joined(gaussians)) if rounding.exact else Latents(parts), bits)

    def write(self, latents: Latents, context: Context) -> bytes:
        y_hat, z_hat = latents.parts
        if isinstance(latents, RatedLatents):
            scales, means = latents.gaussians
        else:
            hyper = self._hyper(z_hat, y_hat.shape[-2], y_hat.shape[-1], exact=True)
            known = y_hat.split(self.width, 1)
            scales, means = _joined([self._gaussians(k, hyper, known[:k], exact=True) for k in range(self.slices)])
        z = write_bottleneck(self.entropy_bottleneck, z_hat)
        y = write_gaussian(self.gaussian_conditional, y_hat, scales, means)  # _REACH lets it find the integers
        return join_strings((z, y), context)

    def read(self, data: bytes, context: Context) -> Latents:
        stored, (z_string, y_string) = split_strings(data, 2)
        height, width = self.latent_size(context)
        z_hat, z = read_bottleneck(self.entropy_bottleneck, z_string, ceil_div(height, 4), ceil_div(width, 4))
        hyper = self._hyper(z_hat, height, width, exact=True)
        reader = SlicedGaussians(self.gaussian_conditional, y_string, self.slices * self.width * height * width)
        known: list[Tensor] = []
        for k in range(self.slices):
            values = reader.next(*self._gaussians(k, hyper, known, exact=True))
            known.append(self._completed(k, hyper[0], known, values, exact=True))
        check_symbols(stored, (z, reader.finish()), context)
        return Latents((torch.cat(known, 1), z_hat))

    def start_entropy(self, spread: Tensor) -> None:
        for k, part in enumerate(spread.split(self.width)):
            for nets, bias in (
                (self.cc_scale_transforms, part), (self.cc_mean_transforms, 0 * part), (self.lrp_transforms, 0 * part),
            ):  # fmt: skip
                last: Any = nets[k][-1]  # type: ignore[index]
                last.weight *= 0.1
                last.bias.copy_(bias)

    def _hyper(self, z_hat: Tensor, height: int, width: int, exact: bool) -> tuple[Tensor, Tensor]:
        """What all slices see of z, for their means and for their scales: [B, hyper[0], height, width] each."""
        mean, scale = (_run(net, z_hat, exact)[..., :height, :width] for net in (self.h_mean_s, self.h_scale_s))
        return mean, scale

    def _gaussians(
        self, k: int, hyper: tuple[Tensor, Tensor], known: Sequence[Tensor], exact: bool
    ) -> tuple[Tensor, Tensor]:
        """Scales and means of slice k, given the completed ones before it."""
        mean, scale = (torch.cat([features, *known[: self.support]], 1) for features in hyper)
        return _run(self.cc_scale_transforms[k], scale, exact), _run(self.cc_mean_transforms[k], mean, exact)

    def _completed(self, k: int, mean: Tensor, known: Sequence[Tensor], values: Tensor, exact: bool) -> Tensor:
        """Slice k with its predicted rounding error added, as synthesis and later slices see it."""
        seen = torch.cat([mean, *known[: self.support], values], 1)
        return values + _REACH * torch.tanh(_run(self.lrp_transforms[k], seen, exact))


def _run(net: nn.Module, x: Tensor, exact: bool) -> Tensor:
    made: Tensor = in_double(net, x) if exact else net(x)
    return made


def _joined(gaussians: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Scales and means of all slices -> those of all channels."""
    return torch.cat([scales for scales, _ in gaussians], 1), torch.cat([means for _, means in gaussians], 1)


def _with_gelu(*modules: nn.Module) -> nn.Sequential:
    """The modules with a GELU between each two."""
    between = [piece for module in modules for piece in (nn.GELU(), module)]
    return nn.Sequential(*between[1:])


def _stack(into: int, widths: Sequence[int], out: int) -> nn.Sequential:
    """3x3 convolutions by way of these widths."""
    return _with_gelu(*(conv(i, o, kernel_size=3, stride=1) for i, o in pairwise((into, *widths, out))))
