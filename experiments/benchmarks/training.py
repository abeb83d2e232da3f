"""A training step of ours against a plain loop around CompressAI's model, on the same crops and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from itertools import count
from typing import Any

import torch
from compressai.losses import RateDistortionLoss

from experiments.benchmarks.material import LAMBDA, picture, twins
from experiments.benchmarks.measure import Goal, Row, Setting, pairs
from layered.layer import Context
from layered.rounding import StraightThrough
from layered.spec import CodecSpec, TransformSpec, build
from layered.training.data import CropSource
from layered.training.phases import Objective, draw_step
from layered.training.recipe import Phase

__all__ = ["rows"]

WAYS = {
    "fp32 as we train (channels last)": (True, False),
    "fp32 as CompressAI lies in memory": (False, False),
    "bf16 as we train": (True, True),
}


def rows(setting: Setting) -> Iterator[Row]:
    """Images a second in the base phase; CompressAI's loop is that of its example, auxiliary loss included."""
    N, M, patch, batch = (8, 12, 64, 2) if setting.quick else (128, 192, 128, 8)
    image = torch.from_numpy(picture(2 * patch, 3 * patch)).permute(2, 0, 1).contiguous()
    source = CropSource([image])
    phase = Phase(name="benchmark", kind="base", steps=10**9, batch=batch, patch=patch)
    for way, (channels_last, bf16) in WAYS.items():
        ours, theirs = twins(N, M)
        apart = _apart(ours, theirs, source, batch, patch)
        codec = build(CodecSpec(base=TransformSpec(N=N, M=M), lambdas=(LAMBDA,)))
        codec.base = ours.requires_grad_(True)
        step = _our_step(codec, phase, source, channels_last, bf16)
        measured = pairs(setting, f"training, {way}", step, _their_step(theirs.requires_grad_(True), phase, source))
        name = f"images a second, {way}, N={N}, M={M}, {batch} crops of {patch}x{patch}"
        goal = Goal(1.0, at_least=True)
        yield measured.speed("training", name, "CompressAI in fp32", goal, apart)


def _our_step(codec: Any, phase: Phase, source: CropSource, channels_last: bool, bf16: bool) -> Callable[[], object]:
    if channels_last:
        codec.to(memory_format=torch.channels_last)
    objective = Objective(codec, phase).train()
    optimiser = torch.optim.Adam(objective.trained(), lr=phase.lr, fused=True)
    steps = count()

    def step() -> float:
        draw = draw_step(phase, source, codec.quality_range, 0, next(steps))
        with torch.autocast("cpu", torch.bfloat16) if bf16 else nullcontext():
            loss, _ = objective(draw)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(objective.trained(), phase.clip)
        optimiser.step()
        return float(loss.detach())

    return step


def _their_step(model: Any, phase: Phase, source: CropSource) -> Callable[[], object]:
    model.train()
    criterion = RateDistortionLoss(lmbda=LAMBDA)
    quantiles = [parameter for name, parameter in model.named_parameters() if name.endswith(".quantiles")]
    others = [parameter for name, parameter in model.named_parameters() if not name.endswith(".quantiles")]
    optimiser = torch.optim.Adam(others, lr=phase.lr)
    auxiliary = torch.optim.Adam(quantiles, lr=1e-3)
    steps = count()

    def step() -> float:
        crops = draw_step(phase, source, (1.0, 1.0), 0, next(steps)).crops
        optimiser.zero_grad()
        auxiliary.zero_grad()
        loss = criterion(model(crops), crops)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), phase.clip)
        optimiser.step()
        model.aux_loss().backward()
        auxiliary.step()
        return float(loss.detach())

    return step


@torch.no_grad()
def _apart(ours: Any, theirs: Any, source: CropSource, batch: int, patch: int) -> float:
    """The largest difference between the pictures that both sides make of a batch before training."""
    crops = source.draw(torch.Generator().manual_seed(0), batch, patch)
    context = Context(patch, patch)
    latents = ours.code(ours.analyse(crops, context), context, StraightThrough()).latents
    return float((ours.synthesise(latents, context) - theirs(crops)["x_hat"]).abs().max())
