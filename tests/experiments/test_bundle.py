"""Bundling: a finished run becomes weights with a card that says what they cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import layered
from experiments.bundle import main
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
    main([*arguments, "--folder", str(tmp_path), "--card-only", "--kept", str(tmp_path / "table.txt")])
    assert json.loads((tmp_path / "small.json").read_text())["measured"] == {"kept": ["kept 1", "kept 2"]}
    with pytest.raises(OptionError, match="not there"):
        main(["small", "--run", str(tmp_path), "--description", "d", "--machine", "m"])
