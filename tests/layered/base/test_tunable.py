"""Tunable GC: one set of weights, rates that rise with the quality, and a generator that knows what it was granted."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from layered.base.transforms import rebuild_tables
from layered.base.tunable import TunableGc
from layered.codec import LayeredCodec
from layered.errors import OptionError
from layered.layer import Context
from layered.rounding import Hard, StraightThrough
from layered.spec import CodecSpec, build
from layered.weights.store import digest_of
from tests.conftest import smooth_picture

LAMBDAS = (0.0001, 0.0004, 0.0016)
QUALITIES = np.linspace(1, 3, 9).tolist()


@pytest.fixture(scope="module")
def codec() -> LayeredCodec:
    base = {"name": "tunable", "width": 32, "channels": 6, "blocks": 1, "norm": "channel"}
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = build(CodecSpec.model_validate({"base": base, "lambdas": LAMBDAS}))
    rebuild_tables(made)
    made.digest = digest_of(made.spec, made.state_dict())
    return made.requires_grad_(False).eval()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (33, 17), (64, 48)])
@pytest.mark.parametrize("exact", [False, True])
def test_decoding_gives_the_encoders_picture(codec: LayeredCodec, size: tuple[int, int], exact: bool) -> None:
    for quality in (1.0, 2.3, 3.0):
        data = codec.encode(smooth_picture(*size), (1.0,), quality, exact=exact, verify=True)
        assert codec.decode(data)[0].shape == (*size, 3)


def used(codec: LayeredCodec, quality: float) -> int:
    """Codes that are not zero, of a picture of noise."""
    image = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(0))
    context = Context(96, 128, quality)
    coded = codec.base.code(codec.base.analyse(image, context), context, Hard())
    return int(coded.latents.parts[0].count_nonzero())


def test_more_quality_uses_more_codes(codec: LayeredCodec) -> None:
    counts = [used(codec, quality) for quality in QUALITIES]
    assert all(a <= b for a, b in pairwise(counts)) and counts[-1] > 1.4 * counts[0]


def test_codes_beyond_what_a_position_is_granted_are_zero(codec: LayeredCodec) -> None:
    context = Context(96, 128, 1.0)
    image = torch.rand(1, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    (w,) = codec.base.analyse(image, context).parts
    kept = (w != 0).int()
    assert bool((kept[:, :-1] >= kept[:, 1:]).all()) and 0 < int(kept.sum()) < kept.numel()


def test_the_generator_is_told_the_quality(codec: LayeredCodec) -> None:
    low, high = Context(64, 64, 1.0), Context(64, 64, 3.0)
    latents = codec.base.code(codec.base.analyse(torch.rand(1, 3, 64, 64), low), low, Hard()).latents
    assert not torch.equal(codec.base.synthesise(latents, low), codec.base.synthesise(latents, high))


def test_gradients_reach_the_importance_map() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        layer = TunableGc(32, 4, 1, norm="channel", lambdas=LAMBDAS)
    context = Context(64, 64, 2.0)
    image = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    coded = layer.code(layer.analyse(image, context), context, StraightThrough())
    (layer.synthesise(coded.latents, context) - image).square().mean().backward()
    gradient = layer.encoder.last.conv.weight.grad
    assert gradient is not None and float(gradient[-1].abs().sum()) > 0  # the map is the last output


def test_centres_without_zero_and_odd_widths_are_refused() -> None:
    with pytest.raises(OptionError, match="needs 0 among its centres"):
        TunableGc(32, 4, 1, centres=(-1, 1))
    with pytest.raises(OptionError, match="multiple of 16"):
        TunableGc(40, 4, 1)
