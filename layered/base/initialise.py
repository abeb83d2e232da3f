"""Named initialisations of the transforms: a codec that already works before its first training step.

`wavelet` makes the analysis transform an orthonormal wavelet packet of the training crops, in a luma/chroma
basis, quantised at the rate-distortion optimal step of its lambda; the synthesis transform is its transpose.
The architecture and the parameters' names stay the paper's; only the starting point differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from layered.base.attention import AttentionBlock
from layered.base.transforms import TransformLayer, pad_to_stride
from layered.errors import OptionError
from layered.layer import Layer

__all__ = ["INITIALISATIONS", "initialise", "luma_chroma", "optimal_step", "require_transforms"]

_SPARE = 1e-3  # standard deviation of filters that the packet leaves unused


def initialise(
    layer: Layer, name: str, crops: Tensor, generator: torch.Generator, centre: float = 0.5
) -> None:
    """Initialise the transforms of `layer` in place by the rule called `name`.

    crops: [B, 3, H, W] of what the layer will code (pictures in [0, 1], or residuals).  centre: the mean that the
    first bias takes away, 0.5 for pictures and 0 for residuals.  Raises OptionError for an unknown name.
    """
    if name not in INITIALISATIONS:
        raise OptionError(f"unknown initialisation {name!r}; choose one of {', '.join(INITIALISATIONS)}")
    INITIALISATIONS[name](require_transforms(layer, name), crops, generator, centre)


def require_transforms(layer: Layer, name: str) -> TransformLayer:
    """The layer, if the rule called `name` can initialise it.  Raises OptionError for one without such transforms."""
    if not isinstance(layer, TransformLayer):
        raise OptionError(f"initialisation {name!r} is for layers on CompressAI's transforms")
    return layer


def optimal_step(lam: float) -> float:
    """Uniform quantiser step, in [0, 1] units, that is optimal at high rate for lam * 255^2 * MSE + bpp.

    d(step^2 / 12)/d(bits) = -step^2 * ln 2 / 6 equated with -1 / (lam * 255^2).
    """
    return math.sqrt(6 / (lam * 255**2 * math.log(2)))


def _default(layer: TransformLayer, crops: Tensor, generator: torch.Generator, centre: float) -> None:
    """CompressAI's own initialisation, which the constructor has applied."""


@torch.no_grad()
def _wavelet(layer: TransformLayer, crops: Tensor, generator: torch.Generator, centre: float) -> None:
    """Haar wavelet packet: at each stage the sub-bands of highest variance are kept."""
    for part in (*layer.g_a, *layer.g_s):
        if isinstance(part, AttentionBlock):
            part.close()
    analysis: list[Any] = list(layer.g_a)
    deconvolutions: list[Any] = [part for part in layer.g_s if isinstance(part, nn.ConvTranspose2d)][::-1]
    signal = pad_to_stride(crops).to(next(layer.parameters()).device)
    mix = luma_chroma().to(signal)
    stage = 0
    for module in analysis:
        if not isinstance(module, nn.Conv2d):
            signal = module(signal)
            continue
        conv: Any = module
        kernels = _packet(conv.in_channels, mix)
        centred = signal - centre if stage == 0 else signal
        variance = nn.functional.conv2d(centred, kernels, stride=2, padding=2).square().mean(dim=(0, 2, 3))
        kept = torch.argsort(variance, descending=True)[: conv.out_channels]
        deconv = deconvolutions[stage]
        for weight in (conv.weight, deconv.weight):
            weight.copy_(torch.randn(weight.shape, generator=generator) * _SPARE)
        conv.weight[: len(kept)] = kernels[kept]
        deconv.weight[: len(kept)] = kernels[kept]
        conv.bias.zero_()
        deconv.bias.zero_()
        if stage == 0:
            conv.bias.copy_(-centre * conv.weight.sum(dim=(1, 2, 3)))
            deconv.bias.fill_(centre)
        if stage == 3:
            middle = math.exp(sum(map(math.log, layer.lambdas)) / len(layer.lambdas))
            step = optimal_step(middle)
            conv.weight /= step
            deconv.weight *= step
        signal = conv(signal)
        mix = torch.eye(conv.out_channels).to(signal)
        stage += 1
    layer.start_entropy(signal.square().mean(dim=(0, 2, 3)).sqrt().clamp(min=0.2))


def luma_chroma() -> Tensor:
    """Orthonormal rows: grey, red against blue, green against both."""
    rows = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    return torch.nn.functional.normalize(rows, dim=1)


def _packet(channels: int, mix: Tensor) -> Tensor:
    """The four Haar sub-band filters of every row of `mix`: [4 * rows, channels, 5, 5], orthonormal."""
    low, high = torch.zeros(5).to(mix), torch.zeros(5).to(mix)
    low[2:4] = math.sqrt(0.5)
    high[2], high[3] = math.sqrt(0.5), -math.sqrt(0.5)
    bands = torch.stack([torch.outer(a, b) for a in (low, high) for b in (low, high)])
    return torch.einsum("rc,bij->brcij", mix, bands).reshape(-1, channels, 5, 5)


INITIALISATIONS: dict[str, Callable[[TransformLayer, Tensor, torch.Generator, float], None]] = {
    "default": _default,
    "wavelet": _wavelet,
}
