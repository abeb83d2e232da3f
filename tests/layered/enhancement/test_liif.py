import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from layered.enhancement.liif import LIIF

side = st.integers(1, 9)


def plain(model: LIIF, image: Tensor, height: int, width: int) -> Tensor:
    """The paper's local ensemble, pixel by pixel: four cells, each weighted by the opposite area."""
    features = model.encoder(image)
    batch, channels, h, w = features.shape
    unfolded = F.unfold(features, 3, padding=1).view(batch, channels * 9, h, w)
    picture = image.new_zeros(batch, 3, height, width)
    for i in range(height):
        for j in range(width):
            answers, areas = {}, {}
            for v in (-1, 1):
                for u in (-1, 1):
                    ci = min(max(((2 * i + 1) * h + v * height) // (2 * height), 0), h - 1)
                    cj = min(max(((2 * j + 1) * w + u * width) // (2 * width), 0), w - 1)
                    dy = ((2 * i + 1) * h - (2 * ci + 1) * height) / height
                    dx = ((2 * j + 1) * w - (2 * cj + 1) * width) / width
                    extra = image.new_tensor([dy, dx, 2 * h / height, 2 * w / width]).expand(batch, 4)
                    x = F.relu(model.first(torch.cat((unfolded[:, :, ci, cj], extra), 1)))
                    for layer in model.middle:
                        x = F.relu(layer(x))
                    answers[v, u], areas[v, u] = model.last(x), (abs(dy) + 1e-12) * (abs(dx) + 1e-12)
            total = sum(areas.values())
            picture[:, :, i, j] = sum(answers[v, u] * areas[-v, -u] / total for v, u in answers)
    return picture


def small(**options: int) -> LIIF:
    torch.manual_seed(0)
    return LIIF(8, 4, 16, **options)


def test_paper_widths_have_the_papers_parameter_count() -> None:
    # The feature extractor, 580-256-256-256-256 hidden layers as in LIFF, and 256-3.
    assert sum(p.numel() for p in LIIF(64, 32, 256).parameters()) == 658_112 + 148_736 + 3 * 65_792 + 771


@settings(max_examples=15)
@given(side, side, side, side)
def test_equals_the_plain_local_ensemble(h: int, w: int, height: int, width: int) -> None:
    model = small()
    image = torch.rand(2, 3, h, w, generator=torch.Generator().manual_seed(h * w))
    with torch.no_grad():
        assert (model(image, height, width) - plain(model, image, height, width)).abs().max() < 1e-4
        model, image = model.double(), image.double()
        assert (model(image, height, width) - plain(model, image, height, width)).abs().max() < 1e-10


@pytest.mark.parametrize("size", [(7, 6), (4, 8), (2, 3)])
def test_gradients_equal_the_plain_ones(size: tuple[int, int]) -> None:
    model = small().double()
    image = torch.rand(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    target = torch.rand(2, 3, *size, dtype=torch.float64)
    inputs = [image, *model.parameters()]
    gradients = [
        torch.autograd.grad(((answer - target) ** 2).mean(), inputs)
        for answer in (model(image, *size), plain(model, image, *size))
    ]
    for fast, slow in zip(*gradients, strict=True):
        assert (fast - slow).abs().max() <= 1e-10 * max(1.0, float(slow.abs().max()))


def test_little_memory_gives_the_same_prediction() -> None:
    image = torch.rand(2, 3, 9, 4)
    with torch.no_grad():
        assert (small()(image, 20, 6) - small(memory_bytes=1)(image, 20, 6)).abs().max() < 1e-6
