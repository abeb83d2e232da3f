"""The file format: what it spends, what it refuses, and that only its own errors come out of any bytes."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
import zlib
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from layered.codec import LIMITS
from layered.commands.info import describe
from layered.errors import (
    CorruptStream,
    LayeredError,
    LimitExceeded,
    OptionError,
    UnsupportedVersion,
    WrongModel,
)
from layered.stream import (
    Chunk,
    Header,
    Limits,
    Stream,
    pack,
    parse,
    require_digest,
    stored_quality,
)

DIGEST = bytes.fromhex("0123456789ab")
GOLDEN = "894c5952 01 01 02 0123456789ab 9006 3f" + (
    "01 c803 20 4001 03 02 aabb 010203 8098d810"  # 456x32, quality 1.25, payload 010203, adapter aabb
    "02 0008 00 9f9d9b09"  # full size, quality 8, no payload
)
TWO = (Chunk(456, 32, 1.25, b"\1\2\3", b"\xaa\xbb"), Chunk(784, 63, 8.0, b""))
TWO_HEADER = Header(1, DIGEST, 784, 63, 2, exact=True)

sides = st.one_of(st.integers(1, 200), st.integers(1, 32768))


@st.composite
def streams(draw: st.DrawFn) -> tuple[Header, list[Chunk]]:
    width, height = draw(sides), draw(st.integers(1, 8192))
    count = draw(st.integers(1, 4))
    widths = sorted(draw(st.lists(st.integers(1, width), min_size=count, max_size=count)))
    heights = sorted(draw(st.lists(st.integers(1, height), min_size=count, max_size=count)))
    if draw(st.booleans()):
        widths[-1], heights[-1] = width, height
    chunks = [
        Chunk(
            w,
            h,
            draw(st.integers(0, 65535)) / 256,
            draw(st.binary(max_size=300)),
            draw(st.binary(max_size=9)),
        )
        for w, h in zip(widths, heights, strict=True)
    ]
    written = draw(st.integers(count, 64))
    return Header(
        1, draw(st.binary(min_size=6, max_size=6)), width, height, written, draw(st.booleans())
    ), chunks


def three() -> bytes:
    """A small stream of three layers of one size, so that only the checksums tell them apart."""
    chunks = [Chunk(20, 10, 1.0 + k, bytes(range(k, k + 5)), b"ad" * (k == 1)) for k in range(3)]
    return pack(Header(1, DIGEST, 20, 10, 3), chunks)


def sealed(head: str, *bodies: str) -> bytes:
    """A file written by hand with right checksums: hex of the header and of each chunk without its CRC."""
    data = bytes.fromhex(head)
    crc = zlib.crc32(data)
    for body in map(bytes.fromhex, bodies):
        crc = zlib.crc32(body, crc)
        data += body + crc.to_bytes(4, "little")
    return data


HEAD = "894c5952 01 00 01 0123456789ab"


def test_format_is_frozen_in_golden_bytes() -> None:
    assert pack(TWO_HEADER, TWO).hex() == GOLDEN.replace(" ", "")
    stream = parse(bytes.fromhex(GOLDEN))
    assert stream == Stream(TWO_HEADER, TWO, ends=(33, 41))


@settings(max_examples=150)
@given(streams())
def test_parse_inverts_pack_and_pack_inverts_parse(made: tuple[Header, list[Chunk]]) -> None:
    header, chunks = made
    data = pack(header, chunks)
    stream = parse(data)
    assert (stream.header, list(stream.chunks)) == (header, chunks)
    assert stream.dropped is None and stream.ends[-1] == len(data)
    assert pack(stream.header, stream.chunks) == data
    assert parse(data, strict=False) == stream


@pytest.mark.parametrize("size", [(1, 1), (127, 128), (16383, 16383), (16383, 1)])
@pytest.mark.parametrize("payload", [0, 127, 128, 2**16, 2**21])
def test_one_layer_costs_at_most_32_bytes_besides_its_payload(size: tuple[int, int], payload: int) -> None:
    limits = Limits(payload_base=2**21)
    for layer in (size, (max(1, size[0] // 2), size[1])):
        data = pack(Header(1, DIGEST, *size, 1, exact=True), [Chunk(*layer, 3.7, bytes(payload))], limits)
        assert len(data) - payload <= 32
        assert parse(data, limits=limits).chunks[0].quality == stored_quality(3.7)


def test_every_prefix_is_a_shorter_stream_at_layer_ends_and_corrupt_elsewhere() -> None:
    data = three()
    whole = parse(data)
    for length in range(len(data)):
        if length in whole.ends:
            part = parse(data[:length])
            kept = whole.ends.index(length) + 1
            assert part.chunks == whole.chunks[:kept] and part.ends == whole.ends[:kept]
            assert part.header == whole.header and part.dropped is None
            assert pack(part.header, part.chunks) == data[:length]
        else:
            with pytest.raises(CorruptStream):
                parse(data[:length])


def test_every_flipped_bit_is_refused() -> None:
    data = three()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises((CorruptStream, UnsupportedVersion, LimitExceeded)):
            parse(bytes(damaged))


def test_every_flipped_bit_costs_at_most_the_layers_from_there_on_when_lenient() -> None:
    data = three()
    whole = parse(data)
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        intact = sum(end <= bit // 8 for end in whole.ends)
        if intact:
            stream = parse(bytes(damaged), strict=False)
            assert stream.chunks == whole.chunks[:intact] and stream.ends == whole.ends[:intact]
            assert stream.dropped is not None and f"layer {intact}" in stream.dropped
        else:
            with pytest.raises((CorruptStream, UnsupportedVersion, LimitExceeded)):
                parse(bytes(damaged), strict=False)


def test_lenient_parsing_of_every_truncation_keeps_the_whole_layers() -> None:
    data = three()
    ends = parse(data).ends
    for length in range(len(data)):
        if length < ends[0]:
            with pytest.raises(CorruptStream):
                parse(data[:length], strict=False)
        else:
            stream = parse(data[:length], strict=False)
            assert stream.ends == tuple(end for end in ends if end <= length)
            assert (stream.dropped is None) == (length in ends)


@pytest.mark.parametrize(
    "order", [(1, 0, 2), (0, 2, 1), (2, 1, 0), (0, 0, 1), (0, 1, 1), (0, 0, 0), (1,), (0, 2), (0, 1, 2, 2)]
)
def test_swapped_repeated_and_missing_chunks_are_refused(order: tuple[int, ...]) -> None:
    data = three()
    ends = parse(data).ends
    head = ends[0] - (1 + 2 + 1 + 5 + 4)  # what the first chunk takes, adapter-free and of full size
    pieces = [data[head : ends[0]], data[ends[0] : ends[1]], data[ends[1] :]]
    assert data[:head] + b"".join(pieces) == data
    with pytest.raises(CorruptStream):
        parse(data[:head] + b"".join(pieces[k] for k in order))


def test_equal_chunks_in_a_row_have_different_checksums() -> None:
    data = pack(Header(1, DIGEST, 9, 9, 3), [Chunk(9, 9, 1.0, b"same")] * 3)
    stream = parse(data)
    assert len({data[end - 4 : end] for end in stream.ends}) == 3


def test_a_chunk_of_another_stream_is_refused() -> None:
    header = Header(1, DIGEST, 20, 10, 2)
    one = pack(header, [Chunk(20, 10, 1.0, b"first"), Chunk(20, 10, 2.0, b"second")])
    two = pack(header, [Chunk(20, 10, 1.0, b"other"), Chunk(20, 10, 2.0, b"second")])
    cut = parse(one).ends[0]
    with pytest.raises(CorruptStream, match="layer 1: checksum"):
        parse(one[:cut] + two[cut:])


def test_trailing_bytes_raise_and_are_dropped_when_lenient() -> None:
    data = three()
    with pytest.raises(CorruptStream, match="4 bytes follow"):
        parse(data + b"junk")
    stream = parse(data + b"junk", strict=False)
    assert len(stream.chunks) == 3 and "4 bytes follow" in str(stream.dropped)


@pytest.mark.parametrize(
    ("head", "body", "error", "match"),
    [
        ("00000000 01 00 01 0123456789ab 08 08", "02 0001 00", CorruptStream, "not a layered stream"),
        ("894c5952 00 00 01 0123456789ab 08 08", "02 0001 00", UnsupportedVersion, "version 0"),
        ("894c5952 ff ff ff", "", UnsupportedVersion, "version 255"),
        ("894c5952 01 02 01 0123456789ab 08 08", "02 0001 00", CorruptStream, "unknown flags"),
        ("894c5952 01 00 00 0123456789ab 08 08", "02 0001 00", CorruptStream, "0 layers"),
        ("894c5952 01 00 41 0123456789ab 08 08", "02 0001 00", LimitExceeded, "65 layers"),
        (HEAD + "00 08", "02 0001 00", CorruptStream, "0x8"),
        (HEAD + "08 00", "02 0001 00", CorruptStream, "8x0"),
        (HEAD + "818002 01", "02 0001 00", LimitExceeded, "32769x1"),
        (HEAD + "808002 818001", "02 0001 00", LimitExceeded, "32768x16385"),
        (HEAD + "ffffffff7f ffffffff7f", "02 0001 00", LimitExceeded, "beyond"),
        (HEAD + "8800 08", "02 0001 00", CorruptStream, "width is not in its shortest form"),
        (HEAD + "8080808000 08", "02 0001 00", CorruptStream, "shortest form"),
        (HEAD + "808080808001 08", "02 0001 00", CorruptStream, "longer than 5 bytes"),
        (HEAD + "08 08", "04 08 08 0001 00", CorruptStream, "unknown flags 0x04"),
        (HEAD + "08 08", "00 08 08 0001 00", CorruptStream, "disagree"),
        (HEAD + "08 08", "03 0001 00 00", CorruptStream, "disagree"),
        (HEAD + "08 08", "00 09 08 0001 00", CorruptStream, "9x8"),
        (HEAD + "08 08", "00 00 08 0001 00", CorruptStream, "0x8"),
        (HEAD + "08 08", "02 0001 8000", CorruptStream, "payload is not in its shortest form"),
        (HEAD + "08 08", "02 0001 ffffffff7f", LimitExceeded, "payload of 34359738367 bytes"),
        (HEAD + "08 08", "03 0001 00 ffffffff7f", LimitExceeded, "adapter of 34359738367 bytes"),
        (HEAD + "08 08", "02 0001 ffff03", CorruptStream, "truncated, 65535 bytes are missing"),
    ],
)
def test_wrong_fields_with_right_checksums_are_named(
    head: str, body: str, error: type[Exception], match: str
) -> None:
    with pytest.raises(error, match=match):
        parse(sealed(head, body))


def test_extreme_but_legal_fields_are_read() -> None:
    stream = parse(sealed("894c5952 01 01 40 ffffffffffff 808002 8040", "00 01 01 0000 00", "02 ffff 00"))
    assert stream.header == Header(1, b"\xff" * 6, 32768, 8192, 64, True)
    assert stream.chunks == (Chunk(1, 1, 0.0, b""), Chunk(32768, 8192, 65535 / 256, b""))


def test_layers_that_shrink_on_either_axis_are_refused() -> None:
    head = HEAD.replace("01 00 01", "01 00 02") + "0808"
    for first, second in (("0404", "0304"), ("0404", "0403"), ("0404", "0803")):
        with pytest.raises(CorruptStream, match="layer 1"):
            parse(sealed(head, f"00{first}000100", f"00{second}000100"))
    assert len(parse(sealed(head, "000404000100", "000804000100")).chunks) == 2


def test_callers_limits_are_kept() -> None:
    data = three()
    for limits in (
        Limits(pixels=199),
        Limits(side=19),
        Limits(layers=2),
        Limits(payload=0, payload_base=4),
        Limits(adapter=1),
        Limits(total=sum(chunk.width * chunk.height for chunk in parse(data).chunks) - 1),
    ):
        with pytest.raises(LimitExceeded):
            parse(data, limits=limits)
    exact = Limits(pixels=200, side=20, layers=3, payload=0, payload_base=5, adapter=2)
    assert len(parse(data, limits=exact).chunks) == 3


def test_many_large_layers_are_refused_by_their_pixels_together() -> None:
    full = Chunk(4096, 4096, 1.0, b"")
    header = Header(1, DIGEST, 4096, 4096, 64)
    assert len(parse(pack(header, [full] * 16), limits=LIMITS).chunks) == 16
    data = pack(header, [full] * 17)
    with pytest.raises(LimitExceeded, match="layers of 285212672 pixels together"):
        parse(data, limits=LIMITS)
    assert len(parse(data, strict=False, limits=LIMITS).chunks) == 16
    with pytest.raises(LimitExceeded, match="together"):
        pack(header, [full] * 17, LIMITS)


def test_limits_beyond_the_base_layer_drop_the_tail_when_lenient() -> None:
    stream = parse(three(), strict=False, limits=Limits(adapter=1))
    assert len(stream.chunks) == 1 and "adapter of 2 bytes" in str(stream.dropped)


def test_a_huge_declared_payload_takes_no_memory() -> None:
    data = sealed(HEAD + "808001 808001", "02 0001 ffffffff07")  # 16384 x 16384 and 2 GiB - 1
    tracemalloc.start()
    with pytest.raises(CorruptStream, match="truncated"):
        parse(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100_000


@settings(max_examples=400)
@given(
    st.binary(max_size=80),
    st.sampled_from([b"", b"\x89LYR", b"\x89LYR\1", bytes.fromhex(HEAD)]),
    st.booleans(),
)
def test_random_bytes_raise_only_layered_errors(tail: bytes, head: bytes, strict: bool) -> None:
    with pytest.raises((CorruptStream, UnsupportedVersion, LimitExceeded)):
        parse(head + tail, strict)


@settings(max_examples=400)
@given(st.data())
def test_damage_with_repaired_checksums_gives_a_canonical_stream_or_an_error(data: st.DataObject) -> None:
    head = bytearray.fromhex(HEAD + "1408")
    body = bytearray.fromhex("01 10 07 0001 03 02 aabb 010203")
    for part in (head, body):
        for _ in range(data.draw(st.integers(0, 2))):
            part[data.draw(st.integers(0, len(part) - 1))] = data.draw(st.integers(0, 255))
    made = sealed(head.hex(), body.hex())
    try:
        stream = parse(made)
    except (CorruptStream, UnsupportedVersion, LimitExceeded):
        return
    assert pack(stream.header, stream.chunks) == made
    chunk = stream.chunks[0]
    assert 1 <= chunk.width <= stream.header.width <= 32768
    assert 1 <= chunk.height <= stream.header.height <= 32768


@pytest.mark.parametrize(
    ("header", "chunks", "error"),
    [
        (replace(TWO_HEADER, version=2), TWO, OptionError),
        (replace(TWO_HEADER, digest=b"short"), TWO, OptionError),
        (TWO_HEADER, (), OptionError),
        (TWO_HEADER, (*TWO, TWO[1]), OptionError),
        (TWO_HEADER, TWO[::-1], OptionError),
        (replace(TWO_HEADER, width=0), TWO, OptionError),
        (replace(TWO_HEADER, layers=256), TWO, OptionError),
        (replace(TWO_HEADER, layers=65), TWO, LimitExceeded),
        (replace(TWO_HEADER, width=32769), TWO, LimitExceeded),
        (TWO_HEADER, (replace(TWO[0], width=785),), OptionError),
        (TWO_HEADER, (replace(TWO[0], height=0),), OptionError),
        (TWO_HEADER, (replace(TWO[0], quality=256.0),), OptionError),
        (TWO_HEADER, (replace(TWO[0], quality=-0.1),), OptionError),
        (TWO_HEADER, (replace(TWO[0], quality=float("nan")),), OptionError),
        (TWO_HEADER, (replace(TWO[0], payload=bytes(8 * 456 * 32 + 2**16 + 1)),), LimitExceeded),
        (TWO_HEADER, (replace(TWO[0], adapter=bytes(2**24 + 1)),), LimitExceeded),
    ],
)
def test_pack_writes_nothing_that_parse_would_refuse(
    header: Header, chunks: tuple[Chunk, ...], error: type[LayeredError]
) -> None:
    with pytest.raises(error):
        pack(header, chunks)


def test_stored_quality_is_the_nearest_multiple_of_a_256th() -> None:
    assert stored_quality(1.0) == 1.0
    assert stored_quality(3.1) == 794 / 256
    assert stored_quality(stored_quality(3.1)) == stored_quality(3.1)
    with pytest.raises(OptionError):
        stored_quality(256)


def test_another_models_digest_is_refused_by_name() -> None:
    require_digest(TWO_HEADER, DIGEST, "base")
    require_digest(TWO_HEADER, DIGEST + b"the rest of a longer digest", "base")
    with pytest.raises(WrongModel, match=r"0123456789ab.*base is 0123456789ac"):
        require_digest(TWO_HEADER, bytes.fromhex("0123456789ac"), "base")


def test_description_accounts_for_every_byte_and_is_json() -> None:
    data = bytes.fromhex(GOLDEN)
    summary = describe(parse(data))
    assert json.loads(json.dumps(summary)) == summary
    assert summary["model"] == "0123456789ab" and summary["layers_written"] == 2 and summary["exact"]
    first, second = summary["layers"]
    assert first["bytes"] + second["bytes"] == second["accumulated"] == len(data)
    assert (first["payload"], first["adapter"], first["quality"]) == (3, 2, 1.25)
    assert first["bpp"] == 8 * 33 / (456 * 32) and second["bpp"] == 8 * 41 / (784 * 63)


def test_reading_a_stream_loads_no_heavy_package() -> None:
    code = "import sys, layered.stream; print({'numpy', 'torch', 'compressai', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
