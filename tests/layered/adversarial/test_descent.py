"""Adversarial training: both sides move, a killed run goes on as if it had not been, bad settings are told."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from layered.adversarial import descent
from layered.adversarial.discriminator import Discriminator
from layered.adversarial.settings import AdversarialSettings
from layered.errors import OptionError, RecipeError
from layered.guide import one_hot
from layered.image import load_image, save_image
from layered.training import loop
from layered.training.data import CropSource
from layered.training.folders import load_pictures
from layered.training.loop import train
from layered.training.phases import draw_step
from layered.training.recipe import TrainingRecipe
from layered.weights.store import load
from tests.conftest import smooth_picture

ADVERSARIAL = {"critic": {"scales": 2, "width": 4}, "sheets": 3}


CLASSES = ("sky", "road", "car")


def recipe(folder: Path, *phases: dict[str, Any], base: str = "gc", **settings: Any) -> TrainingRecipe:
    (folder / "pictures").mkdir(exist_ok=True)
    save_image(smooth_picture(48, 48), folder / "pictures" / "a.png")
    layer = {"name": "gc", "width": 16, "channels": 2, "blocks": 1} if base == "gc" else {"name": base, "N": 8, "M": 8}
    common = {"patch": 32, "batch": 2, "lr": 1e-3}
    return TrainingRecipe.model_validate({
        "name": "tiny", "model": {"base": layer, "lambdas": (0.0002,)}, "data": {"folder": str(folder / "pictures")},
        "phases": [common | phase for phase in phases], "threads": 1, "log_every": 1, **settings,
    })  # fmt: skip


def gan(name: str = "gan", steps: int = 4, **settings: Any) -> dict[str, Any]:
    return {"name": name, "kind": "adversarial", "steps": steps, "adversarial": ADVERSARIAL | settings}


BASE = {"name": "base", "kind": "base", "steps": 2}


def killed_at(call: int, wanted: TrainingRecipe, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train until so many steps have been drawn, the last of which is not taken."""
    inner, calls = draw_step, 0

    def stopping(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise SystemError("killed")
        return inner(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "draw_step", stopping)
        with pytest.raises(SystemError):
            train(wanted, out)


def logged(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "curves.jsonl").read_text().splitlines()]


def test_every_loss_is_logged_apart_and_stays_finite(tmp_path: Path) -> None:
    train(recipe(tmp_path, BASE, gan(rate=0.5)), tmp_path / "run")
    lines = [line for line in logged(tmp_path / "run") if line["phase"] == "gan"]
    assert len(lines) == 4
    for line in lines:
        assert {"loss", "critic", "verdict", "matching", "perceptual", "bpp", "psnr"} <= line.keys()
        assert all(math.isfinite(value) for name, value in line.items() if name != "phase")


def test_sheets_show_originals_above_what_became_of_them(tmp_path: Path) -> None:
    train(recipe(tmp_path, gan(steps=4)), tmp_path / "run")
    names = sorted(path.name for path in (tmp_path / "run" / "sheets").iterdir())
    assert names == ["gan-000003.png", "gan-000004.png"]
    assert load_image(tmp_path / "run" / "sheets" / names[0]).shape == (64, 64, 3)


def test_training_the_generator_alone_leaves_codes_and_rate_as_they_were(tmp_path: Path) -> None:
    before = load(train(recipe(tmp_path, BASE), tmp_path / "before")).state_dict()
    after = load(train(recipe(tmp_path, BASE, gan(trains="generator")), tmp_path / "after")).state_dict()
    moved = {name.split(".")[1] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"generator"}
    whole = load(train(recipe(tmp_path, BASE, gan(rate=1.0)), tmp_path / "whole")).state_dict()
    assert {"generator", "encoder", "entropy_model"} <= {
        name.split(".")[1] for name in before if not torch.equal(before[name], whole[name])
    }


