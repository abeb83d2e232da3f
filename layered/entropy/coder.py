"""CompressAI's rANS coder behind functions that cannot crash, hang, or decode damaged data in silence.

The C++ coder checks nothing: too few symbols overflow its buffer, large ones loop for ever, wrong indexes
and short strings read foreign memory, and every damaged string decodes to something.  Tables are checked for
form and then trusted (they come with the weights); data is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from layered.errors import CorruptStream, OptionError

__all__ = ["MAX_SYMBOL", "SerialDecoder", "Tables", "decode_symbols", "encode_symbols"]

MAX_SYMBOL = 2**26  # escape codes of larger ones come near the int32 overflow in which the coder loops
MIN_COUNT = 3  # the coder's buffer has one word per symbol, and its state alone takes up to three
WORD = 4
STATE = 2 * WORD
TOTAL = 1 << 16  # cumulative counts run from 0 to this


@dataclass(frozen=True)
class Tables:
    """Cumulative counts of a set of distributions, as Python lists, which is what the coder takes.

    cdfs[i][:lengths[i]] rises strictly from 0 to 65536; its last step is the escape for values outside.
    offsets[i]: the symbol that the first step stands for, within +-2^26.  Raises OptionError otherwise.
    """

    cdfs: list[list[int]]
    lengths: list[int]
    offsets: list[int]

    def __post_init__(self) -> None:
        if not self.cdfs or not len(self.cdfs) == len(self.lengths) == len(self.offsets):
            raise OptionError("entropy tables need at least one row, and one length and offset a row")
        for i, (row, length, offset) in enumerate(zip(self.cdfs, self.lengths, self.offsets, strict=True)):
            if not 3 <= length <= len(row) or abs(offset) > MAX_SYMBOL:
                raise OptionError(f"entropy table {i}: length {length} of {len(row)}, offset {offset}")
        for numbers, edges in self._by_length():
            wrong = (edges[:, 0] != 0) | (edges[:, -1] != TOTAL) | (np.diff(edges).min(1) < 1)
            if wrong.any():
                raise OptionError(f"entropy table {numbers[wrong][0]} does not rise strictly from 0 to {TOTAL}")

    @classmethod
    def of(cls, entropy_model: Any) -> Tables:
        """The tables of a CompressAI entropy model, read once from the buffers that its update() fills.

        Raises OptionError if update() never ran.
        """
        if entropy_model._quantized_cdf.numel() == 0:
            raise OptionError("the entropy model has no tables; call its update() once after training")
        lengths: list[int] = entropy_model._cdf_length.flatten().tolist()
        # Rows are cut to their length: the coder copies all of them at every call.
        cdfs = [row[:n] for row, n in zip(entropy_model._quantized_cdf.tolist(), lengths, strict=True)]
        return cls(cdfs, lengths, entropy_model._offset.flatten().tolist())

    def fewest_bits(self) -> NDArray[np.float64]:
        """For each table the bits of its most probable symbol: no string can spend less on it."""
        bits = np.zeros(len(self.cdfs))
        for numbers, edges in self._by_length():
            bits[numbers] = np.log2(TOTAL / np.diff(edges).max(1))
        return bits

    def _by_length(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Numbers [n] and edges [n, length] of the tables of each length; one by one thousands would take seconds."""
        lengths = np.array(self.lengths)
        for length in np.unique(lengths).tolist():
            numbers = np.flatnonzero(lengths == length)
            yield numbers, np.array([self.cdfs[number][:length] for number in numbers.tolist()], dtype=np.int64)

    def likeliest(self) -> int:
        """The most probable symbol of the first table: the dummy that brings inputs to three symbols."""
        steps = np.diff(np.array(self.cdfs[0][: self.lengths[0] - 1]))
        return self.offsets[0] + int(steps.argmax())


def encode_symbols(symbols: ArrayLike, indexes: ArrayLike, tables: Tables) -> bytes:
    """Code integers, each under the table that its index names.

    symbols, indexes: integer arrays of one size, any shape, taken in C order; |symbol| <= 2^26.  No symbols
    give no bytes; others at least 8, a multiple of 4.  Raises OptionError for anything out of range.
    """
    values, rows = _integers(symbols, "symbols"), _checked_indexes(indexes, tables)
    if values.size != rows.size:
        raise OptionError(f"{values.size} symbols but {rows.size} table indexes")
    if values.size == 0:
        return b""
    if _largest(values) > MAX_SYMBOL:
        raise OptionError(f"a symbol of magnitude {_largest(values)} is beyond {MAX_SYMBOL}; NaN latents?")
    return _encode(values.tolist(), rows.tolist(), tables)


