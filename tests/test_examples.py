"""What the READMEs show as recipes, tables of keys and codecs of one's own is what the code takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from adapters.methods import METHODS
from experiments.harness import run
from experiments.recipe import Recipe, load_recipe
from layered.spec import BASE_LAYERS
from tests.experiments.small_run import write_pictures

ROOT = Path(__file__).parents[1]
PAGES = {name: ROOT / name / "README.md" for name in (".", "adapters", "baselines", "experiments")}


def blocks(page: str, language: str) -> list[str]:
    """The blocks of code of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGES[page].read_text(encoding="utf-8"), re.M | re.S)


RECIPES = [(page, text) for page in PAGES for text in blocks(page, "yaml") if text.startswith("name:")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with pictures in DIR and the codec of one's own."""
    monkeypatch.chdir(tmp_path)
    write_pictures(tmp_path / "DIR")
    (tmp_path / "my_codecs.py").write_text(blocks("baselines", "python")[0])
    return tmp_path


def test_the_pages_show_three_whole_recipes() -> None:
    assert [page for page, _ in RECIPES] == [".", "adapters", "baselines"]


@pytest.mark.parametrize(("page", "text"), RECIPES, ids=[page for page, _ in RECIPES])
def test_recipes_that_are_shown_are_recipes_with_anchors(page: str, text: str, place: Path) -> None:
    (place / "shown.yaml").write_text(text)
    recipe = load_recipe("shown.yaml")
    assert recipe.anchors and len(recipe.codecs) > 1 and recipe.data.source == "DIR"


def test_the_row_of_two_commands_is_one_of_a_recipe(place: Path) -> None:
    (row,) = (text for text in blocks("baselines", "yaml") if not text.startswith("name:"))
    (place / "shown.yaml").write_text(f"name: shown\ndata: DIR\ncodecs:\n{row}")
    assert [spec.name for spec in load_recipe("shown.yaml").codecs] == ["jxl"]


def test_the_codec_of_ones_own_that_is_shown_is_measured(place: Path) -> None:
    values = yaml.safe_load(next(text for page, text in RECIPES if page == "baselines"))
    mine = [row for row in values["codecs"] if row["name"] == "mine"]
    recipe = Recipe.model_validate(values | {"codecs": mine, "anchors": [], "ms_ssim": False})
    results = run(recipe, place / "out", workers=0, progress=False)
    assert len(results.records) == 2 * 3 and not results.failures


def test_the_table_of_keys_has_every_key_of_a_recipe_in_order() -> None:
    table = PAGES["experiments"].read_text(encoding="utf-8").partition("| key | what it is | default |")[2]
    keys = re.findall(r"^\| `(\w+)`", table.partition("\n\n")[0], re.M)
    assert keys == list(Recipe.model_fields)


def test_the_table_of_base_layers_has_all_of_them() -> None:
    text = (ROOT / "layered" / "README.md").read_text(encoding="utf-8")
    table = text.partition("| base layer | what it is |")[2].partition("\n\n")[0]
    named = [name for line in table.splitlines()[2:] for name in re.findall(r"`([\w-]+)`", line)]
    assert sorted(named) == sorted(BASE_LAYERS)


def test_the_table_of_methods_has_all_of_them_with_the_steps_that_they_take() -> None:
    table = PAGES["adapters"].read_text(encoding="utf-8").partition("| `--method` |")[2].partition("\n\n")[0]
    shown: dict[str, list[tuple[str, str]]] = {}
    for line in table.splitlines()[2:]:
        names, _, steps = line.strip("|").split("|")
        shown |= dict.fromkeys(re.findall(r"`([\w-]+)`", names), re.findall(r"([\d,]+) `(--[\w-]+)`", steps))
    expected = {}
    for name, method in METHODS.items():
        parts = (("--steps", method.first), ("--adapter-steps", method.plan), ("--last-steps", method.last))
        expected[name] = [(f"{part.steps:,}", option) for option, part in parts if part is not None]
    assert shown == expected
