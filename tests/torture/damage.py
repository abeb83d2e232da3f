"""Every way in which a stream is made bad, by name; `*` marks those whose checksums are made right again."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import permutations, product
from typing import Literal
from unittest import mock

from layered import stream
from layered.codec import LIMITS
from layered.entropy import payload as payloads
from layered.entropy.prior import Symbols
from layered.errors import CorruptStream
from layered.layer import Context, Layer
from tests.torture.forging import forged_adapters, forgeries, readings
from tests.torture.kit import HEAD, Bad, File, Kit, Part, varint

__all__ = ["KINDS", "streams_of"]

SEALED = 150  # payloads of a layer that are tried, as each is decoded to be made
SIZES = {entry.name: entry.size for entry in (*stream.PREAMBLE, *stream.HEADER)}
CHUNK_SIZES = {entry.name: entry.size for entry in stream.CHUNK}


def extremes(size: int, now: bytes, *bounds: int) -> list[bytes]:
    """Values for a field of `size` bytes (0: varint): the ends of its range, around `bounds`, and malformed ones."""
    top = 1 << (8 * size or 35)
    current = int.from_bytes(now, "little") if size else sum((byte & 0x7F) << 7 * i for i, byte in enumerate(now))
    near = {edge + step for edge in (current, top // 2, *bounds) for step in (-1, 0, 1)}
    near |= {0, 1, 2, 3, top - 2, top - 1, *(1 << bit for bit in range(0, 8 * size or 35, 1 if size == 1 else 7))}
    values = sorted(value for value in near if 0 <= value < top)
    if size:
        return [value.to_bytes(size, "little") for value in values]
    overlong = [now[:-1] + bytes([now[-1] | 0x80, 0])] if now else []
    malformed = [b"", b"\x80", b"\x80\0", b"\x80" * 6, b"\xff" * 5 + b"\1", b"\xff" * 12, varint(1 << 35)]
    return [varint(value) for value in values] + malformed + overlong


def header_edits(file: File) -> Iterator[Part]:
    """Headers with one field, or both sides, at an extreme; only the flag `exact` is never merely turned over."""
    height, width = file.pictures[-1].shape[:2]
    for name in HEAD:
        sides = (LIMITS.side, LIMITS.pixels // (width if name == "height" else height), width, height)
        bounds = {"layers": (LIMITS.layers, len(file.chunks)), "width": sides, "height": sides}.get(name, ())
        for value in extremes(SIZES[name], file.head[name], *bounds):
            if name != "flags" or value[0] ^ file.head["flags"][0] != stream.EXACT:
                yield {**file.head, name: value}
    for wide, high in product((1, 16, 17, 24, 65, 1023, 1024, 1025, 4096, 8191, 8192, 8193, 32768), repeat=2):
        yield {**file.head, "width": varint(wide), "height": varint(high)}


def chunk_edits(kit: Kit, file: File, k: int) -> Iterator[Part]:
    """Fields of chunk `k` at an extreme; sizes and adapters also put in or left out as the flags say."""
    (height, width), now = file.pictures[k].shape[:2], file.chunks[k]
    most = LIMITS.payload * width * height + LIMITS.payload_base
    qualities = tuple(int(edge * stream.QUALITY_UNIT) for edge in kit.codec.quality_range)
    edges = {"quality": qualities, "payload": (most,), "adapter": (LIMITS.adapter,)}
    for name, size in CHUNK_SIZES.items():
        for value in extremes(size, now.get(name, b""), *edges.get(name, (width, height, 24, 20, LIMITS.side))):
            yield {name: value}
    for wide, high in product((1, width - 1, width, width + 1, 24), (1, height - 1, height, height + 1, 20)):
        for flags in (0, stream.FULL_SIZE):
            yield {"flags": bytes([flags]), "width": varint(max(0, wide)), "height": varint(max(0, high))}
    yield {"flags": bytes([stream.FULL_SIZE]), "width": b"", "height": b""}
    for count in (0, 1, 2, 40, 4096):
        adapted = bytes([now["flags"][0] | stream.ADAPTER])
        yield {"flags": adapted, "adapter": varint(count), "weights": kit.bytes(count)}


def undamaged(kit: Kit) -> Iterator[Bad]:
    """The control: a decoder that refuses everything fails here."""
    yield from (Bad("", n, file.data, "plain") for n, file in enumerate(kit.files))


def truncations(kit: Kit) -> Iterator[Bad]:
    """Every one."""
    for n, file in enumerate(kit.files):
        yield from (Bad("", n, file.data[:length], "plain") for length in range(len(file.data)))


def flipped_bits(kit: Kit) -> Iterator[Bad]:
    """Every one."""
    for n, file in enumerate(kit.files):
        for bit in range(8 * len(file.data)):
            data = bytearray(file.data)
            data[bit // 8] ^= 1 << bit % 8
            yield Bad("", n, bytes(data), "plain")


def damaged_runs(kit: Kit) -> Iterator[Bad]:
    """Runs of bytes overwritten, taken out, or put in."""
    for _ in range(300):
        for n, file in enumerate(kit.files):
            at, count = kit.rng.randrange(len(file.data)), kit.rng.randint(1, 24)
            skip = kit.rng.choice((0, count, 2 * count))
            new = kit.rng.choice((kit.bytes(count), bytes(count), b""))
            yield Bad("", n, file.data[:at] + new + file.data[at + skip :], "plain")


def fields(kit: Kit, rule: Literal["plain", "repaired"]) -> Iterator[Bad]:
    """Every field of every header and chunk at its extremes."""
    for n, file in enumerate(kit.files):
        for head in header_edits(file):
            yield Bad("", n, file.put(head, repair=rule == "repaired"), rule)
        for k in range(len(file.chunks)):
            for edit in chunk_edits(kit, file, k):
                yield Bad("", n, file.put_chunk(k, rule == "repaired", **edit), rule)


def many_fields(kit: Kit) -> Iterator[Bad]:
    """Two or more fields at extremes at a time, checksums repaired."""
    heads = [list(header_edits(file)) for file in kit.files]
    edits = [[list(chunk_edits(kit, file, k)) for k in range(len(file.chunks))] for file in kit.files]
    for _ in range(400):
        for n, file in enumerate(kit.files):
            head = kit.rng.choice([file.head, kit.rng.choice(heads[n])])
            changed = [kit.rng.choice([{}, *kit.rng.choices(choices, k=2)]) for choices in edits[n]]
            chunks = [{**part, **edit} for part, edit in zip(file.chunks, changed, strict=True)]
            yield Bad("", n, file.put(head, chunks), "repaired")


def rearranged(kit: Kit, rule: Literal["plain", "repaired"]) -> Iterator[Bad]:
    """Chunks swapped, repeated, left out, and taken from another file, with and without their number set right."""
    for n, (file, other) in enumerate(zip(kit.files, kit.others, strict=True)):
        count = len(file.chunks)
        for length in range(1, count + 2):
            for order in product(range(count), repeat=length):
                for layers in {length, count}:
                    head = {**file.head, "layers": bytes([layers])}
                    chunks = [file.chunks[k] for k in order]
                    yield Bad("", n, file.put(head, chunks, rule == "repaired"), rule)
        # Where the lowest chunk is the file's own, so that layers above it must be its own too.
        for mask in product((False, True), repeat=count - 1):
            chunks = [(other if foreign else file).chunks[k] for k, foreign in enumerate((False, *mask))]
            yield Bad("", n, file.put(chunks=chunks, repair=rule == "repaired"), rule)


def damaged_payloads(kit: Kit) -> Iterator[Bad]:
    """Flips, cuts, zeros, ones, noise, longer payloads and foreign ones, checksums repaired."""
    for n, file in enumerate(kit.files):
        for k, part in enumerate(file.chunks):
            for payload in _damaged(kit, part["data"], [piece["data"] for piece in file.chunks]):
                yield Bad("", n, file.put_payload(k, payload), "repaired")


def _damaged(kit: Kit, payload: bytes, foreign: Sequence[bytes]) -> Iterator[bytes]:
    yield from foreign
    for at, byte in enumerate(payload):
        yield payload[:at]
        yield payload[:at] + payload[at + 1 :]
        flips = [byte ^ 1 << bit for bit in kit.rng.sample(range(8), 2)]
        for value in (0, 255, *flips, kit.rng.randrange(256)):
            yield payload[:at] + bytes([value]) + payload[at + 1 :]
    for length in (0, 4, 7, 8, 11, 12, 15, 16, 23, len(payload), len(payload) + 4, 4096, LIMITS.payload_base):
        yield from (bytes(length), b"\xff" * length, kit.bytes(length))
        yield payload[:7] + kit.bytes(length)  # behind the checksum and the length of the first string
        yield payload + bytes(length)
    words = [payload[at : at + 4] for at in range(7, len(payload), 4)]
    yield payload[:7] + b"".join(reversed(words))
    for size in extremes(3, payload[4:7], len(payload) - 7):
        yield payload[:4] + size + payload[7:]


def strings(kit: Kit) -> Iterator[Bad]:
    """The strings inside a payload swapped, left out, repeated, from another file, and their lengths at extremes."""
    for n, (file, other) in enumerate(zip(kit.files, kit.others, strict=True)):
        for k, (part, foreign) in enumerate(zip(file.chunks, other.chunks, strict=True)):
            count = len(kit.codec.layer(k).strings)
            seal, own = part["data"][:4], payloads.split_strings(part["data"], count)[1]
            theirs = payloads.split_strings(foreign["data"], count)[1]
            made = [list(order) for order in permutations(own)]
            for at, piece in enumerate(own):
                news = (b"", b"\0", piece + piece, piece + bytes(1), piece[::-1], theirs[at], *own)
                made += [[*own[:at], new, *own[at + 1 :]] for new in news]
            for pieces in made:
                yield Bad("", n, file.put_payload(k, seal + _joined(pieces)), "repaired")
            for at in range(4, 4 + 3 * (count - 1), 3):
                for size in extremes(3, part["data"][at : at + 3], len(part["data"]) - at, LIMITS.payload_base):
                    yield Bad("", n, file.put_payload(k, part["data"][:at] + size + part["data"][at + 3 :]), "repaired")


def _joined(pieces: Sequence[bytes]) -> bytes:
    return b"".join(len(piece).to_bytes(3, "little") for piece in pieces[:-1]) + b"".join(pieces)


def resealed(kit: Kit) -> Iterator[Bad]:
    """Payload damage that still decodes, with the checksum of its symbols right as well: arithmetic codes do."""
    for n, file in enumerate(kit.files):
        for k, (context, _) in enumerate(readings(kit.codec, file.data)):
            made = list(_damaged(kit, file.chunks[k]["data"], ()))
            for payload in kit.rng.sample(made, min(SEALED, len(made))):
                seal = _seal(kit.codec.layer(k), payload, context)
                if seal and seal + payload[4:] != file.chunks[k]["data"]:
                    changed = {**file.chunks[k], "payload": varint(len(payload)), "data": seal + payload[4:]}
                    yield Bad("", n, file.put(chunks=(*file.chunks[:k], changed)), "forged")


def _seal(layer: Layer, payload: bytes, context: Context) -> bytes:
    """The checksum that a decoder finds of what it reads; nothing where it finds that this cannot be read."""
    found: list[int] = []
    checksum = payloads._checksum

    def watched(symbols: Sequence[Symbols], context: Context) -> int:
        found.append(checksum(symbols, context))
        return found[-1]

    with suppress(CorruptStream), mock.patch.object(payloads, "_checksum", watched):
        layer.read(payload, context)
    return found[0].to_bytes(4, "little") if found else b""


def trailing(kit: Kit) -> Iterator[Bad]:
    """Bytes behind the last layer."""
    for n, file in enumerate(kit.files):
        tails = [bytes(1), bytes(4), bytes(4096), b"\n", file.data, kit.others[n].data, file.data[file.ends[0] :]]
        for tail in [*tails, *(kit.bytes(count) for count in range(1, 65))]:
            if tail:
                yield Bad("", n, file.data + tail, "plain")


def noise(kit: Kit) -> Iterator[Bad]:
    """Random bytes: alone, behind the magic, behind a right header, and as chunks with a right checksum."""
    for n, file in enumerate(kit.files):
        head = file.put(chunks=())
        for start in (b"", stream.MAGIC, stream.MAGIC + bytes([stream.VERSION]), head):
            yield from (Bad("", n, start + kit.bytes(kit.rng.choice((0, 1, 9, 80, 999))), "plain") for _ in range(60))
        for _ in range(60):
            body = file.chunks[0]["flags"] + kit.bytes(kit.rng.choice((1, 9, 60, 999)))
            crc = zlib.crc32(head + body)
            yield Bad("", n, head + body + crc.to_bytes(4, "little"), "repaired")


def exact_flags(kit: Kit) -> Iterator[Bad]:
    """The flag for float64 synthesis turned over, of each file and of each prefix of its layers."""
    for n, file in enumerate(kit.files):
        head = {**file.head, "flags": bytes([file.head["flags"][0] ^ stream.EXACT])}
        for count in range(1, len(file.chunks) + 1):
            yield Bad("", n, file.put(head, file.chunks[:count]), "exact")


KINDS: dict[str, Callable[[Kit], Iterator[Bad]]] = {
    "undamaged (control)": undamaged,
    "truncations": truncations,
    "flipped bits": flipped_bits,
    "damaged runs": damaged_runs,
    "fields": partial(fields, rule="plain"),
    "fields*": partial(fields, rule="repaired"),
    "several fields*": many_fields,
    "chunks rearranged": partial(rearranged, rule="plain"),
    "chunks rearranged*": partial(rearranged, rule="repaired"),
    "payload damage*": damaged_payloads,
    "strings of payloads*": strings,
    "payload damage, sealed*": resealed,
    "trailing bytes": trailing,
    "random bytes": noise,
    "exact flag*": exact_flags,
    "forged symbols": forgeries,
    "forged adapters": forged_adapters,
}


def streams_of(kit: Kit, kind: str) -> list[Bad]:
    """The streams of one kind, each once; edits that changed nothing are left out."""
    found = {
        (made.file, made.data): Bad(kind, made.file, made.data, made.rule)
        for made in KINDS[kind](kit)
        if made.data != kit.files[made.file].data or kind.startswith("undamaged")
    }
    return list(found.values())
