"""Training of the segmenter: seeded, taken up where it stopped, to the bit."""

from __future__ import annotations

import json
import math
import os
import time
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor

from experiments.segmentation.net import STRIDE, Segmenter, SegmenterSpec, save_segmenter
from layered.errors import OptionError, RecipeError
from layered.training.data import CropSource, digest_of_pictures
from layered.training.folders import load_pictures
from layered.training.interrupt import Deferred
from layered.training.recipe import DataSettings

__all__ = ["Settings", "class_weights", "train"]

CHECKPOINT_SECONDS = 60.0


@dataclass(frozen=True)
class Settings:
    """What decides the outcome besides pictures, maps and the network.

    side: of the square crops, in pixels, cut `zoom` times smaller to larger and resized.  lr: highest, reached after a
    twentieth of the steps and then along a cosine to 0.
    """

    steps: int = 3000
    batch: int = 16
    side: int = 192
    zoom: float = 1.5
    lr: float = 4e-3
    decay: float = 0.01
    seed: int = 0


def class_weights(maps: Sequence[Tensor], count: int) -> Tensor:
    """A weight a class, 1 / ln(1.02 + share of the labelled pixels), of mean 1 over these pixels.

    Source: Paszke et al. 2016 (ENet).  A class that no pixel has gets the largest weight, to no effect.
    """
    totals = sum((torch.bincount(each.flatten().long(), minlength=256) for each in maps), torch.zeros(256))
    shares = totals[:count] / totals[:count].sum()
    weights = 1 / torch.log(1.02 + shares)
    return weights / (weights * shares).sum()


def train(
    images: str | Path,
    labels: str | Path,
    out: str | Path,
    spec: SegmenterSpec,
    settings: Settings | None = None,
    progress: bool = True,
) -> Segmenter:
    """Train on the pictures below `images` and the maps of their names below `labels`; write the file `out`.

    The state of the run stands beside it, as `<out>.state`, from which the same call goes on.  Raises RecipeError
    for folders and maps that do not fit, OptionError for a state of another run, KeyboardInterrupt when interrupted.
    """
    settings = settings or Settings()
    pictures, maps = load_pictures(DataSettings(folder=str(images), labels=str(labels)))
    assert maps is not None
    _check(maps, spec)
    run = _Run(spec, settings, digest_of_pictures([*pictures, *maps]), Path(f"{out}.state"))
    source = CropSource(pictures, maps=maps)
    source.require(math.ceil(settings.side * settings.zoom), "train")
    weights = class_weights(maps, len(spec.classes))
    columns = (
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
        TextColumn("{task.fields[told]}"),
    )  # fmt: skip
    saved = time.monotonic()
    with Progress(*columns, console=Console(stderr=True), disable=not progress) as bar, Deferred() as interrupt:
        task = bar.add_task("", total=settings.steps, completed=run.step, told="")
        while run.step < settings.steps:
            loss = run.descend(source, weights)
            bar.update(task, completed=run.step, told=f"loss {loss:.3f}")
            if interrupt.pending or time.monotonic() - saved > CHECKPOINT_SECONDS or run.step == settings.steps:
                run.save()
                saved = time.monotonic()
            if interrupt.pending:
                interrupt.deliver(interrupt.pending)
    save_segmenter(run.net.eval(), out, {"pictures": len(pictures), **asdict(settings)})
    return run.net.requires_grad_(False)


def _check(maps: Sequence[Tensor], spec: SegmenterSpec) -> None:
    found = set(torch.cat([each.unique() for each in maps]).tolist())
    if strange := sorted(found - {*range(len(spec.classes)), spec.ignore}):
        raise RecipeError(
            f"label maps have the class {strange[0]}, of which there are {len(spec.classes)} from 0; name more "
            f"--classes, or --ignore {strange[0]}"
        )


class _Run:
    """Network, optimiser, and how many steps are done."""

    def __init__(self, spec: SegmenterSpec, settings: Settings, data: str, path: Path) -> None:
        self.settings, self.path, self.step = settings, path, 0
        self.words = json.dumps([spec.model_dump(), asdict(settings), data], sort_keys=True)
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.net = Segmenter(spec).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(self.net.parameters(), settings.lr, weight_decay=settings.decay)
        if path.is_file():
            self._take(path)
        self.net.train()

    def descend(self, source: CropSource, weights: Tensor) -> float:
        """One step; its randomness is a function of the seed and the step.  Returns the loss."""
        settings, spec = self.settings, self.net.spec
        generator = torch.Generator().manual_seed(zlib.crc32(f"{settings.seed}/{self.step}".encode()))
        zoom, down, across = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
        side = round(settings.side * settings.zoom ** (2 * zoom - 1))
        crops, labels = source.draw_labelled(generator, settings.batch, side)
        assert labels is not None
        # One pixel of each square that the network judges, another one every step, is as good as all and much faster.
        squares = torch.arange(settings.side // STRIDE)
        rows, columns = (((squares + at) * STRIDE * side / settings.side).long() for at in (down, across))
        chosen = labels[:, rows][:, :, columns].long()
        crops = F.interpolate(crops, (settings.side, settings.side), mode="bilinear", antialias=True)
        with torch.autocast("cpu", torch.bfloat16):
            scores = self.net(crops.contiguous(memory_format=torch.channels_last))
        ignore = -100 if spec.ignore is None else spec.ignore
        loss = F.cross_entropy(scores.float(), chosen, weights, ignore_index=ignore)
        for group in self.optimiser.param_groups:
            group["lr"] = self._rate()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.step += 1
        return float(loss.detach())

    def _rate(self) -> float:
        warm = min(1.0, 20 * (self.step + 1) / self.settings.steps)
        return self.settings.lr * warm * 0.5 * (1 + math.cos(math.pi * self.step / self.settings.steps))

    def save(self) -> None:
        """Write aside, then rename: a run killed while saving keeps its last state.  Raises OSError."""
        aside = self.path.with_suffix(".new")
        state: dict[str, Any] = {"run": self.words, "step": self.step, "net": self.net.state_dict()}
        try:
            torch.save({**state, "optimiser": self.optimiser.state_dict()}, aside)
            os.replace(aside, self.path)
        finally:
            aside.unlink(missing_ok=True)

    def _take(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            same = state["run"] == self.words
            if same:
                self.net.load_state_dict(state["net"])
                self.optimiser.load_state_dict(state["optimiser"])
                self.step = state["step"]
        except Exception as error:  # torch's readers raise almost anything on damaged files
            kind = type(error).__name__
            raise OptionError(f"{path}: not the state of a training ({kind}); remove it to start afresh") from error
        if not same:
            other = "belongs to a training with other pictures or settings"
            raise OptionError(f"{path} {other}; remove it or choose another --out")
