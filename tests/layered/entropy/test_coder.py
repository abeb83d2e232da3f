"""The guarded rANS coder: CompressAI's bytes for good input, an error for everything else."""

from __future__ import annotations

import time
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from compressai import ans
from compressai.entropy_models import EntropyBottleneck, GaussianConditional
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from layered.entropy import coder
from layered.entropy.coder import MAX_SYMBOL, Tables, decode_symbols, encode_symbols
from layered.errors import CorruptStream, OptionError

Symbols = NDArray[np.int32]


@lru_cache
def model(kind: str) -> Any:
    """A real CompressAI entropy model with its tables built."""
    torch.manual_seed(1)
    if kind == "bottleneck":
        bottleneck = EntropyBottleneck(6)
        bottleneck.quantiles.data[:, 0, 0] -= torch.arange(6) * 3.7
        bottleneck.update(force=True)
        return bottleneck
    gaussian = GaussianConditional(torch.exp(torch.linspace(np.log(0.11), np.log(64.0), 16)).tolist())
    gaussian.update()
    return gaussian


@lru_cache
def tables(kind: str) -> Tables:
    return Tables.of(model(kind))


kinds = st.sampled_from(["bottleneck", "gaussian"])
values = st.one_of(st.integers(-3, 3), st.integers(-500, 500), st.integers(-MAX_SYMBOL, MAX_SYMBOL))


@st.composite
def inputs(draw: st.DrawFn, least: int = 0) -> tuple[str, Symbols, Symbols]:
    kind = draw(kinds)
    indexes = draw(st.lists(st.integers(0, len(tables(kind).cdfs) - 1), min_size=least, max_size=60))
    symbols = draw(st.lists(values, min_size=len(indexes), max_size=len(indexes)))
    return kind, np.array(symbols, dtype=np.int32), np.array(indexes, dtype=np.int32)


def gaussian_input(count: int, seed: int = 0) -> tuple[Symbols, Symbols]:
    """Symbols drawn as their tables expect."""
    rng = np.random.default_rng(seed)
    indexes = rng.integers(0, 16, count)
    scales = np.exp(np.linspace(np.log(0.11), np.log(64.0), 16))[indexes]
    return np.rint(rng.normal(0, scales)).astype(np.int32), indexes.astype(np.int32)


@settings(max_examples=300)
@given(inputs())
def test_decoding_inverts_encoding(made: tuple[str, Symbols, Symbols]) -> None:
    kind, symbols, indexes = made
    data = encode_symbols(symbols, indexes, tables(kind))
    decoded = decode_symbols(data, indexes, tables(kind))
    assert decoded.dtype == np.int32 and np.array_equal(decoded, symbols)
    assert len(data) == 0 if symbols.size == 0 else len(data) >= 8 and len(data) % 4 == 0


@settings(max_examples=200)
@given(inputs(least=3))
def test_bytes_equal_compressais_own(made: tuple[str, Symbols, Symbols]) -> None:
    kind, symbols, indexes = made
    whole = model(kind)
    expected = ans.RansEncoder().encode_with_indexes(
        symbols.tolist(), indexes.tolist(), whole.quantized_cdf.tolist(),
        whole.cdf_length.tolist(), whole.offset.tolist(),
    )  # fmt: skip
    assert encode_symbols(symbols, indexes, tables(kind)) == expected


def test_arrays_of_any_shape_and_integer_type_are_taken_in_c_order() -> None:
    symbols, indexes = gaussian_input(24)
    data = encode_symbols(symbols, indexes, tables("gaussian"))
    shaped = symbols.reshape(2, 3, 4).astype(np.int64), indexes.reshape(2, 3, 4).astype(np.uint8)
    assert encode_symbols(*shaped, tables("gaussian")) == data
    assert encode_symbols(torch.from_numpy(symbols), indexes.tolist(), tables("gaussian")) == data
    turned = np.asfortranarray(shaped[0]), np.asfortranarray(shaped[1])
    assert encode_symbols(*turned, tables("gaussian")) == data
    assert np.array_equal(decode_symbols(data, shaped[1], tables("gaussian")), symbols)


