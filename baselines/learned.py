"""This project's codecs as the harness sees them: the layered one, and its base layer as a picture codec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.fingerprint import source_digest
from baselines.protocol import Encoded, Quality, layer_qualities
from layered.image import Image8

if TYPE_CHECKING:
    from layered.codec import LayeredCodec

__all__ = ["LEARNED", "BasePicture", "LayeredFile", "load_codec"]

LEARNED: Mapping[str, str] = {"mean-scale": "compass-small", "factorized": "factorized-small"}
"""Learned picture codecs by name, with the bundled weights that each takes when none are named."""

_SOURCES = (
    "baselines/learned.py", "layered/base", "layered/codec.py", "layered/enhancement", "layered/entropy",
    "layered/fields.py", "layered/image.py", "layered/layer.py", "layered/rounding.py", "layered/spec.py",
    "layered/stream.py",
)  # fmt: skip


def load_codec(weights: str, device: str) -> LayeredCodec:
    """The codec with these weights, loaded once per process, and again when their file has changed."""
    path = Path(weights)
    return _load(weights, device, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=4)
def _load(weights: str, device: str, changed: int) -> LayeredCodec:
    import layered

    return layered.load(weights, device=device)


def _fingerprint(weights: str, device: str) -> Mapping[str, str]:
    import torch

    return {
        "model": load_codec(weights, device).digest.hex(),
        "torch": torch.__version__,
        "compressai": version("compressai"),
        "pillow": version("pillow"),  # resizes the originals of the lower layers
        "device": device,
        "code": source_digest(*_SOURCES),
    }


@dataclass(frozen=True)
class LayeredFile:
    """The layered codec: one file, of which layer k needs the bytes up to the end of its chunk."""

    weights: str = "compass-small"
    device: str = "cpu"

    @property
    def quality_range(self) -> tuple[float, float]:
        return load_codec(self.weights, self.device).quality_range

    def encode(self, image: Image8, scales: Sequence[float], quality: Quality) -> Encoded:
        from layered.stream import parse

        # The harness decodes every file anyway, so that the encoder's own check would only be done twice.
        codec = load_codec(self.weights, self.device)
        qualities = layer_qualities(quality, len(scales))
        data = codec.encode(image, scales=tuple(scales), quality=qualities, verify=False)
        return Encoded((data,), tuple(parse(data).ends))

    def decode(self, encoded: Encoded) -> tuple[Image8, ...]:
        return tuple(load_codec(self.weights, self.device).decode(encoded.files[0]))

    def fingerprint(self) -> Mapping[str, str]:
        return _fingerprint(self.weights, self.device)


@dataclass(frozen=True)
class BasePicture:
    """The base layer alone, at full size: a picture codec such as mean-scale or factorized."""

    weights: str
    device: str = "cpu"

    @property
    def quality_range(self) -> tuple[float, float]:
        return load_codec(self.weights, self.device).quality_range

    def encode(self, image: Image8, quality: float) -> bytes:
        codec = load_codec(self.weights, self.device)
        return codec.encode(image, scales=(1.0,), quality=quality, verify=False)

    def decode(self, data: bytes) -> Image8:
        return load_codec(self.weights, self.device).decode(data)[0]

    def fingerprint(self) -> Mapping[str, str]:
        return _fingerprint(self.weights, self.device)
