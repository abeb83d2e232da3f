"""The entropy model that codes each position with all before it as its context."""

from __future__ import annotations

from math import log2

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from layered.entropy.alphabet import check_room, cumulative, integer_tables
from layered.entropy.checkerboard import GRID
from layered.entropy.coder import TOTAL, SerialDecoder, Tables, encode_symbols
from layered.entropy.prior import Symbols
from layered.entropy.symbols import SymbolModel
from layered.errors import CorruptStream, OptionError
from layered.layer import in_double

__all__ = ["Autoregressive"]

REACH = 2
SLACK = 64.0
"""Bits by which the coder may stay below the ideal; it spends some dozen more than that."""
BEFORE = [(dy, dx) for dy in range(-REACH, 1) for dx in range(-REACH, REACH + 1) if (dy, dx) < (0, 0)]
"""The 12 positions of a 5x5 window that come before its middle in raster order."""


class Autoregressive(SymbolModel):
    """Position after position in raster order, at each channel after channel; all symbols before are the context.

    width: of the network's hidden layers.  Both ends compute in float64 and put the answer on a grid; see Checkerboard.
    """

    def __init__(self, channels: int, size: int, width: int = 48) -> None:
        super().__init__(channels, size)
        self.context = nn.Conv2d(channels * size, width, 2 * REACH + 1)
        self.hidden = nn.Conv2d(width, width, 1)
        self.answer = nn.Conv2d(width, channels * size, 1)
        self.between = nn.Parameter(torch.zeros(channels, size, channels, size))  # of a channel on those before it
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)  # type: ignore[arg-type]

    def forward(self, assignments: Tensor) -> Tensor:
        """Assignments [B, C, L, h, w] -> logits of the same shape."""
        seen = F.pad(assignments.flatten(1, 2), (REACH,) * 4)
        x = F.relu(F.conv2d(seen, self.context.weight * self._mask(), self.context.bias))
        logits: Tensor = self.answer(F.relu(self.hidden(x)))
        earlier = torch.ones(self.channels, self.channels, device=x.device, dtype=x.dtype).tril(-1)
        between = self.between.to(x.dtype) * earlier[:, None, :, None]
        return logits.reshape(assignments.shape) + torch.einsum("clkm,bkmhw->bclhw", between, assignments)

    def update(self) -> None:
        self.context.weight.data *= self._mask()  # what is never seen takes no room in a packed file

    def _mask(self) -> Tensor:
        mask = torch.zeros_like(self.context.weight)
        for dy, dx in BEFORE:
            mask[..., dy + REACH, dx + REACH] = 1
        return mask

    def bits(self, assignments: Tensor) -> Tensor:
        nats = -(assignments * F.log_softmax(self.forward(assignments), 2)).sum((1, 2, 3, 4))
        return nats / float(np.log(2))

    @torch.no_grad()
    def write(self, symbols: NDArray[np.int32]) -> Symbols:
        values = torch.from_numpy(symbols).to(self.answer.weight.device, torch.long)
        one_hot = F.one_hot(values, self.size).movedim(-1, 1)[None].double()
        rows = in_double(self, one_hot)[0].permute(2, 3, 0, 1).reshape(-1, self.size).cpu().numpy()
        ordered = symbols.transpose(1, 2, 0).reshape(-1)
        tables = integer_tables(_probabilities(rows))
        return Symbols(encode_symbols(ordered, np.arange(ordered.size), tables), ordered)

    @torch.no_grad()
    def read(self, data: bytes, height: int, width: int) -> tuple[NDArray[np.int32], Symbols]:
        check_room(len(data), self.channels * height * width)
        decoder = SerialDecoder(data, self.channels * height * width)
        network = _Serial(self)
        values = np.zeros((height + REACH, width + 2 * REACH, self.channels), np.int32)
        known = np.zeros(values.shape[:2], bool)
        known[REACH:, REACH:-REACH] = True
        cdfs: list[list[int]] = []
        room = 8 * len(data) + SLACK  # bits that are left: a forged size is told before all of it is decoded
        for y in range(REACH, height + REACH):
            for x in range(REACH, width + REACH):
                near = [(k, values[y + dy, x + dx]) for k, (dy, dx) in enumerate(BEFORE) if known[y + dy, x + dx]]
                logits = network.logits(near)
                for channel in range(self.channels):
                    row = logits[channel] + network.between(channel, values[y, x])
                    cdf = cumulative(_probabilities(row[None]))[0].tolist()
                    cdfs.append(cdf)
                    values[y, x, channel] = symbol = decoder.next(cdf)
                    room -= log2(TOTAL / (cdf[symbol + 1] - cdf[symbol]))
                if room < 0:
                    raise CorruptStream(f"{len(data)} bytes of entropy-coded data are fewer symbols than asked for")
        found = values[REACH:, REACH:-REACH].reshape(-1)
        tables = Tables(cdfs, [self.size + 2] * len(cdfs), [0] * len(cdfs))
        if encode_symbols(found, np.arange(found.size), tables) != data:
            raise CorruptStream(f"entropy-coded data of {found.size} symbols is damaged, or has other tables")
        return found.reshape(height, width, self.channels).transpose(2, 0, 1), Symbols(data, found)


class _Serial:
    """The network at one position, in NumPy: a hundred times as fast as modules on so few numbers."""

    def __init__(self, model: Autoregressive) -> None:
        def values(tensor: Tensor | None) -> NDArray[np.float64]:
            assert tensor is not None
            found: NDArray[np.float64] = tensor.detach().cpu().double().numpy()
            if not np.isfinite(found).all():  # the tables that they make are not checked one by one
                raise OptionError("the weights of the entropy model hold values beyond all numbers")
            return found

        window = values(model.context.weight).reshape(-1, model.channels, model.size, 2 * REACH + 1, 2 * REACH + 1)
        self._seen = np.stack([window[..., dy + REACH, dx + REACH] for dy, dx in BEFORE]).transpose(0, 2, 3, 1)
        self._layers = [(values(layer.weight)[..., 0, 0], values(layer.bias)) for layer in (model.hidden, model.answer)]
        self._start = values(model.context.bias)
        self._between = values(model.between)
        self._all = np.arange(model.channels)
        self._shape = (model.channels, model.size)

    def logits(self, near: list[tuple[int, NDArray[np.int32]]]) -> NDArray[np.float64]:
        """Symbols [C] of known neighbours, with their place in BEFORE -> logits [C, L], but for what channels add."""
        x = self._start.copy()
        for place, symbols in near:
            x += self._seen[place, self._all, symbols].sum(0)
        for weight, bias in self._layers:
            x = weight @ np.maximum(x, 0) + bias
        return x.reshape(self._shape)

    def between(self, channel: int, symbols: NDArray[np.int32]) -> NDArray[np.float64]:
        """What the channels before this one add to its logits [L]."""
        added: NDArray[np.float64] = self._between[channel][:, self._all[:channel], symbols[:channel]].sum(1)
        return added


def _probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logits [n, L] -> distributions, by way of a grid, so that the last digits of either end do not matter."""
    steps = np.round((logits - logits.max(1, keepdims=True)) * GRID) / GRID
    shares = np.exp(steps)
    normalised: NDArray[np.float64] = shares / shares.sum(1, keepdims=True)
    return normalised
