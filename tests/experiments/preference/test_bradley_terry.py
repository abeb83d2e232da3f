"""Rankings of several codecs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from experiments.preference.bradley_terry import fit, groups, ranking
from experiments.preference.votes import Vote
from tests.experiments.preference.ballots import trap, vote


def between(left: str, right: str, share: float, raters: int = 9, images: int = 40) -> list[Vote]:
    """Votes of which that share is for the left one, however they fall on raters and images."""
    drawn = np.random.default_rng(0).permutation(raters * images) < share * raters * images
    return [
        vote(study=left + right, left=left, right=right, rater=f"r{k % raters}", trial=1 + k // raters,
             answer="left" if chosen else "right")
        for k, chosen in enumerate(drawn)
    ]  # fmt: skip


def test_two_codecs_are_as_far_apart_as_their_odds() -> None:
    first, second = fit(np.array([[[0.0, 3.0], [1.0, 0.0]]]))[0]
    assert first - second == pytest.approx(math.log(3), abs=1e-5) and first + second == pytest.approx(0)


def test_strengths_expect_as_many_wins_as_there_were() -> None:
    wins = np.random.default_rng(1).integers(1, 30, (5, 4, 4)) * (1 - np.eye(4))
    strengths = np.exp(fit(wins))
    expected = (wins + wins.transpose(0, 2, 1)) * (strengths[:, :, None] / (strengths[:, :, None] + strengths[:, None]))
    assert expected.sum(2) == pytest.approx(wins.sum(2), rel=1e-5)


def test_codecs_of_several_studies_are_ranked_and_intervals_hold_the_strength() -> None:
    votes = [*between("a", "b", 0.75), *between("c", "b", 0.25), trap("left", left="b")]
    ranks = ranking(votes, np.random.default_rng(0))
    assert [rank.codec for rank in ranks] == ["a", "b", "c"]
    assert [rank.elo for rank in ranks] == pytest.approx([400 * math.log10(3), 0, -400 * math.log10(3)], abs=1.5)
    for rank in ranks:
        assert rank.interval is not None and rank.interval[0] < rank.elo < rank.interval[1]
    assert ranking(votes, np.random.default_rng(0)) == ranks


def test_who_is_not_sure_votes_half_for_each() -> None:
    unsure = [vote(rater=f"r{k}", answer="not sure") for k in range(5)]
    assert [rank.elo for rank in ranking(unsure, np.random.default_rng(0))] == pytest.approx([0, 0])


def test_one_that_wins_all_has_a_finite_strength_and_one_rater_no_interval() -> None:
    first, second = ranking([vote(trial=k) for k in range(20)], np.random.default_rng(0))
    assert first.codec == "a @ 1" and first.interval is None is second.interval
    assert first.elo - second.elo == pytest.approx(400 * math.log10(20.5 / 0.5), abs=0.01)


def test_codecs_never_compared_not_even_by_way_of_others_are_told_apart() -> None:
    votes = [vote(left=a, right=b) for a, b in ("ab", "bc", "de")] + [trap("left", left="c")]
    assert groups(votes) == (("a", "b", "c"), ("d", "e"))
    assert groups([*votes, vote(left="e", right="a")]) == (("a", "b", "c", "d", "e"),)
