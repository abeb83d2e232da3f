"""Bundling: a finished run becomes weights with a card that says what they cost."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import layered
from experiments.bundle import _require_better, main
from experiments.harness import run as measure
from experiments.recipe import make_recipe
from experiments.runs import load_results
from experiments.tables import Tables
from layered.errors import OptionError
from layered.image import save_image
from layered.training.loop import train
from layered.training.recipe import TrainingRecipe
from layered.weights import Card
from tests.conftest import smooth_picture, tiny_spec
from tests.experiments import small_run

PHASE = {"name": "base", "kind": "base", "patch": 32, "init": "wavelet", "steps": 2, "batch": 1}
TOLD = ["--description", "d", "--machine", "m"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training run, beside the picture that it has seen."""
    folder = tmp_path_factory.mktemp("trained")
    save_image(smooth_picture(40, 40), folder / "a.png")
    return trained(folder / "run", PHASE)


def trained(out: Path, phase: dict[str, Any], **settings: Any) -> Path:
    recipe = {
        "name": "tiny", "model": tiny_spec().model_dump(), "data": {"folder": str(out.parent)}, "phases": [phase],
        "threads": 1,
    }  # fmt: skip
    train(TrainingRecipe.model_validate(recipe | settings), out)
    return out


def read(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "small.json").read_text())
    return found


def test_a_run_becomes_weights_and_a_card(run: Path, tmp_path: Path) -> None:
    main(["small", "--run", str(run), *TOLD, "--folder", str(tmp_path)])
    card, codec = Card(**read(tmp_path)), layered.load(tmp_path / "small.safetensors.xz")
    assert (card.name, card.digest) == ("small", codec.digest.hex())
    assert card.training["phases"]["base"]["steps"] == 2 and card.training["pictures"] == 1
    assert "base 2 steps of 1 crop of 32x32; " in card.budget
    assert card.training["untrained"] == ["enhancement"] and codec.untrained == {"enhancement"}
    assert codec.decode(codec.encode(smooth_picture(20, 20), (0.5, 1.0)))[1].shape == (20, 20, 3)


def test_a_run_that_went_on_is_listed_below_what_it_went_on_from(run: Path, tmp_path: Path) -> None:
    place = ["--folder", str(tmp_path)]
    main(["small", "--run", str(run), *TOLD, *place])
    again = [*TOLD, *place, "--even-if-worse", "--continued"]
    with pytest.raises(OptionError, match="a phase 'base' is listed already"):
        main(["small", "--run", str(run), *again])
    start = {"all": str(tmp_path / "small.safetensors.xz")}
    save_image(smooth_picture(40, 40), tmp_path / "a.png")
    longer = PHASE | {"name": "longer", "steps": 1}
    went_on = trained(tmp_path / "longer", longer, start=start, precision="bf16-mixed")
    main(["small", "--run", str(went_on), *again])
    training = read(tmp_path)["training"]
    assert list(training["phases"]) == ["base", "longer"] and training["phases"]["longer"]["steps"] == 1
    assert [run["precision"] for run in training["runs"]] == ["32-true", "bf16-mixed"]
    assert not {"adversarial", "decay", "significant"} & set(training["phases"]["longer"])
    alone = trained(tmp_path / "alone", PHASE | {"name": "alone"})
    with pytest.raises(OptionError, match="none of the runs started from small, but from nothing"):
        main(["small", "--run", str(alone), *again])


def test_what_is_not_given_of_a_card_stays(run: Path, tmp_path: Path) -> None:
    only = ["small", "--card-only", "--folder", str(tmp_path)]
    main(["small", "--run", str(run), *TOLD, "--folder", str(tmp_path)])
    table = tmp_path / "table.txt"
    table.write_text("kept 1\nkept 2\n")
    before = read(tmp_path) | {"measured": reached(1.0)}
    (tmp_path / "small.json").write_text(json.dumps(before))
    main([*only, "--kept", str(table)])
    kept = before | {"measured": reached(1.0) | {"kept": ["kept 1", "kept 2"]}}
    assert read(tmp_path) == json.loads(json.dumps(kept))
    main([*only, "--description", "other"])
    assert read(tmp_path) == json.loads(json.dumps(kept | {"description": "other"}))