@pytest.mark.parametrize("kind", ["bottleneck", "gaussian"])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("value", [0, 1, -17, 4000, MAX_SYMBOL, -MAX_SYMBOL])
def test_fewer_than_three_symbols_survive(kind: str, count: int, value: int) -> None:
    indexes = np.full(count, len(tables(kind).cdfs) - 1)
    data = encode_symbols(np.full(count, value), indexes, tables(kind))
    assert decode_symbols(data, indexes, tables(kind)).tolist() == [value] * count
    if abs(value) <= 1:
        assert len(data) == 8  # the dummies cost nothing that shows


def test_two_symbols_are_not_the_code_of_three() -> None:
    symbols, indexes = np.array([3, -4]), np.array([9, 9])
    three = encode_symbols([3, -4, 5], [9, 9, 0], tables("gaussian"))
    with pytest.raises(CorruptStream):
        decode_symbols(three, indexes, tables("gaussian"))
    assert encode_symbols(symbols, indexes, tables("gaussian")) != three


def test_no_symbols_are_no_bytes_and_nothing_else() -> None:
    empty = np.zeros((0, 4), dtype=np.int32)
    assert encode_symbols(empty, empty, tables("gaussian")) == b""
    assert decode_symbols(b"", empty, tables("gaussian")).shape == (0,)
    with pytest.raises(CorruptStream):
        decode_symbols(bytes(8), empty, tables("gaussian"))


@pytest.mark.parametrize(
    ("symbols", "indexes", "match"),
    [
        ([0, 0, MAX_SYMBOL + 1], [0, 0, 0], "beyond"),
        ([0, 0, -MAX_SYMBOL - 1], [0, 0, 0], "beyond"),
        (np.array([np.iinfo(np.int32).min] * 3, dtype=np.int32), [0, 0, 0], "beyond"),
        ([0, 0, 2**62], [0, 0, 0], "beyond"),
        ([0.0, float("nan"), 1.0], [0, 0, 0], "symbols must be integers"),
        ([0, 1, 2], [0.0, 0.0, 0.0], "indexes must be integers"),
        ([True, False, True], [0, 0, 0], "symbols must be integers"),
        ([0, 0, 0], [0, -1, 0], "table indexes"),
        ([0, 0, 0], [0, 16, 0], "there are 16 tables"),
        ([0, 0, 0], [0, 2**40, 0], "there are 16 tables"),
        ([0, 0, 0], [0, 0], "3 symbols but 2"),
        ([], [0], "0 symbols but 1"),
    ],
)
def test_encoder_refuses_what_would_crash_or_hang_the_coder(symbols: Any, indexes: Any, match: str) -> None:
    with pytest.raises(OptionError, match=match):
        encode_symbols(symbols, indexes, tables("gaussian"))


@pytest.mark.parametrize("indexes", [[0, 16, 0], [-1, 0, 0], [0.5, 0.5, 0.5]])
def test_decoder_refuses_indexes_out_of_range(indexes: Any) -> None:
    with pytest.raises(OptionError):
        decode_symbols(bytes(8), indexes, tables("gaussian"))


def test_every_truncation_and_extension_is_refused() -> None:
    symbols, indexes = gaussian_input(200)
    data = encode_symbols(symbols, indexes, tables("gaussian"))
    for length in range(len(data)):
        with pytest.raises(CorruptStream):
            decode_symbols(data[:length], indexes, tables("gaussian"))
    for junk in (b"\0", bytes(4), b"\xff" * 4, bytes(4000)):
        with pytest.raises(CorruptStream):
            decode_symbols(data + junk, indexes, tables("gaussian"))


def flipped(data: bytes) -> list[bytes]:
    whole = int.from_bytes(data, "little")
    return [(whole ^ 1 << bit).to_bytes(len(data), "little") for bit in range(8 * len(data))]


@pytest.mark.parametrize("count", [1, 2, 3, 60, 200])
def test_every_flipped_bit_is_refused(count: int) -> None:
    symbols, indexes = gaussian_input(count, seed=count)
    for damaged in flipped(encode_symbols(symbols, indexes, tables("gaussian"))):
        with pytest.raises(CorruptStream):
            decode_symbols(damaged, indexes, tables("gaussian"))