def test_training_the_entropy_model_alone_saves_bits_and_leaves_pictures(tmp_path: Path) -> None:
    weights = {"rate": 1, "adversarial": 0, "matching": 0, "mse": 0, "perceptual": {"name": "none"}}
    alone = gan("entropy", 60, trains="entropy", **weights) | {"lr": 0.02}
    before = load(train(recipe(tmp_path, BASE), tmp_path / "before"))
    after = load(train(recipe(tmp_path, BASE, alone), tmp_path / "after"))
    states = before.state_dict(), after.state_dict()
    moved = {name.split(".")[1] for name in states[0] if not torch.equal(states[0][name], states[1][name])}
    assert moved == {"entropy_model"}
    image = smooth_picture(96, 128)
    sizes = [len(codec.encode(image, (1.0,), verify=True)) for codec in (before, after)]
    assert sizes[1] < sizes[0]


def test_training_the_entropy_model_alone_without_a_rate_is_refused() -> None:
    with pytest.raises(OptionError, match="trains: entropy needs a rate above 0"):
        AdversarialSettings(trains="entropy")


@pytest.mark.parametrize("stop", [1, 3, 5])
def test_a_run_that_stops_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    wanted = recipe(tmp_path, BASE, gan("one", 2), gan("two", 2, fixed_statistics=True), checkpoint_seconds=1e-9)
    whole = load(train(wanted, tmp_path / "whole")).state_dict()
    killed_at(stop + 1, wanted, tmp_path / "pieces", monkeypatch)
    pieces = load(train(wanted, tmp_path / "pieces")).state_dict()
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)
    assert [line["loss"] for line in logged(tmp_path / "whole")] == [
        line["loss"] for line in logged(tmp_path / "pieces")
    ]


def test_the_discriminator_is_kept_from_phase_to_phase(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    inner = descent.AdversarialDescent.__init__

    def noting(self: Any, fabric: Any, codec: Any, phase: Any, seed: int, state: Any, critic: Any) -> None:
        seen.append(critic)
        inner(self, fabric, codec, phase, seed, state, critic)

    monkeypatch.setattr(descent.AdversarialDescent, "__init__", noting)
    train(recipe(tmp_path, gan("one", 2), gan("two", 1)), tmp_path / "run")
    assert seen[0] is None and isinstance(seen[1], dict)


def test_without_a_discriminators_terms_none_is_trained_or_kept(tmp_path: Path) -> None:
    alone = gan("alone", 2, adversarial=0, matching=0, critic={"scales": 3, "width": 8})
    train(recipe(tmp_path, alone, gan("played", 1)), tmp_path / "run")
    lines = logged(tmp_path / "run")
    assert "critic" not in lines[0] and "verdict" not in lines[0] and "critic" in lines[2]


def test_fixed_statistics_stay_fixed_in_the_weights(tmp_path: Path) -> None:
    phases = gan("one", 2), gan("two", 1, fixed_statistics=True)
    state = load(train(recipe(tmp_path, *phases), tmp_path / "run")).state_dict()
    assert all(bool(value) for name, value in state.items() if name.endswith("fixed"))


def test_statistics_fixed_in_one_phase_are_the_pictures_own_again_in_the_next(tmp_path: Path) -> None:
    phases = gan("one", 1, fixed_statistics=True), gan("two", 1)
    state = load(train(recipe(tmp_path, *phases), tmp_path / "run")).state_dict()
    fixed = [bool(value) for name, value in state.items() if name.endswith("fixed")]
    assert fixed and not any(fixed)


@pytest.mark.parametrize("fixed", [True, False])
def test_a_phase_for_the_generator_alone_leaves_the_statistics_of_the_encoder(tmp_path: Path, fixed: bool) -> None:
    phases = gan("one", 1, fixed_statistics=fixed), gan("two", 1, fixed_statistics=not fixed, trains="generator")
    state = load(train(recipe(tmp_path, *phases), tmp_path / "run")).state_dict()
    told = {(name.split(".")[1], bool(value)) for name, value in state.items() if name.endswith("fixed")}
    assert told == {("encoder", fixed), ("generator", not fixed)}


def test_what_cannot_be_trained_so_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"phase 'gan'.*no generator of its own"):
        train(recipe(tmp_path, gan(trains="generator"), base="mean-scale"), tmp_path / "a")
    other = gan("two", 1, critic={"scales": 1, "width": 4})
    with pytest.raises(RecipeError, match="another size"):
        train(recipe(tmp_path, gan("one", 1), other), tmp_path / "b")
    with pytest.raises(RecipeError, match="one scale range"):
        train(recipe(tmp_path, gan() | {"scales": ((0.5, 0.5), (1.0, 1.0))}), tmp_path / "c")