def test_a_card_that_is_lost_is_made_again(run: Path, tmp_path: Path) -> None:
    whole = ["small", "--run", str(run), *TOLD, "--folder", str(tmp_path)]
    main(whole)
    (tmp_path / "small.json").unlink()
    with pytest.raises(OptionError, match="but with --card-only where there is a card"):
        main(["small", "--card-only", "--folder", str(tmp_path)])
    main([*whole, "--card-only"])
    assert read(tmp_path)["digest"] == layered.load(tmp_path / "small.safetensors.xz").digest.hex()


def test_weights_stay_as_they_are_where_something_is_wrong(run: Path, tmp_path: Path) -> None:
    whole = ["small", "--run", str(run), *TOLD, "--folder", str(tmp_path)]
    main(whole)
    weights, card = tmp_path / "small.safetensors.xz", tmp_path / "small.json"
    held = weights.read_bytes(), card.read_bytes()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "weights.safetensors").write_bytes(b"hello")
    place = ["--folder", str(tmp_path)]
    for arguments, told in (
        (whole, "nothing to compare"),
        ([*whole, "--even-if-worse", "--kept", str(tmp_path / "none.txt")], "none.txt"),
        (["small", "--run", str(tmp_path), *TOLD, *place], "not there; the run has not ended"),
        (["small", "--run", str(tmp_path / "bad"), *TOLD, *place], "not the weights of a training run"),
        (["small", "--description", "d", *place], "--run, --description and --machine are needed"),
        (["other", *whole[1:], "--continued"], "has no card of other"),
        (["small", "--card-only", "--continued", *place], "--continued goes with --run"),
        (["small", "--card-only", "--machine", "m", *place], "--machine and --run go together"),
        (["small", "--card-only", "--run", str(run), *place], "--machine and --run go together"),
        (["small", "--card-only", "--codec", "layered", *place], "--codec and --results go together"),
        (["small", "--card-only", "--significant", "4", *place], "go without --card-only"),
        ([*whole, "--significant", "4", "--results", str(tmp_path), "--codec", "a"], "that --results did not measure"),
        ([*whole, "--even-if-worse", "--on", "small"], "do not stand on themselves"),
        (["other", *whole[1:], "--even-if-worse"], "no card to compare with"),
    ):
        with pytest.raises(OptionError, match=told):
            main(arguments)
        assert (weights.read_bytes(), card.read_bytes()) == held
    card.write_text("[1]")
    with pytest.raises(OptionError, match="not a card"):
        main([*whole, "--even-if-worse"])


def reached(more: float, recipe: str = "kodak") -> dict[str, Any]:
    """What a card says of a codec of two layers that needs a factor of bits."""
    layers = {"BL": [(0.1, 28.0), (0.2, 30.0), (0.4, 32.0)], "EL1": [(0.2, 29.0), (0.4, 31.0), (0.8, 33.0)]}
    curves = {label: [(bpp * more, psnr, 0.9) for bpp, psnr in points] for label, points in layers.items()}
    return {"recipe": recipe, "images": 24, "curves": {"layered": curves}}


def test_weights_that_do_not_need_fewer_bits_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    before = reached(1.0)
    _require_better(before, reached(0.9))
    assert "layered, EL1: -10.0% BD-rate against the bundled weights" in capsys.readouterr().out
    weaker_top, lost, other = reached(0.5), reached(0.5), reached(0.5)
    weaker_top["curves"]["layered"]["EL1"] = reached(1.001)["curves"]["layered"]["EL1"]
    del lost["curves"]["layered"]["EL1"]
    other["curves"] = {"mine": other["curves"]["layered"]}
    apart = reached(9.0)
    apart["curves"]["layered"]["EL1"] = [(bpp, psnr - 20, 0.9) for bpp, psnr, _ in apart["curves"]["layered"]["EL1"]]
    for worse in (reached(1.0), weaker_top, lost, other, apart):
        with pytest.raises(OptionError, match="layered: not better"):
            _require_better(before, worse)
    before["curves"]["single"] = reached(1.0)["curves"]["layered"]
    better = reached(0.9)
    better["curves"]["single"] = reached(1.0)["curves"]["layered"]
    _require_better(before, better)  # a base layer that stayed as it was does not count against what is above it
    for key, value, told in (("recipe", "clic", "kodak, these clic"), ("images", 23, "24, these 23")):
        with pytest.raises(OptionError, match=f"{key}: the bundled weights were measured on {told}"):
            _require_better(before, reached(0.9) | {key: value})
    with pytest.raises(OptionError, match="nothing to compare"):
        _require_better(before, {})


