"""The page notes of which weights a run is, so that a check never compares what was measured with others."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from experiments.page.__main__ import main
from experiments.page.index import INDEX, RESULTS, Published
from experiments.page.models import MADE, earlier, models, weights_of
from experiments.page.recheck import sampled
from experiments.page.take import take
from experiments.recipe import load_recipe
from experiments.record import Provenance, Record
from experiments.runs import load_results
from layered.errors import RecipeError
from layered.weights.card import card
from tests.experiments.small_run import values, write_pictures

RUN = Published(recipe="base_layers")


def page(folder: Path, weights: dict[str, str] | None) -> Path:
    """A page with the run of base layers, as if it were of these weights."""
    shutil.copytree(RESULTS / RUN.name, folder / RUN.name)
    shutil.copy(RESULTS / INDEX, folder)
    path = folder / RUN.name / MADE
    made = json.loads(path.read_text())
    made.pop("weights")
    path.write_text(json.dumps(made | ({} if weights is None else {"weights": weights})))
    return folder


def digests(*names: str) -> dict[str, str]:
    return {name: card(name).digest for name in names}


USED = ("compass-small", "factorized-small", "wacnn-small")


def test_weights_that_are_as_they_were_are_not_earlier_ones(tmp_path: Path) -> None:
    assert earlier(RUN, page(tmp_path, digests(*USED))) == ()


def test_replaced_weights_are_named_and_so_are_those_that_were_never_noted(tmp_path: Path) -> None:
    known = digests("compass-small", "wacnn-small")
    assert earlier(RUN, page(tmp_path, known | {"factorized-small": "0" * 12})) == ("factorized-small",)
    (tmp_path / RUN.name / MADE).unlink()
    assert earlier(RUN, tmp_path) == USED


def test_a_run_of_before_weights_were_noted_is_of_earlier_ones(tmp_path: Path) -> None:
    assert earlier(RUN, page(tmp_path, None)) == USED


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 200_000, '{"weights": 3}', '{"weights": ["ab"]}'])
def test_a_damaged_note_is_told(tmp_path: Path, text: str) -> None:
    folder = page(tmp_path, None)
    (folder / RUN.name / MADE).write_text(text)
    with pytest.raises(RecipeError, match="not a note of how a run was made"):
        earlier(RUN, folder)


def test_items_of_replaced_weights_are_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = {spec.name: weights_of(spec) for spec in RUN.load().codecs}
    folder = page(tmp_path, digests("compass-small", "wacnn-small"))
    items = sampled(RUN, 10**6, 0, adapted=False, folder=folder)
    assert {rows[item.codec] for item in items} == {"compass-small", "wacnn-small"}
    monkeypatch.setattr("experiments.page.__main__.recheck", lambda run, keys, folder: iter(()))
    main(["--folder", str(folder), "check", RUN.name])
    assert "not checked where it is of weights replaced since, factorized-small" in capsys.readouterr().out


def test_the_weights_of_a_row_are_found_whatever_codes_it() -> None:
    rows = {spec.name: weights_of(spec) for spec in load_recipe("kodak_3layer").codecs}
    assert rows["layered"] == rows["simulcast mean-scale"] == rows["single mean-scale"] == "compass-small"
    assert rows["simulcast factorized"] == "factorized-small" and rows["simulcast jpeg"] is None
    assert {weights_of(spec) for spec in load_recipe("adaptation_layers").codecs} == {
        "compass-small", "gc-compass-small"
    }  # fmt: skip


def test_a_run_notes_the_bundled_weights_it_used_and_no_others() -> None:
    recipe = load_recipe("base_layers", ["codecs.0.weights=mine.safetensors"])
    where = Provenance("layered bench", None, "a machine", 1)
    record = Record("k", "", 1, "p", "0", (1.0,), (), 0.0, 0.0, None, (), {}, where)
    coded = [
        replace(record, codec=spec.name, fingerprint={"model": f"{number}" * 12})
        for number, spec in enumerate(recipe.codecs)
    ]
    assert models(recipe, coded) == {
        weights_of(spec): f"{number}" * 12 for number, spec in enumerate(recipe.codecs) if number
    }


def test_a_run_is_published_with_the_weights_it_is_of_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_pictures(tmp_path / "pictures")
    row = {"name": "mine", "codec": "single", "of": "factorized", "weights": "factorized-small", "qualities": [1, 4]}
    recipe = tmp_path / "small.yaml"
    plain = values(tmp_path / "pictures", scales=[1])
    recipe.write_text(yaml.safe_dump(plain | {"codecs": [*plain["codecs"], row]}))
    page, out = tmp_path / "page", tmp_path / "out"
    page.mkdir()
    (page / INDEX).write_text(yaml.safe_dump([{"recipe": str(recipe), "set": ["name=tiny"]}]))
    assert main(["--folder", str(page), "run", "--out", str(out), "--workers", "0"]) == 0
    assert json.loads((page / "tiny" / MADE).read_text())["weights"] == digests("factorized-small")
    found = load_results(out / "tiny")
    codecs = tuple(
        spec.model_copy(update={"weights": "mine.safetensors"}) if spec.name == "mine" else spec
        for spec in found.recipe.codecs
    )
    other = replace(found, recipe=found.recipe.model_copy(update={"codecs": codecs}))
    with pytest.raises(RecipeError, match=r"'mine' is of mine.safetensors, on the page it is of factorized-small"):
        take(other, page)
    take(replace(other, recipe=other.recipe.model_copy(update={"name": "other"})), page)
