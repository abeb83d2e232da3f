"""JPEG XL through imagecodecs (libjxl); quality is libjxl's, 1 to 99, which stands for a Butteraugli distance.

Like JPEG's, its files have no checksum: some damage decodes to another picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from baselines.fingerprint import source_digest
from layered.errors import CorruptStream, OptionError, install
from layered.image import Image8, check_image

__all__ = ["JPEGXL", "JpegXl", "distance"]


@dataclass(frozen=True)
class JpegXl:
    """effort: 1 (fast) to 10, libjxl's own scale and default."""

    effort: int = 7

    @property
    def quality_range(self) -> tuple[float, float]:
        return 1, 99

    def encode(self, image: Image8, quality: float) -> bytes:
        """Raises OptionError for a quality out of range, what is no picture, or without imagecodecs."""
        check_image(image)
        if not self.quality_range[0] <= quality <= self.quality_range[1]:
            raise OptionError(f"JPEG XL: quality must be 1 to 99, got {quality:g}")
        return bytes(_library().jpegxl_encode(image, distance=distance(quality), effort=self.effort, numthreads=1))

    def decode(self, data: bytes) -> Image8:
        """Raises CorruptStream for what is no 8-bit colour picture in JPEG XL."""
        library = _library()
        try:
            picture = library.jpegxl_decode(data, numthreads=1)
        except (RuntimeError, ValueError, MemoryError) as error:  # JpegxlError is a RuntimeError
            raise CorruptStream(f"JPEG XL: {error}") from None
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise CorruptStream(f"JPEG XL: an 8-bit colour picture expected, got {picture.dtype} {picture.shape}")
        return np.ascontiguousarray(picture)

    def fingerprint(self) -> Mapping[str, str]:
        library = _library()
        return {
            "imagecodecs": library.__version__,
            "JPEG XL": library.jpegxl_version(),
            "settings": f"effort={self.effort}",
            "code": source_digest("baselines/jpegxl.py"),
        }


def distance(quality: float) -> float:
    """The Butteraugli distance that libjxl's own tools take for a quality (JxlEncoderDistanceFromQuality)."""
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality**2 - 23 / 20 * quality + 25


JPEGXL: Mapping[str, JpegXl] = {"jpegxl": JpegXl()}


def _library() -> ModuleType:
    try:
        import imagecodecs
    except ImportError:
        raise OptionError(f"JPEG XL needs imagecodecs: {install('codecs')}") from None
    if not imagecodecs.JPEGXL.available:
        raise OptionError("this imagecodecs has no JPEG XL; install its own wheel from PyPI")
    return imagecodecs
