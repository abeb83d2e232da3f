"""How many numbers each method changes for a picture, at the widths of WACNN's paper."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod

import pytest
from torch._subclasses.fake_tensor import FakeTensorMode

from adapters.kinds import kind_of
from adapters.methods import METHODS
from adapters.sites import own_parameters, sites
from layered.base.wacnn import Wacnn

SITE = "g_s.5.site"


@pytest.fixture(scope="module")
def wacnn() -> Wacnn:
    with FakeTensorMode():  # 75 million parameters, of which shapes are all that is wanted
        return Wacnn()


def numbers(layer: Wacnn, method: str, names: Iterable[str]) -> int:
    plan, places = METHODS[method].plan, sites(layer)
    assert plan is not None
    kind = kind_of(plan.kind)
    modules = [places[name] for name in names]
    return sum(prod(shape) for m in modules if kind.suits(m) for shape in kind.shapes(m, plan.rank))


def test_two_1x1_convolutions_behind_the_last_attention_have_768_numbers(wacnn: Wacnn) -> None:
    assert SITE in sites(wacnn)
    assert {numbers(wacnn, method, [SITE]) for method in ("universal", "universal-paper", "universal-joint")} == {768}


def test_factors_of_channels_behind_the_last_attention_are_192(wacnn: Wacnn) -> None:
    assert {numbers(wacnn, method, [SITE]) for method in ("zou", "zou-fair")} == {192}


def test_biases_of_the_synthesis_are_9283(wacnn: Wacnn) -> None:
    synthesis = [name for name in sites(wacnn) if name.startswith("g_s.")]
    assert {numbers(wacnn, method, synthesis) for method in ("lam", "lam-fair")} == {9283}


def test_all_that_the_decoder_has_are_64988211_numbers_of_which_the_quantiles_follow_from_others(wacnn: Wacnn) -> None:
    decoder = [name for name in sites(wacnn) if not name.startswith(("g_a.", "h_a."))]
    held = sum(p.numel() for name in decoder for p in own_parameters(sites(wacnn)[name]).values())
    assert held == 64_988_211
    assert numbers(wacnn, "rozendaal", decoder) == held - wacnn.entropy_bottleneck.quantiles.numel()
