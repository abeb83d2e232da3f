"""How the numbers of an adapter become bytes, by name, and what they cost while they are found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapters.priors import CODES, PRIORS, code_of, integers, table_of, value_of
from layered.entropy.coder import TOTAL, Tables, decode_symbols, encode_symbols
from layered.errors import CorruptStream

__all__ = ["Coding", "Group", "Lattice", "Quantiser"]

MOST = 2**20
"""Steps that a number on a grid may be away from zero."""


@dataclass(frozen=True)
class Quantiser:
    """How the numbers of one group are put on a grid and coded.

    step: of the grid.  scale: of the prior, in the same unit; for `linear8` the smallest value instead.
    """

    step: float
    scale: float


@dataclass(frozen=True, eq=False)
class Group:
    """The numbers of one group as they are coded, flat: integers where the coding has a grid, else float64."""

    quantiser: Quantiser
    numbers: NDArray[Any]


class Coding(ABC):
    """One way to code groups of float32 numbers.

    A group is first given a `Quantiser` by `fit`; `quantise` and `rate` serve optimisation, `group` and `values` turn
    numbers into what is coded and back, `write` and `read` are exact inverses.  lasts: for how many steps of
    optimisation a quantiser serves; one where a grid lies between the outer numbers, which clips them as they move.
    """

    lasts: ClassVar[int] = 1

    @abstractmethod
    def fit(self, values: Tensor, step: float | None = None, scale: float | None = None) -> Quantiser:
        """The quantiser nearest to step and scale; without a scale the one that codes the values in fewest bits.

        step: the coding's own if None.  Raises OptionError where they are out of range, LayeredError for NaN.
        """

    @abstractmethod
    def group(self, values: Tensor, quantiser: Quantiser) -> Group:
        """Values of any shape as they are coded.  Raises LayeredError for NaN and what is out of range."""

    @abstractmethod
    def values(self, group: Group) -> Tensor:
        """What the decoder sees of a group: float32 [n] on the CPU."""

    @abstractmethod
    def rate(self, values: Tensor, quantiser: Quantiser) -> Tensor:
        """Ideal bits of values that are noisy or rounded already: a scalar, differentiable where it depends on them."""

    @abstractmethod
    def write(self, groups: Sequence[Group]) -> bytes:
        """The groups, at least one, of at least one number each."""

    @abstractmethod
    def read(self, data: bytes, counts: Sequence[int]) -> tuple[Group, ...]:
        """The inverse of `write`, for groups of so many numbers.  Raises CorruptStream."""

    def quantise(self, values: Tensor, quantiser: Quantiser) -> Tensor:
        """What the decoder sees of the values, in their shape; the gradient passes straight through."""
        seen = self.values(self.group(values, quantiser)).to(values.device).reshape(values.shape)
        return values + (seen.to(values.dtype) - values).detach()


class Lattice(Coding):
    """Integers round(value / step) under a prior; step and scale of each group are a byte each, then one rANS string.

    prior: a name of `adapters.priors`.  step, scale: by default, of its paper.
    """

    lasts: ClassVar[int] = 20  # only the scale of the prior changes, and to find it takes longer than a step

    def __init__(self, prior: str, step: float, scale: float) -> None:
        self.prior, self.step, self.scale = prior, step, scale

    def fit(self, values: Tensor, step: float | None = None, scale: float | None = None) -> Quantiser:
        width = code_of(self.step if step is None else step)
        if scale is not None:
            return Quantiser(value_of(width), value_of(code_of(scale)))
        found = integers(values, value_of(width), MOST).flatten()
        return Quantiser(value_of(width), value_of(self._best(found, width)))

    def group(self, values: Tensor, quantiser: Quantiser) -> Group:
        found = integers(values, quantiser.step, MOST)
        return Group(quantiser, found.to("cpu", torch.int32).numpy().reshape(-1))

    def values(self, group: Group) -> Tensor:
        return torch.from_numpy((group.numbers.astype(np.float64) * group.quantiser.step).astype(np.float32))

    def quantise(self, values: Tensor, quantiser: Quantiser) -> Tensor:
        rounded = torch.round(values.detach().double() / quantiser.step) * quantiser.step
        return values + (rounded.to(values.dtype) - values).detach()

    def rate(self, values: Tensor, quantiser: Quantiser) -> Tensor:
        return self.rate_at(values, values.new_tensor(quantiser.step), values.new_tensor(quantiser.scale))

    def rate_at(self, values: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        """The same, differentiable in step and scale as well."""
        return PRIORS[self.prior].bits(values, step, scale).sum()

    def bits(self, group: Group) -> float:
        """What the coder's table spends on the group, escapes included; its string is some bytes longer."""
        numbers, times = np.unique(group.numbers, return_counts=True)
        return float(_costs(self._table(group.quantiser), numbers) @ times)

    def write(self, groups: Sequence[Group]) -> bytes:
        head = bytes(code for group in groups for code in self._codes(group.quantiser))
        tables = _together([self._table(group.quantiser) for group in groups])
        numbers = np.concatenate([group.numbers for group in groups])
        return head + encode_symbols(numbers, _indexes([group.numbers.size for group in groups]), tables)

    def read(self, data: bytes, counts: Sequence[int]) -> tuple[Group, ...]:
        size = 2 * len(counts)
        if len(data) < size:
            raise CorruptStream(f"adapter: {len(data)} bytes where steps and scales alone take {size}")
        quantisers = [Quantiser(value_of(data[at]), value_of(data[at + 1])) for at in range(0, size, 2)]
        tables = _together([self._table(quantiser) for quantiser in quantisers])
        least = float(np.array(counts) @ tables.fewest_bits())
        if least > 8 * (len(data) - size):  # before memory is taken for them
            raise CorruptStream(f"adapter: {sum(counts)} numbers take at least {least / 8:.0f} bytes")
        numbers = decode_symbols(data[size:], _indexes(counts), tables)
        if numbers.size and max(-int(numbers.min()), int(numbers.max())) > MOST:
            raise CorruptStream(f"adapter: a number is beyond {MOST} steps")
        parts = np.split(numbers, np.cumsum(counts)[:-1])
        return tuple(Group(quantiser, part) for quantiser, part in zip(quantisers, parts, strict=True))

    def _best(self, found: Tensor, step: int) -> int:
        """The scale code of fewest bits: by ideal ones and escapes over all, then by tables near the best of these."""
        numbers, times = (part.cpu() for part in torch.unique(found, return_counts=True))
        width = torch.tensor(value_of(step), dtype=torch.float64)
        scales = torch.tensor([value_of(code) for code in range(CODES)], dtype=torch.float64)[:, None]
        escaped = torch.from_numpy(_half_bytes(numbers.numpy(), 0)) + 16  # one count, most often
        ideal = PRIORS[self.prior].bits(numbers * width, width, scales).minimum(escaped)
        start = int((ideal @ times.double()).argmin())
        near = range(max(0, start - 3), min(CODES, start + 4))
        spent = [float(_costs(table_of(self.prior, step, code), numbers.numpy()) @ times.numpy()) for code in near]
        return near[int(np.argmin(spent))]

    def _codes(self, quantiser: Quantiser) -> tuple[int, int]:
        return code_of(quantiser.step), code_of(quantiser.scale)

    def _table(self, quantiser: Quantiser) -> Tables:
        return table_of(self.prior, *self._codes(quantiser))


def _together(tables: Sequence[Tables]) -> Tables:
    columns = ([part for table in tables for part in getattr(table, name)] for name in ("cdfs", "lengths", "offsets"))
    return Tables(*columns)


def _indexes(counts: Sequence[int]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(counts)), counts)


def _costs(table: Tables, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
    """Bits that a table spends on each integer."""
    reach, spent = -table.offsets[0], np.log2(TOTAL / np.diff(table.cdfs[0]))
    at = np.clip(numbers + reach, 0, 2 * reach)
    return np.where(np.abs(numbers) <= reach, spent[at], spent[-1] + _half_bytes(numbers, reach))


def _half_bytes(numbers: NDArray[np.int64], reach: int) -> NDArray[np.float64]:
    """Bits behind the escape of integers beyond `reach`: half-bytes, and before them their number."""
    beyond = np.maximum(2 * (np.abs(numbers.astype(np.int64)) - reach - 1) + (numbers < 0), 0)
    count = np.array([-(-int(value).bit_length() // 4) for value in beyond])
    return 4.0 * (count // 15 + 1) + 4.0 * count
