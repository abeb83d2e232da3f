"""A phase may see its weights as they are going to be packed."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from layered.errors import RecipeError
from layered.recipes import check
from layered.spec import build
from layered.training.phases import Draw, Objective
from layered.training.recipe import Phase
from layered.weights.precision import keeps_all, rounded
from tests.conftest import tiny_spec

LAYERS = ((0.5, 0.5), (1.0, 1.0))


def objective(significant: int | dict[str, int] | None) -> tuple[Objective, Draw]:
    torch.manual_seed(0)
    phase = Phase(name="joint", kind="joint", steps=1, patch=32, scales=LAYERS, significant=significant)
    crops = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return Objective(build(tiny_spec()), phase), Draw(crops, (16, 32), 2.0, noise=3)


def test_a_phase_with_few_significant_bits_sees_the_weights_of_the_packed_file() -> None:
    seen, draw = objective(4)
    loss, _ = seen(draw)
    packed, _ = objective(None)
    for name, weight in packed.codec.named_parameters():
        if weight.requires_grad and not keeps_all(name):
            weight.data = rounded(weight.data, 4)
    wanted, _ = packed(draw)
    plain, _ = objective(None)
    assert torch.allclose(loss, wanted) and not torch.allclose(loss, plain(draw)[0])


def test_gradients_pass_through_the_rounding_of_weights() -> None:
    seen, draw = objective(4)
    before = deepcopy(seen.codec.state_dict())
    seen(draw)[0].backward()
    assert all(parameter.grad is not None for parameter in seen.trained())
    assert all(torch.equal(before[name], value) for name, value in seen.codec.state_dict().items())


@pytest.mark.parametrize("kind", ["predictor", "adversarial"])
def test_phases_that_cannot_see_packed_weights_say_so(kind: str) -> None:
    with pytest.raises(RecipeError, match="cannot see packed weights"):
        check(Phase, {"name": "a", "kind": kind, "steps": 1, "significant": 6}, (), "recipe")


def test_bits_of_a_phase_may_go_by_name() -> None:
    seen, draw = objective({"g_s": 4})
    wanted, _ = objective(None)
    for name, weight in wanted.codec.named_parameters():
        if weight.requires_grad and not keeps_all(name):
            weight.data = rounded(weight.data, 4 if ".g_s." in name else 11)
    assert torch.allclose(seen(draw)[0], wanted(draw)[0])
    with pytest.raises(RecipeError, match="significant"):
        check(Phase, {"name": "a", "kind": "base", "steps": 1, "significant": {"g_s": 1}}, (), "recipe")
