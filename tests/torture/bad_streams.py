"""More than ten thousand bad streams, each decoded in a process that may crash or hang without harm.

    python -m tests.torture.bad_streams [--weights NAME|tiny] [--out report.json]

Every stream is decoded strictly and leniently.  What must come out depends on how it was made:

- plain (checksums as they were): strictly, an error, or for a file cut at a layer's end the layers before it;
  leniently, exactly the layers before the first changed byte, or an error if there are none.
- repaired (checksums made right again): an error, or right pictures of a prefix of whole layers.
- exact (the flag for float64 synthesis turned over, checksums repaired): a change of arithmetic only, so the
  layers within one level of the right ones are legitimate.  Counted apart.
- forged (other symbols, properly coded, all checksums right): another legal stream, for whose pictures nothing
  is promised but their sizes and that decoding them again gives the same.  Counted apart.

Errors must be of the four kinds that a caller expects, and come within 5 CPU seconds; NumPy's warnings count as
errors of another kind.
Damage to entropy-coded bytes with only the checksum of the symbols repaired is not a kind of its own: the
coder refuses bytes that are not the exact code of their symbols, before that checksum is looked at.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import resource
import sys
import time
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args
from unittest import mock

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

import layered
from layered import stream
from layered.codec import LIMITS, LayeredCodec
from layered.errors import CorruptStream, LimitExceeded, OptionError, UnsupportedVersion, WrongModel
from layered.fields import Field
from layered.image import Image8
from layered.layer import Context, Latents, Layer
from tests.conftest import make_codec, smooth_picture, tiny_spec

REFUSALS = (CorruptStream, UnsupportedVersion, WrongModel, LimitExceeded)
SCALES = ((1.0,), (0.5, 1.0), (0.25, 0.5, 1.0))
LEAST, LEAST_FLIPS = 10_000, 4_000
SLOW = 5.0  # CPU seconds: what an idle machine would take, however busy this one is
TIMEOUT = 60.0  # seconds for both decodings of a stream; beyond it, the process hangs
HEAD = tuple(entry.name for entry in (*stream.PREAMBLE, *stream.HEADER))
BODY = (*(entry.name for entry in stream.CHUNK), "weights", "data")
SIZES = {entry.name: entry.size for entry in (*stream.PREAMBLE, *stream.HEADER)}
CHUNK_SIZES = {entry.name: entry.size for entry in stream.CHUNK}

Part: TypeAlias = dict[str, bytes]  # a header or a chunk, field by field; fields left out are empty
Rule: TypeAlias = Literal["plain", "repaired", "exact", "forged"]
Outcome: TypeAlias = Literal["raised", "legal", "other", "bad"]


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
    """What bad streams are made from: files of one, two and three layers, and others of the same sizes."""

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
            pictures = [smooth_picture(height, height * 6 // 5, k) for k in (0, 1)]
            files, others = (
                tuple(File.of(codec, codec.encode(picture, scales, quality[-len(scales) :])) for scales in SCALES)
                for picture in pictures
            )
            if 8 * sum(len(file.data) for file in files) >= LEAST_FLIPS:
                break
        return cls(codec, files, others, random.Random(seed))

    def bytes(self, count: int) -> bytes:
        """Random bytes, the same in every run."""
        return self.rng.randbytes(count)


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


def forgeries(kit: Kit) -> Iterator[Bad]:
    """Any symbols from zeros to the coder's largest, in each layer, coded as the encoder would."""
    for n, file in enumerate(kit.files):
        for k, (context, latents) in enumerate(_readings(kit.codec, file.data)):
            for size, part, spike in product((0, 1, 30, 10**3, 10**5, 2**26), range(len(latents.parts)), (0, 1)):
                wild = list(latents.parts)
                noise = torch.tensor([kit.rng.uniform(-size, size) for _ in range(wild[part].numel())])
                noise[1:] *= 1 - spike
                wild[part] = noise.view_as(wild[part]).to(wild[part].dtype)
                try:
                    payload = kit.codec.layer(k).write(Latents(tuple(wild)), context)
                except OptionError:  # the prior's means moved so far that the symbols are too large to code
                    continue
                changed = {**file.chunks[k], "payload": varint(len(payload)), "data": payload}
                yield Bad("", n, file.put(chunks=(*file.chunks[:k], changed)), "forged")
        yield Bad("", n, file.put_payload(0, kit.others[n].chunks[0]["data"]), "forged")


def _readings(codec: LayeredCodec, data: bytes) -> list[tuple[Context, Latents]]:
    """Each layer's context and latents, as the decoder had them."""
    found: list[tuple[Context, Latents]] = []

    def watched(layer: Layer) -> AbstractContextManager[object]:
        read = layer.read

        def reading(payload: bytes, context: Context) -> Latents:
            found.append((context, read(payload, context)))
            return found[-1][1]

        return mock.patch.object(layer, "read", reading)

    with watched(codec.layer(0)), watched(codec.layer(1)):
        codec.decode(data)
    return found


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
    "trailing bytes": trailing,
    "random bytes": noise,
    "exact flag*": exact_flags,
    "forged symbols": forgeries,
}


