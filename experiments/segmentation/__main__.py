"""A small segmenter for mIoU, trained in minutes on one CPU thread.

    python -m experiments.segmentation train IMAGES LABELS --out seg.safetensors --classes sky,building [--ignore 11]
    python -m experiments.segmentation test seg.safetensors IMAGES LABELS

LABELS holds grey PNGs of class numbers under the names of the pictures.  A training that was stopped goes on where it
was when the same command is given again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.progress import track

from experiments.data import find_data
from experiments.overlap import find_segmenter
from experiments.segmentation.net import SegmenterSpec
from experiments.work import limit_threads
from layered.errors import LayeredError, OptionError
from layered.guide import load_labels
from layered.recipes import faults

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point.  Raises LayeredError."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train")
    train.add_argument("images")
    train.add_argument("labels")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--classes", required=True, help="names, in order of their numbers from 0")
    train.add_argument("--ignore", type=int, help="number of the pixels that have no class")
    train.add_argument("--steps", type=int, default=3000)
    train.add_argument("--seed", type=int, default=0)
    test = commands.add_parser("test")
    test.add_argument("segmenter")
    test.add_argument("images")
    test.add_argument("labels", type=Path)
    for command in (train, test):
        command.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    limit_threads(given.threads)
    if given.command == "test":
        _test(given.segmenter, given.images, given.labels)
        return
    from experiments.segmentation.training import Settings
    from experiments.segmentation.training import train as run

    try:
        spec = SegmenterSpec(classes=tuple(given.classes.split(",")), ignore=given.ignore)
    except ValidationError as error:
        raise OptionError(f"--classes, --ignore: {faults(error)}") from None
    given.out.parent.mkdir(parents=True, exist_ok=True)
    run(given.images, given.labels, given.out, spec, Settings(steps=given.steps, seed=given.seed))
    print(given.out)


def _test(segmenter: str, images: str, labels: Path) -> None:
    hook = find_segmenter(segmenter)
    confusion = hook.confusion()
    for picture in track(find_data(images).items, "segmenting", console=Console(stderr=True)):
        confusion.add(load_labels(labels / f"{picture.path.stem}.png"), hook.of(picture.load()))
    for name, iou in zip(hook.classes, confusion.ious(), strict=True):
        print(f"{name:16} {'none' if iou is None else f'{iou:.4f}'}")
    print(f"{'mIoU':16} {confusion.mean():.4f}")


if __name__ == "__main__":
    try:
        main()
    except LayeredError as error:
        sys.exit(f"error: {error}")
