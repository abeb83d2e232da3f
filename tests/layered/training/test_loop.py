"""Training: a run that was stopped ends in the weights of one that was not, to the bit."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import layered
from layered.errors import ImageError, LayeredError, RecipeError
from layered.image import save_image
from layered.training.interrupt import Deferred
from layered.training.loop import Run, train
from layered.training.phases import largest_crop
from layered.training.recipe import TrainingRecipe, load_recipe
from tests.conftest import smooth_picture, tiny_spec


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> TrainingRecipe:
    folder = tmp_path_factory.mktemp("pictures")
    for k in range(3):
        save_image(smooth_picture(72, 80, seed=k), folder / f"{k}.png")
    layers = [[0.25, 0.25], [0.25, 0.5], [0.5, 1.0]]
    common = {"steps": 4, "batch": 2, "lr": 1e-3}
    phases = [
        {"name": "base", "kind": "base", "patch": 32, "init": "wavelet", "scales": [[0.5, 1.0]], **common},
        {"name": "residual", "kind": "residual", "patch": 64, "init": "base", "scales": layers, **common},
        {"name": "predictor", "kind": "predictor", "patch": 32, "scales": [[0.5, 1.0]], **common},
        {"name": "joint", "kind": "joint", "patch": 64, "scales": layers, "schedule": "cosine", **common},
    ]
    values = {"name": "tiny", "model": tiny_spec().model_dump(), "data": {"folder": str(folder)}, "phases": phases,
              "threads": 1, "log_every": 1, "checkpoint_seconds": 1e-9}  # fmt: skip
    return TrainingRecipe.model_validate(values)


@pytest.fixture(scope="module")
def whole(recipe: TrainingRecipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe, tmp_path_factory.mktemp("whole"))


class Killed(BaseException):
    """Stands for a signal that leaves no time to save anything."""


@pytest.mark.parametrize("stop", [1, 6, 11, 14])
def test_a_run_killed_and_resumed_ends_in_the_same_bits(
    recipe: TrainingRecipe, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    steps = 0
    descend = Run._descend

    def dying(self: Run, *arguments: object) -> dict[str, float]:
        nonlocal steps
        steps += 1
        if steps == stop:
            raise Killed
        return descend(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Run, "_descend", dying)
    with pytest.raises(Killed):
        train(recipe, tmp_path)
    monkeypatch.undo()
    resumed = load_file(train(recipe, tmp_path))
    expected = load_file(whole)
    assert resumed.keys() == expected.keys()
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)


@pytest.mark.parametrize("stop", [1, 5, 14])
def test_a_run_interrupted_by_a_signal_saves_whole_steps_and_resumes_exactly(
    recipe: TrainingRecipe,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    stop: int,
) -> None:
    steps = 0
    descend = Run._descend

    def interrupted(self: Run, *arguments: object) -> dict[str, float]:
        nonlocal steps
        steps += 1
        log = descend(self, *arguments)  # type: ignore[arg-type]
        if steps == stop:
            signal.raise_signal(signal.SIGINT)  # arrives when the weights are new and the counter is not
        return log

    monkeypatch.setattr(Run, "_descend", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, tmp_path)
    monkeypatch.undo()
    assert "the same command goes on there" in " ".join(capsys.readouterr().err.split())
    resumed, expected = load_file(train(recipe, tmp_path)), load_file(whole)
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    assert (tmp_path / "curves.jsonl").read_text().count("\n") == 16


def test_a_signal_that_was_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Deferred() as deferred:
            signal.raise_signal(signal.SIGINT)
        assert deferred.pending is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_state(
    recipe: TrainingRecipe, tmp_path: Path
) -> None:
    wild = recipe.phases[0].model_copy(update={"lr": 1e30, "steps": 9})
    with pytest.raises(LayeredError, match="not finite"):
        train(recipe.model_copy(update={"phases": (wild,)}), tmp_path)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert 1 <= state["step"] < 9


def test_other_pictures_are_not_taken_for_the_same_run(recipe: TrainingRecipe, whole: Path) -> None:
    fewer = recipe.model_copy(update={"data": recipe.data.model_copy(update={"limit": 2})})
    with pytest.raises(RecipeError, match="other pictures"):
        train(fewer, whole.parent)


def test_every_phase_changes_its_own_part_only(recipe: TrainingRecipe, whole: Path, tmp_path: Path) -> None:
    start = str(whole.parent / "state.pt")
    before = torch.load(start, weights_only=True)["model"]
    parts = {"base": "base.", "residual": "enhancement.residual.", "predictor": "enhancement.predictor.",
             "joint": "enhancement."}  # fmt: skip
    for phase, part in parts.items():
        phases = tuple(p.model_copy(update={"init": "keep"}) for p in recipe.phases)
        run = recipe.model_copy(update={"only": (phase,), "start": {"all": start}, "phases": phases})
        train(run, tmp_path / phase)
        after = torch.load(tmp_path / phase / "state.pt", weights_only=True)["model"]
        changed = {name for name in after if not torch.equal(after[name], before[name])}
        tables = ("_quantized_cdf", "_offset", "_cdf_length", "quantiles", "scale_table")
        changed = {name for name in changed if not name.endswith(tables)}
        assert changed and all(name.startswith(part) for name in changed)


def test_what_is_frozen_stays_and_the_rest_is_trained(recipe: TrainingRecipe, whole: Path, tmp_path: Path) -> None:
    start = str(whole.parent / "state.pt")
    held = ("enhancement.residual.g_a", "enhancement.residual.g_s")
    phase = recipe.phases[3].model_copy(update={"frozen": held})
    changes = {"only": ("joint",), "start": {"all": start}, "phases": (phase,)}
    train(recipe.model_copy(update=changes), tmp_path / "run")
    before, after = (torch.load(path, weights_only=True)["model"] for path in (start, tmp_path / "run" / "state.pt"))
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert any(name.startswith("enhancement.residual.h_a.") for name in changed)
    assert not any(name.startswith(held) for name in changed)
    wrong = phase.model_copy(update={"frozen": ("enhancement.residual.g",)})
    with pytest.raises(RecipeError, match=r"nothing that is called enhancement.residual.g$"):
        train(recipe.model_copy(update=changes | {"phases": (wrong,)}), tmp_path / "other")


def test_a_part_is_taken_from_another_run(recipe: TrainingRecipe, whole: Path, tmp_path: Path) -> None:
    start = {"enhancement.predictor": str(whole.parent / "state.pt"), "base": str(whole)}
    path = train(recipe.model_copy(update={"only": ("residual",), "start": start}), tmp_path)
    taken, given = load_file(path), load_file(whole)
    same = {name for name in given if torch.equal(taken[name], given[name])}
    assert {name for name in given if name.startswith(("base.", "enhancement.predictor."))} <= same
    assert not {name for name in given if name.startswith("enhancement.residual.g_")} <= same


@pytest.mark.parametrize(
    ("only", "start", "left"),
    [
        ((), (), set()),
        (("base",), (), {"enhancement"}),
        (("base", "residual"), (), {"enhancement"}),  # the predictor is as it was drawn
        (("base", "residual"), ("enhancement.predictor",), set()),
        (("joint",), (), {"base"}),
        (("base",), ("all",), set()),
    ],
)
def test_weights_tell_what_no_training_has_reached(
    recipe: TrainingRecipe, whole: Path, tmp_path: Path, only: tuple[str, ...], start: tuple[str, ...], left: set[str]
) -> None:
    phases = tuple(phase.model_copy(update={"steps": 1}) for phase in recipe.phases)
    changes = {"only": only, "start": dict.fromkeys(start, str(whole)), "phases": phases}
    path = train(recipe.model_copy(update=changes), tmp_path / "run")
    assert layered.load(path).untrained == left
    for number, source in enumerate((path, path.with_name("state.pt"))):  # the next run knows it, and one resumed
        changes = {"only": ("base",), "start": {"all": str(source)}, "phases": phases}
        out = tmp_path / f"next{number}"
        for _ in range(2):
            again = train(recipe.model_copy(update=changes), out)
            assert layered.load(again).untrained == left - {"base"}


def test_a_run_that_is_there_does_not_begin_again_from_other_weights(
    recipe: TrainingRecipe, whole: Path, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=r"other settings \(start\)"):
        train(recipe.model_copy(update={"start": {"all": str(whole)}}), whole.parent)


def test_what_a_residual_module_has_of_its_base_needs_no_training(recipe: TrainingRecipe, tmp_path: Path) -> None:
    phases = tuple(
        phase.model_copy(update={"steps": 1, "frozen": ("enhancement.residual.g_a",) * (phase.name == "residual")})
        for phase in recipe.phases[:3]
    )
    path = train(recipe.model_copy(update={"phases": phases}), tmp_path)
    assert layered.load(path).untrained == set()


@pytest.mark.parametrize(("part", "word"), [("bse", "no such part"), ("all", "no such file")])
def test_a_start_that_is_not_there_is_named(
    recipe: TrainingRecipe, whole: Path, tmp_path: Path, part: str, word: str
) -> None:
    start = {part: str(whole) if part == "bse" else "nowhere.pt"}
    with pytest.raises(RecipeError, match=word):
        train(recipe.model_copy(update={"start": start}), tmp_path)


def test_trained_weights_code_pictures(whole: Path) -> None:
    codec = layered.load(whole)
    data = codec.encode(smooth_picture(50, 70), (0.25, 0.5, 1.0), 2.0)
    assert codec.decode(data)[-1].shape == (50, 70, 3)


def test_the_weights_file_says_how_it_was_trained(recipe: TrainingRecipe, whole: Path) -> None:
    from safetensors import safe_open

    with safe_open(whole, framework="pt") as file:
        training = json.loads(file.metadata()["training"])
    assert TrainingRecipe.model_validate(training["recipe"]) == recipe
    assert training["steps"] == {"base": 4, "residual": 4, "predictor": 4, "joint": 4}


def test_curves_hold_a_line_for_each_step(whole: Path) -> None:
    lines = [json.loads(line) for line in (whole.parent / "curves.jsonl").read_text().splitlines()]
    assert [(line["phase"], line["step"]) for line in lines] == [
        (phase, step) for phase in ("base", "residual", "predictor", "joint") for step in range(1, 5)
    ]


def test_the_rate_distortion_loss_falls(recipe: TrainingRecipe, tmp_path: Path) -> None:
    phase = recipe.phases[0].model_copy(update={"steps": 40, "init": "default", "lr": 3e-3})
    train(recipe.model_copy(update={"phases": (phase,)}), tmp_path)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "curves.jsonl").read_text().splitlines()]
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])


def test_another_recipe_in_the_same_folder_is_refused(recipe: TrainingRecipe, whole: Path) -> None:
    with pytest.raises(RecipeError, match=r"other settings \(seed\)"):
        train(recipe.model_copy(update={"seed": 9}), whole.parent)


def test_unknown_keys_and_values_of_recipes_are_named(tmp_path: Path) -> None:
    for override, word in [("phases.0.stepz=3", "stepz"), ("phases.0.lr=-1", "lr"), ("phases.99.lr=1", r"below \d+"),
                           ("model.base.name=3", "name"), ("nonsense", "key=value"), ("only=[x]", "x"),
                           ("phases.0.scales=[[.nan, 1]]", "0 < low"), ("phases.0.scales=[[0, 1]]", "0 < low"),
                           ("phases.1.scales=[[1, 1], [0.5, 1]]", "must not fall"), ("phases.0.lr=.inf", "finite"),
                           ("model.enhancement.predictor={}", "has a name"), ("name=../up", "name"),
                           ("seed=2024-99-99", "YAML"), ("threads=1000000", "threads")]:  # fmt: skip
        with pytest.raises(RecipeError, match=word):
            load_recipe("compass_small", [override])
    with pytest.raises(RecipeError, match="compass_small"):
        load_recipe("no_such_recipe")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(RecipeError, match="YAML"):
        load_recipe(tmp_path / "bad.yaml")


def test_a_missing_data_folder_is_named(recipe: TrainingRecipe, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="nowhere"):
        train(recipe.model_copy(update={"data": recipe.data.model_copy(update={"folder": "nowhere"})}), tmp_path)


@pytest.mark.parametrize(
    ("settings", "changes", "told"),
    [
        ({"residual": {"name": "mean-scale", "N": 8, "M": 24}}, {}, "init base: .* of its own kind and widths only"),
        ({}, {"scales": ((0.5, 1.0),)}, "needs a scale range for the base and for each"),
        ({}, {"frozen": ("enhancement.nothing",)}, "trains nothing that is called enhancement.nothing"),
    ],
)
def test_a_later_phase_that_does_not_suit_the_model_is_told_before_the_first_step(
    recipe: TrainingRecipe, tmp_path: Path, settings: dict[str, object], changes: dict[str, object], told: str
) -> None:
    values = recipe.model_dump(mode="json")
    values["model"]["enhancement"] |= settings
    values["phases"][1] |= changes
    with pytest.raises(RecipeError, match=f"phase 'residual'.*{told}"):
        Run(TrainingRecipe.model_validate(values), tmp_path)


def test_pictures_too_small_for_a_later_phase_are_told_before_the_first_step(
    recipe: TrainingRecipe, tmp_path: Path
) -> None:
    large = recipe.phases[3].model_copy(update={"patch": 80})
    with pytest.raises(ImageError, match="phase 'joint' cuts crops of 80x80, but no training picture has more than 72"):
        Run(recipe.model_copy(update={"phases": (*recipe.phases[:3], large)}), tmp_path)
    wide = recipe.phases[0].model_copy(update={"patch": 37, "scales": ((0.5, 1.0),)})
    assert largest_crop(wide) == 76  # shrunk by half, it fills the patch
