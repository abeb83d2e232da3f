"""The cost is bits a pixel and lambda times a distortion, of what is meant to be like the original."""

from __future__ import annotations

import pytest
import torch

from adapters.cost import Cost
from layered.errors import OptionError

SMALL = torch.rand(2, 3, 8, 10, generator=torch.Generator().manual_seed(0))
BITS = torch.tensor([80.0, 160.0])


def test_it_is_the_loss_that_codecs_are_trained_with() -> None:
    found = Cost(0.01).of(BITS, SMALL + 0.1, SMALL)
    assert found.tolist() == pytest.approx([1 + 0.01 * 255**2 * 0.01, 2 + 0.01 * 255**2 * 0.01], rel=1e-4)


def test_decoded_pictures_are_clamped_and_in_8_bits() -> None:
    levels = torch.round(SMALL * 255) / 255
    assert Cost(1.0).decoded(BITS, levels + 0.4 / 255, levels).tolist() == pytest.approx([1, 2], abs=1e-4)
    white = torch.ones_like(SMALL)
    assert Cost(1.0).decoded(BITS, white + 3, white).tolist() == [1, 2]


def test_where_the_picture_is_made_up_nothing_counts() -> None:
    where = torch.zeros(2, 1, 8, 10)
    assert Cost(1.0).of(BITS, SMALL.flip(3), SMALL, where).tolist() == [1, 2]
    where[..., :5] = 1
    half = Cost(1.0).of(BITS, SMALL + 0.1, SMALL, where) - torch.tensor([1, 2])
    assert half.tolist() == pytest.approx([255**2 * 0.01 / 2] * 2, rel=1e-3)


def test_ms_ssim_costs_nothing_where_equal_and_needs_its_size() -> None:
    picture = torch.rand(1, 3, 161, 161, generator=torch.Generator().manual_seed(1)).requires_grad_(True)
    cost, bits = Cost(2.4, "ms-ssim"), torch.zeros(1)
    assert float(cost.of(bits, picture.detach(), picture.detach())) == pytest.approx(0, abs=1e-2)
    worse = cost.of(bits, picture * 0.5, picture.detach())
    assert float(worse.detach()) > 1
    (gradient,) = torch.autograd.grad(worse.sum(), picture)
    assert bool(gradient.isfinite().all())
    with pytest.raises(OptionError, match="161 pixels a side"):
        cost.of(bits, picture[..., 1:], picture[..., 1:])
    assert float(Cost(0.0, "ms-ssim").of(BITS, SMALL, SMALL)[0]) == 1  # which asks for no distortion


def test_options_are_checked() -> None:
    with pytest.raises(OptionError, match="mse, ms-ssim"):
        Cost(1.0, "psnr")
    for lam in (-1.0, float("nan"), float("inf")):
        with pytest.raises(OptionError, match="lambda"):
            Cost(lam)
