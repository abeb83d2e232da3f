"""Bundled training recipes are what they claim to be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from torch._subclasses.fake_tensor import FakeTensorMode

import layered
from layered.errors import RecipeError
from layered.spec import build
from layered.training.recipe import Phase, load_recipe


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


def test_the_start_of_a_part_is_set_by_its_dotted_name() -> None:
    files = ["start.enhancement.residual=r.safetensors", "start.enhancement.predictor=p.safetensors"]
    start = load_recipe("compass_small", [*files, "start.base=b"]).start
    expected = {"enhancement.residual": "r.safetensors", "enhancement.predictor": "p.safetensors", "base": "b"}
    assert start == expected
    assert load_recipe("compass_small", [f"start={expected}"]).start == expected
    with pytest.raises(RecipeError, match=r"enhancement\.predictor is given twice"):
        load_recipe("compass_small", ["start={enhancement.predictor: a, enhancement: {predictor: b}}"])
    with pytest.raises(RecipeError, match="mappings within mappings"):
        load_recipe("compass_small", ["start={a: &x {b: *x}}"])
    with pytest.raises(RecipeError, match=r"start\.base: Input should be a valid string"):
        load_recipe("compass_small", ["start.base=[a]"])


def test_generative_recipes_have_the_papers_parameter_counts() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True):
        gc, sc = (build(load_recipe(name).model).base for name in ("gc_paper", "sc_paper"))
        assert _count(gc.encoder) == 5_553_244 and _count(gc.generator) == 154_869_723
        assert _count(sc) == 182_585_271


def test_labels_are_all_that_one_recipe_of_camvid_has_and_the_other_has_not() -> None:
    with_labels, without = load_recipe("gc_camvid_labels"), load_recipe("gc_camvid")
    plain = ["model.base.classes=[]", "data.labels=null", "phases.adversarial.adversarial.critic.labels=false"]
    stripped = load_recipe("gc_camvid_labels", plain)
    assert stripped == without.model_copy(update={"name": stripped.name})
    assert with_labels.model.base != without.model.base
    codec = build(with_labels.model)
    assert codec.spec.base.classes == load_recipe("sc_camvid").model.base.classes  # type: ignore[union-attr]


def test_the_ablation_differs_from_gc_in_its_last_phase_alone() -> None:
    whole, ablation = load_recipe("gc_open"), load_recipe("gc_mse_ablation")
    assert (whole.model, whole.data, whole.seed) == (ablation.model, ablation.data, ablation.seed)
    assert whole.phases[0] == ablation.phases[0] and len(whole.phases) == len(ablation.phases) == 2
    own = {"name", "adversarial"}
    assert whole.phases[1].model_dump(exclude=own) == ablation.phases[1].model_dump(exclude=own)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["phases.base.decay=0.1"], "decay goes with schedule: step"),
        (["phases.base.decay_every=7"], "decay_every goes with schedule: step"),
        (["phases.base.adversarial={matching: 0}"], "adversarial goes with a phase of that kind"),
        (["phases.base.preserve=boxes"], "preserve goes with label maps, by data.labels or data.layout"),
    ],
)
def test_settings_of_a_phase_that_would_do_nothing_are_refused(settings: list[str], told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load_recipe("compass_small", settings)


def test_the_example_of_the_readme_is_a_recipe(tmp_path: Path) -> None:
    text = (Path(layered.__file__).parent / "training" / "README.md").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.partition("```yaml\n")[2].partition("```")[0])
    recipe = load_recipe(str(tmp_path / "mine.yaml"))
    assert recipe.name == "mine"
    assert [phase.kind for phase in recipe.phases] == ["base", "residual", "predictor", "joint"]
    codec = build(recipe.model)
    assert codec.quality_range == (1, 4) and codec.layer(2) is not codec.base


def test_the_kinds_of_phases_in_the_readme_are_those_there_are() -> None:
    text = (Path(layered.__file__).parent / "training" / "README.md").read_text(encoding="utf-8")
    table = text.partition("| `kind` of a phase |")[2].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.M) == list(get_args(Phase.model_fields["kind"].annotation))
