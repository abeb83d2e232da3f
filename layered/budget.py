"""Encoding towards a size: the best stream that a number of bytes allows."""

from __future__ import annotations

from collections.abc import Sequence

from layered.codec import LayeredCodec
from layered.errors import OptionError
from layered.guide import Guide
from layered.image import Image8

__all__ = ["encode_to_bytes"]


def encode_to_bytes(
    codec: LayeredCodec,
    image: Image8,
    scales: Sequence[float],
    target_bytes: int,
    exact: bool = False,
    verify: bool = True,
    trials: int = 7,
    guide: Guide | None = None,
) -> bytes:
    """The best stream of at most `target_bytes`, by bisection on one quality for all layers.

    trials: how many encodings besides that of the lowest quality and the last, which is verified if `verify` says so.
    Everything else as in `LayeredCodec.encode`.  Raises OptionError when even the lowest quality needs more.
    """

    def encode(quality: float, verified: bool = False) -> bytes:
        return codec.encode(image, scales, quality, exact, verify=verified, guide=guide)

    low, high = codec.quality_range
    best = encode(low)
    if len(best) > target_bytes:
        bpp = 8 * len(best) / (image.shape[0] * image.shape[1])
        raise OptionError(
            f"the lowest quality already needs {len(best)} bytes ({bpp:.3f} bits per pixel), {target_bytes} are "
            "allowed; fewer layers need fewer, as do other weights"
        )
    quality = low
    for trial in range(trials if low < high else 0):
        middle = high if trial == 0 else (low + high) / 2
        data = encode(middle)
        if len(data) <= target_bytes:
            best, low, quality = data, middle, middle
            if middle == high:
                break
        else:
            high = middle
    return encode(quality, verified=True) if verify else best
