from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional as F

from experiments.benchmarks.direct_liff import direct
from layered.enhancement import liff
from layered.enhancement.liff import INITS, LIFF, slots
from layered.errors import OptionError

side = st.integers(1, 11)


def small(init: str = "default", **options: int) -> LIFF:
    torch.manual_seed(0)
    return LIFF(8, 4, 16, init=init, generator=torch.Generator().manual_seed(0), **options)


def test_paper_widths_have_the_papers_parameter_count() -> None:
    assert sum(p.numel() for p in LIFF(64, 32, 256).parameters()) == 1_448_320


def test_state_dict_holds_the_plain_mlp() -> None:
    weights = LIFF().state_dict()
    shapes = {name: tuple(weights[name].shape) for name in weights if not name.startswith("encoder.")}
    assert shapes["first.weight"] == (256, 580)
    assert shapes["last.weight"] == (1728, 256)
    assert [shapes[f"middle.{i}.weight"] for i in range(3)] == [(256, 256)] * 3
    assert len(shapes) == 10


@settings(max_examples=25)
@given(side, side, side, side, st.sampled_from(INITS))
def test_equals_the_direct_filter_function(h: int, w: int, height: int, width: int, init: str) -> None:
    model = small(init)
    image = torch.rand(2, 3, h, w, generator=torch.Generator().manual_seed(h * w))
    with torch.no_grad():
        assert (model(image, height, width) - direct(model, image, height, width)).abs().max() < 1e-4
        model, image = model.double(), image.double()
        assert (model(image, height, width) - direct(model, image, height, width)).abs().max() < 1e-10


@pytest.mark.parametrize("size", [(9, 13), (8, 12), (3, 4), (1, 1), (40, 2)])
def test_gradients_equal_the_direct_ones(size: tuple[int, int]) -> None:
    model = small("quadratic").double()
    image = torch.rand(2, 3, 5, 6, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 3, *size, dtype=torch.float64)
    inputs = [image, *model.parameters()]
    gradients = [
        torch.autograd.grad(((answer - target) ** 2).mean(), inputs)
        for answer in (model(image, *size), direct(model, image, *size))
    ]
    for fast, slow in zip(*gradients, strict=True):
        assert (fast - slow).abs().max() <= 1e-10 * max(1.0, float(slow.abs().max()))


def test_the_direct_filter_function_does_not_depend_on_its_blocks() -> None:
    model, image = small().double(), torch.rand(2, 3, 5, 6, dtype=torch.float64)
    assert (direct(model, image, 8, 12) - direct(model, image, 8, 12, at_once=7)).abs().max() < 1e-12


def test_little_memory_gives_the_same_prediction_and_gradient() -> None:
    roomy, tight = small(), small(memory_bytes=1)
    image = torch.rand(2, 3, 90, 3)
    weights = [roomy.first.weight, tight.first.weight]
    answers = [model(image, 130, 5) for model in (roomy, tight)]
    assert (answers[0] - answers[1]).abs().max() < 1e-6
    gradients = [torch.autograd.grad(a.square().mean(), p)[0] for a, p in zip(answers, weights, strict=True)]
    assert (gradients[0] - gradients[1]).abs().max() < 1e-6
    with torch.no_grad():
        assert (tight(image, 130, 5) - answers[0]).abs().max() < 1e-6


@pytest.mark.parametrize("size", [(1, 1), (2, 3)])
def test_cells_of_more_pixels_than_a_block_take_no_more_memory(
    size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def watched(*arguments: Any) -> tuple[Tensor, Tensor]:
        slot, place = slots(*arguments)
        taken.append(len(slot))
        return slot, place

    model, image = small("quadratic").double(), torch.rand(1, 3, *size, dtype=torch.float64)
    monkeypatch.setattr(liff, "slots", watched)
    with torch.no_grad():
        found = model(image, 600, 96)
        assert (found - direct(model, image, 600, 96)).abs().max() < 1e-10
    assert len(taken) > 10 and max(taken) <= 4096


def test_runs_in_float64_through_functional_call_without_changing_the_module() -> None:
    model = small()
    image = torch.rand(1, 3, 4, 5, dtype=torch.float64)
    double = {name: value.detach().double().requires_grad_() for name, value in model.state_dict().items()}
    answer = functional_call(model, double, (image, 6, 7))
    assert answer.dtype == torch.float64
    gradient = torch.autograd.grad(answer.sum(), double["middle.0.weight"])[0]
    reference = small().double()
    weight = dict(reference.named_parameters())["middle.0.weight"]
    expected = torch.autograd.grad(reference(image, 6, 7).sum(), weight)[0]
    assert torch.allclose(gradient, expected, rtol=1e-12)
    assert model.first.weight.dtype == torch.float32


def test_prediction_does_not_depend_on_the_rest_of_the_batch() -> None:
    model, images = small().double(), torch.rand(3, 3, 6, 7, dtype=torch.float64)
    with torch.no_grad():
        together = model(images, 9, 10)
        assert (model(images[1:2], 9, 10) - together[1:2]).abs().max() < 1e-12


def smooth_image(height: int, width: int) -> Tensor:
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    y, x = y / height, x / width
    waves = [torch.sin(9 * x + 7 * y * y), torch.cos(13 * y - 5 * x), torch.sin(11 * x * y + 2)]
    return 0.5 + 0.3 * torch.stack(waves)[None]


def inner_error(prediction: Tensor, truth: Tensor) -> float:
    return float((prediction - truth)[..., 4:-4, 4:-4].square().mean())


@pytest.mark.parametrize(("height", "width"), [(64, 64), (48, 48), (48, 61)])
def test_quadratic_start_predicts_a_smooth_picture_better_than_bilinear(height: int, width: int) -> None:
    model = LIFF(16, 8, 128, generator=torch.Generator().manual_seed(0))
    low, truth = smooth_image(32, 32), smooth_image(height, width)
    with torch.no_grad():
        error = inner_error(model(low, height, width), truth)
    bilinear = F.interpolate(low, size=(height, width), mode="bilinear")
    assert error < 0.5 * inner_error(bilinear, truth)


def test_nearest_start_repeats_pixels() -> None:
    model, low = small("nearest"), torch.rand(1, 3, 6, 5)
    with torch.no_grad():
        assert (model(low, 18, 10) - low.repeat_interleave(3, 2).repeat_interleave(2, 3)).abs().max() < 0.01


def test_a_seeded_start_is_reproducible() -> None:
    first, again = small("quadratic"), small("quadratic")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))


@pytest.mark.parametrize("init", INITS)
def test_every_weight_learns_from_the_first_step(init: str) -> None:
    model = small(init)
    model(torch.rand(1, 3, 6, 6), 9, 9).square().mean().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters())


def test_starts_that_carry_the_image_need_room_for_it() -> None:
    with pytest.raises(OptionError, match="features of liff is 3"):
        LIFF(3, 4, 16)
    assert LIFF(3, 4, 16, init="default")(torch.rand(1, 3, 2, 2), 3, 3).shape == (1, 3, 3, 3)


def test_unknown_start_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(OptionError, match=r"'zero'.*quadratic, nearest, default"):
        LIFF(8, 4, 16, init="zero")
