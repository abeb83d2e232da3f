"""Refined latents are never worse than those at the start, and the search for them stops when it should."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from adapters.cost import Cost
from adapters.descent import anneal, descend, frozen, optimiser_of
from adapters.half import halved, is_quick
from adapters.refine import Best, Refined, hard_cost, refine
from adapters.schedule import SCHEDULES, Schedule, schedule_of
from layered.errors import LayeredError
from layered.layer import Context, Latents, Layer
from layered.rounding import Hard
from tests.adapters.codecs import LAYERS, case
from tests.conftest import make_codec, tiny_spec

COST = Cost(0.01)
QUICK = Schedule(steps=4, lr=0.1, trials=2)
STRAIGHT = Schedule(rounding="straight-through", steps=5, lr=0.05, trials=5)


def refined(name: str, schedule: Schedule = QUICK, seed: int = 0, **options: object) -> Refined:
    layer, original, context = case(name)
    generator = torch.Generator().manual_seed(seed)
    return refine(layer, original, context, COST, schedule, generator, **options)  # type: ignore[arg-type]


@contextmanager
def hooked(layer: Layer, change: object) -> Iterator[None]:
    """`change` is told of the gradient of everything that a convolution of the layer makes under autograd."""

    def note(module: nn.Module, inputs: object, output: Tensor) -> None:
        if output.requires_grad:
            output.register_hook(change)

    convolutions = [each for each in layer.modules() if isinstance(each, (nn.Conv2d, nn.ConvTranspose2d))]
    hooks = [each.register_forward_hook(note) for each in convolutions]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_no_layer_gets_worse(name: str, half: bool) -> None:
    layer, original, context = case(name)
    found = refined(name, half=half)
    assert float(found.after) <= float(found.before)
    assert torch.equal(found.before, hard_cost(layer, layer.analyse(original, context), original, context, COST))
    assert torch.equal(found.after, hard_cost(layer, found.latents, original, context, COST))
    assert found.steps == 4 and not any(part.requires_grad for part in found.latents.parts)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_schedule_gains_on_a_codec_that_is_not_trained(schedule: str) -> None:
    found = refined("factorized", schedule_of(schedule, steps=12, lr=0.1, trials=4))
    assert float(found.after) < float(found.before)


def test_only_what_is_rounded_is_refined() -> None:
    layer, original, context = case("sc")
    first, found = layer.analyse(original, context), refined("sc", STRAIGHT)
    assert all(torch.equal(a, b) for a, b in zip(first.parts[1:], found.latents.parts[1:], strict=True))


@pytest.mark.parametrize("name", ["mean-scale", "gc"])
def test_pictures_of_a_batch_do_not_know_of_each_other(name: str) -> None:
    layer, original, context = case(name)
    both = torch.cat([original, original.flip(3)])
    generator = torch.Generator()
    together = refine(layer, both, context, COST, STRAIGHT, generator)
    for k in range(2):
        alone = refine(layer, both[k : k + 1], context, COST, STRAIGHT, generator)
        assert float(together.after[k]) == pytest.approx(float(alone.after), rel=1e-4)
        for ours, theirs in zip(together.latents.parts, alone.latents.parts, strict=True):
            assert torch.allclose(ours[k : k + 1], theirs, atol=1e-3)


def test_the_best_is_kept_picture_by_picture() -> None:
    best = Best(Latents((torch.zeros(2, 1),)), torch.tensor([1.0, 1.0]))
    assert best.consider(Latents((torch.ones(2, 1),)), torch.tensor([0.5, 2.0]))
    assert not best.consider(Latents((torch.full((2, 1), 2.0),)), torch.tensor([float("nan"), 1.0]))
    assert best.parts[0].tolist() == [[1.0], [0.0]] and best.cost.tolist() == [0.5, 1.0]


def test_no_steps_return_the_start() -> None:
    layer, original, context = case("mean-scale")
    start = Latents(tuple(part + 0.3 for part in layer.analyse(original, context).parts))
    found = refined("mean-scale", Schedule(steps=0), start=start)
    assert all(torch.equal(a, b) for a, b in zip(found.latents.parts, start.parts, strict=True))
    assert found.steps == 0 and torch.equal(found.before, found.after)


def test_the_same_seed_finds_the_same_latents_and_draws_from_nothing_else() -> None:
    before = torch.random.get_rng_state()
    first, again, other = (refined("factorized", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first.latents.parts[0], again.latents.parts[0])
    assert not torch.equal(first.latents.parts[0], other.latents.parts[0])
    assert torch.equal(before, torch.random.get_rng_state())


def steps_of(schedule: Schedule, gains: bool, pause: float = 0.0) -> tuple[int, list[int]]:
    """How many steps are taken, and behind which of them trials are made."""
    x, tried, told = torch.ones(1, requires_grad=True), [], [0]

    def loss(rounding: object) -> Tensor:
        time.sleep(pause)
        return x.square().sum()

    def trial() -> bool:
        tried.append(told[0])
        return gains

    def tell(done: int, most: int) -> None:
        told[0] = done
        assert most == schedule.steps

    optimiser = optimiser_of(([x], schedule.lr))
    taken = anneal(schedule, time.monotonic(), torch.Generator(), optimiser, loss, trial, tell)
    return taken, tried


def test_patience_ends_the_search_after_so_many_trials_without_a_gain() -> None:
    assert steps_of(Schedule(steps=100, trials=50, patience=3), gains=False) == (6, [2, 4, 6])
    assert steps_of(Schedule(steps=10, trials=5, patience=3), gains=True) == (10, [2, 4, 6, 8, 10])


def test_time_ends_the_search_and_what_was_found_by_then_is_tried() -> None:
    taken, tried = steps_of(Schedule(steps=1000, trials=2, seconds=0.05), gains=True, pause=0.01)
    assert 1 <= taken < 20 and tried == [taken]
    assert steps_of(Schedule(steps=0, seconds=1.0), gains=True) == (0, [])


def test_gradients_that_are_no_numbers_count_as_zero() -> None:
    free = torch.tensor([1.0, 1.0, 1.0], requires_grad=True)
    unused = torch.ones(1, requires_grad=True)
    optimiser = optimiser_of(([free], 0.1), ([unused], 1.0))
    descend(optimiser, (free * torch.tensor([float("nan"), float("inf"), 1.0])).sum(), 0.5)
    assert free.detach().tolist() == pytest.approx([1.0, 1.0, 0.95]) and unused.detach().tolist() == [1.0]


@pytest.mark.parametrize("name", ["mean-scale", "gc"])
def test_a_bad_gradient_does_not_spoil_the_latents(name: str) -> None:
    layer = case(name)[0]
    with hooked(layer, lambda gradient: torch.full_like(gradient, float("nan"))):
        found = refined(name)
    assert all(bool(part.isfinite().all()) for part in found.latents.parts)
    assert float(found.after) <= float(found.before)


def broken(name: str) -> Layer:
    layer = make_codec(tiny_spec()).base
    layer.get_parameter(name).data.fill_(float("nan"))
    return layer


@pytest.mark.parametrize("name", ["g_a.0.weight", "h_s.0.weight", "g_s.0.bias"])
def test_weights_that_are_no_numbers_are_told(name: str) -> None:
    original, context = case("mean-scale")[1:]
    with pytest.raises(LayeredError, match="NaN"):
        refine(broken(name), original, context, COST, QUICK, torch.Generator())


def test_parameters_take_gradients_again_even_after_an_exception() -> None:
    layer = make_codec(tiny_spec()).base
    parameters = list(layer.parameters())
    for parameter in parameters[1:]:
        parameter.requires_grad_(True)
    with pytest.raises(KeyError), frozen(layer):
        assert not any(parameter.requires_grad for parameter in parameters)
        raise KeyError
    original, context = case("mean-scale")[1:]

    def fail(done: int, most: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        refine(layer, original, context, COST, QUICK, torch.Generator(), tell=fail)
    assert [parameter.requires_grad for parameter in parameters] == [False] + [True] * (len(parameters) - 1)
    assert all(parameter.grad is None for parameter in parameters)


def test_ms_ssim_may_be_what_is_gained() -> None:
    layer, original, context = case("factorized", 161, 161)
    cost = Cost(0.1, "ms-ssim")
    found = refine(layer, original, context, cost, Schedule(steps=3, lr=0.1, trials=3), torch.Generator())
    assert float(found.after) < float(found.before)


@pytest.mark.parametrize("lam", [1e6, 1e-9])
def test_trade_offs_at_both_ends_are_borne(lam: float) -> None:
    layer, original, context = case("mean-scale")
    found = refine(layer, original, context, Cost(lam), QUICK, torch.Generator())
    assert math.isfinite(float(found.after)) and float(found.after) <= float(found.before)


@torch.no_grad()
def test_the_halved_synthesis_is_the_layers_to_the_digits_that_it_has() -> None:
    for name in ("mean-scale", "residual", "mei", "gc"):
        layer, original, context = case(name)
        latents = layer.analyse(original, context)
        coded = layer.code(latents, context, Hard(exact=False)).latents
        quick = halved(layer, latents, context, {})
        assert quick.tensors and all(tensor.dtype == torch.bfloat16 for tensor in quick.tensors.values())
        with torch.autocast("cpu", torch.bfloat16):
            rough = quick.synthesise(coded, context).float()
        exact = layer.synthesise(coded, Context(context.height, context.width, 2.0, context.lower,
                                                carried=context.carried))  # fmt: skip
        assert 0 < float((rough - exact).abs().max()) < 0.05


def test_only_processors_with_bfloat16_are_quick() -> None:
    assert not is_quick(torch.device("meta"))
    assert isinstance(is_quick(torch.device("cpu")), bool)


def test_the_synthesis_of_the_steps_is_compiled_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Callable[..., Tensor]] = []

    def note(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        compiled.append(function)
        return function

    monkeypatch.setattr(torch, "compile", note)
    plain, asked = (refined("mean-scale", compiled=each) for each in (False, True))
    assert len(compiled) == 1 and torch.equal(plain.after, asked.after)
