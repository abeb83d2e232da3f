"""A ranking of several codecs by votes between pairs of them: Bradley-Terry, with a bootstrap over raters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from experiments.preference.pairs import CONFIDENCE
from experiments.preference.votes import Vote

__all__ = ["SAMPLES", "Rank", "fit", "groups", "ranking"]

SAMPLES = 1000
"""Bootstrap samples."""

PRIOR = 0.5
"""Votes that each of two compared codecs is given beforehand, so that one which won all has a finite strength."""

ELO = 400 / np.log(10)
"""Points of a unit of log-odds: 400 are odds of 10 to 1."""

STEPS, TOLERANCE = 10_000, 1e-7


@dataclass(frozen=True)
class Rank:
    """A codec's strength in Elo points, of mean 0 over all codecs.  interval: at 95%, None of a single rater."""

    codec: str
    elo: float
    interval: tuple[float, float] | None


def ranking(votes: Sequence[Vote], rng: np.random.Generator) -> tuple[Rank, ...]:
    """The codecs of some votes, the best first; traps are not counted, and who is not sure votes half for each.

    Each must have been compared with every other, if only by way of others: `groups` tells.  The interval is of
    the percentiles of SAMPLES fits to raters drawn with replacement.
    """
    counted = [vote for vote in votes if not vote.trap]
    codecs = sorted({codec for vote in counted for codec in (vote.left, vote.right)})
    raters = sorted({vote.rater for vote in counted})
    wins = np.zeros((len(raters), len(codecs), len(codecs)))  # [rater, winner, loser]
    for vote in counted:
        rater, left, right = raters.index(vote.rater), codecs.index(vote.left), codecs.index(vote.right)
        share = {"left": 1.0, "right": 0.0}.get(vote.answer, 0.5)
        wins[rater, left, right] += share
        wins[rater, right, left] += 1 - share
    total = wins.sum(0)
    prior = PRIOR * ((total + total.T) > 0)
    elo = ELO * fit(total[None] + prior)[0]
    intervals: list[tuple[float, float] | None] = [None] * len(codecs)
    if len(raters) > 1:
        draws = rng.multinomial(len(raters), np.full(len(raters), 1 / len(raters)), SAMPLES)
        drawn = ELO * fit(np.tensordot(draws, wins, 1) + prior)
        low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
        intervals = list(zip(low.tolist(), high.tolist(), strict=True))
    ranks = [Rank(*entry) for entry in zip(codecs, elo.tolist(), intervals, strict=True)]
    return tuple(sorted(ranks, key=lambda rank: -rank.elo))


def fit(wins: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-strengths [B, K], each row of mean 0, that make wins [B, K winners, K losers] likeliest.

    By minorisation-maximisation (Hunter 2004, equation 3).  Every codec needs a win against one that is reached from
    any other by wins.
    """
    games, won = wins + wins.transpose(0, 2, 1), wins.sum(2)
    logs = np.zeros(won.shape)
    for _ in range(STEPS):
        strengths = np.exp(logs)
        updated = np.log(won) - np.log((games / (strengths[:, :, None] + strengths[:, None, :])).sum(2))
        updated -= updated.mean(1, keepdims=True)
        change = np.abs(updated - logs).max()
        logs = updated
        if change < TOLERANCE:
            break
    return logs


def groups(votes: Sequence[Vote]) -> tuple[tuple[str, ...], ...]:
    """The codecs in sets within which all are compared, if only by way of others; more than one have no ranking."""
    sets: list[set[str]] = []
    for pair in {frozenset((vote.left, vote.right)) for vote in votes if not vote.trap}:
        touched = [one for one in sets if one & pair]
        sets = [one for one in sets if not one & pair] + [set(pair).union(*touched)]
    return tuple(sorted(tuple(sorted(one)) for one in sets))
