"""The exact pictures behind a record: coded and decoded once more, and known to be the same by their files' digests."""

from __future__ import annotations

import hashlib

from baselines.protocol import Encoded
from experiments.data import Picture, find_data
from experiments.item import codec_of
from experiments.record import Record
from experiments.runs import Results
from layered.errors import LayeredError
from layered.image import Image8

__all__ = ["picture_of", "redecoded"]


def picture_of(results: Results, record: Record) -> Picture:
    """The test image of a record.  Raises LayeredError if it is not the one that was measured."""
    data = results.recipe.data
    found = find_data(data.source, data.limit, data.longest_side).items
    picture = next((picture for picture in found if picture.name == record.image), None)
    if picture is None or picture.digest() != record.image_sha256:
        raise LayeredError(f"{data.source}: {record.image} is not there any more, or another picture")
    return picture


def redecoded(results: Results, record: Record) -> tuple[Image8, ...]:
    """The decoded picture of every layer of a record, without the loss of the report's previews.

    Raises LayeredError where the files are not those of the record, byte by byte, and whatever a codec raises.
    """
    spec = next(spec for spec in results.recipe.codecs if spec.name == record.codec)
    codec = codec_of(spec.method, results.recipe.device)
    encoded: Encoded = codec.encode(picture_of(results, record).load(), record.scales, record.quality)
    if tuple(hashlib.sha256(file).hexdigest() for file in encoded.files) != record.files_sha256:
        raise LayeredError(f"{record.codec} now codes {record.image} in other bytes than when it was measured")
    return codec.decode(encoded)
