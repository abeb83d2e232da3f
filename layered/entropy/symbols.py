"""Entropy models of latents from a finite alphabet, by name; each gives ideal bits and codes for real.

uniform: all values alike.  histogram: how often the values occur in this picture, sent with it (GC's paper, version 1).
static: how often they occurred in training, channel by channel.  checkerboard: half of the positions as in static, the
others from a network that sees their neighbours (He et al., CVPR 2021, on symbols instead of Gaussians).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from layered.entropy.alphabet import check_room, integer_tables, read_symbols, write_symbols
from layered.entropy.coder import Tables
from layered.entropy.prior import Symbols
from layered.errors import CorruptStream, LimitExceeded, OptionError
from layered.layer import in_double

BAND, REACH = 32, 4
"""Rows that the network is run for at a time, and how far it sees."""
GRID = 64.0

__all__ = ["MODELS", "Checkerboard", "Histogram", "Static", "SymbolModel", "Uniform", "build_symbol_model"]


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


class Checkerboard(SymbolModel):
    """Positions whose row and column add to an even number come first, under `first`; the rest see these neighbours.

    width: of the network's hidden layers.  Its answer is computed in float64 at both ends, added to `first`'s, and put
    on a grid, so that the last digits, in which machines differ, all but never matter; a checksum tells if they do.
    """

    def __init__(self, channels: int, size: int, width: int = 32) -> None:
        super().__init__(channels, size)
        self.first = Static(channels, size)
        self.network = nn.Sequential(
            nn.Conv2d(channels * size, width, 5, padding=2), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, channels * size, 1),
        )  # fmt: skip
        last = self.network[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]

    def bits(self, assignments: Tensor) -> Tensor:
        even = _even(assignments.shape[-2], assignments.shape[-1], assignments.device)
        plain = F.log_softmax(self.first.logits.float(), 1)[None, :, :, None, None]
        known = assignments * even
        informed = F.log_softmax(self._logits(known, self.network(self._flat(known))), 2)
        nats = -(assignments * torch.where(even, plain, informed)).sum((1, 2, 3, 4))
        return nats / float(np.log(2))

    def update(self) -> None:
        self.first.update()

    def has_tables(self) -> bool:
        return self.first.has_tables()

    def write(self, symbols: NDArray[np.int32]) -> Symbols:
        even = _even(symbols.shape[1], symbols.shape[2]).numpy()
        anchors = np.where(even, symbols, 0)
        indexes, tables = self._second(anchors, even)
        parts = [
            write_symbols(symbols[:, even], self._channels(even), self.first._tables()),
            write_symbols(symbols[:, ~even], indexes, tables),
        ]
        if len(parts[0].string) >= 1 << 24:
            raise LimitExceeded("the first half of a layer's symbols is beyond 16 MiB; encode the picture in tiles")
        size = len(parts[0].string).to_bytes(3, "little")
        return Symbols(size + parts[0].string + parts[1].string, np.concatenate([part.values for part in parts]))

    def read(self, data: bytes, height: int, width: int) -> tuple[NDArray[np.int32], Symbols]:
        even = _even(height, width).numpy()
        size = int.from_bytes(data[:3], "little")
        if len(data) < 3 + size:
            raise CorruptStream("the first half of a layer's symbols is cut short")
        check_room(len(data) - 3 - size, self.channels * int((~even).sum()))  # before the network is run for them
        symbols = np.zeros((self.channels, height, width), np.int32)
        first = read_symbols(data[3 : 3 + size], self._channels(even), self.first._tables())
        symbols[:, even] = first.values.reshape(self.channels, -1)
        second = read_symbols(data[3 + size :], *self._second(symbols, even))
        symbols[:, ~even] = second.values.reshape(self.channels, -1)
        return symbols, Symbols(data, np.concatenate([first.values, second.values]))

    def _channels(self, chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
        return np.repeat(np.arange(self.channels), int(chosen.sum()))

    @torch.no_grad()
    def _second(self, anchors: NDArray[np.int32], even: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Tables]:
        """A table for each symbol of the second half, which anchors [C, h, w] are to say."""
        height = even.shape[0]
        bands = []
        for top in range(0, height, BAND):  # of rows, whose float64 working memory is bounded; alike at both ends
            low, bottom = max(0, top - REACH), min(height, top + BAND)
            seen, known = anchors[:, low : bottom + REACH], torch.from_numpy(even[low : bottom + REACH])
            assignments = F.one_hot(torch.from_numpy(seen).long(), self.size).movedim(-1, 1)[None].double() * known
            assignments = assignments.to(self.first.logits.device)
            logits = self._logits(assignments, in_double(self.network, self._flat(assignments)))[0]
            bands.append((torch.round(logits * GRID).cpu() / GRID)[:, :, top - low : bottom - low])
        chosen = torch.softmax(torch.cat(bands, 2), 1).movedim(1, -1)[:, torch.from_numpy(~even)]
        rows = chosen.reshape(-1, self.size).numpy()
        return np.arange(len(rows)), integer_tables(rows) if len(rows) else self.first._tables()

    def _flat(self, assignments: Tensor) -> Tensor:
        return assignments.reshape(len(assignments), -1, *assignments.shape[-2:])

    def _logits(self, assignments: Tensor, answer: Tensor) -> Tensor:
        """The network's answer [B, C * L, h, w] on top of what is expected anyway: [B, C, L, h, w]."""
        return self.first.logits.to(answer.dtype)[None, :, :, None, None] + answer.reshape(assignments.shape)


MODELS: dict[str, Callable[[int, int], SymbolModel]] = {
    "uniform": Uniform,
    "histogram": Histogram,
    "static": Static,
    "checkerboard": Checkerboard,
}


def build_symbol_model(name: str, channels: int, size: int) -> SymbolModel:
    """The entropy model of that name.  Raises OptionError listing the valid ones."""
    if name not in MODELS:
        raise OptionError(f"no entropy model of symbols is called {name!r}; use one of {', '.join(MODELS)}")
    return MODELS[name](channels, size)


def _even(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    return (rows[:, None] + columns) % 2 == 0
