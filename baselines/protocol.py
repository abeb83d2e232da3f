"""What the harness asks of a codec, learned or classical, layered or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from layered.errors import OptionError, outside
from layered.image import Image8

__all__ = ["Codec", "Encoded", "PictureCodec", "Quality", "check_quality", "layer_qualities"]

Quality: TypeAlias = float | tuple[float, ...]
"""One quality for all layers, or one for each, the base layer's first; the unit is the codec's own."""


@dataclass(frozen=True)
class Encoded:
    """One image, coded.

    files: everything that is stored.  layer_bytes[k]: bytes needed by somebody who wants layer k only, that
    is, all that layer k depends on and itself.
    """

    files: tuple[bytes, ...]
    layer_bytes: tuple[int, ...]


class PictureCodec(Protocol):
    """A codec of single pictures.

    quality_range: lowest and highest quality, both usable; a higher one gives more bytes.
    """

    @property
    def quality_range(self) -> tuple[float, float]: ...

    def encode(self, image: Image8, quality: float) -> bytes: ...

    def decode(self, data: bytes) -> Image8: ...

    def fingerprint(self) -> Mapping[str, str]:
        """All that the coded bytes depend on besides picture and quality: versions, weights, sources."""
        ...


class Codec(Protocol):
    """A method that offers one image at several sizes.

    `encode(image, scales, quality)` makes layer k a picture of size `layer_sizes(width, height, scales)[k]`;
    `decode` gives one picture per layer, from the bytes alone.
    """

    @property
    def quality_range(self) -> tuple[float, float]: ...

    def encode(self, image: Image8, scales: Sequence[float], quality: Quality) -> Encoded: ...

    def decode(self, encoded: Encoded) -> tuple[Image8, ...]: ...

    def fingerprint(self) -> Mapping[str, str]: ...


def layer_qualities(quality: Quality, layers: int) -> tuple[float, ...]:
    """The quality of each of `layers` layers.  Raises OptionError when the counts differ."""
    if not isinstance(quality, Sequence):
        return (float(quality),) * layers
    if len(quality) != layers:
        raise OptionError(f"{len(quality)} qualities for {layers} layers: give one, or one per layer")
    return tuple(float(value) for value in quality)


def check_quality(quality: Quality, allowed: tuple[float, float], what: str) -> None:
    """Raise OptionError unless every quality lies in `allowed`."""
    for value in quality if isinstance(quality, tuple) else (quality,):
        if not allowed[0] <= value <= allowed[1]:
            raise OptionError(f"{what}: quality {value:g} {outside(*allowed)} of this codec")