def streams_of(kit: Kit, kind: str) -> list[Bad]:
    """The streams of one kind, each once; edits that changed nothing are left out."""
    found = {
        (made.file, made.data): Bad(kind, made.file, made.data, made.rule)
        for made in KINDS[kind](kit)
        if made.data != kit.files[made.file].data or kind.startswith("undamaged")
    }
    return list(found.values())


def judge(decode: Callable[..., list[Image8]], bad: Bad, file: File, strict: bool) -> tuple[Outcome, str, float]:
    """What decoding gives, measured against the rule of `bad`, in words what is wrong with it, and CPU seconds."""
    start = time.process_time()
    outcome, wrong = _outcome(decode, bad, file, strict)
    seconds = time.process_time() - start
    return ("bad", f"took {seconds:.1f} s", seconds) if seconds > SLOW else (outcome, wrong, seconds)


def _outcome(decode: Callable[..., list[Image8]], bad: Bad, file: File, strict: bool) -> tuple[Outcome, str]:
    intact = sum(end <= _common(bad.data, file.data) for end in file.ends)
    if strict and not (len(bad.data) in file.ends and file.data.startswith(bad.data)):
        intact = 0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            found = decode(bad.data, strict=strict)
            again = decode(bad.data, strict=strict) if bad.rule == "forged" else found
    except REFUSALS as error:
        if bad.rule == "plain" and intact:
            return "bad", f"{intact} layers are whole, but: {error}"
        return ("bad", f"not one line: {error}") if "\n" in str(error) else ("raised", "")
    except Exception as error:
        return "bad", f"{type(error).__name__}: {error}"
    if bad.rule == "plain" and len(found) != intact:
        return "bad", f"{len(found)} pictures where {intact} layers are whole"
    right = file.pictures[: len(found)]
    if found and len(found) == len(right) and all(np.array_equal(a, b) for a, b in zip(found, right, strict=True)):
        return "legal", ""
    if bad.rule == "forged" and all(np.array_equal(a, b) for a, b in zip(found, again, strict=True)):
        sizes = [(picture.shape[1], picture.shape[0]) for picture in found]
        wanted = [(chunk.width, chunk.height) for chunk in stream.parse(bad.data).chunks]
        return ("other", "") if sizes == wanted else ("bad", f"sizes {sizes} instead of {wanted}")
    if bad.rule == "forged":
        return "bad", "decoding the same bytes twice gave different pictures"
    worst = max((_difference(a, b) for a, b in zip(found, right, strict=False)), default=256)
    if bad.rule == "exact" and len(found) == len(right) and worst <= 1:
        return "other", ""
    return "bad", f"{len(found)} pictures of a file of {len(file.pictures)}, those in common up to {worst} levels off"


