"""Layers that are refined together cost no more together than each by itself, and count as they are weighted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adapters.adaptation import AdaptationSettings, PerImage
from adapters.cost import Cost
from adapters.refine import Refined, refine
from adapters.schedule import Schedule
from adapters.stack import refine_stack, shifted
from layered import stream
from layered.base.gain import lambda_at
from layered.codec import LayeredCodec
from layered.errors import OptionError
from layered.image import layer_sizes, resize8, to_tensor
from layered.layer import Context, Layer
from layered.rounding import Hard
from tests.adapters.codecs import base_codec, guide_for, stack_codec
from tests.conftest import smooth_picture

PICTURE = smooth_picture(16, 24)
SCALES = (0.25, 0.5, 1.0)
SIZES = layer_sizes(24, 16, SCALES)


def whole(codec: LayeredCodec, data: bytes, weights: tuple[float, ...], lam: float | None) -> float:
    """Bytes of all layers, and weighted squared errors, in bits per pixel of the top layer."""
    found = 0.0
    for k, (chunk, decoded) in enumerate(zip(stream.parse(data).chunks, codec.decode(data), strict=True)):
        error = np.square(resize8(PICTURE, *SIZES[k]).astype(float) - decoded).sum() / 3
        trade = lambda_at(codec.base.lambdas, 2.0) if lam is None else lam
        found += 8 * len(chunk.payload) + weights[k] * trade * float(error)
    return found / PICTURE[..., 0].size


@pytest.mark.parametrize(
    ("name", "weights", "exact"),
    [
        ("residual", (1.0, 1.0, 1.0), False),
        ("residual", (0.0, 0.0, 1.0), True),
        ("mei", (3.0, 0.0, 0.5), False),
        ("mei", (1.0, 1.0, 1.0), True),
    ],
)
def test_the_whole_is_never_worse(name: str, weights: tuple[float, ...], exact: bool) -> None:
    codec = stack_codec(name)
    settings = AdaptationSettings(
        method="layered-joint", weights=weights, steps=3, lam=0.1, schedule="straight-through"
    )  # fmt: skip
    data = codec.encode(PICTURE, SCALES, exact=exact, adaptation=PerImage(settings))
    plain = codec.encode(PICTURE, SCALES, exact=exact)
    assert whole(codec, data, weights, 0.1) <= whole(codec, plain, weights, 0.1)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.3, 0.3, 1.0), (0.0, 0.0, 1.0)])
def test_the_whole_is_no_worse_than_layers_refined_one_after_another(weights: tuple[float, ...]) -> None:
    codec, costs = stack_codec(), []
    for settings in (
        AdaptationSettings(method="layered-joint", steps=12, last_steps=0, lam=5.0, weights=weights),
        AdaptationSettings(method="refine", steps=12, lam=5.0),
        AdaptationSettings(method="refine", steps=0, lam=5.0),
    ):
        costs.append(whole(codec, codec.encode(PICTURE, SCALES, adaptation=PerImage(settings)), weights, 5.0))
    assert costs[0] <= costs[1] < costs[2]


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (0.3, 0.0, 0.5)])
def test_each_layer_is_first_refined_for_its_own_picture(
    monkeypatch: pytest.MonkeyPatch, weights: tuple[float, ...]
) -> None:
    lambdas = []

    def noting(layer: Layer, original: Tensor, context: Context, cost: Cost, *rest: Any, **more: Any) -> Refined:
        lambdas.append(cost.lam)
        return refine(layer, original, context, cost, *rest, **more)

    monkeypatch.setattr("adapters.stack.refine", noting)
    settings = AdaptationSettings(method="layered-joint", steps=1, last_steps=0, lam=5.0, weights=weights)
    stack_codec().encode(PICTURE, SCALES, adaptation=PerImage(settings))
    assert lambdas == [5.0] * 3


@pytest.mark.parametrize(
    ("name", "weights"), [("residual", (1.0, 1.0, 1.0)), ("residual", (0.3, 0.1, 0.5)), ("mei", (1.0, 1.0, 1.0))]
)
def test_each_layers_report_is_of_the_plain_file_and_of_the_one_that_is_made(
    name: str, weights: tuple[float, ...]
) -> None:
    codec = stack_codec(name)
    adaptation = PerImage(AdaptationSettings(method="layered-joint", steps=20, lam=5.0, weights=weights))
    data, plain = (codec.encode(PICTURE, SCALES, adaptation=each) for each in (adaptation, None))
    reports = adaptation.reports
    assert [report.layer for report in reports] == [0, 1, 2] and all(each.before != each.after for each in reports)
    for told, file in (("before", plain), ("after", data)):
        chunks, pictures = stream.parse(file).chunks, codec.decode(file)
        for report, chunk, decoded, weight in zip(reports, chunks, pictures, weights, strict=True):
            error = np.square(resize8(PICTURE, chunk.width, chunk.height).astype(float) - decoded).mean()
            size = len(chunk.payload) + (1 if len(chunk.payload) < 128 else 2)  # with its length
            wanted = 8 * size / decoded[..., 0].size + 5 * weight * float(error)
            assert getattr(report, told) == pytest.approx(wanted, rel=1e-5)


def test_the_base_layer_pays_for_those_above_it() -> None:
    codec, picture = stack_codec(), smooth_picture(64, 64)
    originals = [to_tensor(resize8(picture, 32, 32)), to_tensor(picture)]
    schedule = Schedule(steps=8, lr=0.1, rounding="straight-through", trials=4)
    costs = (Cost(1e-6), Cost(1e-6))  # next to nothing is asked of the pictures,
    weights = (0.0, 1.0)  # and nothing of the base layer's
    by = refine_stack(codec, originals, (2.0, 2.0), costs, weights, schedule, torch.Generator()).shifts[0]
    context = Context(32, 32, 2.0)
    with torch.no_grad():
        plain = codec.base.analyse(originals[0], context)
        bits = [float(codec.base.code(each, context, Hard()).bits) for each in (shifted(plain, by), plain)]
    assert bits[0] < bits[1]


def test_a_guide_reaches_the_layer_that_needs_it() -> None:
    codec, guide = base_codec("sc"), guide_for("sc", 16, 24)
    settings = AdaptationSettings(method="layered-joint", steps=2)
    data = codec.encode(PICTURE, (1.0,), guide=guide, adaptation=PerImage(settings))
    assert codec.decode(data)[0].shape == PICTURE.shape


def test_ms_ssim_asks_nothing_of_layers_that_do_not_count() -> None:
    codec = stack_codec()
    settings = AdaptationSettings(method="layered-joint", steps=1, weights=(0.0, 1.0), distortion="ms-ssim")
    picture = smooth_picture(161, 161)
    assert codec.decode(codec.encode(picture, (0.25, 1.0), adaptation=PerImage(settings)))[1].shape == picture.shape


@pytest.mark.parametrize("weights", [(1.0,), (1.0, -1.0, 1.0), (0.0, 0.0, 0.0), (1.0, float("nan"), 1.0)])
def test_weights_are_checked(weights: tuple[Any, ...]) -> None:
    settings = AdaptationSettings(method="layered-joint", steps=1, weights=weights)
    with pytest.raises(OptionError, match=r"weights|lambda"):
        stack_codec().encode(PICTURE, SCALES, adaptation=PerImage(settings))
