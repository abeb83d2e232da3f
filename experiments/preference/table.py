"""The votes of studies as the tables of papers: preferences of pairs, and a ranking where there are more codecs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.grids import Grid
from experiments.markdown import grid_markdown
from experiments.preference.bradley_terry import SAMPLES, Rank, groups, ranking
from experiments.preference.pairs import CONFIDENCE, Pair, count_pairs
from experiments.preference.votes import Vote, read_votes
from experiments.words import quantity
from layered.errors import OptionError

__all__ = ["FAILED_TRAPS", "inattentive", "preferences"]

FAILED_TRAPS = 2
"""Traps after which a rater is left out, where nothing is said."""

LEVEL = f"{CONFIDENCE:.0%} interval"
_PAIRS = (
    "codec A", "codec B", "raters", "images", "for A", "for B", "not sure", "share of A", LEVEL, "p", "preferred",
)  # fmt: skip
_HOW = (
    f"Share of A: votes for A and half of the votes of those not sure, of all; its {LEVEL} is Wilson's.",
    f"p: exact two-sided sign test of the votes for A and for B; a tie is p of {1 - CONFIDENCE:.2f} and above. "
    "Both take votes as independent, though each rater gives several.",
)
_HOW_RANKED = (
    "Bradley-Terry strengths in Elo points (400: odds of 10 to 1), their mean 0; a vote of somebody not sure counts "
    "half for each, and each of two compared codecs has half a vote beforehand.",
    f"The {LEVEL}: percentiles of {SAMPLES} fits to raters drawn with replacement.",
)


def preferences(paths: Sequence[str | Path], failed_traps: int = FAILED_TRAPS, seed: int = 0) -> str:
    """The tables of all votes in some CSV files, in Markdown.

    failed_traps: a rater who fails so many traps of a study, at least 1, is left out of it.  seed: of the bootstrap.
    Raises OptionError for files that hold no votes or damaged ones.
    """
    if failed_traps < 1:
        raise OptionError(f"{failed_traps} failed traps: a rater is left out after at least 1")
    read = read_votes(paths)
    out = inattentive(read.votes, failed_traps)
    votes = [vote for vote in read.votes if (vote.study, vote.rater) not in out]
    pairs = count_pairs(votes)
    texts = [grid_markdown(Grid("Preferences", _PAIRS, tuple(map(_cells, pairs)), _HOW))] if pairs else []
    if len({codec for pair in pairs for codec in (pair.first, pair.second)}) > 2:
        texts.append(_ranked(votes, seed))
    texts.append(_told(read.votes, votes, out, failed_traps, read.repeated))
    return "\n\n".join(texts) + "\n"


def inattentive(votes: Sequence[Vote], failed_traps: int) -> dict[tuple[str, str], tuple[int, int]]:
    """Study and rater of those who failed that many traps, with the number failed and that of traps answered."""
    failed = Counter((vote.study, vote.rater) for vote in votes if vote.failed)
    answered = Counter((vote.study, vote.rater) for vote in votes if vote.trap)
    return {who: (count, answered[who]) for who, count in sorted(failed.items()) if count >= failed_traps}


def _cells(pair: Pair) -> tuple[str, ...]:
    low, high = (f"{100 * end:.1f}" for end in pair.interval)
    counts = (pair.raters, pair.images, pair.for_first, pair.for_second, pair.unsure)
    p = f"{pair.p:.3f}" if pair.p >= 0.001 else f"{pair.p:.0e}"
    share = f"{100 * pair.share:.1f}%"
    return (pair.first, pair.second, *map(str, counts), share, f"{low} to {high}", p, pair.better or "tie")


def _ranked(votes: Sequence[Vote], seed: int) -> str:
    sets = groups(votes)
    if len(sets) > 1:
        listed = "; ".join(", ".join(one) for one in sets)
        return f"No ranking of all codecs: these were compared among themselves only: {listed}."
    ranks = ranking(votes, np.random.default_rng(seed))
    rows = tuple((rank.codec, f"{rank.elo:+.0f}", _interval(rank)) for rank in ranks)
    return grid_markdown(Grid("Ranking", ("codec", "Elo", LEVEL), rows, _HOW_RANKED))


def _interval(rank: Rank) -> str:
    return "none of one rater" if rank.interval is None else "{:+.0f} to {:+.0f}".format(*rank.interval)


def _told(
    read: Sequence[Vote], kept: Sequence[Vote], out: dict[tuple[str, str], tuple[int, int]], limit: int, repeated: int
) -> str:
    """Which votes were counted, and whose were not."""
    traps = sum(vote.trap for vote in kept)
    lines = [
        f"{quantity(len(kept) - traps, 'vote')} and {quantity(traps, 'trap')} of "
        f"{quantity(len({vote.rater for vote in kept}), 'rater')} and "
        f"{quantity(len({vote.study for vote in read}), 'study', 'studies')}."
    ]
    if repeated:
        lines.append(f"{quantity(repeated, 'line')} said again what another had said, and counted once.")
    who = [f"{rater} ({failed} of {traps}, study {study[:8]})" for (study, rater), (failed, traps) in out.items()]
    if who:
        lines.append(f"Left out, for failing {quantity(limit, 'trap')} or more: {', '.join(who)}.")
    return "  \n".join(line.replace("<", "&lt;") for line in lines)
