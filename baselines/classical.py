"""Everyday picture codecs through Pillow; every setting that is not a default is in the table below.

Bytes are whole files as Pillow writes them (JPEG 2000: the bare codestream, which is smaller).  JPEG,
JPEG 2000 and AVIF keep full colour resolution (4:4:4); lossy WebP has only 4:2:0.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import PIL
from PIL import Image, features

from baselines.fingerprint import source_digest
from layered.errors import OptionError
from layered.image import Image8, check_image, load_image

__all__ = ["CLASSICAL", "PillowCodec"]


@dataclass(frozen=True)
class PillowCodec:
    """One of Pillow's lossy formats.

    format: Pillow's name.  feature: Pillow's name of the library in it.  unit: what `quality` counts.
    settings: options given to Pillow always.  at: those that depend on quality.  whole: quality is whole.
    """

    format: str
    feature: str
    quality_range: tuple[float, float]
    unit: str
    settings: Mapping[str, Any]
    at: Callable[[float], Mapping[str, Any]] = lambda quality: {"quality": int(quality)}
    whole: bool = True

    def encode(self, image: Image8, quality: float) -> bytes:
        """Raises OptionError for a quality or size that the format does not have, or a Pillow without the format."""
        self._check_available()
        check_image(image)
        if not math.isfinite(quality):
            raise OptionError(f"{self.format}: quality must be a number, got {quality}")
        if self.whole and quality != int(quality):
            raise OptionError(f"{self.format}: quality must be a whole number, got {quality:g}")
        if not self.quality_range[0] <= quality <= self.quality_range[1]:
            low, high = self.quality_range
            raise OptionError(f"{self.format}: {self.unit} must be {low:g} to {high:g}, got {quality:g}")
        buffer = io.BytesIO()
        try:
            Image.fromarray(image).save(buffer, format=self.format, **self.settings, **self.at(quality))
        except (ValueError, OSError) as error:
            what = f"{image.shape[1]}x{image.shape[0]} ({error or type(error).__name__})"
            raise OptionError(f"{self.format}: Pillow does not write {what}") from None
        return buffer.getvalue()

    def decode(self, data: bytes) -> Image8:
        self._check_available()
        return load_image(io.BytesIO(data), (self.format,))

    def fingerprint(self) -> Mapping[str, str]:
        self._check_available()
        return {
            "pillow": PIL.__version__,
            self.format: str(features.version(self.feature)),
            "settings": " ".join(f"{key}={value}" for key, value in self.settings.items()),
            "code": source_digest("baselines/classical.py", "layered/image.py"),
        }

    def _check_available(self) -> None:
        if not features.check(self.feature):
            raise OptionError(f"this Pillow has no {self.format}; install Pillow's own wheel from PyPI")


def _rate(bits_per_pixel: float) -> Mapping[str, Any]:
    # A rate target, not OpenJPEG's PSNR target: one PSNR for all images spends most bits on the hardest ones,
    # which ruins the average curve.
    return {"quality_layers": [24 / bits_per_pixel]}


_JPEG = {"subsampling": 0, "optimize": True, "progressive": True}
# Without mct=1 the three colours are coded as they are, which costs several dB.
_JPEG2000 = {"quality_mode": "rates", "irreversible": True, "no_jp2": True, "mct": 1}
_AVIF = {"subsampling": "4:4:4", "speed": 6, "max_threads": 1}

CLASSICAL: Mapping[str, PillowCodec] = {
    "jpeg": PillowCodec("JPEG", "jpg", (1, 95), "quality", _JPEG),
    "jpeg2000": PillowCodec("JPEG2000", "jpg_2000", (0.01, 24), "bits per pixel", _JPEG2000, _rate, False),
    "webp": PillowCodec("WEBP", "webp", (0, 100), "quality", {"method": 6}),
    "avif": PillowCodec("AVIF", "avif", (0, 100), "quality", _AVIF),
}
