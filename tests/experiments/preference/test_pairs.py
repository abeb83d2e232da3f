"""Shares, Wilson intervals and sign tests against known values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from experiments.preference.pairs import count_pairs, sign_test, wilson
from tests.experiments.preference.ballots import trap, vote


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilsons_interval_has_the_values_of_newcombe_1998(
    successes: int, trials: int, low: float, high: float
) -> None:
    assert wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 500), st.data())
def test_wilsons_interval_of_whole_votes_is_scipys(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    expected = binomtest(successes, trials).proportion_ci(0.95, "wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_180_votes_leave_seven_points_either_way() -> None:
    low, high = wilson(90, 180)
    assert (low, high) == pytest.approx((0.5 - 0.0723, 0.5 + 0.0723), abs=1e-4)


def test_the_sign_test_adds_both_tails_and_leaves_out_who_is_not_sure() -> None:
    assert sign_test(9, 1) == sign_test(1, 9) == pytest.approx(2 * (1 + 10) / 2**10)
    assert sign_test(5, 5) == sign_test(0, 0) == 1
    unsure = [vote(trial=k, answer="not sure") for k in range(50)]
    (pair,) = count_pairs([*unsure, *(vote(trial=k) for k in range(50, 60))])
    assert pair.p == pytest.approx(2 / 2**10) and pair.unsure == 50


def test_votes_count_for_the_codec_wherever_it_stands_and_half_where_nobody_is_sure() -> None:
    other = {"left": "b @ 2", "right": "a @ 1"}
    votes = [vote(), vote(answer="right", **other), vote(answer="left", **other), vote(answer="not sure", rater="bob")]
    (pair,) = count_pairs([*votes, trap("right"), vote(image="p1")])
    assert (pair.first, pair.second) == ("a @ 1", "b @ 2")
    assert (pair.for_first, pair.for_second, pair.unsure) == (3, 1, 1)
    assert (pair.raters, pair.images, pair.share) == (2, 2, 3.5 / 5)
    assert pair.interval == wilson(3.5, 5)


@pytest.mark.parametrize(("counts", "better"), [((9, 1), "a @ 1"), ((1, 9), "b @ 2"), ((8, 2), None), ((0, 5), None)])
def test_a_pair_is_a_tie_unless_the_sign_test_says_otherwise(counts: tuple[int, int], better: str | None) -> None:
    answers = ["left"] * counts[0] + ["right"] * counts[1]
    (pair,) = count_pairs([vote(trial=k, answer=answer) for k, answer in enumerate(answers)])
    assert pair.better == better
