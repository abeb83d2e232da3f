"""The options of `layered encode` that say what is where in a picture, and what of it is to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from layered.errors import OptionError

if TYPE_CHECKING:
    from layered.codec import LayeredCodec
    from layered.guide import Guide

__all__ = ["GuideOptions"]

ALL = "all"


@dataclass(frozen=True)
class GuideOptions:
    """labels, mask: files, or folders of PNG files, each with the stem of its picture's name.

    preserve: classes, or all.  boxes: x,y,width,height each.  What any of preserve, boxes and mask names is kept.
    """

    labels: str | None = None
    preserve: str | None = None
    boxes: Sequence[str] = ()
    mask: str | None = None

    def of(self, picture: str, codec: LayeredCodec) -> Guide | None:
        """The guide of one picture; None where nothing was given.  Raises OptionError, ImageError."""
        from layered.guide import guide_of, kept_boxes, kept_classes, load_labels

        classes: Sequence[str] = getattr(codec.spec.base, "classes", ())
        if self.labels is None:
            if self.preserve or self.boxes or self.mask:
                raise OptionError("--preserve, --box and --mask go with --labels")
            return None
        if not classes:  # or the map would be read, and its faults told, for nothing
            raise OptionError(f"--labels: the weights {codec.name!r} take no label map; those with classes do")
        if (self.preserve or self.boxes or self.mask) and not codec.base.selective:
            raise OptionError(f"--preserve, --box and --mask are for sc base layers; {codec.name!r} keeps everything")
        labels = load_labels(_beside(self.labels, picture))
        height, width = labels.shape
        kept = kept_boxes(height, width, [_box(text) for text in self.boxes])
        if self.preserve == ALL:
            kept[:] = True
        elif self.preserve is not None:
            kept |= kept_classes(labels, self.preserve.split(","), classes)
        if self.mask is not None:
            mask = load_labels(_beside(self.mask, picture))
            if mask.shape != labels.shape:
                raise OptionError(f"--mask is {_size(mask.shape)}, the label map {_size(labels.shape)}")
            kept |= mask > 0
        return guide_of(labels, kept)


def _beside(given: str, picture: str) -> Path:
    """The file itself, or in a folder the one whose stem is the picture's."""
    path = Path(given)
    return path / f"{Path(picture).stem}.png" if path.is_dir() else path


def _box(text: str) -> tuple[int, int, int, int]:
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"--box: {text!r} is not x,y,width,height in whole pixels") from None
    return x, y, width, height


def _size(shape: Sequence[int]) -> str:
    return f"{shape[1]}x{shape[0]}"
