"""The learned codecs with per-image adaptation: encoding searches longer, decoding is the plain codec's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from adapters.adaptation import AdaptationSettings, PerImage
from adapters.allocator import keep_memory
from baselines.fingerprint import source_digest
from baselines.learned import BasePicture, LayeredFile, load_codec
from baselines.protocol import Encoded, Quality, layer_qualities
from layered.image import Image8

__all__ = ["AdaptedFile", "AdaptedPicture"]

_SOURCES = ("adapters", "baselines/adapted.py")


def _fingerprint(settings: AdaptationSettings, device: str) -> dict[str, str]:
    """What a search depends on besides the codec: its code, and in which numbers it computes on this machine."""
    numbers = "bfloat16" if settings.in_half(torch.device(device)) else "float32"
    return {"adaptation": source_digest(*_SOURCES), "numbers": numbers}


@dataclass(frozen=True)
class AdaptedFile(LayeredFile):
    """The layered codec, adapted to each picture.  Raises OptionError for settings that do not go together."""

    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)

    def __post_init__(self) -> None:
        self.adaptation.resolved()

    def encode(self, image: Image8, scales: Sequence[float], quality: Quality) -> Encoded:
        from layered.stream import parse

        keep_memory()
        codec, qualities = load_codec(self.weights, self.device), layer_qualities(quality, len(scales))
        data = codec.encode(
            image, scales=tuple(scales), quality=qualities, verify=False, adaptation=PerImage(self.adaptation)
        )
        return Encoded((data,), tuple(parse(data).ends))

    def fingerprint(self) -> Mapping[str, str]:
        return {**super().fingerprint(), **_fingerprint(self.adaptation, self.device)}


@dataclass(frozen=True)
class AdaptedPicture(BasePicture):
    """A base layer as picture codec, adapted to each picture.

    Raises OptionError for settings that do not go together, or are of layers above it.
    """

    adaptation: AdaptationSettings = field(default_factory=AdaptationSettings)

    def __post_init__(self) -> None:
        self.adaptation.check(1)

    def encode(self, image: Image8, quality: float) -> bytes:
        keep_memory()
        return self._codec().encode(
            image, scales=(1.0,), quality=quality, verify=False, adaptation=PerImage(self.adaptation)
        )

    def fingerprint(self) -> Mapping[str, str]:
        return {**super().fingerprint(), **_fingerprint(self.adaptation, self.device)}
