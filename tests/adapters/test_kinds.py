"""Kinds of adapters: each does to a module's output what its formula says, with as many numbers as its paper counts."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from compressai.entropy_models import EntropyBottleneck
from compressai.layers import GDN
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from adapters.kinds import KINDS, changes, kind_of
from adapters.sites import own_parameters
from layered.base.gain import RateGains
from layered.base.site import Site
from layered.base.transforms import SteadyDeconvolution
from layered.errors import OptionError

DENSE = {
    "conv": lambda: nn.Conv2d(5, 7, 3, stride=2, padding=1),
    "conv without bias": lambda: nn.Conv2d(5, 7, 3, padding=1, bias=False),
    "deconv": lambda: nn.ConvTranspose2d(5, 7, 5, stride=2, padding=2, output_padding=1),
    "steady deconv": lambda: SteadyDeconvolution(5, 7, 5, stride=2, padding=2, output_padding=1),
    "linear": lambda: nn.Linear(5, 7),
    "site": lambda: Site(5),
}


def module_of(name: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        return DENSE[name]().requires_grad_(False)  # PyTorch folds a matrix product otherwise where it is to be trained


def adapted(module: nn.Module, kind: str, values: tuple[Tensor, ...], x: Tensor) -> Tensor:
    made: Tensor = torch.func.functional_call(module, KINDS[kind].changed(module, values), (x,))
    return made


def numbers(kind: str, module: nn.Module, rank: int = 2) -> list[Tensor]:
    generator = torch.Generator().manual_seed(rank)
    return [torch.randn(shape, generator=generator) * 0.3 for shape in KINDS[kind].shapes(module, rank)]


def inputs(module: nn.Module) -> Tensor:
    x = torch.randn(2, 5, 6, 8, generator=torch.Generator().manual_seed(1))
    return x.movedim(1, -1) if isinstance(module, nn.Linear) else x


@settings(max_examples=15)
@given(st.sampled_from(sorted(DENSE)), st.integers(1, 4))
@torch.no_grad()
def test_a_merged_low_rank_adapter_is_two_maps_beside_the_module(name: str, rank: int) -> None:
    module, x = module_of(name), inputs(module_of(name))
    a, b = numbers("low-rank", module, rank)
    if isinstance(module, nn.Linear):
        beside = F.linear(F.linear(x, a), b)
    elif isinstance(module, nn.ConvTranspose2d):
        window = a.reshape(rank, 5, 5, 5).transpose(0, 1)
        inner = F.conv_transpose2d(x, window, None, stride=2, padding=2, output_padding=1)
        beside = F.conv2d(inner, b[..., None, None])
    elif isinstance(module, nn.Conv2d):
        inner = F.conv2d(x, a.reshape(rank, 5, 3, 3), None, module.stride, module.padding)
        beside = F.conv2d(inner, b[..., None, None])
    else:
        beside = F.conv2d(F.conv2d(x, a[..., None, None]), b[..., None, None])
    torch.testing.assert_close(adapted(module, "low-rank", (a, b), x), module(x) + beside, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", DENSE)
@torch.no_grad()
def test_channel_adapters_scale_each_output(name: str) -> None:
    module, x = module_of(name), inputs(module_of(name))
    (w,) = numbers("channel", module)
    factor = 1 + (w if isinstance(module, nn.Linear) else w[:, None, None])
    torch.testing.assert_close(adapted(module, "channel", (w,), x), module(x) * factor, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("module", [nn.Conv2d(4, 6, 3, groups=2), nn.ConvTranspose2d(4, 6, 3, groups=2)])
@torch.no_grad()
def test_biases_are_added_to_the_output_of_grouped_maps_too(module: nn.Module) -> None:
    x = torch.randn(1, 4, 5, 5, generator=torch.Generator().manual_seed(1))
    (d,) = numbers("bias", module)
    wanted = module(x) + d[:, None, None]
    torch.testing.assert_close(adapted(module, "bias", (d,), x), wanted, atol=1e-5, rtol=1e-5)


def test_full_adapters_are_differences_of_all_parameters() -> None:
    module = GDN(4)
    values = tuple(numbers("full", module))
    changed = KINDS["full"].changed(module, values)
    assert list(changed) == list(dict(module.named_parameters()))
    for (name, tensor), value in zip(module.named_parameters(), values, strict=True):
        assert torch.equal(changed[name], tensor + value)


def test_a_bottlenecks_quantiles_are_not_among_its_free_parameters() -> None:
    module = EntropyBottleneck(3)
    changed = KINDS["full"].changed(module, [torch.zeros(shape) for shape in KINDS["full"].shapes(module, 0)])
    assert changed.keys() == own_parameters(module).keys() - {"quantiles"}


def test_gains_before_the_quantiser_are_not_among_what_a_decoder_is_sent() -> None:
    module = RateGains((1.0, 2.0), 3)
    changed = KINDS["full"].changed(module, [torch.zeros(shape) for shape in KINDS["full"].shapes(module, 0)])
    assert changed.keys() == {"log_inverse"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", DENSE)
def test_what_an_adapter_starts_with_has_its_shapes_and_changes_nothing(name: str, kind: str) -> None:
    module = module_of(name)
    if not kind_of(kind).suits(module):
        assert kind in ("bias", "full") and name in ("site", "conv without bias")
        return
    values = kind_of(kind).start(module, 2, torch.Generator().manual_seed(0))
    assert tuple(tuple(value.shape) for value in values) == kind_of(kind).shapes(module, 2)
    with torch.no_grad():
        assert torch.equal(adapted(module, kind, values, inputs(module)), module(inputs(module)))
    again = kind_of(kind).start(module, 2, torch.Generator().manual_seed(0))
    assert all(torch.equal(a, b) for a, b in zip(values, again, strict=True))


def test_low_rank_starts_with_one_factor_that_lets_gradients_through() -> None:
    a, b = KINDS["low-rank"].start(nn.Conv2d(64, 8, 3), 4, torch.Generator().manual_seed(0))
    assert not b.any() and float(a.std()) == pytest.approx(1 / 24, rel=0.1)


def test_numbers_are_as_many_as_the_papers_count() -> None:
    def count(kind: str, module: nn.Module, rank: int) -> int:
        return sum(torch.Size(shape).numel() for shape in KINDS[kind].shapes(module, rank))

    assert count("low-rank", Site(192), 2) == 768
    assert count("channel", Site(192), 2) == 192
    assert count("low-rank", nn.Conv2d(192, 3, 5), 8) == 3 * (192 * 25 + 3)  # a matrix of 3 rows has no rank of 8


def test_maps_in_groups_and_modules_without_a_matrix_are_not_suited() -> None:
    grouped = [nn.Conv2d(4, 4, 3, groups=2), nn.ConvTranspose2d(4, 4, 3, groups=4)]
    for kind in ("low-rank", "channel"):
        assert not any(KINDS[kind].suits(module) for module in (*grouped, GDN(3), EntropyBottleneck(3), nn.ReLU()))
    assert not KINDS["bias"].suits(nn.Conv2d(3, 3, 1, bias=False)) and not KINDS["full"].suits(Site(3))


def test_unknown_kinds_are_told_with_the_known_ones() -> None:
    with pytest.raises(OptionError, match="low-rank, bias, channel, full"):
        kind_of("lora")


def test_changes_are_named_from_the_layer_down() -> None:
    layer = nn.Sequential(nn.Linear(2, 2), nn.Sequential(Site(2)))
    found = changes(layer, "channel", {"0": (torch.ones(2),), "1.0": (torch.ones(2),)})
    assert list(found) == ["0.weight", "0.bias", "1.0.weight"]
    assert torch.equal(found["1.0.weight"], torch.eye(2))
