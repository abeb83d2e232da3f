"""Entropy models of latents from a finite alphabet, without context; each gives ideal bits and codes for real.

uniform: all values alike.  histogram: how often the values occur in this picture, sent with it (GC's paper, version 1).
static: how often they occurred in training, channel by channel.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from layered.entropy.alphabet import integer_tables, read_symbols, write_symbols
from layered.entropy.coder import Tables
from layered.entropy.prior import Symbols
from layered.errors import CorruptStream, OptionError

__all__ = ["Histogram", "Static", "SymbolModel", "Uniform"]


class SymbolModel(nn.Module, ABC):
    """What is expected of the symbols [C, h, w] of one picture, each of 0 to size - 1, in `channels` channels."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.channels, self.size = channels, size

    @abstractmethod
    def bits(self, assignments: Tensor) -> Tensor:
        """Ideal bits [B] of assignments [B, C, L, h, w] (see `Centres.assignments`), differentiable."""

    @abstractmethod
    def write(self, symbols: NDArray[np.int32]) -> Symbols:
        """Symbols [C, h, w] -> string."""

    @abstractmethod
    def read(self, data: bytes, height: int, width: int) -> tuple[NDArray[np.int32], Symbols]:
        """String -> symbols [C, height, width], and both as they were written.  Raises CorruptStream."""

    def update(self) -> None:
        """Make the integer tables that coding uses from what training has found."""

    def has_tables(self) -> bool:
        """Whether that has been done, where there is anything to do."""
        return True

    def _planes(self, symbols: Symbols, height: int, width: int) -> NDArray[np.int32]:
        return symbols.values.reshape(self.channels, height, width)


class Uniform(SymbolModel):
    """log2 L bits a symbol."""

    def bits(self, assignments: Tensor) -> Tensor:
        symbols = assignments[0, :, 0].numel()
        return torch.full((len(assignments),), symbols * float(np.log2(self.size)), device=assignments.device)

    def write(self, symbols: NDArray[np.int32]) -> Symbols:
        return write_symbols(symbols, np.zeros(symbols.size, np.int64), self._tables())

    def read(self, data: bytes, height: int, width: int) -> tuple[NDArray[np.int32], Symbols]:
        found = read_symbols(data, np.zeros(self.channels * height * width, np.int64), self._tables())
        return self._planes(found, height, width), found

    def _tables(self) -> Tables:
        return integer_tables(np.full((1, self.size), 1 / self.size))


class Histogram(SymbolModel):
    """One byte a value tells how often it occurs, as a share of the most frequent one's 255."""

    def bits(self, assignments: Tensor) -> Tensor:
        counts = assignments.sum((1, 3, 4))
        frequencies = counts / counts.sum(1, keepdim=True)
        return -(counts * torch.log2(frequencies.clamp(min=1e-9))).sum(1) + 8 * self.size

    def write(self, symbols: NDArray[np.int32]) -> Symbols:
        counts = np.bincount(symbols.reshape(-1), minlength=self.size)
        most = max(1, int(counts.max()))
        told = (-(-counts * 255 // most)).astype(np.uint8)  # in integers, for rounding up 255 must not give 256
        coded = write_symbols(symbols, np.zeros(symbols.size, np.int64), self._tables(told))
        return Symbols(told.tobytes() + coded.string, coded.values)

    def read(self, data: bytes, height: int, width: int) -> tuple[NDArray[np.int32], Symbols]:
        told = np.frombuffer(data[: self.size], np.uint8)
        if len(told) < self.size or not told.any():
            raise CorruptStream("the histogram of a layer's symbols is missing or empty")
        indexes = np.zeros(self.channels * height * width, np.int64)
        found = Symbols(data, read_symbols(data[self.size :], indexes, self._tables(told)).values)
        return self._planes(found, height, width), found

    def _tables(self, told: NDArray[np.uint8]) -> Tables:
        weights = told.astype(np.float64)[None]
        return integer_tables(weights / weights.sum())


class Static(SymbolModel):
    """logits [C, L], learned; tables [C, L + 2], made from them by `update` and kept with the weights."""

    table: Tensor

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.logits = nn.Parameter(torch.zeros(channels, size))
        self.register_buffer("table", torch.zeros(channels, size + 2, dtype=torch.int32))

    def bits(self, assignments: Tensor) -> Tensor:
        expected = F.log_softmax(self.logits.float(), 1)[None, :, :, None, None]
        return -(assignments * expected).sum((1, 2, 3, 4)) / float(np.log(2))

    def update(self) -> None:
        made = integer_tables(torch.softmax(self.logits.detach().double(), 1).cpu().numpy())
        self.table.copy_(torch.tensor(made.cdfs, dtype=torch.int32))

    def has_tables(self) -> bool:
        return bool(self.table.any())

    def write(self, symbols: NDArray[np.int32]) -> Symbols:
        return write_symbols(symbols, self._indexes(*symbols.shape[1:]), self._tables())

    def read(self, data: bytes, height: int, width: int) -> tuple[NDArray[np.int32], Symbols]:
        found = read_symbols(data, self._indexes(height, width), self._tables())
        return self._planes(found, height, width), found

    def _indexes(self, height: int, width: int) -> NDArray[np.int64]:
        return np.repeat(np.arange(self.channels), height * width)

    def _tables(self) -> Tables:
        if not self.has_tables():
            raise OptionError("the entropy model has no tables; call its update() once after training")
        return Tables(self.table.tolist(), [self.size + 2] * self.channels, [0] * self.channels)