@pytest.mark.parametrize("kind", ["bottleneck", "gaussian"])
@pytest.mark.parametrize("count", [1, 2, 3, 60])
def test_every_flipped_bit_among_escapes_is_refused_or_shows_in_the_symbols(kind: str, count: int) -> None:
    """Escapes hold raw bits: one that flips may give the exact code of another symbol."""
    symbols, indexes = 40 * np.arange(count) + 7, np.arange(count) % 3
    data = encode_symbols(symbols, indexes, tables(kind))
    for damaged in flipped(data):
        try:
            other = decode_symbols(damaged, indexes, tables(kind))
        except CorruptStream:
            continue
        assert not np.array_equal(other, symbols)
        assert encode_symbols(other, indexes, tables(kind)) == damaged


def test_every_index_off_by_one_is_refused_or_shows_in_the_symbols() -> None:
    symbols, indexes = gaussian_input(60)
    data = encode_symbols(symbols, indexes, tables("gaussian"))
    for k in range(60):
        wrong = indexes.copy()
        wrong[k] += 1 if wrong[k] < 15 else -1
        try:
            assert not np.array_equal(decode_symbols(data, wrong, tables("gaussian")), symbols)
        except CorruptStream as error:
            assert "damaged" in str(error)


def test_the_code_of_other_symbols_decodes_to_those() -> None:
    """Nothing in the bytes tells them apart: whoever stores them keeps a checksum of the symbols."""
    symbols, indexes = gaussian_input(60)
    other = symbols + 1
    data = encode_symbols(other, indexes, tables("gaussian"))
    assert np.array_equal(decode_symbols(data, indexes, tables("gaussian")), other)


def test_other_tables_are_refused() -> None:
    symbols, indexes = gaussian_input(200)
    data = encode_symbols(symbols, indexes % 6, tables("gaussian"))
    with pytest.raises(CorruptStream, match="other tables"):
        decode_symbols(data, indexes % 6, tables("bottleneck"))


@settings(max_examples=300)
@given(kinds, st.integers(1, 40), st.binary(max_size=400))
def test_random_bytes_are_refused_or_canonical(kind: str, count: int, data: bytes) -> None:
    indexes = np.arange(count) % 6
    try:
        decoded = decode_symbols(data, indexes, tables(kind))
    except CorruptStream:
        return
    assert encode_symbols(decoded, indexes, tables(kind)) == data


@pytest.mark.parametrize("count", [1, 2, 3, 100_000])
@pytest.mark.parametrize("fill", [b"\0", b"\xff", b"\xff\xff\0\0", b"\x0f\xf0"])
@pytest.mark.parametrize("size", [8, 16, 4096])
def test_short_strings_and_endless_escapes_are_refused_at_once(count: int, fill: bytes, size: int) -> None:
    start = time.process_time()
    with pytest.raises(CorruptStream):
        decode_symbols((fill * size)[:size], np.zeros(count, dtype=np.int32), tables("gaussian"))
    assert time.process_time() - start < 2


@pytest.mark.parametrize("symbol", [MAX_SYMBOL + 1, -MAX_SYMBOL - 1, 2**27, -(2**27)])
def test_escapes_to_wild_symbols_are_refused(symbol: int) -> None:
    t = tables("gaussian")
    data = ans.RansEncoder().encode_with_indexes([0, symbol, 0], [1, 1, 1], t.cdfs, t.lengths, t.offsets)
    with pytest.raises(CorruptStream):
        decode_symbols(data, [1, 1, 1], t)


class Model:
    """The C++ decoder in Python, to count the words that it reads: rANS64, escapes by half-bytes."""

    def __init__(self, data: bytes) -> None:
        self.words: list[int] = np.frombuffer(data, dtype="<u4").tolist()
        self.read = 2
        self.state: int = self.words[0] | self.words[1] << 32

    def refill(self) -> None:
        if self.state < 2**31:
            word = self.words[self.read] if self.read < len(self.words) else 0
            self.state = self.state << 32 | word
            self.read += 1

    def nibble(self) -> int:
        value = self.state & 15
        self.state >>= 4
        self.refill()
        return value

    def symbol(self, row: list[int], offset: int) -> int | None:
        """The next symbol; None for an escape of more half-bytes than an int holds."""
        low = self.state & 0xFFFF
        value = next(i for i, top in enumerate(row) if top > low) - 1
        self.state = (row[value + 1] - row[value]) * (self.state >> 16) + low - row[value]
        self.refill()
        if value < len(row) - 2:
            return value + offset
        count = last = self.nibble()
        while last == 15:
            last = self.nibble()
            count += last
        raw = sum(self.nibble() << 4 * j for j in range(count))
        return None if count > 7 else (-(raw >> 1) - 1 if raw & 1 else (raw >> 1) + len(row) - 2) + offset


