"""Relaxed roundings have the distributions of their papers, and become rounding as they cool."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from adapters.rounding import LOGITS, Gumbel, SoftRound, logits_of
from layered.errors import OptionError

MANY = 40_000


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chance_of_upper(fraction: float, temperature: float) -> float:
    up, down = (math.exp(-math.atanh(v) / temperature) for v in (1 - fraction, fraction))
    return up / (up + down)


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5, 0.8])
def test_the_upper_integer_is_chosen_as_often_as_sga_says(fraction: float) -> None:
    values, _ = Gumbel(0.5, seeded())(torch.full((MANY,), 4 + fraction))
    often = float((values > 4.5).float().mean())  # the relaxation does not change which is the larger
    assert abs(often - chance_of_upper(fraction, 0.5)) < 0.01


def test_cold_samples_have_the_mean_of_the_distribution() -> None:
    temperature, fraction = 0.2, 0.45
    values, _ = Gumbel(temperature, seeded())(torch.full((MANY,), fraction))
    assert abs(float(values.mean()) - chance_of_upper(fraction, temperature)) < 0.02


def relaxed(fraction: float, temperature: float) -> Tensor:
    """The softmax over two Gumbel variables that SGA is defined by."""
    uniform = torch.rand(MANY, 2, generator=seeded(7)).clamp(1e-6, 1 - 1e-6)
    logits = -torch.atanh(torch.tensor([fraction, 1 - fraction])) / temperature
    return torch.softmax((logits - torch.log(-torch.log(uniform))) / temperature, -1)[:, 1]


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_the_sigmoid_of_two_classes_has_the_distribution_of_the_softmax(fraction: float) -> None:
    ours, _ = Gumbel(0.5, seeded())(torch.full((MANY,), -3 + fraction))
    theirs = relaxed(fraction, 0.5)
    quantiles = torch.linspace(0.05, 0.95, 19)
    assert float((torch.quantile(ours + 3, quantiles) - torch.quantile(theirs, quantiles)).abs().max()) < 0.02


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("logits", LOGITS)
def test_gradients_are_finite_on_integers_and_between(logits: str, classes: int) -> None:
    latents = torch.tensor([0.0, 0.5, -0.5, 1e-7, -1e-7, 3.0, 2.9999998, 1e6, -1e6], requires_grad=True)
    for temperature in (1.0, 0.07):
        values, points = Gumbel(temperature, seeded(), logits, classes)(latents)
        assert values is points and bool(values.isfinite().all())
        (gradient,) = torch.autograd.grad(values.sum(), latents)
        assert bool(gradient.isfinite().all())


@given(st.integers(-100, 100), st.integers(-4, 4), st.sampled_from(sorted(LOGITS)), st.sampled_from([2, 3]))
def test_sga_is_rounding_when_it_is_cold(whole: int, tenths: int, logits: str, classes: int) -> None:
    latents = torch.full((50,), whole + tenths / 10)
    values, _ = Gumbel(0.01, seeded(), logits, classes)(latents)
    assert float((values - torch.round(latents)).abs().max()) < 1e-4


def test_soft_rounding_is_rounding_when_it_is_cold_and_still() -> None:
    latents = torch.linspace(-3.4, 3.4, 35)
    values, _ = SoftRound(0.005, 0.0, seeded())(latents)
    assert torch.allclose(values, torch.round(latents), atol=1e-3)
    warm, _ = SoftRound(100.0, 0.0, seeded())(latents)
    assert torch.allclose(warm, latents, atol=1e-3)


def test_the_noise_of_soft_rounding_has_its_deviation() -> None:
    values, _ = SoftRound(100.0, 0.2, seeded())(torch.full((MANY,), 0.25))
    assert abs(float(values.std()) - 0.2) < 0.005 and abs(float(values.mean()) - 0.25) < 0.005


def test_three_classes_reach_both_neighbours_and_two_do_not() -> None:
    latents = torch.full((MANY,), 0.2)
    three, _ = Gumbel(1.0, seeded(), "ssl", 3)(latents)
    assert float(three.min()) < -0.5 and float(three.max()) > 0.5
    two, _ = Gumbel(1.0, seeded(), "ssl", 2)(latents)
    assert float(two.min()) >= 0 and float(two.max()) <= 1


def test_three_classes_are_chosen_as_often_as_sga_plus_says() -> None:
    values = torch.tensor([1.2, 0.2, 0.8]) * 0.98 / 1.5  # distances of -1, 0, 1 from 0.2
    masses = torch.sigmoid(-1.4 * torch.logit(values)) ** (1.4 / 0.6)
    three = Gumbel(0.6, seeded(), "ssl", 3)
    distances = torch.tensor([1.2, 0.2, 0.8]).expand(MANY, 3)
    often = torch.bincount(three._shares(three._logits(distances)).argmax(-1), minlength=3) / MANY
    assert torch.allclose(often, masses / masses.sum(), atol=0.01)


@pytest.mark.parametrize("rounding", [Gumbel(0.3, seeded()), SoftRound(0.3, 0.1, seeded())])
def test_shares_among_a_finite_alphabet_add_to_one(rounding: Gumbel | SoftRound) -> None:
    latents = torch.randn(2, 3, 4, generator=seeded(1)).requires_grad_(True)
    distances = (latents[..., None] - torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0])).square()
    shares = rounding.assign(distances)
    assert torch.allclose(shares.sum(-1), torch.ones(2, 3, 4), atol=1e-5) and bool((shares >= 0).all())
    (gradient,) = torch.autograd.grad((shares * torch.arange(5.0)).sum(), latents)
    assert bool(gradient.isfinite().all()) and bool(gradient.any())


def test_a_cold_choice_among_a_finite_alphabet_is_the_nearest() -> None:
    distances = torch.tensor([[0.0, 1.0, 4.0], [2.25, 0.25, 0.4]])
    shares = Gumbel(0.01, seeded()).assign(distances)
    assert shares.argmax(-1).tolist() == [0, 1] and float(shares.max(-1).values.min()) > 0.99


@pytest.mark.parametrize("kind", [lambda g: Gumbel(0.5, g), lambda g: SoftRound(0.3, 0.2, g)])
def test_only_the_given_generator_is_drawn_from(kind: object) -> None:
    assert callable(kind)
    before, latents = torch.random.get_rng_state(), torch.linspace(-2, 2, 64)
    first, again, other = (kind(seeded(seed))(latents)[0] for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(before, torch.random.get_rng_state())


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="atanh, linear, cosine, ssl"):
        logits_of("tanh")
    for wrong in ({"classes": 4}, {"temperature": 0.0}, {"temperature": float("nan")}, {"logits": "tanh"}):
        with pytest.raises(OptionError):
            Gumbel(**{"temperature": 0.5, "generator": seeded(), **wrong})  # type: ignore[arg-type]
