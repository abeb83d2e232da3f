"""Schedules are those of their papers, at any number of steps."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from adapters.rounding import Gumbel, SoftRound
from adapters.schedule import SCHEDULES, Schedule, reached, schedule_of, share_of
from layered.errors import OptionError


def test_the_reference_holds_for_700_of_2000_steps_and_falls_by_a_thousandth() -> None:
    schedule = schedule_of("reference", steps=2000)
    for step in (0, 1, 699, 700, 701, 1000, 1999):
        assert schedule.temperature(step) == pytest.approx(min(0.5, 0.5 * math.exp(-1e-3 * (step - 700))))


def test_that_of_universal_falls_from_the_beginning() -> None:
    schedule = schedule_of("universal", steps=2000)
    assert schedule.temperature(0) == 0.5
    assert schedule.temperature(2000) == pytest.approx(0.0677, abs=1e-4)
    assert schedule.temperature(1234) == pytest.approx(0.5 * math.exp(-1.234))
    assert [schedule.share(step) for step in (0, 1599, 1600, 1999)] == [1, 1, 0.1, 0.1]


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 30])
def test_temperatures_never_rise_and_stay_between_their_ends(name: str, steps: int) -> None:
    schedule = schedule_of(name, steps=steps)
    found = [schedule.temperature(step) for step in range(steps)]
    assert found == sorted(found, reverse=True)
    assert all(schedule.last - 1e-9 <= each <= schedule.ceiling for each in found)


@given(st.integers(1, 400), st.integers(1, 400))
def test_trials_are_as_many_as_asked_for_and_the_last_step_is_one(steps: int, trials: int) -> None:
    schedule = Schedule(steps=steps, trials=trials)
    tried = [step for step in range(steps) if schedule.is_trial(step)]
    assert len(tried) == min(steps, trials) and tried[-1] == steps - 1


@pytest.mark.parametrize(("step", "elapsed", "at"), [(0, 0.0, 0), (10, 1.0, 20), (30, 1.0, 30), (40, 7.0, 100)])
def test_a_descent_is_as_far_as_its_steps_or_its_time_say(step: int, elapsed: float, at: float) -> None:
    assert reached(step, 100, elapsed, 5.0) == at and reached(step, 100, elapsed, None) == step


def test_the_temperature_has_fallen_when_the_seconds_are_over() -> None:
    schedule = schedule_of("fast", steps=500, seconds=5.0)
    assert schedule.temperature(reached(3, 500, 5.0, 5.0)) == pytest.approx(schedule.last)
    assert share_of(reached(3, 500, 4.5, 5.0), 500, 0.8) == 0.1


def test_roundings_are_those_that_are_named() -> None:
    generator = torch.Generator()
    sga = schedule_of("sga+", steps=10).rounding_at(0, generator)
    assert isinstance(sga, Gumbel) and (sga.temperature, sga.logits, sga.classes) == (1.0, "ssl", 3)
    soft = [schedule_of("soft-round", steps=1000).rounding_at(step, generator) for step in (0, 999)]
    assert [isinstance(each, SoftRound) for each in soft] == [True, True]
    assert [round(each.noise, 2) for each in soft if isinstance(each, SoftRound)] == [0.22, 0.15]


def test_wrong_names_and_values_are_told() -> None:
    with pytest.raises(OptionError, match="fast, reference, universal"):
        schedule_of("slow")
    for wrong in ({"steps": -1}, {"lr": 0}, {"logits": "tanh"}, {"classes": 4}, {"rounding": "none"}, {"pace": 1}):
        with pytest.raises(OptionError, match=next(iter(wrong))):
            schedule_of("fast", **wrong)
