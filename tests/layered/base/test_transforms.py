"""Transforms round alike whatever the threads and the order in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from layered.base.mean_scale import MeanScale
from layered.base.transforms import SteadyDeconvolution, TransformLayer, rebuild_tables, strided
from layered.base.wacnn import Wacnn
from layered.enhancement.mei import LatentPrediction
from layered.errors import OptionError
from layered.image import to_tensor
from layered.layer import Context, in_double, in_order
from layered.rounding import Hard
from tests.conftest import make_codec, smooth_picture, tiny_spec

SIZES = [
    (96, 64, 7, 10), (96, 64, 13, 20), (64, 64, 52, 78), (64, 64, 44, 64), (64, 3, 40, 56), (5, 7, 1, 1), (5, 7, 3, 1),
    (96, 64, 1, 1), (96, 64, 2, 9), (96, 64, 3, 7), (96, 64, 1, 96), (96, 64, 600, 1), (192, 128, 10, 10),
]  # fmt: skip


@pytest.fixture
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def deconvolution(into: int, out: int) -> SteadyDeconvolution:
    torch.manual_seed(0)
    return SteadyDeconvolution(into, out, 5, stride=2, padding=2, output_padding=1)


@pytest.mark.parametrize(("into", "out", "height", "width"), SIZES)
@torch.inference_mode()
def test_a_deconvolution_is_pytorchs_but_the_same_on_every_number_of_threads(
    into: int, out: int, height: int, width: int, threads: None
) -> None:
    module = deconvolution(into, out)
    x = torch.randn(1, into, height, width)
    found = []
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.append(module(x))
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])
    expected = nn.ConvTranspose2d.forward(module.double(), x.double())
    assert found[0].shape == expected.shape and (found[0] - expected).abs().max() < 1e-5


def test_gradients_and_other_shapes_of_deconvolutions_stay_pytorchs() -> None:
    module, x = deconvolution(4, 3), torch.randn(2, 4, 5, 6)
    assert torch.equal(module(x), nn.ConvTranspose2d.forward(module, x))
    other = nn.ConvTranspose2d(4, 3, 3)
    with torch.inference_mode():
        expected = other(x)
        other.__class__ = SteadyDeconvolution
        assert torch.equal(other(x), expected)


@pytest.mark.parametrize("size", [(1, 64, 6, 4), (1, 64, 1, 1), (1, 64, 1, 5)])
def test_doubled_modules_do_not_see_the_order_of_their_inputs_in_memory(size: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.ConvTranspose2d(64, 48, 5, 2, 2, 1), nn.LeakyReLU(), nn.Conv2d(48, 32, 3, padding=1))
    x = torch.randn(size)
    last = x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    assert torch.equal(in_double(module, x), in_double(module, last))
    assert in_order(last).stride() == torch.empty(size).stride()


def test_new_tables_leave_what_is_coded_as_training_had_it() -> None:
    codec = make_codec(tiny_spec())
    bottleneck: Any = codec.base.entropy_bottleneck
    drifted = torch.linspace(-0.45, 0.45, bottleneck.channels)
    with torch.no_grad():
        bottleneck.quantiles[:, 0, 1] = drifted  # densities are centred elsewhere
    context = Context(64, 64, 2.0)
    latents = codec.base.analyse(to_tensor(smooth_picture(64, 64)), context)
    before = codec.base.code(latents, context, Hard())
    rebuild_tables(codec)
    after = codec.base.code(latents, context, Hard())
    assert torch.equal(bottleneck.quantiles[:, 0, 1], drifted) and torch.equal(before.bits, after.bits)
    found = codec.base.read(codec.base.write(after.latents, context), context)
    for part, was, read in zip(after.latents.parts, before.latents.parts, found.parts, strict=True):
        assert torch.equal(part, was) and torch.equal(part, read)


def test_new_tables_reach_as_far_as_the_densities_do() -> None:
    codec = make_codec(tiny_spec())
    bottleneck: Any = codec.base.entropy_bottleneck
    before = int(bottleneck._cdf_length.max())
    with torch.no_grad():
        bottleneck.matrices[0].sub_(2)  # softplus of less: wider densities
    rebuild_tables(codec)
    assert int(bottleneck._cdf_length.max()) > before + 10


@pytest.mark.parametrize("offset", [-1e5, 1e5, torch.nan, torch.inf])
def test_offsets_far_from_what_a_channel_holds_are_refused(offset: float) -> None:
    codec = make_codec(tiny_spec())
    bottleneck: Any = codec.base.entropy_bottleneck
    with torch.no_grad():
        bottleneck.quantiles[0, 0, 1] = offset
    with pytest.raises(OptionError, match="offset of rounding is more than 4096"):
        rebuild_tables(codec)


@pytest.mark.parametrize("size", [(2, 2), (1, 1), (9, 2), (3, 3)])
def test_gradients_in_bfloat16_hold_nothing_that_was_left_in_memory(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    h_a = MeanScale(64, 96).h_a
    y = torch.randn(1, 96, *size)
    last = h_a[-1]
    assert isinstance(last, nn.Conv2d)
    exact, *found = (gradient(h_a, last, y, half) for half in (False, True, True, True))
    for other in found:
        assert torch.equal(other, found[0])
        assert torch.allclose(other, exact, rtol=0.1, atol=0.05 * float(exact.abs().max()))


def gradient(h_a: nn.Module, last: nn.Conv2d, y: Tensor, half: bool) -> Tensor:
    """Of the last convolution's weights, with memory that was NaN a moment ago."""
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = strided(h_a, y).float().square().sum()
    for kind in (torch.bfloat16, torch.float32):
        held = [torch.full((last.weight.numel() // part,), float("nan"), dtype=kind) for part in (1, 1, 2, 4, 8, 25)]
        del held
    (found,) = torch.autograd.grad(loss, last.weight)
    return found


@pytest.mark.parametrize("layer", [MeanScale(12, 16), Wacnn(12, 16, slices=4, hyper=(12, 12, 12, 12, 12), heads=2)])
def test_hyper_latents_of_narrow_latents_are_of_full_precision(layer: TransformLayer) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        narrow, wide = (layer.with_hyper_latents(torch.randn(1, 16, 4, width)).parts[1] for width in (2, 3))
    assert (narrow.dtype, wide.dtype) == (torch.float32, torch.bfloat16)


def test_prediction_from_narrow_latents_is_of_full_precision() -> None:
    network = LatentPrediction(16, 8, 8, 16)
    seen: list[torch.dtype] = []
    network.a.register_forward_hook(lambda module, given, made: seen.append(made.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        for width in (1, 2, 3):
            network(torch.randn(1, 16, 4, width))
    assert seen[:2] == [torch.float32, torch.float32]
