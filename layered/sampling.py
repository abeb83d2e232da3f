"""Pictures of codes that nobody encoded: what a generator makes of its alphabet."""

from __future__ import annotations

import numpy as np
import torch

from layered.adversarial.prior import Prior
from layered.codec import LIMITS, LayeredCodec
from layered.errors import OptionError
from layered.float32 import whole_float32
from layered.image import Image8, to_image8
from layered.layer import Context

__all__ = ["sample", "sheet"]


@torch.inference_mode()
@whole_float32()
def sample(
    codec: LayeredCodec, count: int, height: int, width: int, seed: int = 0, prior: Prior | None = None
) -> list[Image8]:
    """`count` pictures [height, width, 3] of the base layer, of codes that the prior draws, or uniform ones.

    Source: Agustsson et al. (ICCV 2019, appendix F.6).  Raises OptionError for layers without an alphabet, for those
    that need a label map, and for more pixels in all than `LIMITS` allow.
    """
    if count < 1 or height < 1 or width < 1:
        raise OptionError(f"{count} pictures of {width}x{height} cannot be drawn")
    if max(height, width) > LIMITS.side or count * height * width > LIMITS.pixels:
        told = f"{count} of {width}x{height}; at most {LIMITS.side} a side and {LIMITS.pixels} pixels in all are drawn"
        raise OptionError(f"too large: {told}")
    low, high = codec.quality_range
    context = Context(height, width, (low + high) / 2 if prior is None else prior.spec.quality)
    generator = torch.Generator().manual_seed(seed)
    drawn = (codec.base.draw(context, generator, prior.draw if prior else None) for _ in range(count))
    return [to_image8(codec.base.synthesise(latents, context)) for latents in drawn]


def sheet(pictures: list[Image8], columns: int) -> Image8:
    """Pictures of one size in rows of so many; what is missing of the last row is black."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    made = np.zeros((rows * height, min(columns, len(pictures)) * width, 3), np.uint8)
    for number, picture in enumerate(pictures):
        top, left = number // columns * height, number % columns * width
        made[top : top + height, left : left + width] = picture
    return made
