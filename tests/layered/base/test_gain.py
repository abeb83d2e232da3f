"""Variable rate: exponential interpolation between trained gains."""

from __future__ import annotations

import pytest
import torch

from layered.base.gain import RateGains, lambda_at
from layered.errors import OptionError


def test_lambda_is_interpolated_exponentially_and_exact_at_the_ends() -> None:
    lambdas = (0.001, 0.01, 0.1)
    assert [lambda_at(lambdas, q) for q in (1, 2, 3)] == pytest.approx(lambdas)
    assert lambda_at(lambdas, 1.5) == pytest.approx(0.001 * 10**0.5)


def test_gains_between_two_lambdas_are_their_geometric_mean() -> None:
    gains = RateGains((0.001, 0.004), 3)
    assert gains.log_gain is not None
    gains.log_gain.data = torch.tensor([[0.0, 1.0, 2.0], [1.0, 1.0, -2.0]])
    latents = torch.ones(1, 3, 2, 2)
    middle = gains.apply_gain(latents, 1.5)[0, :, 0, 0]
    ends = [gains.apply_gain(latents, q)[0, :, 0, 0] for q in (1.0, 2.0)]
    assert torch.allclose(middle, (ends[0] * ends[1]).sqrt())


def test_gain_and_inverse_start_as_inverses() -> None:
    gains = RateGains((0.001, 0.004, 0.1), 5)
    latents = torch.randn(2, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    for quality in (1.0, 1.7, 3.0):
        assert torch.allclose(gains.remove_gain(gains.apply_gain(latents, quality), quality), latents, atol=1e-6)


def test_one_lambda_needs_no_parameters_and_changes_nothing() -> None:
    gains = RateGains((0.01,), 4)
    latents = torch.randn(1, 4, 2, 2)
    assert not list(gains.parameters()) and not gains.state_dict()
    assert gains.apply_gain(latents, 1.0) is latents


@pytest.mark.parametrize("quality", [0.5, 2.01, float("nan")])
def test_a_quality_outside_the_trained_range_is_refused(quality: float) -> None:
    with pytest.raises(OptionError, match="outside 1 to 2"):
        RateGains((0.01, 0.02), 4).apply_gain(torch.ones(1, 4, 1, 1), quality)


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    "lambdas", [(), (0.0,), (-1.0, 1.0), (0.02, 0.01), (0.01, 0.01), (NAN, 1.0), (1.0, INFINITE)]
)
def test_lambdas_must_be_positive_and_increase(lambdas: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match="lambdas"):
        RateGains(lambdas, 4)