@settings(max_examples=300)
@given(kinds, st.integers(3, 12), st.data())
def test_padding_covers_all_that_the_decoder_reads(kind: str, count: int, data: st.DataObject) -> None:
    t = tables(kind)
    word = st.one_of(st.just(b"\xff" * 4), st.just(bytes(4)), st.binary(min_size=4, max_size=4))
    string = b"".join(data.draw(st.lists(word, min_size=2, max_size=40)))
    indexes = data.draw(st.lists(st.integers(0, 5), min_size=count, max_size=count))
    decoder = Model(string)
    expected = [decoder.symbol(t.cdfs[i][: t.lengths[i]], t.offsets[i]) for i in indexes]
    padded = string + bytes(coder._padding(count, len(string)))
    assert 4 * decoder.read <= len(padded)
    found = ans.RansDecoder().decode_with_indexes(padded, indexes, t.cdfs, t.lengths, t.offsets)
    assert all(want in (None, got) for want, got in zip(expected, found, strict=True))


def test_tables_need_update_first() -> None:
    with pytest.raises(OptionError, match="update"):
        Tables.of(EntropyBottleneck(4))


def test_tables_keep_every_count_that_the_model_has() -> None:
    whole = model("gaussian")
    kept = tables("gaussian")
    assert [len(row) for row in kept.cdfs] == kept.lengths == whole.cdf_length.tolist()
    assert all(
        row == full[: len(row)] for row, full in zip(kept.cdfs, whole.quantized_cdf.tolist(), strict=True)
    )


@pytest.mark.parametrize(
    ("cdfs", "lengths", "offsets"),
    [
        ([], [], []),
        ([[0, 9, 65536]], [3], []),
        ([[0, 9, 65536]], [4], [0]),
        ([[0, 65536]], [2], [0]),
        ([[1, 9, 65536]], [3], [0]),
        ([[0, 9, 65535]], [3], [0]),
        ([[0, 9, 9, 65536]], [4], [0]),
        ([[0, 10, 9, 65536]], [4], [0]),
        ([[0, 9, 65536, 0]], [4], [0]),
        ([[0, 9, 65536]], [3], [MAX_SYMBOL + 1]),
    ],
)
def test_malformed_tables_are_refused(cdfs: Any, lengths: Any, offsets: Any) -> None:
    with pytest.raises(OptionError):
        Tables(cdfs, lengths, offsets)


def test_padded_table_rows_code_like_trimmed_ones() -> None:
    padded = Tables([[0, 9, 65536, 0, 0]], [3], [-1])
    data = encode_symbols([-1, 5, -1], [0, 0, 0], padded)
    assert data == encode_symbols([-1, 5, -1], [0, 0, 0], Tables([[0, 9, 65536]], [3], [-1]))
    assert decode_symbols(data, [0, 0, 0], padded).tolist() == [-1, 5, -1]


def test_speed_is_near_the_bare_coders() -> None:
    symbols, indexes = gaussian_input(100_000)
    t = tables("gaussian")
    lists = symbols.tolist(), indexes.tolist()

    def bare() -> None:
        data = ans.RansEncoder().encode_with_indexes(*lists, t.cdfs, t.lengths, t.offsets)
        ans.RansDecoder().decode_with_indexes(data, lists[1], t.cdfs, t.lengths, t.offsets)

    def guarded() -> None:
        decode_symbols(encode_symbols(symbols, indexes, t), indexes, t)

    def seconds(run: Any) -> float:
        start = time.process_time()
        run()
        return time.process_time() - start

    # One more encode for the comparison, and list conversions: a loop over symbols would take 10 times.
    assert min(seconds(guarded) for _ in range(3)) < 5 * min(seconds(bare) for _ in range(3)) + 0.01
