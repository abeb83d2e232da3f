"""Recipes: what is accepted, what is refused, and in which words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from experiments.recipe import Published, bundled_recipes, load_recipe, make_recipe
from layered.errors import RecipeError
from layered.recipes import bundled
from layered.training import recipe as training
from layered.weights import catalogue
from tests.experiments.small_run import small_recipe, values

CODEC = {"name": "a", "codec": "single", "of": "jpeg", "qualities": [1]}


@pytest.mark.parametrize("name", bundled_recipes())
def test_bundled_recipes_are_valid_and_named_like_their_files(name: str) -> None:
    assert load_recipe(name).name == name


def test_the_promised_recipes_are_bundled() -> None:
    promised = "classical_kodak demo kodak_3layer kodak_arbitrary liff_vs_liif many_layers out_of_distribution"
    tables = "compass_table_bl_el1 compass_table_el2 compass_table_ood"
    assert set(f"{promised} {tables}".split()) <= set(bundled_recipes())


def test_a_recipe_is_a_file_or_a_bundled_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(yaml.safe_dump(values(tmp_path)))
    assert load_recipe("mine.yaml") == small_recipe(tmp_path)
    assert load_recipe("demo").name == "demo"
    with pytest.raises(RecipeError, match=r"no recipe or file nonesuch\.yaml; bundled are .*demo"):
        load_recipe("nonesuch.yaml")


@pytest.mark.parametrize("text", ["- a\n- b\n", "just words", "", "a: [1, 2"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"r\.yaml: (not YAML|a recipe is a mapping)"):
        load_recipe(tmp_path / "r.yaml")


def test_a_codec_that_is_wrong_is_not_also_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        small_recipe(tmp_path, codecs=[{**CODEC, "codec": "layred"}])
    assert "or more are needed" not in str(caught.value)


def test_yamls_merge_keys_are_understood(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(
        "name: r\ndata: samples\ncodecs:\n"
        "  - &one {name: a, codec: single, of: jpeg, qualities: [9]}\n"
        "  - {<<: *one, name: b, of: webp}\n"
    )
    assert [(c.name, c.of, c.qualities) for c in load_recipe(tmp_path / "r.yaml").codecs] == [
        ("a", "jpeg", (9.0,)), ("b", "webp", (9.0,)),
    ]  # fmt: skip


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"is a folder; a recipe is a YAML file, or one of .*kodak_3layer"):
        load_recipe(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": [1]}, "unknown key 'scale', did you mean 'scales'? valid keys are name, "),
        ({"data": {"sauce": "kodak"}}, "data: unknown key 'sauce'"),
        ({"codecs": []}, "codecs: "),
        ({"codecs": [{**CODEC, "codec": "layred"}]}, "there are layered, simulcast, single"),
        ({"codecs": [{**CODEC, "of": "gif"}]}, "unknown picture codec"),
        ({"codecs": [{**CODEC, "quality": 1}]}, "codecs.0: unknown key 'quality'"),
        ({"codecs": [{**CODEC, "qualities": [9, 9]}]}, "named twice"),
        ({"codecs": [{**CODEC, "qualities": [9, float("nan")]}]}, "nan is not a quality"),
        ({"codecs": [{**CODEC, "qualities": [[1, -float("inf")]]}]}, "-inf is not a quality"),
        ({"codecs": [{**CODEC, "qualities": [[1, 2, 3]]}]}, "3 qualities for 2 layers"),
        ({"codecs": [CODEC, CODEC]}, "two codecs are named 'a'"),
        ({"scales": [1, 0.5]}, "must increase"),
        ({"scales": [0.5, 2]}, "at most 1"),
        ({"anchors": ["nobody"]}, "anchor 'nobody' is not among the codecs; there are simulcast jpeg, "),
        ({"bd_rate": "spline"}, "bd_rate: "),
        ({"codecs": [{**CODEC, "qualities": [9, 9.0000001]}]}, "the same in six digits"),
        ({"codecs": [{**CODEC, "name": "a\x07"}]}, "is not one line of text"),
        ({"scales": [[0.5, 1], [0.500001, 1]]}, "are others in four digits"),
        ({"anchors": ["simulcast jpeg", "simulcast jpeg"]}, "named twice"),
        ({"name": "../escape"}, "name: '../escape': letters, digits and . _ - only"),
        ({"anchors": "simulcast jpeg"}, "anchors: a list is needed, such as [simulcast jpeg]"),
        ({"threads": 0}, "threads: "),
        ({"codecs": []}, "codecs: 1 or more are needed, 0 given"),
    ],
)
def test_faults_are_named_in_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)) as caught:
        small_recipe(tmp_path, **changes)
    assert "\n" not in str(caught.value)


ADAPTED = {"name": "a", "codec": "layered", "qualities": [1], "adaptation": {"method": "refine", "steps": 3}}


def test_an_adaptation_is_checked_and_comes_back_from_plain_values(tmp_path: Path) -> None:
    recipe = small_recipe(tmp_path, codecs=[ADAPTED, {**ADAPTED, "name": "b", "adaptation": None}], anchors=["b"])
    settings = recipe.codecs[0].adaptation
    assert settings is not None and (settings.method, settings.steps) == ("refine", 3)
    assert recipe.codecs[0].label == "layered refine steps=3" and recipe.codecs[1].label == "layered"
    again = make_recipe(recipe.model_dump(mode="json"))
    assert again == recipe and hash(again.codecs[0].method) == hash(recipe.codecs[0].method)
    changed = make_recipe(recipe.model_dump(mode="json"), ["codecs.a.adaptation.steps=7"]).codecs[0].adaptation
    assert changed is not None and changed.steps == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"adaptation": {"metod": "refine"}}, "codecs.0.adaptation: unknown key 'metod', did you mean 'method'?"),
        ({"adaptation": {"method": "refin"}}, "adaptation: method: no method of adaptation is called 'refin'"),
        ({"adaptation": {"steps": -1}}, "codecs.0.adaptation: steps: "),
        ({"adaptation": {"seconds": 5}}, "seconds: files would depend on the speed of the machine; give steps"),
        ({"adaptation": "universal"}, "codecs.0.adaptation: "),
        ({"adaptation": {"method": "refine", "rank": 2}}, "rank has no meaning for the method refine"),
        ({"adaptation": {"layers": [2]}}, "there is no layer 2 in a stream of 2"),
        ({"codec": "single", "of": "jpeg"}, "`adaptation:` has no meaning for jpeg; what can be adapted to a picture"),
        ({"codec": "single", "of": "gc", "adaptation": {"layers": [1]}}, "there is no layer 1 in a stream of 1"),
    ],
)
def test_faults_of_an_adaptation_are_named_in_one_line(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)) as caught:
        small_recipe(tmp_path, codecs=[{**ADAPTED, **changes}], anchors=[])
    assert "\n" not in str(caught.value)


def test_overrides_reach_every_level_with_their_types(tmp_path: Path) -> None:
    overrides = (
        "data.limit=3", "scales=[0.25, 1]", "ms_ssim=true", "codecs.simulcast jpeg.qualities=[5, [10, 20]]",
        "codecs.1.of=avif", "anchors.0=single webp",
    )  # fmt: skip
    recipe = make_recipe(values(tmp_path), overrides)
    assert (recipe.data.source, recipe.data.limit, recipe.scales) == (str(tmp_path), 3, ((0.25, 1.0),))
    assert recipe.codecs[0].qualities == (5.0, (10.0, 20.0)) and recipe.codecs[1].of == "avif"
    assert recipe.ms_ssim and recipe.anchors == ("single webp",)


def test_overriding_data_by_a_folder_replaces_all_of_it(tmp_path: Path) -> None:
    recipe = make_recipe(values(tmp_path, data={"source": "kodak", "limit": 2}), ["data=elsewhere"])
    assert (recipe.data.source, recipe.data.limit) == ("elsewhere", None)
    recipe = make_recipe(values(tmp_path), ["data=a: [b]", "data.limit=2"])
    assert (recipe.data.source, recipe.data.limit) == ("a: [b]", 2)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("limit", "write it as key=value"),
        ("=3", "write it as key=value"),
        ("data.limt=3", "unknown key 'limt', did you mean 'limit'?"),
        ("date.limit=3", "unknown key 'date', did you mean 'data'? valid keys are name, description, data"),
        ("name.x=3", "there is no 'name.x'"),
        ("codecs.7.of=jpeg", "'7' is neither a name nor a number below 2; names are simulcast jpeg, "),
        ("scales.x=1", "'x' is neither a name nor a number below 2"),
        ("scales=[1, 2", "is not a YAML value"),
        ("data.limit=many", "data.limit: "),
    ],
)
def test_overrides_that_lead_nowhere_are_refused(tmp_path: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=re.escape(message)):
        make_recipe(values(tmp_path), [override])


def test_the_given_values_stay_as_they_are(tmp_path: Path) -> None:
    given = values(tmp_path, data={"source": "kodak"})
    make_recipe(given, ["data.limit=3"])
    assert given["data"] == {"source": "kodak"}


@pytest.mark.parametrize("name", bundled_recipes())
def test_the_weights_that_bundled_recipes_name_are_bundled_or_left_by_a_training_recipe(name: str) -> None:
    named = {spec.weights for spec in load_recipe(name).codecs if spec.weights}
    trained = {f"runs/{training.load_recipe(each).name}/weights.safetensors" for each in bundled("layered.training")}
    assert named <= {entry.name for entry in catalogue()} | trained


@pytest.mark.parametrize(("key", "value"), [("paper", "nobody"), ("data", "Urban"), ("names", {"layered": "COMPAS"})])
def test_published_results_that_are_not_there_show_before_any_work(key: str, value: object) -> None:
    good = {"paper": "compass", "data": "Kodak", "names": {"layered": "COMPASS"}}
    with pytest.raises(ValueError, match="there are"):
        Published.model_validate({**good, key: value})
