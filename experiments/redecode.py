"""The exact pictures behind a record: made once more, and known to be the same by their files' digests and PSNR."""

from __future__ import annotations

import hashlib
import math

from baselines.protocol import Encoded
from experiments.data import Picture, find_data
from experiments.item import codec_of
from experiments.metrics import psnr
from experiments.record import Record
from experiments.runs import Results
from experiments.work import limit_threads
from layered.errors import LayeredError
from layered.image import Image8, resize8

__all__ = ["picture_of", "redecoded"]

TOLERANCE = 0.01
"""dB by which the PSNR may differ from the record's: plain decoding may differ by a level at a few samples."""


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

    Raises LayeredError where the files are not those of the record, byte by byte, or decode to another PSNR, and
    whatever a codec raises.
    """
    spec = next(spec for spec in results.recipe.codecs if spec.name == record.codec)
    limit_threads(record.provenance.threads)  # sums of floating point, and so a search, may depend on their number
    codec = codec_of(spec.method, results.recipe.device)
    image = picture_of(results, record).load()
    encoded: Encoded = codec.encode(image, record.scales, record.quality)
    if tuple(hashlib.sha256(file).hexdigest() for file in encoded.files) != record.files_sha256:
        raise LayeredError(f"{record.codec} now codes {record.image} in other bytes than when it was measured")
    pictures = codec.decode(encoded)
    for picture, layer in zip(pictures, record.layers, strict=True):
        found = psnr(picture, resize8(image, layer.width, layer.height))
        if not math.isclose(found, layer.psnr, rel_tol=0, abs_tol=TOLERANCE):
            what = f"{record.image} to {found:.2f} dB, where {layer.psnr:.2f} dB were measured"
            raise LayeredError(f"{record.codec} now decodes equal files of {what}")
    return pictures
