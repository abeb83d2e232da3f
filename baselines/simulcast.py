"""Simulcast: all sizes stored side by side as independent files, which is what layered coding replaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from baselines.protocol import Encoded, PictureCodec, Quality
from baselines.single import decode_files, picture_files
from layered.image import Image8

__all__ = ["Simulcast"]


@dataclass(frozen=True)
class Simulcast:
    """Layer k costs the files of the layers 0 to k together, as in a layered stream."""

    picture: PictureCodec

    @property
    def quality_range(self) -> tuple[float, float]:
        return self.picture.quality_range

    def encode(self, image: Image8, scales: Sequence[float], quality: Quality) -> Encoded:
        files = picture_files(self.picture, image, scales, quality)
        return Encoded(files, tuple(accumulate(len(file) for file in files)))

    def decode(self, encoded: Encoded) -> tuple[Image8, ...]:
        return decode_files(self.picture, encoded)

    def fingerprint(self) -> Mapping[str, str]:
        return self.picture.fingerprint()
