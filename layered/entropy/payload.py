"""The payload of one layer: the CRC32 of its symbols, then its entropy-coded strings.

The CRC runs over the payloads below, the layer's size and quality, and every decoded integer.  A decoder whose
arithmetic disagrees with the encoder's, a payload damaged and given a new checksum, and a layer put on other
layers than its own are found out by it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

from layered.entropy.prior import Symbols
from layered.errors import CorruptStream, LimitExceeded
from layered.layer import Context

__all__ = ["check_symbols", "join_strings", "split_strings"]

_U32 = struct.Struct("<I")


def _checksum(symbols: Sequence[Symbols], context: Context) -> int:
    place = struct.pack("<IIIH", context.seal, context.width, context.height, round(context.quality * 256))
    crc = zlib.crc32(place)
    for part in symbols:
        crc = zlib.crc32(part.values.astype("<i4").tobytes(), crc)
    return crc


def join_strings(symbols: Sequence[Symbols], context: Context) -> bytes:
    """CRC32, then each string; all but the last are preceded by their length (three bytes: < 16 MiB)."""
    if any(len(part.string) >= 1 << 24 for part in symbols[:-1]):
        raise LimitExceeded("a layer's side information is beyond 16 MiB; encode the picture in tiles")
    lengths = b"".join(len(part.string).to_bytes(3, "little") for part in symbols[:-1])
    return _U32.pack(_checksum(symbols, context)) + lengths + b"".join(part.string for part in symbols)


def split_strings(data: bytes, count: int) -> tuple[int, tuple[bytes, ...]]:
    """The checksum and the `count` strings of a payload.  Raises CorruptStream."""
    start = _U32.size + 3 * (count - 1)
    if len(data) < start:
        raise CorruptStream(f"a layer's payload of {len(data)} bytes is shorter than its {start} bytes of header")
    strings = []
    for k in range(count):
        at = _U32.size + 3 * k
        size = int.from_bytes(data[at : at + 3], "little") if k < count - 1 else len(data) - start
        if size > len(data) - start:
            raise CorruptStream(f"string {k + 1} of a layer claims {size} bytes, {len(data) - start} are left")
        strings.append(data[start : start + size])
        start += size
    return _U32.unpack_from(data)[0], tuple(strings)


def check_symbols(stored: int, symbols: Sequence[Symbols], context: Context) -> None:
    """Raise CorruptStream unless the decoded integers have the checksum that the encoder stored."""
    if _checksum(symbols, context) != stored:
        raise CorruptStream(
            "the decoded symbols differ from the encoder's: the payload is damaged, or this machine's "
            "float64 arithmetic disagrees with the encoder's"
        )
