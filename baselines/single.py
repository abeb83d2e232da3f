"""Single-layer coding: every layer's picture is a file of its own, and only that file counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from baselines.protocol import Encoded, PictureCodec, Quality, layer_qualities
from layered.errors import CorruptStream
from layered.image import Image8, check_image, layer_sizes, resize8

__all__ = ["SingleLayer", "decode_files", "picture_files"]


def picture_files(
    codec: PictureCodec, image: Image8, scales: Sequence[float], quality: Quality
) -> tuple[bytes, ...]:
    """One file per layer: the image resized to the layer, coded alone."""
    check_image(image)
    sizes = layer_sizes(image.shape[1], image.shape[0], scales)
    qualities = layer_qualities(quality, len(sizes))
    pairs = zip(sizes, qualities, strict=True)
    return tuple(codec.encode(resize8(image, *size), quality) for size, quality in pairs)


def decode_files(codec: PictureCodec, encoded: Encoded) -> tuple[Image8, ...]:
    """The picture in each file.  Raises CorruptStream where there is none."""
    if not encoded.files:
        raise CorruptStream("no file at all")
    return tuple(codec.decode(file) for file in encoded.files)


@dataclass(frozen=True)
class SingleLayer:
    """The bound for layered coding: somebody who knows which one size will be wanted."""

    picture: PictureCodec

    @property
    def quality_range(self) -> tuple[float, float]:
        return self.picture.quality_range

    def encode(self, image: Image8, scales: Sequence[float], quality: Quality) -> Encoded:
        files = picture_files(self.picture, image, scales, quality)
        return Encoded(files, tuple(len(file) for file in files))

    def decode(self, encoded: Encoded) -> tuple[Image8, ...]:
        return decode_files(self.picture, encoded)

    def fingerprint(self) -> Mapping[str, str]:
        return self.picture.fingerprint()
