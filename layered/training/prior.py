"""Training of a prior over the codes of trained weights, resumable to the bit."""

from __future__ import annotations

import math
import time
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from layered.adversarial.histograms import Distances, compare
from layered.adversarial.prior import Prior, PriorSpec, save_prior
from layered.adversarial.wgan import LatentCritic, Wgan
from layered.base.finite import FiniteLayer
from layered.codec import LayeredCodec
from layered.errors import LayeredError, RecipeError, outside
from layered.guide import Guide
from layered.layer import Context
from layered.training.bars import bars, short
from layered.training.checkpoint import read_state, save_state
from layered.training.curves import Curves
from layered.training.data import CropSource, digest_of_pictures
from layered.training.folders import load_pictures, require_labels
from layered.training.interrupt import Deferred
from layered.training.recipe import PriorRecipe
from layered.weights.store import load

__all__ = ["PriorState", "TrainedPrior", "code_crops", "train_prior"]

CODED_AT_ONCE = 4
MEASURED = 256  # samples that are compared with the data


@dataclass(frozen=True)
class PriorState:
    """Where a run stands: steps done, seconds and lines logged, digests of pictures and weights.

    symbols: of the coded crops, uint8 [N, C, side, side].  networks: None before the first step.
    """

    step: int
    seconds: float
    logged: int
    pictures: str
    weights: str
    symbols: Tensor
    networks: dict[str, Any] | None


@dataclass(frozen=True)
class TrainedPrior:
    """The file of a trained prior, and how far what it draws is from the codes that it was trained on."""

    path: Path
    distances: Distances


def train_prior(recipe: PriorRecipe, out: Path, device: str = "cpu") -> TrainedPrior:
    """Train the prior that `recipe` says and write it to `out`, beside state.pt and curves.jsonl.

    A run that stopped is taken up where its last state was saved.  Raises RecipeError, and OptionError for weights
    whose codes cannot be drawn.
    """
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    codec = load(recipe.weights, device)
    quality = sum(codec.quality_range) / 2 if recipe.quality is None else recipe.quality
    if not codec.quality_range[0] <= quality <= codec.quality_range[1]:
        raise RecipeError(f"quality: {quality} {outside(*codec.quality_range)} of the weights {codec.name!r}")
    base = drawn_base(codec)
    pictures, maps = load_pictures(recipe.data)
    require_labels(maps, len(getattr(codec.spec.base, "classes", ())))
    digest = digest_of_pictures([*pictures, *(maps or ())])
    state = read_state(out / "state.pt", recipe, digest, PriorState)
    if state is not None and state.weights != codec.digest.hex():
        raise RecipeError(f"{out / 'state.pt'} belongs to a run on other weights; choose another --out or remove it")
    out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    with bars(console) as progress:
        if state is None:
            symbols = code_crops(base, CropSource(pictures, device, maps), quality, recipe, progress)
            state = PriorState(0, 0.0, 0, digest, codec.digest.hex(), symbols, None)
            save_state(out / "state.pt", recipe, state)
        spec = PriorSpec(
            channels=state.symbols.shape[1], size=len(base.centres), quality=quality, noise=recipe.noise,
            width=recipe.width, doublings=recipe.doublings,
        )  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(zlib.crc32(f"{recipe.seed}/networks".encode()))
            prior, critic = Prior(spec).to(device), LatentCritic(spec.channels, recipe.critic_width).to(device)
        seconds = _descend(Wgan(prior, critic, recipe, state.networks), recipe, out, state, progress)
    distances = measure(prior, state.symbols, recipe.seed)
    training = {"recipe": recipe.model_dump(mode="json"), "seconds": round(seconds), "distances": asdict(distances)}
    save_prior(prior, out / "prior.safetensors", codec.digest, training)
    return TrainedPrior(out / "prior.safetensors", distances)


def drawn_base(codec: LayeredCodec) -> FiniteLayer:
    """The base layer, if its codes can be drawn.  Raises OptionError."""
    codec.base.draw(Context(1, 1), torch.Generator())
    assert isinstance(codec.base, FiniteLayer)
    return codec.base


@torch.inference_mode()
def code_crops(
    base: FiniteLayer, source: CropSource, quality: float, recipe: PriorRecipe, progress: Progress
) -> Tensor:
    """Random crops of the pictures as the layer codes them: symbols, uint8 [crops, C, side, side] on the CPU."""
    pixels = recipe.side * base.stride
    source.require(pixels, "prior")
    generator = torch.Generator().manual_seed(zlib.crc32(f"{recipe.seed}/crops".encode()))
    found: list[Tensor] = []
    bar = progress.add_task("coding", total=recipe.crops, last="")
    for start in range(0, recipe.crops, CODED_AT_ONCE):
        crops, labels = source.draw_labelled(generator, min(CODED_AT_ONCE, recipe.crops - start), pixels)
        guide = None if labels is None else Guide(labels, torch.zeros_like(labels, dtype=torch.bool))
        context = Context(pixels, pixels, quality, guide=guide)
        found.append(base.centres.symbols(base.analyse(crops, context).parts[0]).to("cpu", torch.uint8))
        progress.update(bar, advance=len(crops))
    return torch.cat(found)


def measure(prior: Prior, symbols: Tensor, seed: int) -> Distances:
    """How far samples of the prior are from symbols [N, C, h, w]."""
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/measure".encode()))
    samples = prior.eval().draw((MEASURED, *symbols.shape[1:]), generator)
    return compare(symbols, samples.cpu(), prior.spec.size)


def _descend(wgan: Wgan, recipe: PriorRecipe, out: Path, state: PriorState, progress: Progress) -> float:
    """All steps that are left; returns the seconds that all have taken."""
    log = Curves(out / "curves.jsonl")
    log.cut(state.logged)
    bar = progress.add_task("prior", total=recipe.steps, completed=state.step, last="")
    began, saved, seconds = time.monotonic(), time.monotonic(), state.seconds

    def save(step: int) -> None:
        where = (step, seconds, log.lines, state.pictures, state.weights, state.symbols)
        save_state(out / "state.pt", recipe, PriorState(*where, wgan.state()))

    with Deferred() as interrupt:
        for step in range(state.step, recipe.steps):
            generator = torch.Generator().manual_seed(zlib.crc32(f"{recipe.seed}/{step}".encode()))
            found = wgan.step(state.symbols, generator)
            if not all(map(math.isfinite, found.values())):
                raise LayeredError(f"a loss of step {step + 1} is not finite; lower lr")
            seconds = state.seconds + time.monotonic() - began
            progress.update(bar, completed=step + 1, last=short(found))
            if (step + 1) % recipe.log_every == 0 or step + 1 == recipe.steps:
                log.add({"phase": "prior", "step": step + 1, "seconds": round(seconds, 1), **found})
            if interrupt.pending or time.monotonic() - saved > recipe.checkpoint_seconds:
                save(step + 1)
                saved = time.monotonic()
            if interrupt.pending:
                interrupt.deliver(interrupt.pending)
    save(recipe.steps)
    return seconds