def labelled(folder: Path, *phases: dict[str, Any], base: str = "gc", top: int = 2, **settings: Any) -> TrainingRecipe:
    """A recipe whose base layer has classes and whose pictures have label maps of 0 to `top`."""
    (folder / "labels").mkdir(exist_ok=True)
    Image.fromarray(np.arange(48 * 48, dtype=np.uint8).reshape(48, 48) % (top + 1)).save(folder / "labels" / "a.png")
    plain = recipe(folder, *phases, **settings)
    layer = {"name": base, "width": 16, "channels": 2, "blocks": 1, "classes": CLASSES}
    data = {"folder": str(folder / "pictures"), "labels": str(folder / "labels")}
    model = {"base": layer, "lambdas": (0.0002,)}
    return TrainingRecipe.model_validate(plain.model_dump() | {"model": model, "data": data})


SEEING: dict[str, Any] = {"critic": {"scales": 2, "width": 4, "labels": True}}


@pytest.mark.parametrize("base", ["gc", "sc"])
def test_a_run_with_labels_that_stops_goes_on_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: str
) -> None:
    first = BASE if base == "gc" else gan("start", 2, adversarial=0, matching=0)
    wanted = labelled(tmp_path, first, gan(steps=2, **SEEING), base=base, checkpoint_seconds=1e-9)
    whole = load(train(wanted, tmp_path / "whole")).state_dict()
    killed_at(4, wanted, tmp_path / "pieces", monkeypatch)
    pieces = load(train(wanted, tmp_path / "pieces")).state_dict()
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)


def test_the_discriminator_sees_the_labels_of_both_pictures_when_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    inner = Discriminator.forward

    def noting(self: Any, x: torch.Tensor) -> Any:
        seen.append(x.detach())
        return inner(self, x)

    monkeypatch.setattr(Discriminator, "forward", noting)
    train(labelled(tmp_path, gan(steps=1)), tmp_path / "blind")
    assert [x.shape[1] for x in seen] == [3, 3, 3]
    seen.clear()
    wanted = labelled(tmp_path, gan(steps=1, **SEEING))
    train(wanted, tmp_path / "seeing")
    pictures, maps = load_pictures(wanted.data)
    draw = draw_step(wanted.phases[0], CropSource(pictures, "cpu", maps), (1.0, 1.0), wanted.seed, 0)
    assert draw.guide is not None
    expected = one_hot(draw.guide.labels, 3, draw.crops)
    assert bool((expected.sum(1) == 1).all()) and torch.equal(expected.argmax(1), draw.guide.labels.long())
    both, made, original = seen  # the discriminator's step, then the generator's
    assert all(torch.equal(labels, expected) for labels in (*both[:, 3:].chunk(2), made[:, 3:], original[:, 3:]))
    assert torch.equal(both[:2, :3], original[:, :3]) and not torch.equal(both[2:, :3], original[:, :3])


def test_labels_that_do_not_fit_are_told_before_any_step(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"critic\.labels: the base layer has no classes"):
        train(recipe(tmp_path, gan(**SEEING)), tmp_path / "a")
    with pytest.raises(RecipeError, match="there is class 3, the base layer knows 0 to 2"):
        train(labelled(tmp_path, gan(), top=3), tmp_path / "b")
    wanted = labelled(tmp_path, gan())
    unlabelled = wanted.model_copy(update={"data": wanted.data.model_copy(update={"labels": None})})
    with pytest.raises(RecipeError, match="it needs label maps"):
        train(unlabelled, tmp_path / "c")
