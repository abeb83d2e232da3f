"""Sites: all places with weights of their own, in an order that a stream may rely on."""

from __future__ import annotations

import pytest
import torch

from adapters.sites import own_parameters, sites, used_sites
from layered.base.site import Site
from layered.codec import LayeredCodec
from layered.layer import Context
from layered.rounding import Hard
from tests.adapters.kit import tiny_gc, with_site

CODEC = with_site()


def used_of(codec: LayeredCodec, k: int, exact: bool = False) -> tuple[str, ...]:
    image = torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    context = Context(24, 24, lower=image[..., ::2, ::2] if k else None, exact=exact)
    layer = codec.layer(k)
    with torch.no_grad():
        latents = layer.code(layer.analyse(image, context), context, Hard()).latents
    return used_sites(layer, latents, context)


@pytest.mark.parametrize("k", [0, 1])
def test_sites_hold_all_parameters_once(tiny_codec: LayeredCodec, k: int) -> None:
    layer = tiny_codec.layer(k)
    held = [id(tensor) for module in sites(layer).values() for tensor in own_parameters(module).values()]
    assert sorted(held) == sorted(map(id, layer.parameters()))


def test_sites_come_in_the_order_of_modules_with_lists_in_their_owner() -> None:
    names = list(sites(CODEC.base))
    order = [name for name, _ in CODEC.base.named_modules()]
    assert names == sorted(names, key=order.index)
    assert "g_s.3" in names and isinstance(sites(CODEC.base)["g_s.3"], Site)
    assert "entropy_bottleneck" in names and "entropy_bottleneck.matrices" not in names
    assert {"quantiles", "matrices.0"} <= own_parameters(CODEC.base.get_submodule("entropy_bottleneck")).keys()


@pytest.mark.parametrize("exact", [False, True])
def test_used_sites_are_those_of_the_synthesis_in_running_order(exact: bool) -> None:
    assert used_of(CODEC, 0, exact) == tuple(f"g_s.{k}" for k in range(8))
    upper = used_of(CODEC, 1, exact)
    assert upper[0].startswith("predictor.") and upper[-1] == "residual.g_s.6"
    assert not [name for name in upper if ".g_a" in name or ".h_" in name]
    generator = used_of(tiny_gc(), 0, exact)
    assert generator and all(name.startswith("generator.") for name in generator)


def test_looking_for_used_sites_leaves_no_hook(tiny_codec: LayeredCodec) -> None:
    used_of(tiny_codec, 1)
    assert not any(module._forward_pre_hooks for module in tiny_codec.modules())
