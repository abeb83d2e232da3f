"""What is wrong with settings is told by this library's errors, wherever they come from."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from pydantic import Field

from experiments.recipe import load_recipe
from layered.errors import OptionError, RecipeError
from layered.recipes import Strict, check


class Part(Strict):
    size: int = Field(default=1, ge=1)


class Whole(Strict):
    name: str
    part: Part = Part()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": 0}, "size: Input should be greater than or equal to 1"),
        ({"sise": 2}, "unknown key 'sise', did you mean 'size'? valid keys are size"),
    ],
)
def test_a_constructor_raises_our_error(given: dict[str, int], message: str) -> None:
    with pytest.raises(OptionError) as told:
        Part(**given)
    assert str(told.value) == message


def test_a_recipe_names_itself_and_the_key_of_a_part() -> None:
    with pytest.raises(RecipeError) as told:
        check(Whole, {"name": "a", "part": {"size": 0}}, source="r.yaml")
    assert str(told.value) == "r.yaml: part.size: Input should be greater than or equal to 1"


def test_an_override_reaches_into_a_part_that_the_recipe_leaves_out() -> None:
    assert check(Whole, {"name": "a"}, ["part.size=3"]).part.size == 3
    with pytest.raises(RecipeError, match="unknown key 'pert', did you mean 'part'"):
        check(Whole, {"name": "a"}, ["pert.size=3"])
    assert check(Whole, {"name": "a", "part": None}, ["part.size=3"]).part.size == 3


def test_a_list_that_is_left_out_is_given_whole() -> None:
    with pytest.raises(RecipeError, match="there is no list 'part'; lists are given whole"):
        check(Whole, {"name": "a"}, ["part.0=3"])


def test_settings_survive_pickling_and_copies() -> None:
    whole = Whole(name="a", part=Part(size=3))
    assert pickle.loads(pickle.dumps(whole)) == whole == whole.model_copy() != whole.model_copy(update={"name": "b"})


def test_an_override_changes_one_place_of_what_an_alias_shares(tmp_path: Path) -> None:
    text = "name: a\ndata: d\nscales: [1]\ncodecs:\n"
    text += "  - &first {name: one, codec: single, of: jpeg, qualities: [10, 20]}\n"
    path = tmp_path / "shared.yaml"
    path.write_text(text + "  - {<<: *first, name: two}\n")
    made = load_recipe(str(path), ["codecs.two.qualities.0=5"])
    assert [spec.qualities for spec in made.codecs] == [(10, 20), (5, 20)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
         + "".join(f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 10)}]\n" for k in range(1, 9)), "more than 100000"),
        ("a: &a [*a]\n", "nested without end"),
    ],
)  # fmt: skip
def test_aliases_that_stand_for_too_much_are_refused(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "bomb.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=told):
        load_recipe(str(path))
