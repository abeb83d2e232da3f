"""Bundling: a finished run becomes weights with a card that says what they cost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import layered
from experiments.bundle import _require_better, main
from layered.errors import OptionError
from layered.image import save_image
from layered.training.loop import train
from layered.training.recipe import TrainingRecipe
from layered.weights import Card
from tests.conftest import smooth_picture, tiny_spec


def test_a_run_becomes_weights_and_a_card(tmp_path: Path) -> None:
    save_image(smooth_picture(40, 40), tmp_path / "a.png")
    phase = {"name": "base", "kind": "base", "patch": 32, "init": "wavelet", "steps": 2, "batch": 1}
    recipe = TrainingRecipe.model_validate({
        "name": "tiny", "model": tiny_spec().model_dump(), "data": {"folder": str(tmp_path)}, "phases": [phase],
        "threads": 1,
    })  # fmt: skip
    train(recipe, tmp_path / "run")
    arguments = ["small", "--run", str(tmp_path / "run"), "--description", "d", "--machine", "m"]
    main([*arguments, "--folder", str(tmp_path)])
    card = Card(**json.loads((tmp_path / "small.json").read_text()))
    codec = layered.load(tmp_path / "small.safetensors.xz")
    assert (card.name, card.digest) == ("small", codec.digest.hex())
    assert card.training["phases"]["base"]["steps"] == 2 and card.training["pictures"] == 1
    assert codec.decode(codec.encode(smooth_picture(20, 20), (0.5, 1.0)))[1].shape == (20, 20, 3)
    (tmp_path / "table.txt").write_text("kept 1\nkept 2\n")
    with pytest.raises(OptionError, match="nothing to compare"):
        main([*arguments, "--folder", str(tmp_path)])
    with pytest.raises(OptionError, match="a phase 'base' is listed already"):
        main([*arguments, "--folder", str(tmp_path), "--even-if-worse", "--continued"])
    longer = recipe.model_dump() | {"phases": [phase | {"name": "longer", "steps": 1}], "precision": "bf16-mixed"}
    longer["start"] = {"all": str(tmp_path / "small.safetensors.xz")}
    train(TrainingRecipe.model_validate(longer), tmp_path / "longer")
    again = ["small", "--run", str(tmp_path / "longer"), *arguments[3:], "--folder", str(tmp_path), "--continued"]
    main([*again, "--even-if-worse"])
    training = json.loads((tmp_path / "small.json").read_text())["training"]
    assert list(training["phases"]) == ["base", "longer"] and training["phases"]["longer"]["steps"] == 1
    assert [run["precision"] for run in training["runs"]] == ["32-true", "bf16-mixed"]
    with pytest.raises(OptionError, match="no bundled weights of that name"):
        main([*again[:-3], "--folder", str(tmp_path / "run"), "--continued"])
    main([*arguments, "--folder", str(tmp_path), "--even-if-worse"])
    main([*arguments, "--folder", str(tmp_path), "--card-only", "--kept", str(tmp_path / "table.txt")])
    kept = json.loads((tmp_path / "small.json").read_text())
    assert kept["measured"] == {"kept": ["kept 1", "kept 2"]} and kept["training"]["pictures"] == 1
    main(["small", "--card-only", "--description", "other", "--folder", str(tmp_path)])
    assert json.loads((tmp_path / "small.json").read_text()) == kept | {"description": "other"}
    with pytest.raises(OptionError, match="--run, --description and --machine are needed"):
        main(["small", "--description", "d", "--folder", str(tmp_path)])
    with pytest.raises(OptionError, match="not there"):
        main(["small", "--run", str(tmp_path), "--description", "d", "--machine", "m"])


def reached(more: float, recipe: str = "kodak") -> dict[str, Any]:
    """What a card says of a codec of two layers that needs a factor of bits."""
    layers = {"BL": [(0.1, 28.0), (0.2, 30.0), (0.4, 32.0)], "EL1": [(0.2, 29.0), (0.4, 31.0), (0.8, 33.0)]}
    curves = {label: [(bpp * more, psnr, 0.9) for bpp, psnr in points] for label, points in layers.items()}
    return {"recipe": recipe, "images": 24, "curves": {"layered": curves}}


def test_weights_that_do_not_need_fewer_bits_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card = tmp_path / "small.json"
    card.write_text(json.dumps({"measured": reached(1.0)}))
    _require_better(card, reached(0.9))
    assert "layered, EL1: -10.0% BD-rate against the bundled weights" in capsys.readouterr().out
    weaker_top, lost, other = reached(0.5), reached(0.5), reached(0.5)
    weaker_top["curves"]["layered"]["EL1"] = reached(1.001)["curves"]["layered"]["EL1"]
    del lost["curves"]["layered"]["EL1"]
    other["curves"] = {"mine": other["curves"]["layered"]}
    apart = reached(9.0)
    apart["curves"]["layered"]["EL1"] = [(bpp, psnr - 20, 0.9) for bpp, psnr, _ in apart["curves"]["layered"]["EL1"]]
    for worse in (reached(1.0), weaker_top, lost, other, apart):
        with pytest.raises(OptionError, match="layered: not better"):
            _require_better(card, worse)
    two = {"measured": reached(1.0)}
    two["measured"]["curves"]["single"] = reached(1.0)["curves"]["layered"]
    card.write_text(json.dumps(two))
    better = reached(0.9)
    better["curves"]["single"] = reached(1.0)["curves"]["layered"]
    _require_better(card, better)  # a base layer that stayed as it was does not count against what is above it
    for key, value, told in (("recipe", "clic", "kodak, these clic"), ("images", 23, "24, these 23")):
        with pytest.raises(OptionError, match=f"{key}: the bundled weights were measured on {told}"):
            _require_better(card, reached(0.9) | {key: value})
    with pytest.raises(OptionError, match="nothing to compare"):
        _require_better(card, {})
    _require_better(tmp_path / "none.json", {})
