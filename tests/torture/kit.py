"""What bad streams are made from: good ones, taken apart field by field, and put together again."""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from layered import stream
from layered.codec import LayeredCodec
from layered.fields import Field
from layered.guide import Guide, guide_of
from layered.image import Image8
from tests.conftest import smooth_picture

__all__ = ["HEAD", "LEAST", "LEAST_FLIPS", "Bad", "File", "Kit", "Part", "Rule", "varint"]

SCALES = ((1.0,), (0.5, 1.0), (0.25, 0.5, 1.0))
KEPT = (0.0, 0.4, 1.0)  # the share of each file's columns that is preserved, where weights take a label map
LEAST, LEAST_FLIPS = 10_000, 4_000
HEAD = tuple(entry.name for entry in (*stream.PREAMBLE, *stream.HEADER))
BODY = (*(entry.name for entry in stream.CHUNK), "weights", "data")

Part: TypeAlias = dict[str, bytes]  # a header or a chunk, field by field; fields left out are empty
Rule: TypeAlias = Literal["plain", "repaired", "exact", "forged"]


@dataclass(frozen=True)
class File:
    """A good stream: its bytes and pictures, where its layers end, and its fields (each chunk with its `crc`)."""

    data: bytes
    pictures: tuple[Image8, ...]
    ends: tuple[int, ...]
    head: Part
    chunks: tuple[Part, ...]

    @classmethod
    def of(cls, codec: LayeredCodec, data: bytes) -> File:
        """`data` decoded and taken apart."""
        parsed = stream.parse(data)
        head, at = _split((*stream.PREAMBLE, *stream.HEADER), data, 0)
        chunks = []
        for chunk in parsed.chunks:
            part, at = _split(stream.CHUNK, data, at)
            end = at + len(chunk.payload)
            chunks.append({**part, "data": data[at:end], "crc": data[end : end + 4]})
            at = end + 4
        return cls(data, tuple(codec.decode(data)), parsed.ends, head, tuple(chunks))

    def put(self, head: Part | None = None, chunks: Iterable[Part] | None = None, repair: bool = True) -> bytes:
        """The file with another header or other chunks, and with right checksums unless told otherwise."""
        data = b"".join((head or self.head).get(name, b"") for name in HEAD)
        crc = zlib.crc32(data)
        for part in self.chunks if chunks is None else chunks:
            body = b"".join(part.get(name, b"") for name in BODY)
            crc = zlib.crc32(body, crc)
            data += body + (crc.to_bytes(4, "little") if repair else part["crc"])
        return data

    def put_chunk(self, k: int, repair: bool = True, **fields: bytes) -> bytes:
        """The file with some fields of chunk `k` replaced."""
        changed = {**self.chunks[k], **fields}
        return self.put(chunks=(*self.chunks[:k], changed, *self.chunks[k + 1 :]), repair=repair)

    def put_payload(self, k: int, payload: bytes) -> bytes:
        """The file with another payload in chunk `k`, its length and the checksums to match."""
        return self.put_chunk(k, payload=varint(len(payload)), data=payload)


@dataclass(frozen=True)
class Bad:
    """A bad stream: how it was made, from which of the kit's files, and what is expected of it."""

    kind: str
    file: int
    data: bytes
    rule: Rule


@dataclass(frozen=True)
class Kit:
    """What bad streams are made from: files of one, two and three layers, and others of the same sizes.

    Of weights without enhancement three files of one layer, of different pictures.
    """

    codec: LayeredCodec
    files: tuple[File, ...]
    others: tuple[File, ...]
    rng: random.Random

    @classmethod
    def of(cls, codec: LayeredCodec, seed: int = 0) -> Kit:
        """Files of a 24x20 picture, or a larger one if those have too few bits, each layer of another quality."""
        low, high = codec.quality_range
        quality = [low + (high - low) * part for part in (0.85, 0.95, 1.0)]
        for height in (20, 30, 45, 64):
            files, others = (
                tuple(File.of(codec, _encoded(codec, height, n, seed, quality)) for n in range(len(SCALES)))
                for seed in (0, 1)
            )
            if 8 * sum(len(file.data) for file in files) >= LEAST_FLIPS:
                break
        return cls(codec, files, others, random.Random(seed))

    def bytes(self, count: int) -> bytes:
        """Random bytes, the same in every run."""
        return self.rng.randbytes(count)


def _encoded(codec: LayeredCodec, height: int, n: int, seed: int, quality: Sequence[float]) -> bytes:
    """File `n` of a kit, of its first pictures or of the others."""
    scales = SCALES[n] if codec.uppers else SCALES[0]
    picture = smooth_picture(height, height * 6 // 5, seed if codec.uppers else seed + 2 * n)
    guide = _guide(height, height * 6 // 5, n + seed, KEPT[n]) if codec.base.selective else None
    return codec.encode(picture, scales, quality[-len(scales) :], guide=guide)


def _guide(height: int, width: int, seed: int, share: float) -> Guide:
    """A label map of slanted fields, of which so many columns are kept."""
    y, x = np.mgrid[0:height, 0:width]
    labels = ((x + 2 * seed) // 9 + (2 * y + x // 3) // 13) % 4
    return guide_of(labels.astype(np.uint8), x < share * width)


def _split(fields: Sequence[Field], data: bytes, at: int) -> tuple[Part, int]:
    part: Part = {}
    for entry in fields:
        if entry.mask and part["flags"][0] & entry.mask != entry.value:
            continue
        size = entry.size or next(n for n in range(1, 9) if data[at + n - 1] < 0x80)
        part[entry.name], at = data[at : at + size], at + size
    return part, at


def varint(value: int) -> bytes:
    """LEB128."""
    return bytes([value & 0x7F | 0x80]) + varint(value >> 7) if value > 0x7F else bytes([value])
