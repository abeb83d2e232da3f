"""Training a prior: codes of crops once, the same bits after an interruption, pictures from what was learned."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from layered.adversarial.wgan import Wgan
from layered.base.transforms import rebuild_tables
from layered.cli import run
from layered.errors import ImageError, LayeredError, OptionError, RecipeError
from layered.image import load_image, save_image
from layered.spec import CodecSpec, build
from layered.training import prior as training
from layered.training.prior import train_prior
from layered.training.recipe import PriorRecipe
from layered.weights.store import load, save_codec
from tests.conftest import smooth_picture

LAYERS: dict[str, dict[str, Any]] = {
    "gc": {"channels": 2}, "tunable": {"channels": 3}, "sc": {"channels": 2, "classes": ("sky", "road")},
    "gc with labels": {"name": "gc", "channels": 2, "classes": ("sky", "road")},
}  # fmt: skip


def weights(folder: Path, name: str = "gc", seed: int = 0) -> Path:
    base = {"name": name, "width": 32, "blocks": 0, "norm": "channel", **LAYERS[name]}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        codec = build(CodecSpec.model_validate({"base": base, "lambdas": (0.0002, 0.0008)}))
    rebuild_tables(codec)
    path = folder / f"{name}{seed}.safetensors"
    save_codec(codec, path, name)
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights and a picture."""
    folder = tmp_path_factory.mktemp("prior")
    (folder / "pictures").mkdir()
    save_image(smooth_picture(80, 96), folder / "pictures" / "a.png")
    weights(folder)
    return folder


def recipe(place: Path, **settings: Any) -> PriorRecipe:
    small = {"crops": 6, "side": 4, "steps": 4, "batch": 3, "width": 4, "noise": 2, "critic_width": 4, "log_every": 1}
    return PriorRecipe.model_validate({
        "weights": str(place / "gc0.safetensors"), "data": {"folder": str(place / "pictures")}, "critic_steps": 2,
        "checkpoint_seconds": 1e-9, **small, **settings,
    })  # fmt: skip


@pytest.fixture(scope="module")
def whole(place: Path) -> Path:
    return train_prior(recipe(place), place / "whole").path


class Killed(BaseException):
    """Stands for a signal that leaves no time to save anything."""


@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("how", ["killed", "interrupted"])
def test_a_run_that_was_stopped_ends_in_the_same_bits(
    place: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int, how: str
) -> None:
    inner, steps = Wgan.step, 0

    def stopping(self: Wgan, *arguments: Any) -> dict[str, float]:
        nonlocal steps
        steps += 1
        if steps == stop and how == "killed":
            raise Killed
        found = inner(self, *arguments)
        if steps == stop:
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(Wgan, "step", stopping)
    with pytest.raises(Killed if how == "killed" else KeyboardInterrupt):
        train_prior(recipe(place), tmp_path)
    monkeypatch.undo()
    monkeypatch.setattr(training, "code_crops", None)  # what was coded is kept
    resumed, expected = load_file(train_prior(recipe(place), tmp_path).path), load_file(whole)
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    assert [json.loads(line)["step"] for line in (tmp_path / "curves.jsonl").read_text().splitlines()] == [1, 2, 3, 4]


def test_both_networks_are_trained_and_the_codec_is_not(place: Path, whole: Path) -> None:
    before = (place / "gc0.safetensors").read_bytes()
    other = load_file(train_prior(recipe(place, steps=1), place / "less").path)
    assert not all(torch.equal(value, other[name]) for name, value in load_file(whole).items())
    states = [torch.load(place / name / "state.pt", weights_only=True)["networks"] for name in ("whole", "less")]
    assert not all(torch.equal(value, states[1]["critic"][name]) for name, value in states[0]["critic"].items())
    assert (place / "gc0.safetensors").read_bytes() == before