def _common(a: bytes, b: bytes) -> int:
    """How many bytes `a` and `b` start with in common."""
    return next((at for at, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _difference(a: Image8, b: Image8) -> int:
    return int(np.abs(a.astype(int) - b).max()) if a.shape == b.shape else 256


@dataclass(frozen=True)
class Verdict:
    """The outcomes of strict and lenient decoding, what is wrong, CPU seconds of the slower, peak memory in bytes."""

    outcomes: tuple[Outcome, Outcome]
    wrong: str = ""
    seconds: float = 0.0
    peak: int = 0


class Worker:
    """A process that judges streams; one that dies, or needs longer than `timeout` seconds, is replaced."""

    def __init__(self, serve: Callable[..., None], *given: Any, timeout: float = TIMEOUT, method: str = "spawn"):
        self.serve, self.given, self.timeout = serve, given, timeout
        self.context: Any = multiprocessing.get_context(method)
        self.first_peak = self._start()

    def judge(self, bad: Bad) -> Verdict:
        """The verdict on one stream, bad if the process crashed or hung."""
        try:
            self.connection.send(bad)
            if self.connection.poll(self.timeout):
                verdict: Verdict = self.connection.recv()
                return verdict
            wrong = f"no answer in {self.timeout:g} s"
        except (EOFError, OSError):
            self.process.join()
            wrong = f"the process died with exit code {self.process.exitcode}"
        self.close()
        self._start()
        return Verdict(("bad", "bad"), wrong, self.timeout)

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _start(self) -> int:
        self.connection, theirs = self.context.Pipe()
        self.process = self.context.Process(target=self.serve, args=(theirs, *self.given), daemon=True)
        self.process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        peak: int = self.connection.recv()
        return peak


def serve(connection: Connection, weights: str, files: Sequence[File]) -> None:
    """The worker's loop: its peak memory once it has decoded the good files, then a verdict for each stream."""
    codec = load(weights)
    for file in files:
        codec.decode(file.data)
    connection.send(peak_memory())
    while True:
        bad: Bad = connection.recv()
        strictly, leniently = (judge(codec.decode, bad, files[bad.file], strict) for strict in (True, False))
        wrong = f"strict: {strictly[1]}; lenient: {leniently[1]}"
        outcomes, seconds = (strictly[0], leniently[0]), max(strictly[2], leniently[2])
        connection.send(Verdict(outcomes, wrong, seconds, peak_memory()))


def peak_memory() -> int:
    """Bytes this process has had in memory at most; from /proc, where getrusage would count a parent's as well."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(status.read_text().split("VmHWM:")[1].split()[0]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def load(weights: str) -> LayeredCodec:
    """The codec of these weights, or the tests' small one, on one thread."""
    torch.set_num_threads(1)
    return make_codec(tiny_spec()) if weights == "tiny" else layered.load(weights)


@dataclass
class Row:
    """One kind in the report: outcomes by name, streams with a bad one, CPU seconds of the slowest decoding."""

    kind: str
    count: int
    strict: dict[str, int] = field(default_factory=lambda: dict.fromkeys(get_args(Outcome), 0))
    lenient: dict[str, int] = field(default_factory=lambda: dict.fromkeys(get_args(Outcome), 0))
    bad: int = 0
    slowest: float = 0.0
    examples: list[dict[str, str]] = field(default_factory=list)

    def add(self, made: Bad, verdict: Verdict) -> None:
        """Count one verdict."""
        self.strict[verdict.outcomes[0]] += 1
        self.lenient[verdict.outcomes[1]] += 1
        self.slowest = max(self.slowest, verdict.seconds)
        if "bad" in verdict.outcomes:
            self.bad += 1
            if len(self.examples) < 10:
                self.examples.append({"wrong": verdict.wrong, "hex": made.data[:4096].hex()})


def run(weights: str, console: Console) -> tuple[list[Row], int, int]:
    """All kinds, judged in a worker: the rows, and the worker's peak memory before and after."""
    kit = Kit.of(load(weights))
    streams = {kind: streams_of(kit, kind) for kind in KINDS}
    rows = [Row(kind, len(made)) for kind, made in streams.items()]
    worker = Worker(serve, weights, kit.files)
    peak = worker.first_peak
    with Progress(console=console) as progress:
        task = progress.add_task("", total=sum(row.count for row in rows))
        for row in rows:
            progress.update(task, description=row.kind)
            for made in streams[row.kind]:
                verdict = worker.judge(made)
                row.add(made, verdict)
                peak = max(peak, verdict.peak)
                progress.advance(task)
    worker.close()
    return rows, worker.first_peak, peak


def show(rows: Sequence[Row], console: Console) -> None:
    """The table, and what is wrong, if anything."""
    table = Table(
        title="outcomes of strict / lenient decoding; *: checksums repaired",
        caption="legal: right pictures of all layers or the first ones; other: exact flag turned, or forged symbols",
    )
    table.add_column("kind", no_wrap=True)
    for name in ("count", "raised", "legal", "other", "bad", "CPU s"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        pairs = [f"{row.strict[name]} / {row.lenient[name]}" for name in ("raised", "legal", "other")]
        table.add_row(row.kind, str(row.count), *pairs, str(row.bad), f"{row.slowest:.2f}")
    console.print(table)
    for row in rows:
        for example in row.examples[:3]:
            console.print(f"{row.kind}: {example['wrong']}\n  {example['hex'][:600]}", highlight=False)


def main() -> int:
    """The script; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--weights", default="tiny", help="bundled name or file; tiny: the tests' untrained codec")
    parser.add_argument("--out", type=Path, help="write the counts, and the bad streams in hexadecimal, as JSON")
    options, console = parser.parse_args(), Console()
    start = time.perf_counter()
    try:
        rows, first, peak = run(options.weights, console)
    except OptionError as error:
        console.print(f"error: {error}")
        return 2
    show(rows, console)
    count, bad, slowest = sum(r.count for r in rows), sum(r.bad for r in rows), max(r.slowest for r in rows)
    console.print(
        f"{count} streams, {bad} bad; slowest {slowest:.2f} CPU s; peak memory of the worker {peak / 2**20:.0f} MiB, "
        f"{first / 2**20:.0f} MiB before the first bad stream; {time.perf_counter() - start:.0f} s in all"
    )
    if options.out:
        totals = {"streams": count, "bad": bad, "slowest": slowest, "peak_bytes": peak, "first_peak_bytes": first}
        options.out.write_text(json.dumps({**totals, "kinds": [asdict(row) for row in rows]}, indent=1) + "\n")
    if count < LEAST:
        console.print(f"only {count} streams were made, {LEAST} are promised")
    return int(bad > 0 or count < LEAST)


if __name__ == "__main__":
    sys.exit(main())
