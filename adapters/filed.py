"""What a layer costs as its file holds it: bytes instead of ideal bits, and the decoder's own arithmetic.

Optimisation rounds by entropy parameters in float32, and does not see what strings and lengths take.  So before an
adaptation is kept its file is made, and that of the layer as it is.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import torch
from torch import Tensor

from adapters.cost import Cost
from layered.adaptation import adapted_layer
from layered.errors import LayeredError
from layered.fields import VARINT, Field, write_fields
from layered.image import to_image8, to_tensor
from layered.layer import Context, Latents, Layer
from layered.rounding import Hard

__all__ = ["Filed", "filed"]


@dataclass(frozen=True)
class Filed:
    """cost: with all bytes but the chunk's constant ones.  picture: as decoded.  carried: see `Layer.carry`."""

    cost: float
    picture: Tensor
    carried: Tensor | None


@torch.no_grad()
def filed(layer: Layer, latents: Latents, weights: bytes, original: Tensor, context: Context, cost: Cost) -> Filed:
    """Latents of one picture [1, 3, H, W], before rounding, coded with adapter weights; none: the layer as it is.

    Raises LayeredError for latents and weights that cannot be coded.
    """
    seen = adapted_layer(layer, weights)
    context = context.sealed(zlib.crc32(weights, context.seal))
    quantised = seen.code(latents, context, Hard()).latents
    size = _with_length(seen.write(quantised, context)) + (_with_length(weights) if weights else 0)
    made = seen.synthesise(quantised, context)
    if not bool(made.isfinite().all()):
        raise LayeredError("the synthesis gives values beyond all numbers: weights or picture hold NaN or infinity")
    picture = to_tensor(to_image8(made), original.device)
    bits = torch.full_like(original[:, 0, 0, 0], 8.0 * size)
    found = float(cost.of(bits, picture, original, seen.fidelity(quantised, context)))
    return Filed(found, picture, seen.carry(quantised, context))


def _with_length(data: bytes) -> int:
    return len(data) + len(write_fields((Field("length", VARINT),), {"length": len(data)}))