def test_the_data_are_codes_of_crops(place: Path, whole: Path) -> None:
    symbols = torch.load(whole.parent / "state.pt", weights_only=True)["symbols"]
    assert symbols.shape == (6, 2, 4, 4) and symbols.dtype == torch.uint8 and int(symbols.max()) <= 4
    other = train_prior(recipe(place, seed=1, steps=1), place / "seed").path
    assert not torch.equal(symbols, torch.load(other.parent / "state.pt", weights_only=True)["symbols"])


def test_another_run_is_not_gone_on_with(place: Path, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"other settings \(lr\)"):
        train_prior(recipe(place, lr=1e-3), whole.parent)
    with pytest.raises(RecipeError, match="on other weights"):
        train_prior(recipe(place, weights=str(weights(tmp_path, seed=1))), whole.parent)
    save_image(smooth_picture(80, 96, seed=3), tmp_path / "b.png")
    with pytest.raises(RecipeError, match="on other pictures"):
        train_prior(recipe(place, data={"folder": str(tmp_path)}), whole.parent)


def test_what_cannot_be_trained_is_told(place: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="cannot be drawn at random"):
        train_prior(recipe(place, weights=str(weights(tmp_path, "sc"))), tmp_path / "a")
    with pytest.raises(OptionError, match="no finite alphabet"):
        train_prior(recipe(place, weights="factorized-small"), tmp_path / "a")
    with pytest.raises(ImageError, match="cuts crops of 160x160"):
        train_prior(recipe(place, side=10), tmp_path / "a")
    with pytest.raises(RecipeError, match=r"quality: 3.0 is outside 1 to 2 of the weights"):
        train_prior(recipe(place, quality=3), tmp_path / "a")
    with pytest.raises(LayeredError, match="not finite"):
        train_prior(recipe(place, lr=1e30, steps=20), tmp_path / "a")


def test_codes_of_an_encoder_that_sees_labels_need_them(place: Path, tmp_path: Path) -> None:
    wanted = recipe(place, weights=str(weights(tmp_path, "gc with labels")), steps=1)
    with pytest.raises(RecipeError, match="it needs label maps"):
        train_prior(wanted, tmp_path / "run")
    found = []
    for number in (0, 1):
        folder = tmp_path / f"labels{number}"
        folder.mkdir()
        Image.fromarray(np.full((80, 96), number, np.uint8)).save(folder / "a.png")
        data = wanted.data.model_copy(update={"labels": str(folder)})
        out = tmp_path / f"run{number}"
        train_prior(wanted.model_copy(update={"data": data}), out)
        found.append(torch.load(out / "state.pt", weights_only=True)["symbols"])
    assert not torch.equal(found[0], found[1])


def test_the_command_trains_and_samples_are_drawn_by_what_it_wrote(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    model, other = str(weights(tmp_path, "tunable")), str(place / "gc0.safetensors")
    words = "--set crops=4 --set side=4 --set steps=2 --set batch=2 --set width=4 --set quality=2".split()
    assert run(["prior", model, "--data", str(place / "pictures"), *words]) == 0
    shown = capsys.readouterr().out
    trained = "runs/tunable0-prior/prior.safetensors"
    assert trained in shown and "codes, prior" in shown and "pairs, uniform" in shown
    size = ["--count", "2", "--size", "40x24"]
    assert run(["sample", "a.png", "--model", model, "--prior", trained, *size]) == 0
    assert run(["sample", "b.png", "--model", model, *size]) == 0
    pictures = [load_image(name) for name in ("a.png", "b.png")]
    assert pictures[0].shape == (24, 80, 3) and not np.array_equal(pictures[0], pictures[1])
    capsys.readouterr()
    assert run(["sample", "c.png", "--model", other, "--prior", trained]) == 2
    assert f"of the weights {load(model).digest.hex()}; gc is" in capsys.readouterr().err
    assert run(["prior", model, "--data", "nowhere"]) == 2
    assert run(["prior", model, "--data", ".", "--set", "stepz=3"]) == 2
    assert "did you mean 'steps'?" in capsys.readouterr().err
