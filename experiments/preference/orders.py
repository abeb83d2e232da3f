"""In which order raters see the trials of a study, and what stands on the left: counterbalanced lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["LISTS", "Order", "counterbalanced"]

LISTS = 64
"""Lists of a study; a rater's id chooses one.  An even number."""

Order: TypeAlias = tuple[tuple[int, bool], ...]
"""The trials by their numbers, in the order shown, each with whether its two sides are exchanged."""


def counterbalanced(traps: Sequence[bool], rng: np.random.Generator, lists: int = LISTS) -> tuple[Order, ...]:
    """An order for each of `lists` lists; traps: for each trial whether it is one.

    In every list the sides of half of the trials are exchanged, among traps and among the others alike; where their
    number is odd, of one more or one fewer.  A list of odd number exchanges what the one before it does not, so that
    over an even number of lists each trial is shown as often one way as the other.
    """
    groups = [[number for number, trap in enumerate(traps) if trap is kind] for kind in (False, True)]
    orders = []
    for _ in range(0, lists, 2):
        exchanged = np.zeros(len(traps), bool)
        for group in groups:
            exchanged[group] = _half(len(group), rng)
        for sides in (exchanged, ~exchanged):
            orders.append(tuple((int(k), bool(sides[k])) for k in rng.permutation(len(traps))))
    return tuple(orders[:lists])


def _half(count: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """That many flags, half of them set."""
    flags = (np.arange(count) + rng.integers(2)) % 2 == 1
    return rng.permutation(flags)
