"""Codings of adapter weights without a prior, as two of the compared methods have them."""

from __future__ import annotations

import lzma
import struct
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.coding import Coding, Group, Lattice, Quantiser
from layered.errors import CorruptStream, LayeredError, OptionError

__all__ = ["CODINGS", "Linear8", "Lzma", "coding_of"]

_GRID = struct.Struct("<ff")


class Linear8(Coding):
    """A byte each, linear from the smallest to the largest value, behind float32 smallest and step of each group.

    192 numbers take 1600 bits, as of Zou et al. (2021).
    """

    def fit(self, values: Tensor, step: float | None = None, scale: float | None = None) -> Quantiser:
        """From the values alone: step and scale have nothing to say here."""
        if step is not None or scale is not None:
            raise OptionError("the coding linear8 finds its own step and smallest value; give none")
        flat = _finite(values)
        low = float(flat.min())
        return Quantiser(_single((float(flat.max()) - low) / 255), low)

    def group(self, values: Tensor, quantiser: Quantiser) -> Group:
        flat = _finite(values).astype(np.float64) - quantiser.scale
        levels = np.round(flat / quantiser.step) if quantiser.step else np.zeros_like(flat)
        return Group(quantiser, np.clip(levels, 0, 255).astype(np.uint8))

    def values(self, group: Group) -> Tensor:
        exact = group.quantiser.scale + group.quantiser.step * group.numbers.astype(np.float64)
        return torch.from_numpy(exact.astype(np.float32))

    def rate(self, values: Tensor, quantiser: Quantiser) -> Tensor:
        return values.new_tensor(8.0 * (_GRID.size + values.numel()))

    def write(self, groups: Sequence[Group]) -> bytes:
        heads = [_GRID.pack(group.quantiser.scale, group.quantiser.step) for group in groups]
        return b"".join((*heads, *(group.numbers.tobytes() for group in groups)))

    def read(self, data: bytes, counts: Sequence[int]) -> tuple[Group, ...]:
        size = _GRID.size * len(counts)
        if len(data) != size + sum(counts):
            raise CorruptStream(f"adapter: {len(data)} bytes instead of {size + sum(counts)} for {sum(counts)} numbers")
        groups = []
        for (low, step), part in zip(_GRID.iter_unpack(data[:size]), _parts(data[size:], counts), strict=True):
            if not (np.isfinite(low) and np.isfinite(step) and step >= 0 and abs(low) + 255 * step < 3e38):
                raise CorruptStream(f"adapter: values from {low:g} in steps of {step:g}")
            groups.append(Group(Quantiser(step, low), np.frombuffer(part, np.uint8)))
        return tuple(groups)


class Lzma(Coding):
    """float64 values behind LZMA, as of Lam et al. (ACM MM 2020), who code so the biases themselves.

    Other bytes than `write`'s may be read as well: there is no telling which release of liblzma made them.
    """

    def fit(self, values: Tensor, step: float | None = None, scale: float | None = None) -> Quantiser:
        """Nothing: there is no grid."""
        if step is not None or scale is not None:
            raise OptionError("the coding float64-lzma has no step and no scale; give none")
        return Quantiser(0.0, 0.0)

    def group(self, values: Tensor, quantiser: Quantiser) -> Group:
        return Group(quantiser, _finite(values).astype(np.float64))

    def values(self, group: Group) -> Tensor:
        return torch.from_numpy(group.numbers.astype(np.float32))

    def rate(self, values: Tensor, quantiser: Quantiser) -> Tensor:
        return values.new_tensor(64.0 * values.numel())

    def write(self, groups: Sequence[Group]) -> bytes:
        raw = b"".join(group.numbers.astype("<f8").tobytes() for group in groups)
        return lzma.compress(raw, lzma.FORMAT_RAW, filters=_filters(len(raw)))

    def read(self, data: bytes, counts: Sequence[int]) -> tuple[Group, ...]:
        size = 8 * sum(counts)
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=_filters(size))
        try:
            raw = decoder.decompress(data, size + 1)
        except lzma.LZMAError as error:
            raise CorruptStream(f"adapter: its LZMA data are damaged: {error}") from None
        if len(raw) != size or not decoder.eof or decoder.unused_data:
            raise CorruptStream(f"adapter: LZMA data of {len(raw)} bytes, {size} are expected, or bytes behind them")
        numbers = [np.frombuffer(part, "<f8") for part in _parts(raw, [8 * count for count in counts])]
        for part in numbers:
            if not (np.abs(part) < 3e38).all() or (part.astype(np.float32) != part).any():
                raise CorruptStream("adapter: values that no float32 holds")
        return tuple(Group(Quantiser(0.0, 0.0), part) for part in numbers)


CODINGS: dict[str, Coding] = {
    "logistic": Lattice("logistic", 0.06, 0.05),
    "laplace": Lattice("laplace", 0.06, 0.05),
    "spike-and-slab": Lattice("spike-and-slab", 0.005, 0.05),
    "float64-lzma": Lzma(),
    "linear8": Linear8(),
}
"""A stream stores a coding as its place in this order."""


def coding_of(name: str) -> Coding:
    """The coding of that name.  Raises OptionError listing the valid ones."""
    if name not in CODINGS:
        raise OptionError(f"no coding of adapter weights is called {name!r}; use one of {', '.join(CODINGS)}")
    return CODINGS[name]


def _finite(values: Tensor) -> NDArray[np.float32]:
    flat = values.detach().to("cpu", torch.float32).numpy().reshape(-1)
    if not np.isfinite(flat).all():
        raise LayeredError("adapter weights are not finite")
    return flat


def _single(value: float) -> float:
    return float(np.float32(value))


def _filters(size: int) -> list[dict[str, Any]]:
    """The strongest settings, in no more memory than so many bytes need: a power of two."""
    room = min(max(1 << size.bit_length(), 4096), 1 << 25)
    return [{"id": lzma.FILTER_LZMA2, "preset": 9, "nice_len": 64, "dict_size": room}]


def _parts(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    return [data[a:b] for a, b in pairwise(accumulate(sizes, initial=0))]
