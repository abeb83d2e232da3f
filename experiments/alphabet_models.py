"""Entropy models of a finite alphabet on the same codes: real bytes of each on Kodak, after equal training.

    python -m experiments.alphabet_models --weights FILE --pictures DIR [--steps 2000] [--data kodak] [--limit N]

The codes are those of a trained base layer such as gc; every model is trained anew on the codes of the pictures in DIR,
and everything it writes is read again.  A file's header is not counted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from torch.nn import functional as F

import layered
from experiments.data import find_data
from layered.base.finite import FiniteLayer
from layered.entropy.models import MODELS, build_symbol_model
from layered.entropy.symbols import SymbolModel
from layered.errors import LayeredError, OptionError
from layered.image import Image8, to_tensor
from layered.layer import Context
from layered.training.folders import load_pictures
from layered.training.recipe import DataSettings

__all__ = ["Result", "codes_of", "fit", "main", "measured"]

Codes = NDArray[np.int32]
BATCH, SIDE, LR = 32, 8, 3e-3


@dataclass(frozen=True)
class Result:
    """What a model needs: bits a picture's pixel, and seconds to write and read all pictures."""

    bpp: float
    seconds: float


@torch.inference_mode()
def codes_of(layer: FiniteLayer, image: Image8) -> Codes:
    """The symbols [C, h, w] that the layer gives a picture [H, W, 3]."""
    low, high = layer.quality_range
    context = Context(image.shape[0], image.shape[1], (low + high) / 2)
    (latents,) = layer.analyse(to_tensor(image), context).parts
    found: Codes = layer.centres.symbols(latents)[0].to(torch.int32).numpy()
    return found


def fit(model: SymbolModel, codes: Sequence[Codes], steps: int, seed: int = 0) -> None:
    """Train a model on random windows of the codes and make its tables.  Raises OptionError if none is large enough."""
    large = [each for each in codes if min(each.shape[1:]) >= SIDE]
    if not large:
        raise OptionError(f"no picture has codes of {SIDE}x{SIDE}")
    generator = torch.Generator().manual_seed(seed)
    if list(model.parameters()):
        optimiser = torch.optim.Adam(model.parameters(), lr=LR)
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = LR * (1 - step / steps)
            windows = []
            for which, down, across in torch.rand(BATCH, 3, generator=generator).tolist():
                chosen = large[int(which * len(large))]
                top, left = int(down * (chosen.shape[1] - SIDE + 1)), int(across * (chosen.shape[2] - SIDE + 1))
                windows.append(torch.from_numpy(chosen[:, top : top + SIDE, left : left + SIDE]))
            shares = F.one_hot(torch.stack(windows).long(), model.size).movedim(-1, 2).float()
            loss = model.bits(shares).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model.update()
    model.requires_grad_(False)


def measured(model: SymbolModel, codes: Sequence[Codes], pixels: int) -> Result:
    """All codes written and read again.  Raises LayeredError where they do not come back."""
    start, total = time.perf_counter(), 0
    for each in codes:
        string = model.write(each).string
        found, _ = model.read(string, *each.shape[1:])
        if not np.array_equal(found, each):
            raise LayeredError("the codes have not come back")
        total += len(string)
    return Result(8 * total / pixels, time.perf_counter() - start)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--data", default="kodak")
    parser.add_argument("--limit", type=int, help="training pictures")
    given = parser.parse_args(arguments)
    layer = layered.load(given.weights).base
    if not isinstance(layer, FiniteLayer):
        raise OptionError(f"the base layer of {given.weights} has no finite alphabet")
    console = Console(stderr=True)
    pictures, _ = load_pictures(DataSettings(folder=str(given.pictures), limit=given.limit))
    shown = track(pictures, "codes", console=console)
    training = [codes_of(layer, picture.permute(1, 2, 0).numpy()) for picture in shown]
    images = [picture.load() for picture in find_data(given.data).items]
    test = [codes_of(layer, image) for image in images]
    pixels = sum(image.shape[0] * image.shape[1] for image in images)
    bound = 0.0
    for name in track(MODELS, "models", console=console):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            model = build_symbol_model(name, test[0].shape[0], len(layer.centres))
        fit(model, training, given.steps)
        result = measured(model, test, pixels)
        bound = bound or result.bpp
        told = f"{name:16} {result.bpp:.5f} bpp, {100 * (result.bpp / bound - 1):+6.1f} % of the first"
        print(f"{told}, {result.seconds / len(test):.3f} s a picture both ways", flush=True)


if __name__ == "__main__":
    try:
        main()
    except LayeredError as error:
        sys.exit(f"error: {error}")
