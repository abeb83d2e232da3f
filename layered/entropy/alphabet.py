"""Latents that take one of a few values: their quantiser, and rANS coding from integer tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from layered.entropy.coder import TOTAL, Tables, decode_symbols, encode_symbols
from layered.entropy.prior import Symbols
from layered.errors import CorruptStream, LayeredError, OptionError
from layered.rounding import Rounding, nearest

__all__ = ["Centres", "check_room", "cumulative", "integer_tables", "read_symbols", "write_symbols"]

MOST = 256
"""Values of an alphabet: each takes at least one of a table's 65536 counts, and the coder's tables one more."""


class Centres(nn.Module):
    """The values of the alphabet, increasing; learned: whether training moves them.

    Quantisation is to the nearest, the lower one where two are as near.  Source: Agustsson et al. 2017 and 2019,
    Mentzer et al. 2018, who fix L = 5 values at -2..2 or learn 6.
    """

    values: Tensor

    def __init__(self, values: Sequence[float], learned: bool = False) -> None:
        super().__init__()
        numbers = [float(value) for value in values]
        rising = all(a < b for a, b in pairwise(numbers))
        if not 2 <= len(numbers) <= MOST or not rising or not all(map(math.isfinite, numbers)):
            raise OptionError(f"an alphabet has 2 to {MOST} finite values, increasing, got {list(values)}")
        start = torch.tensor(numbers)
        if learned:
            self.values = nn.Parameter(start)
        else:
            self.register_buffer("values", start)

    def __len__(self) -> int:
        return len(self.values)

    def assignments(self, latents: Tensor, rounding: Rounding) -> Tensor:
        """Latents [B, C, h, w] -> the share of each value in each latent, [B, C, L, h, w]."""
        distances = (latents.unsqueeze(-1) - self.values.to(latents.dtype)).square()
        return rounding.assign(distances).movedim(-1, 2)

    def of(self, assignments: Tensor) -> Tensor:
        """The latents [B, C, h, w] that assignments [B, C, L, h, w] stand for."""
        return torch.einsum("bclhw,l->bchw", assignments, self.values.to(assignments.dtype))

    def symbols(self, latents: Tensor) -> Tensor:
        """The number of each latent's nearest value, int64 of the same shape.  Raises LayeredError for NaN."""
        if not bool(latents.isfinite().all()):
            raise LayeredError("the latents are not finite: the weights or the picture hold NaN or infinity")
        distances = (latents.unsqueeze(-1) - self.values.to(latents.dtype)).square()
        return nearest(distances).argmax(-1)

    def at(self, symbols: Tensor) -> Tensor:
        """The values of symbols, of the same shape."""
        return self.values.detach()[symbols]


def integer_tables(probabilities: NDArray[np.float64]) -> Tables:
    """Tables of distributions [n, L] over symbols 0 to L - 1; every symbol can be coded, whatever its probability.

    Two machines whose float64 differs in the last place may differ in a count; the checksum of symbols tells.
    Raises OptionError for what is no distribution.
    """
    count, size = probabilities.shape
    if not 2 <= size <= MOST or not np.isfinite(probabilities).all() or (probabilities < 0).any():
        raise OptionError(f"rows of 2 to {MOST} probabilities are needed, got an array {list(probabilities.shape)}")
    if count and not np.allclose(probabilities.sum(1), 1, atol=1e-6):
        raise OptionError("probabilities of a distribution do not add to 1")
    return Tables(cumulative(probabilities).tolist(), [size + 2] * count, [0] * count)


def cumulative(probabilities: NDArray[np.float64]) -> NDArray[np.int64]:
    """The cumulative counts [n, L + 2] of `integer_tables`, for those who know that these are distributions [n, L]."""
    count, size = probabilities.shape
    room = TOTAL - 1 - size  # one count for each symbol, and one for the coder's escape
    steps = 1 + np.floor(probabilities / probabilities.sum(1, keepdims=True) * room).astype(np.int64)
    steps[np.arange(count), probabilities.argmax(1)] += TOTAL - 1 - steps.sum(1)
    edges = np.zeros((count, size + 2), np.int64)
    edges[:, 1:-1] = np.cumsum(steps, 1)
    edges[:, -1] = TOTAL
    return edges


def check_room(size: int, count: int) -> None:
    """Raise CorruptStream when `size` bytes cannot be the code of `count` symbols under any tables of `integer_tables`.

    The likeliest symbol of the most extreme table takes log2(65536 / 65534) bits.
    """
    if count * (2 / TOTAL) > 8 * size or (count > 0 and size == 0):
        raise CorruptStream(f"{size} bytes of entropy-coded data cannot be {count} symbols")


def write_symbols(symbols: NDArray[np.int32], indexes: NDArray[np.int64], tables: Tables) -> Symbols:
    """Symbols, each under the table of its index -> rANS string."""
    return Symbols(encode_symbols(symbols, indexes, tables), np.asarray(symbols, np.int32).reshape(-1))


def read_symbols(data: bytes, indexes: NDArray[np.int64], tables: Tables) -> Symbols:
    """The inverse of `write_symbols`.  Raises CorruptStream, also for symbols outside of the alphabet."""
    values = decode_symbols(data, indexes, tables)
    if values.size and not (values.min() >= 0 and values.max() < tables.lengths[0] - 2):
        raise CorruptStream("entropy-coded data hold symbols that are not of the alphabet")
    return Symbols(data, values)
