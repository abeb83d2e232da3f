"""This project's codecs as the harness sees them: the layered one, and its base layer as a picture codec."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from baselines.fingerprint import source_digest
from baselines.protocol import Encoded, Quality, layer_qualities
from layered.errors import CorruptStream, OptionError
from layered.image import Image8
from layered.spec import BASE_LAYERS

if TYPE_CHECKING:
    from layered.codec import LayeredCodec

__all__ = ["LAYERED", "LEARNED", "BasePicture", "LayeredFile", "load_codec"]

_BUNDLED = {
    "mean-scale": "compass-small", "factorized": "factorized-small", "gc": "gc-small", "tunable": "tunable-small",
    "wacnn": "wacnn-small",
}  # fmt: skip
LEARNED: Mapping[str, str | None] = {name: _BUNDLED.get(name) for name in BASE_LAYERS}
"""Learned picture codecs, which are the base layers, and the bundled weights that each takes when none are named."""

LAYERED = "compass-small"
"""The bundled weights of the layered codec, where none are named."""

_SOURCES = (
    "baselines/learned.py", "layered/adaptation.py", "layered/base", "layered/codec.py", "layered/enhancement",
    "layered/entropy", "layered/fields.py", "layered/float32.py", "layered/guide.py", "layered/image.py",
    "layered/layer.py", "layered/rounding.py", "layered/spec.py", "layered/stream.py",
)  # fmt: skip

_LIBRARIES = ("layered", "torch", "compressai")
"""Packages whose code or version is in the fingerprint already."""


def load_codec(weights: str, device: str) -> LayeredCodec:
    """The codec with these weights, loaded once per process, and again when the file of that name has changed."""
    path = Path(weights)
    return _load(weights, device, path.stat().st_mtime_ns if path.is_file() else 0)


@lru_cache(maxsize=8)
def _load(weights: str, device: str, changed: int) -> LayeredCodec:
    import layered

    return layered.load(weights, device=device)


def _fingerprint(weights: str, device: str) -> Mapping[str, str]:
    import torch

    codec = load_codec(weights, device)
    own = {f"code of {name}": digest for name, digest in _others(codec).items()}
    return {
        "model": codec.digest.hex(),
        "torch": torch.__version__,
        "compressai": version("compressai"),
        "pillow": version("pillow"),  # resizes the originals of the lower layers
        "device": device,
        "code": source_digest(*_SOURCES),
        **own,
    }


def _others(codec: LayeredCodec) -> dict[str, str]:
    """SHA-256 (16 hex digits) of the source of every module that has a part of the codec and is nobody's library."""
    found = {}
    for name in sorted({type(part).__module__ for part in codec.modules()}):
        if name.partition(".")[0] in _LIBRARIES:
            continue
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            found[name] = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
    return found


@dataclass(frozen=True)
class LayeredFile:
    """The layered codec: one file, of which layer k needs the bytes up to the end of its chunk."""

    weights: str = LAYERED
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
        if not encoded.files:
            raise CorruptStream("the layered codec: no file at all")
        return tuple(load_codec(self.weights, self.device).decode(encoded.files[0]))

    def fingerprint(self) -> Mapping[str, str]:
        return _fingerprint(self.weights, self.device)


@dataclass(frozen=True)
class BasePicture:
    """The base layer alone, at full size: a picture codec such as mean-scale or factorized.

    name: of the layer, in `layered.spec.BASE_LAYERS`; OptionError, when weights are loaded, where theirs is another.
    """

    name: str
    weights: str
    device: str = "cpu"

    @property
    def quality_range(self) -> tuple[float, float]:
        return self._codec().quality_range

    def encode(self, image: Image8, quality: float) -> bytes:
        return self._codec().encode(image, scales=(1.0,), quality=quality, verify=False)

    def decode(self, data: bytes) -> Image8:
        return self._codec().decode(data)[0]

    def _codec(self) -> LayeredCodec:
        codec = load_codec(self.weights, self.device)
        if (held := getattr(codec.spec.base, "name", None)) != self.name:
            raise OptionError(f"the base layer of {self.weights} is {held}, not {self.name}")
        return codec

    def fingerprint(self) -> Mapping[str, str]:
        self._codec()
        return _fingerprint(self.weights, self.device)
