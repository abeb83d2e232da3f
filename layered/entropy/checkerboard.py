"""The entropy model that codes half of the positions with the other half as their context."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from layered.entropy.alphabet import check_room, integer_tables, read_symbols, write_symbols
from layered.entropy.coder import Tables
from layered.entropy.prior import Symbols
from layered.entropy.symbols import Static, SymbolModel
from layered.errors import CorruptStream, LimitExceeded
from layered.layer import in_double

BAND, REACH = 32, 4
"""Rows that the network is run for at a time, and how far it sees."""
GRID = 64.0

__all__ = ["GRID", "Checkerboard"]


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


def _even(height: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    return (rows[:, None] + columns) % 2 == 0
