"""Adapters of one layer: what they are said to cost is what they cost, and they stay away where they do not pay."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from adapters.applied import AdaptedLayer
from adapters.cost import Cost
from adapters.fit import AdapterPlan, Fit, Seen
from adapters.places import places
from adapters.refine import hard_cost
from adapters.schedule import Schedule
from adapters.section import adapted_layer, read_section, tensors_of
from adapters.sources import Encoder, Fixed, Free
from adapters.tune import tune
from layered.base.site import Site
from layered.errors import LayeredError
from layered.layer import Context, Layer
from layered.rounding import Hard
from tests.adapters.codecs import case
from tests.adapters.kit import with_site

HIGH = Cost(20.0)
"""A lambda so high that adapters of codecs that are not trained pay after a few steps."""


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def latents_of(layer: Layer, original: Tensor, context: Context) -> Fixed:
    with torch.no_grad():
        return Fixed(layer, layer.analyse(original, context), context)


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", ["mean-scale", "residual", "gc"])
def test_the_cost_is_that_of_the_bytes_and_the_decoders_picture(name: str, half: bool) -> None:
    layer, original, context = case(name)
    plan = AdapterPlan(steps=6, lr=0.1, sites=("@synthesis",))
    tuned = tune(layer, original, context, HIGH, plan, latents_of(layer, original, context), seeded(), half)
    assert tuned.weights
    seen = adapted_layer(layer, tuned.weights)
    found = float(hard_cost(seen, tuned.latents, original, context, HIGH)) + 8 * len(tuned.weights) / (24 * 40)
    assert tuned.cost == pytest.approx(found, rel=1e-6)
    assert tuned.cost < float(hard_cost(layer, tuned.latents, original, context, HIGH))


@pytest.mark.parametrize("kind", ["low-rank", "bias", "channel", "full", "mix"])
def test_an_adapter_that_does_not_pay_takes_no_byte(kind: str) -> None:
    layer, original, context = case("factorized")
    plan = AdapterPlan(kind=kind, steps=3, sites=("@synthesis",))
    source = latents_of(layer, original, context)
    tuned = tune(layer, original, context, Cost(1e-6), plan, source, seeded())
    assert tuned.weights == b""
    assert tuned.cost == pytest.approx(float(hard_cost(layer, tuned.latents, original, context, Cost(1e-6))), rel=1e-6)


def test_an_adapter_that_is_not_optional_is_there_all_the_same() -> None:
    layer, original, context = case("factorized")
    plan = AdapterPlan(steps=1, sites=("g_s.0",), optional=False)
    tuned = tune(layer, original, context, Cost(1e-6), plan, latents_of(layer, original, context), seeded())
    assert read_section(layer, tuned.weights).sites == ("g_s.0",)


def fitted(**options: object) -> Fit:
    layer, original, context = case("mean-scale")
    plan = AdapterPlan.model_validate({"kind": "bias", "sites": ("@synthesis",), **options})
    return Fit(layer, plan, places(layer, plan.kind, plan.sites, original, context), seeded())


def test_a_site_that_is_left_out_is_in_no_section() -> None:
    fit = fitted()
    assert fit.kept() == ("g_s.0", "g_s.2", "g_s.4", "g_s.6")
    with torch.no_grad():
        for (value,) in fit.values.values():
            value += 0.3
    fit.leave_out("g_s.2")
    assert read_section(fit.layer, fit.packed()).sites == ("g_s.0", "g_s.4", "g_s.6")
    fit.leave_out("g_s.0")
    assert read_section(fit.layer, fit.packed(without="g_s.6")).sites == ("g_s.4",)
    for name in ("g_s.4", "g_s.6"):
        fit.leave_out(name)
    assert fit.packed() == b"" and fit.kept() == ()


def test_of_very_many_sites_those_that_take_most_bytes_are_tried_without(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, original, context = case("mean-scale")
    plan = AdapterPlan(kind="bias", sites=("@synthesis",), steps=8, lr=0.02)
    tried: list[str | None] = []
    packed = Fit.packed

    def watched(fit: Fit, coarser: float = 1.0, without: str | None = None) -> bytes:
        tried.append(without)
        return packed(fit, coarser, without)

    monkeypatch.setattr(Fit, "packed", watched)
    monkeypatch.setattr("adapters.tune._MOST_DROPPED", 2)
    tune(layer, original, context, Cost(1e-6), plan, latents_of(layer, original, context), seeded())
    names = [name for name in tried if name is not None]
    assert len(names) == 4 + 2 and set(names[:4]) == {"g_s.0", "g_s.2", "g_s.4", "g_s.6"} > set(names[4:])


def test_what_a_step_sees_is_what_a_decoder_reads() -> None:
    fit = fitted(optional=False)
    with torch.no_grad():
        for k, (value,) in enumerate(fit.values.values()):
            value += 0.05 * torch.randn(value.shape, generator=torch.Generator().manual_seed(k))
    fit.refit()
    decoded = tensors_of(fit.layer, read_section(fit.layer, fit.packed()))
    seen = fit.seen().tensors
    assert seen.keys() == decoded.keys()
    for name, tensor in decoded.items():
        assert torch.allclose(seen[name], tensor, atol=1e-6)


def test_bits_do_not_count_where_the_plan_says_so() -> None:
    assert float(fitted(rate=False).seen().bits) == 0 < float(fitted().seen().bits.detach())


def test_bits_of_numbers_that_are_all_zero_have_no_cliff() -> None:
    fit = fitted(optional=False)
    for _ in range(20):
        gradients = torch.autograd.grad(fit.seen().bits, fit.free())
        assert max(float(gradient.abs().max()) for gradient in gradients) < 1000


def test_a_spread_is_where_the_numbers_start() -> None:
    values = torch.cat([value.detach() for (value,) in fitted(spread=0.5).values.values()])
    assert float(values.std()) == pytest.approx(0.5, rel=0.3)
    assert not any(bool(value.any()) for (value,) in fitted().values.values())


def test_an_adapter_at_a_place_for_adapters_pays_for_a_picture_of_one_colour() -> None:
    layer = with_site().base
    original = torch.full((1, 3, 32, 32), 0.9)
    original[:, 2] = 0.1
    context = Context(32, 32)
    plan = AdapterPlan(steps=15, lr=0.05)
    tuned = tune(layer, original, context, HIGH, plan, latents_of(layer, original, context), seeded())
    assert read_section(layer, tuned.weights).sites == ("g_s.3",)
    assert all(site.weight is None for site in layer.modules() if isinstance(site, Site))


def test_what_codes_the_latents_may_be_adapted_and_is_seen_by_fixed_ones() -> None:
    layer, original, context = case("mean-scale")
    source = latents_of(layer, original, context)
    plain = source.coded({}, 0)
    assert source.coded({"g_s.0.bias": layer.get_parameter("g_s.0.bias") + 1}, 0) is plain
    moved = (layer.get_parameter("h_s.4.bias") + 0.3).requires_grad_(True)
    coded = source.coded({"h_s.4.bias": moved}, 0)
    with torch.no_grad():
        adapted = AdaptedLayer(layer, {"h_s.4.bias": moved})
        hard = adapted.code(source.latents({}), context, Hard(exact=False))
    assert torch.allclose(coded.bits, hard.bits) and not torch.allclose(coded.bits, plain.bits)
    (gradient,) = torch.autograd.grad(coded.bits.sum(), moved)
    assert bool(gradient.any())


def test_latents_may_move_with_the_adapter() -> None:
    layer, original, context = case("mean-scale")
    with torch.no_grad():
        first = layer.analyse(original, context)
    free = Free(layer, first, context, Schedule(steps=5, lr=0.1), seeded())
    tuned = tune(layer, original, context, HIGH, AdapterPlan(steps=5, lr=0.1), free, seeded())
    assert all(not torch.equal(a, b) for a, b in zip(tuned.latents.parts, first.parts, strict=True))
    assert not any(part.requires_grad for part in tuned.latents.parts)


@pytest.mark.parametrize("name", ["residual", "mei"])
def test_an_encoder_that_is_optimised_sees_the_prediction_as_it_is_adapted(name: str) -> None:
    layer, original, context = case(name)
    source = Encoder(layer, original, context, 1e-3, seeded())
    with torch.no_grad():
        wanted = layer.analyse(original, context)
        same = source.latents({})
        assert all(torch.equal(a, b) for a, b in zip(same.parts, wanted.parts, strict=True))
        last = "prediction.up.2.bias" if name == "mei" else next(
            key for key, _ in layer.named_parameters() if key.startswith("predictor.") and key.endswith("bias")
        )  # fmt: skip
        tensors = {last: layer.get_parameter(last) + 0.5}
        adapted = AdaptedLayer(layer, tensors).analyse(original, replace(context, _made={}))
        ours = source.latents(tensors)
    assert all(torch.equal(a, b) for a, b in zip(ours.parts, adapted.parts, strict=True))
    assert not torch.equal(ours.parts[0], wanted.parts[0])


def test_an_encoder_that_is_optimised_has_the_gains_before_the_quantiser() -> None:
    layer, original, context = case("mean-scale")
    source = Encoder(layer, original, context, 1e-3, seeded())
    assert "gains" in source.changing
    gains = next(each for each in source.free if each.shape == layer.get_parameter("gains.log_gain").shape)
    (gradient,) = torch.autograd.grad(source.coded({}, 0).bits.sum(), gains)
    assert bool(gradient.any())
    assert "gains.log_gain" not in Fit(layer, AdapterPlan(kind="full"), ["gains"], seeded()).seen().tensors


def test_no_step_sees_numbers_clipped_at_the_ends_of_a_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, original, context = case("mean-scale")
    plan = AdapterPlan(
        kind="channel", coding="linear8", sites=("@synthesis",), steps=8, lr=0.1, rate=False, optional=False
    )
    seen, errors = Fit.seen, []

    def watched(fit: Fit) -> Seen:
        for values in fit.values.values():
            (quantiser,) = fit.quantisers
            value = values[0].detach()
            error = float((fit.coding.quantise(value, quantiser) - value).abs().max())
            errors.append((error, quantiser.step))
        return seen(fit)

    monkeypatch.setattr(Fit, "seen", watched)
    tune(layer, original, context, HIGH, plan, latents_of(layer, original, context), seeded())
    assert len(errors) == 8 * 4 and all(error <= 0.51 * step for error, step in errors)
    assert any(error > 0.4 * step for error, step in errors)


def test_a_bad_gradient_spoils_neither_numbers_nor_the_layer() -> None:
    layer, original, context = case("mean-scale")
    before = {key: value.clone() for key, value in layer.state_dict().items()}
    original = original.clone()
    original[..., 0, 0] = float("inf")
    plan = AdapterPlan(steps=3, sites=("@synthesis",))
    clean = latents_of(layer, case("mean-scale")[1], context)
    tuned = tune(layer, original, context, HIGH, plan, clean, seeded())
    assert all(bool(part.isfinite().all()) for part in tuned.latents.parts)
    assert all(torch.equal(value, before[key]) for key, value in layer.state_dict().items())
    assert not any("forward" in vars(module) for module in layer.modules())


def test_a_rank_beyond_the_channels_is_cut_to_them() -> None:
    layer, original, context = case("factorized")
    plan = AdapterPlan(rank=64, steps=1, optional=False, sites=("g_s.0",))
    tuned = tune(layer, original, context, HIGH, plan, latents_of(layer, original, context), seeded())
    assert read_section(layer, tuned.weights).rank == 8


@pytest.mark.parametrize(("seconds", "steps"), [(2.5, 2), (100.0, 5), (None, 5)])
def test_no_step_begins_when_the_seconds_are_over(
    seconds: float | None, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, original, context = case("factorized")
    source = latents_of(layer, original, context)
    told: list[int] = []
    monkeypatch.setattr("adapters.tune.time", SimpleNamespace(monotonic=count().__next__))  # a second at each look
    plan = AdapterPlan(steps=5, seconds=seconds, lr=0.1, optional=False)
    tuned = tune(layer, original, context, HIGH, plan, source, seeded(), tell=lambda done, most: told.append(done))
    assert told == list(range(1, steps + 1)) and tuned.weights


def test_an_adapter_that_no_decoder_takes_is_left_out_of_very_many_sites_too(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, original, context = case("mean-scale")
    plan = AdapterPlan(kind="bias", sites=("@synthesis",), steps=2, lr=0.02)

    def refused(fit: Fit, coarser: float = 1.0, without: str | None = None) -> bytes:
        raise LayeredError("weights that no decoder takes")

    monkeypatch.setattr(Fit, "packed", refused)
    monkeypatch.setattr("adapters.tune._MOST_DROPPED", 2)
    tuned = tune(layer, original, context, HIGH, plan, latents_of(layer, original, context), seeded())
    assert tuned.weights == b"" and tuned.cost < float("inf")
