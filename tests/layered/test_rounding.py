"""Roundings: the same integers where they claim it, gradients where training needs them."""

from __future__ import annotations

import pytest
import torch

from layered.codec import LayeredCodec
from layered.image import to_tensor
from layered.layer import Context
from layered.rounding import Hard, Mixed, Noise, Rounding, StraightThrough
from tests.conftest import smooth_picture


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def test_training_rounds_as_coding_does() -> None:
    centred = torch.randn(1, 4, 8, 8, generator=_generator()) * 5
    hard = Hard()(centred)[0]
    assert torch.allclose(StraightThrough()(centred)[0], hard, atol=1e-5)
    assert torch.allclose(Mixed(_generator())(centred)[0], hard, atol=1e-5)


def test_noise_is_uniform_within_half_a_step() -> None:
    noise = Noise(_generator())(torch.zeros(100_000))[1]
    assert noise.min() >= -0.5 and noise.max() < 0.5
    assert float(noise.std()) == pytest.approx(12**-0.5, rel=0.01)


def test_the_same_generator_gives_the_same_noise() -> None:
    assert torch.equal(Noise(_generator())(torch.zeros(9))[0], Noise(_generator())(torch.zeros(9))[0])


@pytest.mark.parametrize("rounding", [StraightThrough(), Noise(_generator()), Mixed(_generator())])
def test_gradients_reach_latents_through_rate_and_distortion(tiny_codec: LayeredCodec, rounding: Rounding) -> None:
    image, context = to_tensor(smooth_picture(32, 32)), Context(32, 32, 2.0)
    layer = tiny_codec.base
    latents = layer.analyse(image, context).leaf()
    coded = layer.code(latents, context, rounding)
    for target in (coded.bits.sum(), (layer.synthesise(coded.latents, context) - image).square().sum()):
        gradient = torch.autograd.grad(target, latents.parts[0], retain_graph=True)[0]
        assert float(gradient.abs().max()) > 0


def test_noisy_bits_are_near_hard_bits(tiny_codec: LayeredCodec) -> None:
    image, context = to_tensor(smooth_picture(128, 128)), Context(128, 128, 3.0)
    layer = tiny_codec.base
    latents = layer.analyse(image, context)
    hard = float(layer.code(latents, context, Hard()).bits)
    assert float(layer.code(latents, context, Noise(_generator())).bits) == pytest.approx(hard, rel=0.1)
