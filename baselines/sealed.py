"""Files of codecs that have no container of their own: the picture's size, and a CRC32 of all of it.

Damage is found by it before a decoder, which would conceal it, sees any.
"""

from __future__ import annotations

import zlib

from layered.errors import CorruptStream, LimitExceeded
from layered.fields import VARINT, Field, read_fields, write_fields
from layered.image import MAX_SIDE

__all__ = ["MAX_PIXELS", "check_size", "seal", "unseal"]

MAX_PIXELS = 2**25
"""Of a picture: decoders take some 90 bytes for each."""

_HEADER = (Field("crc", 4), Field("width", VARINT), Field("height", VARINT))


def seal(kind: str, width: int, height: int, payload: bytes) -> bytes:
    """A file: CRC32, size of the picture, payload.  kind: what it is, which reading must name again."""
    body = write_fields(_HEADER[1:], {"width": width, "height": height}) + payload
    return write_fields(_HEADER[:1], {"crc": _crc(kind, body)}) + body


def check_size(kind: str, width: int, height: int) -> None:
    """Raise LimitExceeded for a picture that `unseal` will not take, before any work."""
    if not _fits(width, height):
        raise LimitExceeded(f"{kind}: {width}x{height} is beyond {MAX_PIXELS} pixels or {MAX_SIDE} a side")


def unseal(kind: str, data: bytes) -> tuple[int, int, bytes]:
    """Width, height and payload of a file.  Raises CorruptStream for any that `seal` did not make of this kind."""
    values, at = read_fields(_HEADER, data, 0, kind)
    if values["crc"] != _crc(kind, data[_HEADER[0].size :]):
        raise CorruptStream(f"{kind}: checksum mismatch; the data are damaged, or not of this codec")
    width, height = values["width"], values["height"]
    if not _fits(width, height):
        raise CorruptStream(f"{kind}: no picture has {width}x{height} pixels")
    return width, height, data[at:]


def _fits(width: int, height: int) -> bool:
    return 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS


def _crc(kind: str, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(kind.encode()))
