"""A prior over codes: any size, its own alphabet, its own weights; and what trains it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from layered.adversarial.histograms import compare, histograms, total_variation
from layered.adversarial.prior import Prior, PriorSpec, load_prior, save_prior
from layered.adversarial.wgan import LatentCritic, Wgan, gradient_penalty
from layered.errors import OptionError
from layered.training.recipe import DataSettings, PriorRecipe

DIGEST = bytes(range(6))


def made(**options: int) -> Prior:
    spec = PriorSpec.model_validate({"channels": 3, "size": 5, "width": 4, "noise": 2, **options})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Prior(spec)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=20)
@given(st.integers(1, 37), st.integers(1, 37), st.integers(0, 3))
def test_any_size_is_drawn_the_same_for_the_same_seed(height: int, width: int, doublings: int) -> None:
    prior = made(doublings=doublings)
    shape = (2, 3, height, width)
    symbols = prior.draw(shape, seeded(1))
    assert symbols.shape == shape and symbols.dtype == torch.int64
    assert int(symbols.min()) >= 0 and int(symbols.max()) <= 4
    assert torch.equal(symbols, prior.draw(shape, seeded(1)))


def test_another_number_of_channels_is_told() -> None:
    with pytest.raises(OptionError, match="draws 3 channels, the codes have 4"):
        made().draw((1, 4, 8, 8), seeded())


@pytest.mark.parametrize("size", [2, 5, 256])
def test_every_symbol_comes_back_from_anywhere_in_its_share_of_the_range(size: int) -> None:
    prior = made(size=size)
    symbols = torch.arange(size).repeat(64)
    numbers = prior.numbers(symbols, torch.rand(len(symbols), generator=seeded()) * 0.98 + 0.01)
    assert float(numbers.abs().max()) < 1
    assert torch.equal(prior.symbols(numbers), symbols)
    assert prior.symbols(torch.tensor([-1.0, 1.0])).tolist() == [0, size - 1]


class Slope(nn.Module):
    """A critic whose gradient is `weight` everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).sum((1, 2, 3))


def test_the_penalty_is_the_squared_distance_of_the_gradients_norm_from_one() -> None:
    real, fake = torch.randn(2, 4, 1, 2, 2, generator=seeded())
    for norm in (0.5, 1.0, 4.0):
        critic = Slope(torch.full((1, 2, 2), norm / 2))
        penalty = gradient_penalty(critic, real, fake, torch.rand(4, generator=seeded()))
        assert float(penalty.detach()) == pytest.approx((norm - 1) ** 2, abs=1e-5)
        penalty.backward()
        assert critic.weight.grad is not None


def test_the_penalty_is_taken_between_both_samples() -> None:
    seen: list[Tensor] = []

    class Noting(Slope):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x.detach())
            return super().forward(x)

    real, fake = torch.zeros(3, 1, 2, 2), torch.ones(3, 1, 2, 2)
    gradient_penalty(Noting(torch.ones(1, 2, 2)), real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert [float(sample.mean()) for sample in seen[0]] == [0.0, 0.25, 1.0]


def test_a_critic_judges_each_sample_alone_and_at_any_size() -> None:
    critic = LatentCritic(3, 4)
    for height, width in [(4, 4), (16, 16), (9, 22)]:
        batch = torch.randn(4, 3, height, width, generator=seeded())
        verdicts = critic(batch)
        assert verdicts.shape == (4,)
        assert torch.allclose(verdicts[1:2], critic(batch[1:2]), atol=1e-5)


def test_training_brings_the_codes_near_those_of_the_data() -> None:
    options = {"lr": 2e-3, "batch": 8, "critic_width": 8}
    recipe = PriorRecipe.model_validate({"weights": "none", "data": DataSettings(folder="none"), **options})
    data = (3 + (torch.rand(64, 1, 8, 8, generator=seeded()) < 0.7)).to(torch.uint8)
    prior = made(channels=1, width=8, doublings=1)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        wgan = Wgan(prior, LatentCritic(1, 8), recipe)
    before = compare(data, prior.draw((64, 1, 8, 8), seeded()), 5)
    for step in range(30):
        found = wgan.step(data, seeded(step))
        assert found.keys() == {"distance", "penalty"}
    after = compare(data, prior.draw((64, 1, 8, 8), seeded()), 5)
    assert after.codes_prior[0] < 0.5 * before.codes_prior[0] and after.pairs_prior[0] < 0.5 * after.pairs_uniform[0]


def test_distances_are_those_of_the_definition() -> None:
    data = torch.tensor([[[[0, 1, 0, 1]], [[2, 2, 2, 2]]]], dtype=torch.uint8)
    assert histograms(data, 3).tolist() == [[0.5, 0.5, 0], [0, 0, 1]]
    assert histograms(data, 3, pairs=True)[0].nonzero().flatten().tolist() == [1, 3]  # 01 twice, 10 once
    samples = torch.tensor([[[[0, 0, 1, 1]], [[2, 0, 2, 0]]]])
    found = compare(data, samples, 3)
    assert found.codes_prior == pytest.approx((0, 0.5))
    assert found.codes_uniform == pytest.approx((1 / 3, 2 / 3))
    assert found.pairs_prior == pytest.approx((2 / 3, 1))
    assert found.pairs_uniform == pytest.approx((7 / 9, 8 / 9))
    assert total_variation(histograms(data, 3), histograms(data, 3)) == (0, 0)
    assert "codes, prior    0.250  0.000 0.500" in found.text()


def test_a_saved_prior_draws_the_same(tmp_path: Path) -> None:
    prior = made()
    save_prior(prior, tmp_path / "p.safetensors", DIGEST)
    loaded = load_prior(tmp_path / "p.safetensors", DIGEST, "these")
    assert loaded.spec == prior.spec
    assert torch.equal(loaded.draw((1, 3, 9, 9), seeded()), prior.draw((1, 3, 9, 9), seeded()))


def test_a_prior_of_other_weights_or_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    save_prior(made(), path, DIGEST)
    with pytest.raises(OptionError, match="a prior of the weights 000102030405; these is 000000000000"):
        load_prior(path, bytes(6), "these")
    state = load_file(path)
    spec = made().spec
    header = {"format": "layered-prior-1", "weights": DIGEST.hex(), "spec": spec.model_dump_json()}
    for tensors, change, message in [
        (state, {"format": "other"}, "not a prior"),
        (state, {"spec": "{}"}, "its specification"),
        (state, {"spec": spec.model_copy(update={"width": 8}).model_dump_json()}, "do not fit"),
        ({**state, "last.conv.bias": torch.full((3,), torch.nan)}, {}, "NaN"),
        ({name: value for name, value in state.items() if name != "last.conv.bias"}, {}, "do not fit"),
    ]:
        save_file(tensors, path, header | change)
        with pytest.raises(OptionError, match=message):
            load_prior(path, DIGEST, "these")
    path.write_bytes(b"nothing")
    with pytest.raises(OptionError, match="not a weights file"):
        load_prior(path, DIGEST, "these")
