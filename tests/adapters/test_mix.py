"""Two 1x1 convolutions behind a module, folded into it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapters.kinds import KINDS, changes
from layered.base.site import Site


@pytest.mark.parametrize("module", [nn.Conv2d(3, 5, 3), nn.ConvTranspose2d(3, 5, 3), nn.Conv2d(3, 5, 3, bias=False)])
def test_a_mix_is_two_convolutions_behind_the_module(module: nn.Module) -> None:
    a, b, x = torch.randn(2, 5), torch.randn(5, 2), torch.randn(1, 3, 8, 9)
    wanted = module(x)
    wanted = wanted + torch.einsum("ij,jk,bkhw->bihw", b, a, wanted)
    changed = changes(nn.Sequential(module), "mix", {"0": (a, b)})
    found = torch.func.functional_call(module, {name[2:]: tensor for name, tensor in changed.items()}, (x,))
    assert torch.allclose(found, wanted, atol=1e-4)


def test_at_a_site_a_mix_is_the_same_as_a_low_rank_matrix() -> None:
    site, values = Site(6), (torch.randn(2, 6), torch.randn(6, 2))
    mixed, low = (KINDS[name].changed(site, values)["weight"] for name in ("mix", "low-rank"))
    assert torch.equal(mixed, low)


def test_a_mix_of_rank_two_behind_192_channels_has_768_numbers() -> None:
    shapes = KINDS["mix"].shapes(nn.Conv2d(7, 192, 5), 2)
    assert sum(rows * columns for rows, columns in shapes) == 768
