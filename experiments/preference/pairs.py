"""Votes between two codecs: share, Wilson interval, sign test."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

from scipy.stats import binomtest

from experiments.preference.votes import Vote

__all__ = ["CONFIDENCE", "Pair", "count_pairs", "sign_test", "wilson"]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Pair:
    """Votes between two codecs, their names in order.  unsure: votes of those who could not tell."""

    first: str
    second: str
    for_first: int
    for_second: int
    unsure: int
    raters: int
    images: int

    @property
    def votes(self) -> int:
        """All of them."""
        return self.for_first + self.for_second + self.unsure

    @property
    def share(self) -> float:
        """Of the first codec, in [0, 1]; a vote of somebody who is not sure counts half for each."""
        return (self.for_first + self.unsure / 2) / self.votes

    @property
    def interval(self) -> tuple[float, float]:
        """Of the share, at 95%."""
        return wilson(self.for_first + self.unsure / 2, self.votes)

    @property
    def p(self) -> float:
        """That votes of the decided are at least so uneven, were both codecs equally good."""
        return sign_test(self.for_first, self.for_second)

    @property
    def better(self) -> str | None:
        """The codec preferred at the level of 5%, None for a tie."""
        if self.p >= 1 - CONFIDENCE:
            return None
        return self.first if self.for_first > self.for_second else self.second


def count_pairs(votes: Iterable[Vote]) -> tuple[Pair, ...]:
    """Every two codecs that were compared; traps are not counted."""
    by_pair: dict[tuple[str, str], list[Vote]] = {}
    for vote in votes:
        if not vote.trap:
            first, second = sorted((vote.left, vote.right))
            by_pair.setdefault((first, second), []).append(vote)
    pairs = []
    for (first, second), found in sorted(by_pair.items()):
        chosen = [vote.chosen for vote in found]
        counts = (chosen.count(first), chosen.count(second), chosen.count(None))
        pairs.append(Pair(first, second, *counts, len({v.rater for v in found}), len({v.image for v in found})))
    return tuple(pairs)


def wilson(successes: float, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The score interval of a proportion, in [0, 1] (Wilson 1927); successes may be halves.

    trials: at least 1.
    """
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, spare = successes / trials, z * z / trials
    centre = share + spare / 2
    half = z * math.sqrt(share * (1 - share) / trials + spare / (4 * trials))
    return max(0.0, (centre - half) / (1 + spare)), min(1.0, (centre + half) / (1 + spare))


def sign_test(first: int, second: int) -> float:
    """The exact two-sided p-value of so many votes each way, undecided ones left out; 1 without any."""
    return float(binomtest(first, first + second).pvalue) if first + second else 1.0
