"""How deep the samples of a file are, where Pillow reads deep ones as if they had 8 bits and does not tell."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

__all__ = ["cut_to_8_bits"]


def cut_to_8_bits(opened: Image.Image) -> bool:
    """Whether a picture, opened and not yet loaded, is a JPEG 2000 or AVIF file of more than 8 bits a sample."""
    deep = {"JPEG2000": _deep_jpeg2000, "AVIF": _deep_avif}.get(opened.format or "")
    file = getattr(opened, "fp", None)
    if deep is None or file is None:
        return False
    place = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(place)
    return deep(data)


def _deep_jpeg2000(data: bytes) -> bool:
    """By the depth less one of each component, in the codestream's first segment (ISO/IEC 15444-1, A.5.1)."""
    stream = data if data.startswith(b"\xff\x4f") else _within(data, b"jp2c")
    count = int.from_bytes(stream[40:42], "big")
    return any(depth & 0x7F >= 8 for depth in stream[42 : 42 + 3 * count : 3])


def _deep_avif(data: bytes) -> bool:
    """By `high_bitdepth` in the AV1 configuration of the first item, which is the picture itself."""
    meta = _within(data, b"meta")[4:]  # behind its version
    configuration = _within(meta, b"iprp", b"ipco", b"av1C")
    return len(configuration) > 2 and bool(configuration[2] & 0x40)


def _within(data: bytes, *kinds: bytes) -> bytes:
    """What is in the first box of a kind, in the first of the next kind within that, and so on; b"" where none is."""
    for kind in kinds:
        data = next((content for name, content in _boxes(data) if name == kind), b"")
    return data


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of boxes in the file format of ISO/IEC 14496-12, one behind the other, as far as they go."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            size, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        elif size == 0:
            size = len(data) - at  # the last one, of whatever size
        if size < head:
            return
        yield kind, data[at + head : at + size]
        at += size