def decode_symbols(data: bytes, indexes: ArrayLike, tables: Tables) -> NDArray[np.int32]:
    """The symbols [n] that `encode_symbols` turned into exactly these bytes, n = size of indexes.

    Raises CorruptStream for any other bytes, OptionError for indexes out of range.  Damaged bytes that
    happen to be the exact code of other symbols decode to those: only a checksum of the symbols tells.
    """
    rows = _checked_indexes(indexes, tables)
    count = rows.size
    if count == 0:
        if data:
            raise CorruptStream(f"{len(data)} bytes of entropy-coded data where no symbols are expected")
        return np.zeros(0, dtype=np.int32)
    # A symbol takes at most 16 bits, and 9 more half-bytes if escaped, so the length is bounded by the count.
    if len(data) % WORD or not STATE <= len(data) <= 2 * STATE + 8 * count:
        raise CorruptStream(f"{len(data)} bytes of entropy-coded data cannot be {count} symbols")
    # Before memory is taken for the symbols: a short string cannot hold very many of them.
    least = float(np.bincount(rows, minlength=len(tables.cdfs)) @ tables.fewest_bits())
    if least > 8 * len(data):
        raise CorruptStream(f"{count} symbols take at least {least / 8:.0f} bytes, there are {len(data)}")
    listed = rows.tolist()
    padded = bytes(data) + bytes(_padding(count, len(data)))
    dummies = max(0, MIN_COUNT - count)
    found = _coder().RansDecoder().decode_with_indexes(
        padded, listed + [0] * dummies, tables.cdfs, tables.lengths, tables.offsets
    )  # fmt: skip
    del found[count:]
    values = np.array(found, dtype=np.int32)
    # The bound comes first: the encoder would not return from a wild escape value.
    if _largest(values) > MAX_SYMBOL or _encode(found, listed, tables) != data:
        raise CorruptStream(f"entropy-coded data of {count} symbols is damaged, or has other tables")
    return values


class SerialDecoder:
    """Decodes `count` symbols one after another, where the table of each may depend on those before.

    The caller must encode what came out and compare: damaged data decode to something.  Raises CorruptStream.
    """

    def __init__(self, data: bytes, count: int) -> None:
        if len(data) % WORD or not STATE <= len(data) <= 2 * STATE + 8 * count:
            raise CorruptStream(f"{len(data)} bytes of entropy-coded data cannot be {count} symbols")
        self._decoder = _coder().RansDecoder()
        self._decoder.set_stream(bytes(data) + bytes(_padding(count, len(data))))

    def next(self, cdf: list[int]) -> int:
        """The next symbol, of 0 to L - 1, under cumulative counts [L + 2].  Raises CorruptStream for an escape."""
        (value,) = self._decoder.decode_stream([0], [cdf], [len(cdf)], [0])
        if not 0 <= value < len(cdf) - 2:
            raise CorruptStream("entropy-coded data hold symbols that are not of the alphabet")
        return int(value)

    def take(self, indexes: ArrayLike, tables: Tables) -> NDArray[np.int32]:
        """The next symbols [n], each under the table that its index names; escapes are allowed."""
        rows = _checked_indexes(indexes, tables)
        found = self._decoder.decode_stream(rows.tolist(), tables.cdfs, tables.lengths, tables.offsets)
        return np.array(found, dtype=np.int32)


def _encode(values: list[int], rows: list[int], tables: Tables) -> bytes:
    dummies = max(0, MIN_COUNT - len(values))
    if dummies:
        values, rows = values + [tables.likeliest()] * dummies, rows + [0] * dummies
    coded: bytes = _coder().RansEncoder().encode_with_indexes(
        values, rows, tables.cdfs, tables.lengths, tables.offsets
    )  # fmt: skip
    return coded


def _padding(count: int, size: int) -> int:
    """How many zero bytes to put behind data, so that the decoder, which knows no end, reads nothing foreign.

    An escape costs a run of 15s (half-bytes), then 15 half-bytes for each: `size` bytes of data claim at
    most 15 * size more.  In the zeros behind, a symbol takes two words, or up to 34 if the 63 bits of state
    left happen to hold another such run; zeros bring no new runs, so the first symbols are paid for in full.
    """
    return 16 * size + 8 * count + 34 * WORD * min(max(count, MIN_COUNT), 1024) + 64


def _checked_indexes(indexes: ArrayLike, tables: Tables) -> NDArray[Any]:
    rows = _integers(indexes, "indexes")
    if rows.size and not (rows.min() >= 0 and rows.max() < len(tables.cdfs)):
        raise OptionError(
            f"table indexes {rows.min()} to {rows.max()}, but there are {len(tables.cdfs)} tables"
        )
    return rows


def _integers(values: ArrayLike, name: str) -> NDArray[Any]:
    array = np.asarray(values)
    if array.size and array.dtype.kind not in "iu":
        raise OptionError(f"{name} must be integers, got {array.dtype}")
    return array.ravel()


def _largest(values: NDArray[Any]) -> int:
    return max(-int(values.min()), int(values.max()))


@lru_cache(maxsize=1)
def _coder() -> Any:
    """compressai.ans, imported at the first use because its package brings in torch and takes seconds."""
    return import_module("compressai.ans")
