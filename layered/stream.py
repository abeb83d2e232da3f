"""The file format: one header, then one chunk per layer; any prefix of whole chunks is a stream again.

Integers are little-endian; a varint is LEB128 in its shortest form.  Each chunk ends in a CRC32 over every
byte of the file before it except the earlier CRC fields.  Only the standard library is needed here, so
that a file can be inspected without loading a model.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from layered.errors import CorruptStream, LayeredError, LimitExceeded, OptionError, UnsupportedVersion, WrongModel
from layered.fields import VARINT, Field, read_fields, write_fields

__all__ = [
    "DIGEST_BYTES", "MAGIC", "VERSION", "Chunk", "Header", "Limits", "Stream", "check_header", "check_total", "pack",
    "parse", "require_digest", "stored_quality",
]  # fmt: skip

MAGIC = b"\x89LYR"  # the high bit shows transfers that are not 8-bit clean
VERSION = 1
DIGEST_BYTES = 6
CRC_BYTES = 4
QUALITY_UNIT = 256  # quality is stored as a u16 in steps of 1/256

EXACT = 1  # header flag: synthesis in float64
ADAPTER = 1  # chunk flag: adapter weights come with this layer
FULL_SIZE = 2  # chunk flag: the layer has the header's size, so its own is left out

PREAMBLE = (Field("magic", len(MAGIC)), Field("version", 1))  # the same in every version to come
HEADER = (
    Field("flags", 1),
    Field("layers", 1),
    Field("digest", DIGEST_BYTES),
    Field("width", VARINT),
    Field("height", VARINT),
)
CHUNK = (  # followed by the adapter, the payload, and the CRC32
    Field("flags", 1),
    Field("width", VARINT, mask=FULL_SIZE),
    Field("height", VARINT, mask=FULL_SIZE),
    Field("quality", 2),
    Field("payload", VARINT),
    Field("adapter", VARINT, mask=ADAPTER, value=ADAPTER),
)


@dataclass(frozen=True)
class Header:
    """What holds for all layers.

    digest: the first 6 bytes of the model's digest.  width, height: full size in pixels, 1..32768.
    layers: how many were written, 1..255; a stream cut at a layer boundary holds fewer.
    exact: synthesis and prediction run in float64.
    """

    version: int
    digest: bytes
    width: int
    height: int
    layers: int
    exact: bool = False


@dataclass(frozen=True)
class Chunk:
    """One layer: size in pixels, quality in 0..255.99 (stored to 1/256), coded latents, adapter weights."""

    width: int
    height: int
    quality: float
    payload: bytes
    adapter: bytes = b""


@dataclass(frozen=True)
class Stream:
    """A parsed file.

    ends: the byte offset at which each chunk ends, that is the bytes needed to decode so far.
    dropped: why bytes after the last chunk were ignored (lenient parsing only), else None.
    """

    header: Header
    chunks: tuple[Chunk, ...]
    ends: tuple[int, ...]
    dropped: str | None = None


@dataclass(frozen=True)
class Limits:
    """What a caller is willing to decode; everything allocated later follows from sizes within these.

    pixels, side: of the full picture, and so of each layer.  layers: at most this many.
    payload: bytes of one layer's payload per pixel of that layer, on top of `payload_base`, which leaves
    room for pictures smaller than one padded block.  adapter: bytes of one layer's adapter weights.  total: pixels of
    all layers together, which time and the memory of decoded pictures follow.
    """

    pixels: int = 2**28
    side: int = 32768
    layers: int = 64
    payload: int = 8
    payload_base: int = 2**16
    adapter: int = 2**24
    total: int = 2**31


def pack(header: Header, chunks: Sequence[Chunk], limits: Limits | None = None) -> bytes:
    """The file that `parse` reads back.

    Fewer chunks than `header.layers` give the stream cut after them.  Raises OptionError for a value that
    the format cannot hold and LimitExceeded for one that `parse` would refuse under the same limits.
    """
    limits = limits or Limits()
    if header.version != VERSION:
        raise OptionError(f"this release writes stream version {VERSION}, not {header.version}")
    if len(header.digest) != DIGEST_BYTES:
        raise OptionError(f"a model digest in a stream has {DIGEST_BYTES} bytes, got {len(header.digest)}")
    if not 1 <= len(chunks) <= header.layers:
        raise OptionError(f"a stream of {header.layers} layers holds 1 to {header.layers}, got {len(chunks)}")
    check_header(header, limits)
    values = {
        "magic": int.from_bytes(MAGIC, "little"),
        "version": VERSION,
        "flags": EXACT * bool(header.exact),
        "layers": header.layers,
        "digest": int.from_bytes(header.digest, "little"),
        "width": header.width,
        "height": header.height,
    }
    check_total(((chunk.width, chunk.height) for chunk in chunks), limits)
    head = write_fields(PREAMBLE + HEADER, values)
    pieces, crc, below = [head], zlib.crc32(head), (1, 1)
    for k, chunk in enumerate(chunks):
        size = chunk.width, chunk.height
        _check_chunk(k, size, below, header, len(chunk.payload), len(chunk.adapter), limits, OptionError)
        full = size == (header.width, header.height)
        values = {
            "flags": ADAPTER * bool(chunk.adapter) | FULL_SIZE * full,
            "width": chunk.width,
            "height": chunk.height,
            "quality": int(stored_quality(chunk.quality) * QUALITY_UNIT),
            "payload": len(chunk.payload),
            "adapter": len(chunk.adapter),
        }
        body = write_fields(CHUNK, values) + chunk.adapter + chunk.payload
        crc, below = zlib.crc32(body, crc), size
        pieces += [body, crc.to_bytes(CRC_BYTES, "little")]
    return b"".join(pieces)


def parse(data: bytes, strict: bool = True, limits: Limits | None = None) -> Stream:
    """Check and split a file.

    A file that ends exactly after a layer is a whole, shorter stream.  Other damage raises CorruptStream;
    with strict=False whatever follows the last whole layer is ignored and `dropped` says why, but at least
    one layer must be whole.  Also raises UnsupportedVersion, and LimitExceeded for sizes beyond `limits`.
    """
    limits = limits or Limits()
    header, start = _parse_header(data, limits)
    chunks: list[Chunk] = []
    ends: list[int] = []
    crc, dropped = zlib.crc32(data[:start]), None
    try:
        while len(chunks) < header.layers and (start < len(data) or not chunks):
            chunk, start, crc = _parse_chunk(data, start, crc, header, chunks, limits)
            chunks.append(chunk)
            ends.append(start)
        if start < len(data):
            raise CorruptStream(f"{len(data) - start} bytes follow the last layer, which ends at {start}")
    except (CorruptStream, LimitExceeded) as error:
        if strict or not chunks:
            raise
        dropped = str(error)
    return Stream(header, tuple(chunks), tuple(ends), dropped)


def stored_quality(quality: float) -> float:
    """`quality` as a stream holds it, the value that both ends must compute with.  Raises OptionError."""
    if not 0 <= quality * QUALITY_UNIT <= 0xFFFF:
        raise OptionError(f"quality must be from 0 to 255.99, got {quality}")
    return round(quality * QUALITY_UNIT) / QUALITY_UNIT


def require_digest(header: Header, digest: bytes, name: str) -> None:
    """Raise WrongModel unless the stream was written with the model `name`, whose digest is given."""
    wanted = digest[:DIGEST_BYTES]
    if header.digest != wanted:
        raise WrongModel(
            f"the stream was written with model {header.digest.hex()}, but {name} is {wanted.hex()}; "
            "decode it with the weights that wrote it"
        )


def _parse_header(data: bytes, limits: Limits) -> tuple[Header, int]:
    if data[: len(MAGIC)] != MAGIC:
        raise CorruptStream(f"not a layered stream: it does not start with the bytes {MAGIC.hex(' ')}")
    values, start = read_fields(PREAMBLE, data, 0, "header")
    if values["version"] != VERSION:
        raise UnsupportedVersion(f"stream version {values['version']}; this release reads version {VERSION}")
    values, start = read_fields(HEADER, data, start, "header")
    if values["flags"] & ~EXACT:
        raise CorruptStream(f"header: unknown flags {values['flags']:#04x}")
    digest = values["digest"].to_bytes(DIGEST_BYTES, "little")
    header = Header(
        VERSION, digest, values["width"], values["height"], values["layers"], bool(values["flags"] & EXACT)
    )
    check_header(header, limits, CorruptStream)
    return header, start


def _parse_chunk(
    data: bytes, start: int, crc: int, header: Header, lower: Sequence[Chunk], limits: Limits
) -> tuple[Chunk, int, int]:
    """The chunk at `start`, where it ends, and the CRC up to there."""
    k = len(lower)
    values, at = read_fields(CHUNK, data, start, f"layer {k}")
    flags, full = values["flags"], (header.width, header.height)
    size = full if flags & FULL_SIZE else (values["width"], values["height"])
    adapter, payload = values.get("adapter", 0), values["payload"]
    if flags & ~(ADAPTER | FULL_SIZE):
        raise CorruptStream(f"layer {k}: unknown flags {flags:#04x}")
    # One way to write each stream: what `pack` leaves out must not be written out.
    if (size == full) != bool(flags & FULL_SIZE) or (adapter > 0) != bool(flags & ADAPTER):
        raise CorruptStream(f"layer {k}: flags {flags:#04x} disagree with the fields")
    below = (lower[-1].width, lower[-1].height) if lower else (1, 1)
    _check_chunk(k, size, below, header, payload, adapter, limits, CorruptStream)
    check_total((*((chunk.width, chunk.height) for chunk in lower), size), limits)
    middle, end = at + adapter, at + adapter + payload
    if end + CRC_BYTES > len(data):
        raise CorruptStream(f"layer {k}: truncated, {end + CRC_BYTES - len(data)} bytes are missing")
    # CRC fields stay out of the running CRC: a CRC over data and its own CRC is a constant, which would cut
    # the chain and let swapped or repeated layers pass.
    crc = zlib.crc32(memoryview(data)[start:end], crc)
    if crc != int.from_bytes(data[end : end + CRC_BYTES], "little"):
        raise CorruptStream(f"layer {k}: checksum mismatch, this layer or what precedes it is damaged")
    chunk = Chunk(*size, values["quality"] / QUALITY_UNIT, bytes(data[middle:end]), bytes(data[at:middle]))
    return chunk, end + CRC_BYTES, crc


def check_header(header: Header, limits: Limits, wrong: type[LayeredError] = OptionError) -> None:
    """Raise `wrong` or LimitExceeded for a header that `pack` would refuse, before any work is done."""
    width, height = header.width, header.height
    if width < 1 or height < 1 or not 1 <= header.layers <= 255:
        raise wrong(f"header: {width}x{height} pixels in {header.layers} layers; expected 1x1 up, 1 to 255")
    if max(width, height) > limits.side or width * height > limits.pixels:
        raise LimitExceeded(
            f"header: {width}x{height} is beyond {limits.side} a side or {limits.pixels} pixels"
        )
    if header.layers > limits.layers:
        raise LimitExceeded(f"header: {header.layers} layers, at most {limits.layers} are allowed")


def check_total(sizes: Iterable[tuple[int, int]], limits: Limits) -> None:
    """Raise LimitExceeded for layers, (width, height) each, that have too many pixels together."""
    total = sum(width * height for width, height in sizes)
    if total > limits.total:
        raise LimitExceeded(f"layers of {total} pixels together, at most {limits.total} are allowed")


def _check_chunk(
    k: int, size: tuple[int, int], below: tuple[int, int], header: Header, payload: int, adapter: int,
    limits: Limits, wrong: type[LayeredError],
) -> None:  # fmt: skip
    (width, height), full = size, (header.width, header.height)
    if not (below[0] <= width <= full[0] and below[1] <= height <= full[1]):
        raise wrong(f"layer {k}: {width}x{height} is not from {below[0]}x{below[1]} to {full[0]}x{full[1]}")
    most = limits.payload * width * height + limits.payload_base
    if payload > most:
        raise LimitExceeded(f"layer {k}: payload of {payload} bytes, at most {most} for {width}x{height}")
    if adapter > limits.adapter:
        raise LimitExceeded(f"layer {k}: adapter of {adapter} bytes, at most {limits.adapter} are allowed")
