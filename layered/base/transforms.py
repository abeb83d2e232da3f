"""What all layers on CompressAI's transforms share: padding, synthesis, tables, state dicts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from compressai.entropy_models import EntropyBottleneck, EntropyModel, GaussianConditional
from compressai.layers import GDN
from compressai.models.base import get_scale_table
from torch import Tensor, nn

from layered.base.gain import RateGains
from layered.layer import Context, Latents, Layer, in_double

__all__ = ["STRIDE", "SteadyGDN", "TransformLayer", "ceil_div", "load_resized", "pad_to_stride", "rebuild_tables"]

STRIDE = 16


class SteadyGDN(GDN):
    """CompressAI's divisive normalisation, rounding alike on one thread and on two.

    PyTorch computes a 1x1 convolution of one picture by another kernel on one thread than on several; a dilation,
    which means nothing at this size, makes it take the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        gamma = self.gamma_reparam(self.gamma).reshape(channels, channels, 1, 1)
        norm = F.conv2d(x**2, gamma, self.beta_reparam(self.beta), dilation=2)
        return x * (torch.sqrt(norm) if self.inverse else torch.rsqrt(norm))


class TransformLayer(Layer):
    """A layer with CompressAI's transforms g_a and g_s, of stride 16, and gains around its quantiser."""

    g_a: nn.Sequential
    g_s: nn.Sequential
    gains: RateGains

    def steady(self) -> None:
        """Let every normalisation of the transforms be a SteadyGDN; parameters and names stay."""
        for module in self.modules():
            if type(module) is GDN:
                module.__class__ = SteadyGDN

    def scaled_latents(self, image: Tensor, quality: float) -> Tensor:
        """Image [B, 3, H, W] -> latents y [B, M, ceil(H/16), ceil(W/16)] at the gain of `quality`."""
        y: Tensor = self.g_a(pad_to_stride(image))
        return self.gains.apply_gain(y, quality)

    def synthesise(self, latents: Latents, context: Context) -> Tensor:
        y_hat = self.gains.remove_gain(latents.parts[0], context.quality)
        weights = next(self.g_s.parameters())
        image: Tensor = in_double(self.g_s, y_hat) if context.exact else self.g_s(y_hat.to(weights.dtype))
        return image[..., : context.height, : context.width]

    def latent_size(self, context: Context) -> tuple[int, int]:
        """Height and width of y for the context's picture."""
        return ceil_div(context.height, STRIDE), ceil_div(context.width, STRIDE)


def ceil_div(value: int, by: int) -> int:
    """The smallest integer not below value / by."""
    return -(-value // by)


def pad_to_stride(image: Tensor) -> Tensor:
    """Replicate the last row and column of [B, 3, H, W] until both sides are multiples of 16.

    The latents then have ceil(H/16) x ceil(W/16) positions.  Hyper-latents need no padding: a convolution of
    stride 2 rounds sizes up, and the hyper-synthesis output is cropped.
    """
    height, width = image.shape[-2:]
    below, right = -height % STRIDE, -width % STRIDE
    return F.pad(image, (0, right, 0, below), mode="replicate") if below or right else image


def rebuild_tables(module: nn.Module, only_missing: bool = False) -> None:
    """Solve the bottlenecks' quantiles by bisection and build all integer CDF tables under `module`.

    The quantiles get no gradient from the rate; solving them replaces the auxiliary optimiser.
    only_missing: leave entropy models that have tables as they are.
    """
    for part in module.modules():
        if isinstance(part, EntropyModel) and only_missing and part._quantized_cdf.numel():
            continue
        if isinstance(part, EntropyBottleneck):
            part.update(force=True, update_quantiles=True)
        elif isinstance(part, GaussianConditional):
            part.update_scale_table(get_scale_table().tolist(), force=True)


def load_resized(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """`load_state_dict`, strict, after giving the entropy models' tables the sizes found in `state`."""
    for name, part in module.named_modules():
        if not isinstance(part, EntropyModel):
            continue
        for buffer, current in part.named_buffers(recurse=False):
            stored = state.get(f"{name}.{buffer}" if name else buffer)
            if stored is not None and stored.shape != current.shape:
                setattr(part, buffer, torch.empty_like(stored, device=current.device))
    nn.Module.load_state_dict(module, dict(state), strict=True)
