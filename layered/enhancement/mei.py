"""Scalable coding in the latent domain (Mei et al.): predict the latents from those below, and use these again."""

from __future__ import annotations

from typing import Any

import torch
from compressai.layers import GDN
from compressai.models.utils import conv, deconv
from torch import Tensor, nn

from layered.base.transforms import STRIDE, TransformLayer, ceil_div, load_resized, make_steady, strided
from layered.enhancement.resample import Bicubic
from layered.errors import OptionError
from layered.layer import Coded, Context, Enhancement, Latents, Layer, for_synthesis, in_double, in_order
from layered.rounding import Rounding

__all__ = ["LatentPrediction", "LatentUpscaling", "MeiEnhancement"]


class LatentPrediction(nn.Module):
    """The paper's network P: carried latents [B, C, h, w] -> expected latents [B, M, 4*ceil(h/2), 4*ceil(w/2)].

    first: channels after the first convolution.  width: of all between.  It starts at zero.
    """

    def __init__(self, carried: int, first: int, width: int, channels: int) -> None:
        super().__init__()
        self.a = nn.Sequential(conv(carried, first), GDN(first))
        self.b = nn.Sequential(conv(first, width, stride=1), GDN(width))
        self.c = nn.Sequential(conv(width, width, stride=1), GDN(width), conv(width, width, stride=1))
        self.d = nn.Sequential(conv(width, width, stride=1), GDN(width), conv(width, width, stride=1))
        last = deconv(width, channels)
        self.up = nn.Sequential(deconv(width, width), GDN(width, inverse=True), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(self, carried: Tensor) -> Tensor:
        b = self.b(strided(self.a, carried))
        c = self.c(b)
        d = self.d(c + b)
        latents: Tensor = self.up(d + c + b)
        return latents


class LatentUpscaling(nn.Sequential):
    """The paper's network Up, linear: carried latents [B, C, h, w] -> [B, width, 2*h, 2*w]."""

    def __init__(self, carried: int, width: int) -> None:
        super().__init__(deconv(carried, width), conv(width, width, stride=1), conv(width, width, stride=1))


class MeiEnhancement(Enhancement):
    """One enhancement layer; every layer of a stack has its own.

    coder: a base layer, whose entropy model codes what the prediction misses of the picture's latents, and whose
    synthesis sees the layer's latents behind the upscaled ones from below.  carried: channels that the layer below
    hands on.  width: of prediction and upscaling; None for the paper's, which is that of the latents, but that of
    what is carried for the first convolution and the upscaling.

    The published networks double the size.  At other ratios their outputs are read by linear interpolation where
    the latents of the larger picture lie, so that prediction and use of the lower latents stay possible.
    """

    def __init__(self, coder: TransformLayer, carried: int, width: int | None = None) -> None:
        super().__init__()
        outer: Any = coder.g_s[0]
        channels, after = outer.in_channels, outer.out_channels
        first, inner = (width, width) if width else (carried, channels)
        self.prediction = LatentPrediction(carried, first, inner, channels)
        self.upscaling = LatentUpscaling(carried, first)
        self.upscaled = first
        coder.g_s[0] = deconv(first + channels, after)
        self.coder = coder
        self.lambdas, self.strings = coder.lambdas, coder.strings
        make_steady(self)

    @property
    def carries(self) -> int:
        """Channels that this layer hands on."""
        outer: Any = self.coder.g_s[0]
        return int(outer.in_channels)

    def predict(self, context: Context) -> Tensor:
        """The lower picture by bicubic interpolation: without latents of its own, this layer says nothing."""
        assert context.lower is not None
        picture: Tensor = Bicubic()(context.lower, context.height, context.width)
        return picture

    def analyse(self, image: Tensor, context: Context) -> Latents:
        y = self.coder.transformed(image)
        residual = y - self._expected(context).to(y.dtype)
        return self.coder.with_hyper_latents(self.coder.gains.apply_gain(residual, context.quality))

    def code(self, latents: Latents, context: Context, rounding: Rounding) -> Coded:
        return self.coder.code(latents, context, rounding)

    def synthesise(self, latents: Latents, context: Context) -> Tensor:
        return self.coder.picture(self.carry(latents, context), context)

    def write(self, latents: Latents, context: Context) -> bytes:
        return self.coder.write(latents, context)

    def read(self, data: bytes, context: Context) -> Latents:
        return self.coder.read(data, context)

    def carry(self, latents: Latents, context: Context) -> Tensor:
        """The upscaled latents from below and this layer's own: [B, carries, ceil(H/16), ceil(W/16)]."""
        expected = self._expected(context)
        residual = self.coder.gains.remove_gain(for_synthesis(latents.parts[0], context), context.quality)
        below = context.once("upscaled", lambda: self._brought(self.upscaling, context))
        return torch.cat([below, expected + residual.to(expected.dtype)], 1)

    @torch.no_grad()
    def start_from(self, base: Layer) -> None:
        """Begin as that base layer, coding this size alone; prediction and upscaling are learned from there on."""
        own, theirs = self.coder.state_dict(), base.state_dict()
        key = "g_s.0.weight"
        if own.keys() != theirs.keys() or theirs[key].shape[1:] != own[key].shape[1:]:
            raise OptionError("an enhancement layer starts from a base layer of its own kind and widths only")
        fresh = torch.zeros_like(own[key])
        fresh[self.upscaled :] = theirs[key]
        load_resized(self.coder, {**theirs, key: fresh})

    def _expected(self, context: Context) -> Tensor:
        """The prediction of this layer's latents [B, M, ceil(H/16), ceil(W/16)]."""
        return context.once("prediction", lambda: self._brought(self.prediction, context))

    def _brought(self, module: nn.Module, context: Context) -> Tensor:
        """What `module` makes of the latents below, read on this layer's grid."""
        if context.lower is None or context.carried is None:
            raise ValueError("this enhancement layer needs the picture and the latents of the layer below")
        weights = next(module.parameters())
        carried = in_order(context.carried.to(weights.dtype))
        twice = in_double(module, context.carried) if context.exact else module(carried)
        for axis, size in ((2, context.height), (3, context.width)):
            twice = read_axis(twice, axis, ceil_div(size, STRIDE), 2 * context.lower.shape[axis] / size)
        return twice


def read_axis(values: Tensor, axis: int, count: int, step: float) -> Tensor:
    """`count` samples of `values` [B, C, h, w] along an axis, `step` cells apart, linear between centres of cells.

    The first target cell begins where the first source cell does; beyond the last centres their values hold.
    With a step of 1 these are the first `count` cells themselves.
    """
    place = ((torch.arange(count, device=values.device).double() + 0.5) * step - 0.5).clamp(0, values.shape[axis] - 1)
    low = place.floor().long()
    high = (low + 1).clamp(max=values.shape[axis] - 1)
    part = (place - low).to(values.dtype).view([-1 if k == axis else 1 for k in range(values.ndim)])
    return torch.lerp(values.index_select(axis, low), values.index_select(axis, high), part)
