"""The training loop, on Lightning Fabric: any number of processes and machines, resumable to the bit."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from layered.base.transforms import load_resized, rebuild_tables
from layered.codec import LayeredCodec
from layered.errors import LayeredError, RecipeError
from layered.image import save_image
from layered.spec import build
from layered.training.bars import bars, short
from layered.training.checkpoint import RunState, load_state, save_state, take_start
from layered.training.curves import Curves
from layered.training.data import CropSource, digest_of_pictures
from layered.training.descent import Descent, build_descent
from layered.training.folders import load_pictures, require_labels
from layered.training.interrupt import Deferred
from layered.training.parts import prepare, require_fit
from layered.training.phases import draw_step, largest_crop, learning_rate
from layered.training.recipe import Phase, TrainingRecipe, load_recipe
from layered.weights.store import save_codec

__all__ = ["Run", "train"]


def train(recipe: str | Path | TrainingRecipe, out: str | Path, overrides: Sequence[str] = ()) -> Path:
    """Train what `recipe` says and return the weights file written in `out`.

    A run that stopped is taken up where its last state was saved; weights, optimiser and random draws are
    then the same as if it had not.  Writes state.pt, curves.jsonl, weights.safetensors.  Raises RecipeError.
    """
    if not isinstance(recipe, TrainingRecipe):
        recipe = load_recipe(recipe, overrides)
    return Run(recipe, Path(out)).finish()


class Run:
    """One training run in one folder."""

    def __init__(self, recipe: TrainingRecipe, out: Path) -> None:
        from lightning.fabric import Fabric

        if recipe.threads:
            torch.set_num_threads(recipe.threads)
        self.recipe = recipe
        self.out = out
        try:
            self.fabric = Fabric(
                accelerator=recipe.accelerator,
                devices=recipe.devices,
                num_nodes=recipe.nodes,
                strategy=recipe.strategy,
                precision=recipe.precision,
            )
            self.fabric.launch()
        except Exception as error:
            raise RecipeError(f"accelerator, devices or strategy: {' '.join(str(error).split())}") from error
        for phase in filter(recipe.runs, recipe.phases):
            if phase.batch % (world := self.fabric.world_size):
                told = f"{world} processes do not divide its batch of {phase.batch}"
                raise RecipeError(f"phase {phase.name!r}: {told}; --set phases.{phase.name}.batch=N changes it")
        if self.fabric.is_global_zero:
            out.mkdir(parents=True, exist_ok=True)
            self.log = Curves(out / "curves.jsonl", out / "tensorboard" if recipe.tensorboard else None)
        with torch.random.fork_rng():
            torch.manual_seed(recipe.seed)
            self.codec: LayeredCodec = build(recipe.model)
        self.codec.to(self.fabric.device)
        self.codec.to(memory_format=torch.channels_last)
        for phase in filter(recipe.runs, recipe.phases):
            require_fit(self.codec, phase)
        pictures, maps = load_pictures(recipe.data)
        require_labels(maps, len(getattr(recipe.model.base, "classes", ())))
        self.pictures = digest_of_pictures([*pictures, *(maps or ())])
        self.source = CropSource(pictures, self.fabric.device, maps)
        for phase in filter(recipe.runs, recipe.phases):
            self.source.require(largest_crop(phase), phase.name)
        state = load_state(out / "state.pt", recipe, self.pictures)
        self.seconds = 0.0
        self.first, self.step = 0, 0
        self.descent_state: dict[str, Any] | None = None
        self.critic: dict[str, Tensor] | None = None
        if state is None:
            self.reached = take_start(self.codec, recipe)
            if isinstance(recipe.model.base, str):  # a published checkpoint
                self.reached |= {f"base.{name}" for name, _ in self.codec.base.named_parameters()}
        else:
            self.reached = set(state.reached)
            load_resized(self.codec, state.model)
            self.seconds, self.first, self.step = state.seconds, state.phase, state.step
            self.descent_state, self.critic = state.optimiser, state.critic
        self._require_agreement()
        if self.fabric.is_global_zero:
            self.log.cut(0 if state is None else state.logged)

    def finish(self) -> Path:
        """Run all phases that are left and write the weights."""
        console = Console(stderr=True)
        if (self.first, self.step) != (0, 0) and self.fabric.is_global_zero:
            left = [phase for phase in self.recipe.phases[self.first :] if self.recipe.runs(phase)]
            where = f"resumed at step {self.step} of phase {left[0].name!r}" if left else "all phases are done already"
            console.print(where, highlight=False)
        with bars(console, shown=self.fabric.is_global_zero) as progress:
            for index, phase in enumerate(self.recipe.phases):
                if index >= self.first and self.recipe.runs(phase):
                    self._phase(index, phase, progress)
        self.codec.cpu().eval()
        rebuild_tables(self.codec, only_missing=True)
        path = self.out / "weights.safetensors"
        if self.fabric.is_global_zero:
            save_codec(self.codec, path, self.recipe.name, training=self._budget())
        self.fabric.barrier()
        return path

    def _phase(self, index: int, phase: Phase, progress: Progress) -> None:
        start, self.step = self.step, 0
        if start == 0:
            watched = self.codec.named_parameters() if phase.init == "base" else ()
            drawn = {name: value.clone() for name, value in watched}
            prepare(self.codec, phase, self.source, self.recipe.seed)
            # What a trained base layer has been copied to is as if trained.
            now = dict(self.codec.named_parameters())
            self.reached |= {name for name, value in drawn.items() if not torch.equal(value, now[name])}
        held = self.descent_state if start else None
        descent = build_descent(self.fabric, self.codec, phase, self.recipe.seed, held, self.critic)
        self.descent_state = None
        bar = progress.add_task(phase.name, total=phase.steps, completed=start, last="")
        began, saved, before = time.monotonic(), time.monotonic(), self.seconds
        with Deferred() as interrupt:
            for step in range(start, phase.steps):
                log = self._descend(descent, phase, step)
                done = step + 1
                if not all(map(math.isfinite, log.values())):
                    raise LayeredError(f"phase {phase.name!r}: a loss of step {done} is not finite; lower its lr")
                self.seconds = before + time.monotonic() - began
                progress.update(bar, completed=done, last=short(log))
                if (done % self.recipe.log_every == 0 or done == phase.steps) and self.fabric.is_global_zero:
                    self.log.add({"phase": phase.name, "step": done, "seconds": round(self.seconds, 1), **log})
                if (sheet := descent.sheet(done)) is not None and self.fabric.is_global_zero:
                    (self.out / "sheets").mkdir(exist_ok=True)
                    save_image(sheet, self.out / "sheets" / f"{phase.name}-{done:06d}.png")
                stop = self._agreed(interrupt.pending)
                if stop or time.monotonic() - saved > self.recipe.checkpoint_seconds:
                    self.critic = descent.critic() or self.critic
                    self._save(index, done, descent.state())
                    saved = time.monotonic()
                if stop:
                    told = f"stopped after step {done} of {phase.name}; the same command goes on there"
                    if self.fabric.is_global_zero:
                        progress.console.print(told, markup=False, highlight=False)
                    self.fabric.barrier()  # a launcher kills all processes once it sees one of them end
                    interrupt.deliver(stop)
        for module in descent.trained_modules():
            rebuild_tables(module)
        self.reached |= {name for name, value in self.codec.named_parameters() if value.requires_grad}
        self.critic = descent.critic() or self.critic
        self._save(index + 1, 0, None)

    def _descend(self, descent: Descent, phase: Phase, step: int) -> dict[str, float]:
        share = (self.fabric.global_rank, self.fabric.world_size)
        draw = draw_step(phase, self.source, self.codec.quality_range, self.recipe.seed, step, share)
        means = descent.step(draw, learning_rate(phase, step))
        return descent.told(draw, self._means(means))

    def _means(self, values: Mapping[str, Tensor]) -> dict[str, float]:
        """Means over one process's samples -> means over the global batch; all hold equally many."""
        if self.fabric.world_size == 1:
            return {name: float(value) for name, value in values.items()}
        means = self._gathered(torch.stack([value.double() for value in values.values()])).mean(0)
        return dict(zip(values, means.tolist(), strict=True))

    def _agreed(self, pending: int | None) -> int | None:
        """The signal that any process has noted, so that all stop after the same step."""
        if self.fabric.world_size == 1:
            return pending
        return int(self._gathered(torch.tensor([pending or 0])).max()) or None

    def _require_agreement(self) -> None:
        """Raise RecipeError, in every process, unless all have found the same state and pictures."""
        found = self._gathered(torch.tensor([self.first, self.step, int(self.pictures[:12], 16)]))
        if bool((found != found[0]).any()):
            raise RecipeError("the processes see different states or pictures: --out and data must be shared by all")

    def _gathered(self, values: Tensor) -> Tensor:
        """The values [n] of every process, [processes, n]."""
        gathered = self.fabric.all_gather(values.to(self.fabric.device))
        assert isinstance(gathered, Tensor)
        return gathered.view(-1, len(values))

    def _save(self, phase: int, step: int, descent: dict[str, Any] | None) -> None:
        if self.fabric.is_global_zero:
            where = (phase, step, self.seconds, self.log.lines, self.pictures)
            state = RunState(*where, self.codec.state_dict(), descent, self.critic, tuple(sorted(self.reached)))
            save_state(self.out / "state.pt", self.recipe, state)

    def _budget(self) -> dict[str, Any]:
        phases = [phase for phase in self.recipe.phases if self.recipe.runs(phase)]
        return {
            "recipe": self.recipe.model_dump(mode="json"),
            "pictures": len(self.source.pictures),
            "steps": {phase.name: phase.steps for phase in phases},
            "seconds": round(self.seconds),
            "device": str(self.fabric.device),
            "processes": self.fabric.world_size,
            "threads": torch.get_num_threads(),
            "untrained": self._untrained(),
        }

    def _untrained(self) -> list[str]:
        """Those of `base` and `enhancement` with parameters that no training has reached."""
        names = {name for name, _ in self.codec.named_parameters() if not name.endswith("quantiles")}
        return sorted({name.split(".")[0] for name in names - self.reached})
