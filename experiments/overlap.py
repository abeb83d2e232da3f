"""mIoU: how well a segmenter still finds in decoded pictures what is in the label maps of the originals.

Source: Agustsson et al. (ICCV 2019), who compare with the true maps; the confusion matrix is that of all
pictures together.  A number means something only beside that of the originals, which is why callers measure both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.classes import is_class_name, kind, loaded
from layered.errors import LayeredError, OptionError
from layered.guide import Labels
from layered.image import Image8

__all__ = ["Confusion", "Hook", "find_segmenter"]


class Confusion:
    """Pixels by true and by predicted class, over all maps added.

    ignore: the true class that does not count, besides numbers that are no class at all.  Predicting one of these is
    a miss.
    """

    def __init__(self, classes: int, ignore: int | None = None) -> None:
        self.classes, self.ignore = classes, ignore
        self.counts: NDArray[np.int64] = np.zeros((classes, classes + 1), np.int64)

    def add(self, truth: Labels, predicted: NDArray[Any]) -> None:
        """Count maps [H, W].  Raises OptionError unless both are whole numbers and of one size."""
        if predicted.shape != truth.shape or predicted.dtype.kind not in "iu":
            raise OptionError(f"the segmenter gave {kind(predicted)} where the label map is {kind(truth)}")
        counted = truth < self.classes
        if self.ignore is not None:
            counted &= truth != self.ignore
        found = predicted[counted].astype(np.int64)
        found[(found < 0) | (found >= self.classes) | (found == self.ignore)] = self.classes
        pairs = truth[counted].astype(np.int64) * (self.classes + 1) + found
        self.counts += np.bincount(pairs, minlength=self.counts.size).reshape(self.counts.shape)

    def ious(self) -> tuple[float | None, ...]:
        """Intersection over union of each class; None for one that is neither there nor predicted."""
        right = np.diagonal(self.counts)
        union = self.counts.sum(1) + self.counts[:, :-1].sum(0) - right
        return tuple(float(r / u) if u else None for r, u in zip(right, union, strict=True))

    def mean(self) -> float:
        """mIoU over the classes that have one.  Raises OptionError where none has."""
        found = [iou for iou in self.ious() if iou is not None]
        if not found:
            raise OptionError("no pixel of the label maps has a class, so that there is no mIoU")
        return sum(found) / len(found)


@dataclass(frozen=True)
class Hook:
    """A segmenter.  of: [H, W, 3] uint8 -> class numbers [H, W].  classes: their names.  ignore: as in `Confusion`."""

    of: Callable[[Image8], NDArray[Any]]
    classes: tuple[str, ...]
    ignore: int | None = None

    def confusion(self) -> Confusion:
        """An empty one."""
        return Confusion(len(self.classes), self.ignore)


def find_segmenter(words: str, classes: Sequence[str] = (), ignore: int | None = None, device: str = "cpu") -> Hook:
    """A segmenter by `file.py:Class`, a callable image -> labels, or by a file of `experiments.segmentation`.

    classes, ignore: of a class; a file knows its own.  Raises OptionError.
    """
    if not is_class_name(words):
        from experiments.segmentation import load_segmenter

        if classes or ignore is not None:
            raise OptionError(f"{words} says itself which classes it has; leave --classes and --ignore out")
        net = load_segmenter(words, device)
        return Hook(net.segment, net.spec.classes, net.spec.ignore)
    if not classes:
        raise OptionError(f"{words} needs --classes, the names of the numbers that it gives, from 0")
    made = loaded(words).new()
    if not callable(made):
        raise OptionError(f"{words} has no method `__call__`, which takes a picture")

    def of(image: Image8) -> NDArray[Any]:
        found = made(image.copy())
        if not isinstance(found, np.ndarray):
            raise LayeredError(f"{words} returned {kind(found)}, where an array of class numbers [H, W] is needed")
        return found

    return Hook(of, tuple(classes), ignore)
