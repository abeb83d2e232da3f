"""Orders of trials: complete, and balanced in what stands where."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from experiments.preference.orders import LISTS, counterbalanced

traps = st.lists(st.booleans(), min_size=1, max_size=30)


@given(traps, st.integers(0, 2**32))
def test_every_list_has_every_trial_once_and_half_of_each_kind_exchanged(kinds: list[bool], seed: int) -> None:
    for order in counterbalanced(kinds, np.random.default_rng(seed), 4):
        assert sorted(number for number, _ in order) == list(range(len(kinds)))
        for kind in (True, False):
            sides = [exchanged for number, exchanged in order if kinds[number] is kind]
            assert abs(2 * sum(sides) - len(sides)) <= 1


@given(traps, st.integers(0, 2**32))
def test_over_all_lists_every_trial_is_seen_as_often_either_way(kinds: list[bool], seed: int) -> None:
    orders = counterbalanced(kinds, np.random.default_rng(seed), 6)
    exchanged = Counter(number for order in orders for number, sides in order if sides)
    assert all(exchanged[number] == 3 for number in range(len(kinds)))


def test_a_seed_gives_the_same_orders_and_another_seed_others() -> None:
    one, again, other = (counterbalanced([False] * 9, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one == again != other
    assert len(one) == LISTS and len(set(one)) == LISTS
