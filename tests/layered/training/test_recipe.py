"""Bundled training recipes are what they claim to be."""

from __future__ import annotations

from layered.spec import build
from layered.training.recipe import load_recipe


def _count(module: object) -> int:
    return sum(p.numel() for p in module.parameters())  # type: ignore[attr-defined]


def test_the_paper_recipe_has_the_papers_parameter_counts() -> None:
    codec = build(load_recipe("compass_paper").model)
    assert codec.enhancement is not None
    assert _count(codec.base) == 7_028_003
    assert _count(codec.enhancement.residual) == 7_028_003
    assert _count(codec.enhancement.predictor) == 1_448_320


def test_both_small_base_layers_get_the_same_training() -> None:
    layered, factorized = load_recipe("compass_small"), load_recipe("factorized_small")
    assert layered.phases[0] == factorized.phases[0]
    assert (layered.seed, layered.precision, layered.data) == (factorized.seed, factorized.precision, factorized.data)
    assert layered.model.lambdas == factorized.model.lambdas


def test_overrides_reach_into_lists_and_mappings() -> None:
    recipe = load_recipe("compass_small", ["phases.1.steps=7", "model.base.N=32", "only=[joint]", "data.folder=x"])
    assert recipe.phases[1].steps == 7 and recipe.only == ("joint",) and recipe.data.folder == "x"
    assert recipe.model.base == recipe.model.base.model_copy(update={"N": 32})  # type: ignore[union-attr]
