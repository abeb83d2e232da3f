"""Training in two processes is training in one: same draws, same losses, and each takes up the other's state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import torch
import yaml

from layered.image import save_image
from layered.rounding import Mixed
from layered.spec import build
from layered.training.data import CropSource
from layered.training.interrupt import Deferred
from layered.training.loop import Run, train
from layered.training.phases import Objective, draw_step
from layered.training.recipe import Phase, TrainingRecipe, load_recipe
from tests.conftest import smooth_picture, tiny_spec

ROOT = Path(__file__).resolve().parents[3]
LAYERS = ((0.25, 0.25), (0.25, 0.5), (0.5, 1.0))
PHASES: tuple[dict[str, Any], ...] = (
    {"name": "base", "kind": "base", "patch": 32, "init": "wavelet", "scales": ((0.5, 1.0),)},
    {"name": "residual", "kind": "residual", "patch": 64, "init": "base", "scales": LAYERS},
    {"name": "predictor", "kind": "predictor", "patch": 32, "scales": ((0.5, 1.0),)},
    {"name": "joint", "kind": "joint", "patch": 64, "scales": LAYERS, "schedule": "cosine"},
    {"name": "gan", "kind": "adversarial", "patch": 32, "adversarial": {"critic": {"scales": 1, "width": 4}}},
)
STEPS = 5

# Three times `layered train` in the same two processes: from the start, from a state that one process left, and
# ended by torchrun's SIGTERM, sent at the 8th step; the sleep gives it time to come around.
WORKER = """
import os, signal, sys, time
from layered import cli
from layered.training.loop import Run
recipe, whole, taken, ended = sys.argv[1:]
settings = ["--set", "devices=2", "--set", "strategy=ddp"]
assert cli.run(["train", recipe, "--out", whole, *settings]) == 0
assert cli.run(["train", recipe, "--out", taken, *settings]) == 0
descend, steps = Run._descend, 0
def then_end(self, *arguments):
    global steps
    steps += 1
    log = descend(self, *arguments)
    if steps == 8 and self.fabric.global_rank == 1:
        os.kill(os.getppid(), signal.SIGTERM)
    if steps >= 8:
        time.sleep(1)
    return log
