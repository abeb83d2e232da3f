"""How far the codes that are drawn are from those of pictures: distances of histograms, channel by channel."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Distances", "compare", "histograms", "total_variation"]


@dataclass(frozen=True)
class Distances:
    """Total variation, in [0, 1], between histograms of a channel's codes in data and in samples, a number a channel.

    codes: of single ones.  pairs: of each with the one to its right, so that what neighbours have to do with each
    other counts too.  prior: samples of the prior.  uniform: every code alike and on its own.
    """

    codes_prior: tuple[float, ...]
    codes_uniform: tuple[float, ...]
    pairs_prior: tuple[float, ...]
    pairs_uniform: tuple[float, ...]

    def text(self) -> str:
        """A table for people."""
        rows = [
            ("codes, prior", self.codes_prior), ("codes, uniform", self.codes_uniform),
            ("pairs, prior", self.pairs_prior), ("pairs, uniform", self.pairs_uniform),
        ]  # fmt: skip
        lines = ["distance to the codes of the training pictures (total variation), mean and each channel"]
        for name, values in rows:
            lines.append(f"{name:14}  {sum(values) / len(values):.3f}  {' '.join(f'{value:.3f}' for value in values)}")
        return "\n".join(lines)


def histograms(symbols: Tensor, size: int, pairs: bool = False) -> Tensor:
    """Symbols [N, C, h, w] of 0 to size - 1 -> how often each occurs [C, size], or each pair [C, size * size]."""
    codes = symbols.movedim(1, 0).long()
    if pairs:
        codes, size = codes[..., :-1] * size + codes[..., 1:], size * size
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=size) for channel in codes]).double()
    return counts / counts.sum(1, keepdim=True)


def total_variation(one: Tensor, other: Tensor) -> tuple[float, ...]:
    """Half the sum of absolute differences of histograms [C, n], a number a channel."""
    return tuple(((one - other).abs().sum(1) / 2).tolist())


def compare(data: Tensor, samples: Tensor, size: int) -> Distances:
    """Distances of a prior's samples, and of uniform codes, from data; both are symbols [N, C, h, w], w at least 2."""
    found = []
    for pairs in (False, True):
        wanted = histograms(data, size, pairs)
        found.append(total_variation(histograms(samples, size, pairs), wanted))
        found.append(total_variation(torch.full_like(wanted, 1 / wanted.shape[1]), wanted))
    return Distances(*found)
