"""Several weights as one codec: quality k is that of the k-th, as where a model was trained for each trade-off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from baselines.learned import BasePicture, LayeredFile, load_codec
from baselines.protocol import Encoded, Quality, layer_qualities
from layered.errors import CorruptStream, OptionError, WrongModel, outside
from layered.image import Image8

__all__ = ["Family", "LayeredFamily", "PictureFamily"]

_Member = TypeVar("_Member", LayeredFile, BasePicture)


@dataclass(frozen=True)
class Family(Generic[_Member]):
    """members: codecs of one quality each, in the order of their rates, with weights that differ.

    A file names its weights, and so which of them decodes it.
    """

    members: tuple[_Member, ...]

    @property
    def quality_range(self) -> tuple[float, float]:
        return 1.0, float(len(self.members))

    def at(self, quality: float) -> tuple[_Member, float]:
        """The member that `quality` means, and its own one quality.

        Raises OptionError for one that is no whole number from 1 to their count, or where weights have several.
        """
        if quality not in range(1, len(self.members) + 1):
            low, high = self.quality_range
            told = outside(low, high) if not low <= quality <= high else "is between two weights"
            raise OptionError(f"quality {quality:g} {told}; with several weights it is the place of one of them")
        member = self.members[int(quality) - 1]
        low, high = member.quality_range
        if low != high:
            raise OptionError(f"{member.weights} has qualities {low:g} to {high:g}; of several weights each has one")
        return member, low

    def of(self, file: bytes) -> _Member:
        """The member that decodes a file.  Raises CorruptStream, or WrongModel where none of them does."""
        from layered.stream import parse

        digest = parse(file, strict=False).header.digest
        for member in self.members:
            if load_codec(member.weights, member.device).digest[: len(digest)] == digest:
                return member
        names = ", ".join(member.weights for member in self.members)
        raise WrongModel(f"the file was written with weights {digest.hex()}, which none of {names} has")

    def fingerprint(self) -> Mapping[str, str]:
        """What they have in common, the code of each, and the digests of all."""
        told = [member.fingerprint() for member in self.members]
        joined = {name: text for one in told for name, text in one.items()}
        return {**joined, "model": " ".join(one["model"] for one in told)}


class LayeredFamily(Family[LayeredFile]):
    """A layered codec; one file has one member's layers, so all have the same quality."""

    def encode(self, image: Image8, scales: Sequence[float], quality: Quality) -> Encoded:
        qualities = layer_qualities(quality, len(scales))
        if len(set(qualities)) > 1:
            raise OptionError("several weights: the layers of a file are of one of them, and have one quality")
        member, own = self.at(qualities[0])
        return member.encode(image, scales, own)

    def decode(self, encoded: Encoded) -> tuple[Image8, ...]:
        if not encoded.files:
            raise CorruptStream("the layered codec: no file at all")
        return self.of(encoded.files[0]).decode(encoded)


class PictureFamily(Family[BasePicture]):
    """A picture codec; of simulcast and single-layer coding each layer may have its own quality."""

    def encode(self, image: Image8, quality: float) -> bytes:
        member, own = self.at(quality)
        return member.encode(image, own)

    def decode(self, data: bytes) -> Image8:
        return self.of(data).decode(data)