Run._descend = then_end
sys.argv = ["layered", "train", recipe, "--out", ended, *settings]
cli.main()
"""


def phase(kind: str) -> Phase:
    chosen = next(values for values in PHASES if values["kind"] == kind)
    return Phase.model_validate({"steps": STEPS, "batch": 4, "lr": 1e-4, **chosen})


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("distributed")
    (place / "pictures").mkdir()
    for k in range(3):
        save_image(smooth_picture(72, 80, seed=k), place / "pictures" / f"{k}.png")
    whole = TrainingRecipe(
        name="tiny", model=tiny_spec(), data={"folder": str(place / "pictures")},  # type: ignore[arg-type]
        phases=tuple(phase(values["kind"]) for values in PHASES), threads=1, log_every=1, checkpoint_seconds=1e-9,
        accelerator="cpu",
    )  # fmt: skip
    (place / "tiny.yaml").write_text(yaml.safe_dump(whole.model_dump(mode="json")))
    return place / "tiny.yaml"


def curves(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "curves.jsonl").read_text().splitlines()]


def assert_alike(got: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    for here, there in zip(got, wanted, strict=True):
        for name in (here.keys() | there.keys()) - {"seconds"}:
            close = there[name] if isinstance(there[name], str) else pytest.approx(there[name], rel=1e-4)
            assert here[name] == close, (name, here, there)


class Killed(BaseException):
    """Stands for a signal that leaves no time to save anything."""


@pytest.fixture(scope="module")
def alone(recipe: Path) -> list[dict[str, Any]]:
    """The losses of one process."""
    train(recipe, recipe.parent / "alone")
    return curves(recipe.parent / "alone")


@pytest.fixture(scope="module")
def shared(recipe: Path) -> Path:
    """The folder in which two processes, under torchrun, have left `whole`, `taken` and `ended`."""
    place = recipe.parent
    descend, steps = Run._descend, 0

    def dying(self: Run, *arguments: Any) -> dict[str, float]:
        nonlocal steps
        steps += 1
        if steps > 3:
            raise Killed
        return descend(self, *arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Run, "_descend", dying)
        train(recipe, place / "taken")
    (place / "worker.py").write_text(WORKER)
    arguments = [str(path) for path in (place / "worker.py", recipe, *(place / n for n in ("whole", "taken", "ended")))]
    launcher = "-m torch.distributed.run --standalone --local-addr 127.0.0.1 --nproc-per-node 2".split()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *launcher, *arguments], env=environment, text=True, capture_output=True, timeout=300
    )
    assert done.returncode != 0 and (place / "ended" / "state.pt").is_file(), done.stderr
    return place


def test_two_processes_have_the_losses_of_one(shared: Path, alone: list[dict[str, Any]]) -> None:
    assert len(alone) == STEPS * len(PHASES)
    assert_alike(curves(shared / "whole"), alone)
    assert (shared / "whole" / "weights.safetensors").is_file()


def test_two_processes_take_up_what_one_left(shared: Path, alone: list[dict[str, Any]]) -> None:
    assert curves(shared / "taken")[:3] == [{**line, "seconds": ANY} for line in alone[:3]]
    assert_alike(curves(shared / "taken"), alone)


def test_two_processes_ended_by_a_signal_save_whole_steps_and_one_takes_them_up(
    recipe: Path, shared: Path, alone: list[dict[str, Any]]
) -> None:
    state = torch.load(shared / "ended" / "state.pt", weights_only=True)
    done = state["phase"] * STEPS + state["step"]
    assert 8 <= done == state["logged"] < len(alone)
    assert_alike(curves(shared / "ended"), alone[:done])
    train(recipe, shared / "ended")
    assert_alike(curves(shared / "ended"), alone)


@pytest.mark.parametrize("kind", [values["kind"] for values in PHASES])
def test_what_processes_draw_together_is_what_one_draws(kind: str) -> None:
    source = CropSource([torch.randint(0, 256, (3, 80, 90), dtype=torch.uint8) for _ in range(3)])
    whole = draw_step(phase(kind), source, (1.0, 3.0), seed=5, step=2)
    for world in (2, 4):
        for rank in range(world):
            part = draw_step(phase(kind), source, (1.0, 3.0), 5, 2, (rank, world))
            assert torch.equal(part.crops, whole.crops[rank::world])
            assert (part.sides, part.quality, part.noise) == (whole.sides, whole.quality, whole.noise)


def test_the_noise_of_a_share_is_its_part_of_the_batchs_noise() -> None:
    latents = torch.randn(6, 3, 4, 5)
    whole = Mixed(torch.Generator().manual_seed(1))
    parts = [Mixed(torch.Generator().manual_seed(1), (rank, 3)) for rank in range(3)]
    for _ in range(2):  # z first, then y
        expected = whole(latents)[1]
        for rank, part in enumerate(parts):
            assert torch.equal(part(latents[rank::3])[1], expected[rank::3])


@pytest.mark.parametrize("base", ["mean-scale", "factorized"])
@pytest.mark.parametrize("predictor", ["liff", "liif"])
@pytest.mark.parametrize("kind", [values["kind"] for values in PHASES if values["kind"] != "adversarial"])
def test_every_parameter_that_a_phase_trains_takes_part_in_its_loss(kind: str, predictor: str, base: str) -> None:
    """Otherwise the processes would wait for its gradient."""
    objective = Objective(build(tiny_spec(base, predictor)), phase(kind))
    source = CropSource([torch.randint(0, 256, (3, 80, 90), dtype=torch.uint8)])
    loss, _ = objective(draw_step(phase(kind), source, (1.0, 3.0), seed=0, step=0))
    loss.backward()
    assert all(parameter.grad is not None for parameter in objective.trained())


def test_a_signal_that_a_launcher_repeats_is_one_signal() -> None:
    heard: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with Deferred() as interrupt:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            assert interrupt.pending == signal.SIGTERM and not heard
            interrupt.deliver(signal.SIGTERM)
        assert heard == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_second_signal_acts_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Deferred, "ECHO", -1.0)
    with pytest.raises(KeyboardInterrupt), Deferred():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_processes_that_do_not_divide_a_batch_are_refused(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.fabric import Fabric

    from layered.errors import RecipeError

    monkeypatch.setattr(Fabric, "world_size", property(lambda self: 3))
    with pytest.raises(RecipeError, match=r"3 processes do not divide its batch of \d+; --set phases\.\w+\.batch=N"):
        Run(load_recipe(recipe), recipe.parent / "never")
    three = load_recipe(recipe, ["phases.joint.batch=3", "only=[joint]"])
    assert Run(three, recipe.parent / "three").recipe.runs(three.phases[3])  # the others' batches do not matter
