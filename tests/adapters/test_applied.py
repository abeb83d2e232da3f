"""An adapted layer is the layer with other tensors, in every verb, and leaves the layer as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from adapters.applied import AdaptedLayer
from adapters.kinds import KINDS, changes, kind_of
from adapters.sites import sites
from layered.base.site import Site
from layered.codec import LayeredCodec
from layered.errors import CorruptStream, OptionError
from layered.layer import Context, Enhancement, Layer
from layered.rounding import Hard
from tests.adapters.kit import drawn, latents_of, tiny_gc, with_site
from tests.conftest import make_codec, tiny_mei

SIZE = (24, 40)
CODECS = {"compass": with_site(), "mei": make_codec(tiny_mei("mean-scale")), "gc": tiny_gc()}
LAYERS = {
    "mean-scale": CODECS["compass"].layer(0),
    "residual": CODECS["compass"].layer(1),
    "mei": CODECS["mei"].layer(1),
    "gc": CODECS["gc"].layer(0),
}
IMAGE = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(3))


def context_of(name: str, exact: bool = False) -> Context:
    generator = torch.Generator().manual_seed(4)
    lower = torch.rand(1, 3, 12, 20, generator=generator)
    carried = torch.randn(1, 16, 1, 2, generator=generator) if name == "mei" else None
    upper = lower if name in ("residual", "mei") else None
    return Context(*SIZE, lower=upper, exact=exact, carried=carried)


def loaded(layer: Layer, tensors: dict[str, Tensor]) -> Layer:
    """A copy that has the tensors as its own."""
    changed = copy.deepcopy(layer)
    for name, tensor in tensors.items():
        owner, _, last = name.rpartition(".")
        module = changed.get_submodule(owner)
        if isinstance(module, Site):
            module.weight = tensor
        else:
            getattr(module, last).data = tensor
    return changed


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_every_verb_is_that_of_a_copy_with_these_weights(name: str, exact: bool) -> None:
    layer, context = LAYERS[name], context_of(name, exact)
    tensors = changes(layer, "low-rank", drawn(layer, "low-rank", 0.05))
    adapted, wanted = AdaptedLayer(layer, tensors), loaded(layer, tensors)
    latents = layer.analyse(IMAGE, context)
    results = []
    for each, held in ((adapted, context), (wanted, context.sealed(0))):
        coded = each.code(latents, held, Hard())
        data = each.write(coded.latents, held)
        back = each.read(data, held)
        carried = each.carry(back, held)
        picture = each.synthesise(coded.latents, held)
        predicted = each.predict(held) if isinstance(each, Enhancement) and isinstance(layer, Enhancement) else None
        results.append((coded.bits, data, picture, each.synthesise(back, held), carried, predicted))
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs) if isinstance(ours, Tensor) else ours == theirs
    plain = layer.synthesise(coded.latents, context.sealed(0))
    assert not torch.equal(results[0][2], plain)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LAYERS)
def test_an_adapter_that_starts_changes_no_bit_of_a_picture(name: str, kind: str) -> None:
    layer, generator = LAYERS[name], torch.Generator().manual_seed(1)
    suited = {site: module for site, module in sites(layer).items() if kind_of(kind).suits(module)}
    started = {site: kind_of(kind).start(module, 2, generator) for site, module in suited.items()}
    with torch.no_grad():
        adapted = latents_of(AdaptedLayer(layer, changes(layer, kind, started)), IMAGE, context_of(name))
        assert torch.equal(adapted, latents_of(layer, IMAGE, context_of(name)))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients_reach_the_adapter_and_nothing_else(name: str, exact: bool) -> None:
    layer, context = LAYERS[name], context_of(name, exact)
    values = {
        site: tuple(value.clone().requires_grad_(True) for value in tensors)
        for site, tensors in drawn(layer, "low-rank", 0.05).items()
        if not site.startswith(("h_s", "entropy", "residual.h_s", "coder.h_s"))
    }
    with torch.no_grad():
        latents = layer.code(layer.analyse(IMAGE, context), context, Hard()).latents
    picture = AdaptedLayer(layer, changes(layer, "low-rank", values)).synthesise(latents, context)
    picture.square().mean().backward()
    reached = [value.grad is not None and bool(value.grad.any()) for tensors in values.values() for value in tensors]
    assert sum(reached) > 0.9 * len(reached)
    assert all(parameter.grad is None for parameter in layer.parameters())


def test_the_layer_is_left_as_it_was(tiny_codec: LayeredCodec) -> None:
    layer, before = tiny_codec.base, {k: v.clone() for k, v in tiny_codec.base.state_dict().items()}
    adapted = AdaptedLayer(layer, changes(layer, "full", drawn(layer, "full", 0.05)))
    with torch.no_grad():
        latents_of(adapted, IMAGE, Context(*SIZE))
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())
    assert adapted.layer is layer and not list(adapted.parameters())
    assert (adapted.lambdas, adapted.quality_range, adapted.selective) == (layer.lambdas, (1.0, 3.0), False)


def test_a_prediction_made_without_the_adapter_is_not_used_with_it() -> None:
    layer, context = LAYERS["residual"], context_of("residual")
    assert isinstance(layer, Enhancement)
    values = {site: v for site, v in drawn(layer, "low-rank", 0.5).items() if site.startswith("predictor")}
    adapted = AdaptedLayer(layer, changes(layer, "low-rank", values))
    with torch.no_grad():
        plain = layer.predict(context)
        assert not torch.equal(adapted.predict(context), plain)
        assert adapted.predict(context) is adapted.predict(context)
        assert torch.equal(layer.predict(context), plain)


def test_weights_that_leave_no_distribution_are_told_as_damage() -> None:
    layer = CODECS["gc"].base
    context = Context(*SIZE)
    latents = layer.code(layer.analyse(IMAGE, context), context, Hard()).latents
    data = layer.write(latents, context)
    name = next(name for name, module in sites(layer).items() if name.startswith("entropy_model.network"))
    broken = torch.full_like(layer.get_parameter(f"{name}.weight"), float("nan"))
    with pytest.raises(CorruptStream, match="decodes nothing"):
        AdaptedLayer(layer, {f"{name}.weight": broken}).read(data, context)


def test_an_adapted_layer_is_not_trained(tiny_codec: LayeredCodec) -> None:
    adapted = AdaptedLayer(tiny_codec.layer(1), {})
    assert adapted.part("residual") is tiny_codec.layer(1).part("residual")
    assert isinstance(adapted, nn.Module)
    with pytest.raises(OptionError, match="not trained"):
        adapted.start_from(tiny_codec.base)
