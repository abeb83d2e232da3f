"""The layers of a picture from the base up, before they are in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from layered.codec import LayeredCodec, as_decoded
from layered.guide import Guide
from layered.layer import Context, Latents, Layer
from layered.rounding import Hard

__all__ = ["Find", "upwards"]

Find = Callable[[int, Layer, Context, Latents], Latents]
"""Of a layer's number, the layer, its context and the encoder's latents: those that are coded instead."""


@torch.no_grad()
def upwards(
    codec: LayeredCodec,
    originals: Sequence[Tensor],
    qualities: Sequence[float],
    guide: Guide | None,
    find: Find | None = None,
) -> Iterator[tuple[Layer, Context, Latents]]:
    """Each layer, what a decoder holds when it starts, and the latents that are coded: the encoder's, or those found.

    originals: [1, 3, H_k, W_k] in [0, 1], base first.  Entropy parameters are in float32.
    """
    lower = carried = None
    for k, (original, quality) in enumerate(zip(originals, qualities, strict=True)):
        height, width = original.shape[-2:]
        layer, context = codec.layer(k), Context(height, width, quality, lower, carried=carried, guide=guide)
        latents = layer.analyse(original, context)
        if find is not None:
            latents = find(k, layer, context, latents)
        yield layer, context, latents
        quantised = layer.code(latents, context, Hard(exact=False)).latents
        lower, carried = as_decoded(layer.synthesise(quantised, context)), layer.carry(quantised, context)