def bench(folder: Path, weights: Path) -> Path:
    """A run of the weights and of JPEG beside them, on two pictures."""
    values = small_run.values(small_run.write_pictures(folder / "pictures"), scales=[1])
    row = {"name": "mine", "codec": "single", "of": "mean-scale", "weights": str(weights), "qualities": [1, 2, 3]}
    recipe = make_recipe(values | {"codecs": [*values["codecs"], row]})
    return measure(recipe, folder / "out", progress=False).folder


def test_a_card_holds_what_its_own_weights_measured_and_nothing_else(run: Path, tmp_path: Path) -> None:
    main(["small", "--run", str(run), *TOLD, "--folder", str(tmp_path)])
    weights = tmp_path / "small.safetensors.xz"
    out = bench(tmp_path, weights)
    only = ["small", "--card-only", "--folder", str(tmp_path), "--results", str(out), "--codec"]
    main([*only, "mine"])
    held = read(tmp_path)
    tables = Tables(load_results(out))
    for layer, points in held["measured"]["curves"]["mine"].items():
        expected = [(p.bpp, p.psnr, p.ms_ssim) for p in tables.points("mine", tables.ladders[0].layers.index(layer))]
        assert len(points) == 3 and points == [pytest.approx(point, abs=1e-4) for point in expected]
    assert held["measured"]["weights"] == [held["digest"]] and held["measured"]["images"] == 2
    for codec, told in (("typo", "has no 'typo', but "), ("simulcast jpeg", "measured with no weights")):
        with pytest.raises(OptionError, match=told):
            main([*only, codec])
    other = ["other", "--run", str(run), *TOLD, "--folder", str(tmp_path), "--significant", "4"]
    main(other)
    assert read(tmp_path) == held
    with pytest.raises(OptionError, match=f"measured with {held['digest']}; .*other.safetensors.xz is "):
        main(["other", *only[1:], "mine"])
    next((out / "records").glob("*.json")).unlink()
    with pytest.raises(OptionError, match="items are missing"):
        main([*only, "mine"])
    assert read(tmp_path) == held


def test_a_run_of_a_bundled_recipe_with_other_settings_decides_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main(["small", "--run", str(run), *TOLD, "--folder", str(tmp_path)])
    out = bench(tmp_path, tmp_path / "small.safetensors.xz")
    recipe = load_results(out).recipe
    other = recipe.model_copy(update={"data": recipe.data.model_copy(update={"longest_side": 999})})
    monkeypatch.setattr("experiments.bundle.bundled_recipes", lambda: (recipe.name,))
    only = ["small", "--card-only", "--folder", str(tmp_path), "--results", str(out), "--codec", "mine"]
    monkeypatch.setattr("experiments.bundle.load_recipe", lambda name: other)
    with pytest.raises(OptionError, match=f"its settings are not those of the bundled recipe {recipe.name}"):
        main(only)
    monkeypatch.setattr("experiments.bundle.load_recipe", lambda name: recipe)
    main(only)
    assert read(tmp_path)["measured"]["images"] == 2


def test_weights_on_top_of_others_stay_the_same_when_those_are_replaced(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = resources.files
    monkeypatch.setattr(resources, "files", lambda of: tmp_path if of == "layered.weights" else plain(of))
    place = ["--folder", str(tmp_path), *TOLD]
    main(["small", "--run", str(run), *place])
    save_image(smooth_picture(40, 40), tmp_path / "a.png")
    longer = trained(tmp_path / "longer", PHASE | {"name": "longer"}, start={"all": str(run / "weights.safetensors")})
    main(["top", "--run", str(longer), *place, "--on", "small"])
    top, small = layered.load("top"), layered.load("small")
    whole = (tmp_path / "top.safetensors.xz").stat().st_size
    assert whole < (tmp_path / "small.safetensors.xz").stat().st_size
    main(["small", "--run", str(longer), *place, "--even-if-worse"])
    assert layered.load("small").digest != small.digest and layered.load("top").digest == top.digest
    assert (tmp_path / "top.safetensors.xz").stat().st_size < whole  # all of it is in what is below now
    picture = smooth_picture(20, 20)
    assert layered.load("top").encode(picture, (1.0,)) == top.encode(picture, (1.0,))
