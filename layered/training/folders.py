"""The pictures that a recipe trains on, and their label maps: of any folder, or of a data set by its layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from layered.errors import ImageError, RecipeError
from layered.files import IMAGE_ENDINGS
from layered.guide import Labels, load_labels
from layered.image import Image8, load_image, resize8
from layered.training.recipe import DataSettings

__all__ = ["LAYOUTS", "Layout", "load_pictures", "require_labels"]

OPEN_IMAGES_SHRUNK = 1.25
"""A picture of the GC paper's Open Images is at least this much larger than the size that it is shrunk to."""
_TRAIN_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


@dataclass(frozen=True)
class Layout:
    """Where a data set has its training pictures and label maps, below one folder.

    pictures: a pattern.  labels: the map of a picture, given the folder and the picture's path.  classes: what the
    numbers in a map become, by number; None leaves them.
    """

    pictures: str
    labels: Callable[[Path, Path], Path]
    classes: Callable[[Labels], Labels] | None = None


def _cityscapes(folder: Path, picture: Path) -> Path:
    name = picture.name.replace("_leftImg8bit.png", "_gtFine_labelIds.png")
    return folder / "gtFine" / picture.relative_to(folder / "leftImg8bit").with_name(name)


def _ade20k(folder: Path, picture: Path) -> Path:
    return (folder / "annotations" / picture.relative_to(folder / "images")).with_suffix(".png")


def _table(numbers: tuple[int, ...], others: int) -> Callable[[Labels], Labels]:
    """The k-th of these numbers becomes k, and all others one class."""
    table = np.full(256, others, np.uint8)
    table[list(numbers)] = np.arange(len(numbers), dtype=np.uint8)
    return lambda labels: table[labels]


LAYOUTS: dict[str, Layout] = {
    # Cordts et al. 2016: 34 numbers, 0 for what has none, or the 19 classes of the benchmark and void.
    "cityscapes-34": Layout("leftImg8bit/train/*/*_leftImg8bit.png", _cityscapes, _table(tuple(range(34)), 0)),
    "cityscapes-19": Layout("leftImg8bit/train/*/*_leftImg8bit.png", _cityscapes, _table(_TRAIN_IDS, 19)),
    # SceneParse150 (Zhou et al. 2017): 0 for others, then 150 classes.
    "ade20k": Layout("images/training/*.jpg", _ade20k),
}


def load_pictures(settings: DataSettings) -> tuple[list[Tensor], list[Tensor] | None]:
    """Pictures, uint8 [3, H, W], in order of their paths, and label maps, uint8 [1, H, W], where there are any.

    Raises RecipeError for folders without pictures and maps that do not fit, ImageError for unreadable pictures.
    """
    folder = Path(settings.folder)
    if not folder.is_dir():
        raise RecipeError(f"data.folder: {folder} is not a folder; set it with --set data.folder=DIR")
    layout = LAYOUTS.get(settings.layout)
    found = folder.glob(layout.pictures) if layout else folder.rglob("*")
    pictures: list[Tensor] = []
    maps: list[Tensor] = []
    for path in sorted(path for path in found if _taken(path, folder)):
        if len(pictures) == settings.limit:
            break
        original = load_image(path)
        picture = _shrunk(original, settings.longest_side)
        if settings.filter == "open-images" and _left_out(original, picture):
            continue
        pictures.append(torch.from_numpy(picture).permute(2, 0, 1).contiguous())
        at = layout.labels(folder, path) if layout else _beside(settings, path)
        if at is not None:
            labels = _labels_of(at, original, picture)
            maps.append(torch.from_numpy(layout.classes(labels) if layout and layout.classes else labels)[None])
    if not pictures:
        what = layout.pictures if layout else "pictures"
        raise RecipeError(f"data.folder: no {what} in {folder}" + (" pass the filter" if settings.filter else ""))
    return pictures, maps or None


def _taken(path: Path, folder: Path) -> bool:
    """Whether it is a picture by its name; hidden ones, as of macOS beside each file, are not."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in IMAGE_ENDINGS and not hidden and path.is_file()


def require_labels(maps: Sequence[Tensor] | None, classes: int) -> None:
    """Raise RecipeError unless there are label maps of no more than these classes, for a layer that has any."""
    if not classes:
        return
    if maps is None:
        raise RecipeError("data.labels: the base layer has classes, so it needs label maps; name their folder")
    if (highest := max(int(each.max()) for each in maps)) >= classes:
        raise RecipeError(f"data.labels: there is class {highest}, the base layer knows 0 to {classes - 1}")


def _beside(settings: DataSettings, picture: Path) -> Path | None:
    if settings.labels is None:
        return None
    return (Path(settings.labels) / picture.relative_to(settings.folder)).with_suffix(".png")


def _labels_of(path: Path, original: Image8, picture: Image8) -> Labels:
    """The map at `path`, which is of the original, at the size of the picture."""
    try:
        labels = load_labels(path)
    except ImageError as error:
        raise RecipeError(f"data.labels: {error}") from None
    if labels.shape != original.shape[:2]:
        sizes = f"{labels.shape[1]}x{labels.shape[0]}, its picture {original.shape[1]}x{original.shape[0]}"
        raise RecipeError(f"data.labels: {path} is {sizes}")
    size = (picture.shape[1], picture.shape[0])
    return np.array(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))


def _shrunk(image: Image8, longest: int | None) -> Image8:
    side = max(image.shape[:2])
    if longest is None or side <= longest:
        return image
    height, width = (max(1, round(edge * longest / side)) for edge in image.shape[:2])
    return resize8(image, width, height)


def _left_out(original: Image8, picture: Image8) -> bool:
    """Whether the GC paper leaves a picture out: hardly shrunk, or of very high mean saturation or brightness."""
    if max(original.shape[:2]) < OPEN_IMAGES_SHRUNK * max(picture.shape[:2]):
        return True
    highest, lowest = picture.max(-1).astype(np.float64), picture.min(-1)
    saturation = (highest - lowest) / np.maximum(highest, 1)
    return bool(saturation.mean() > 0.9 or highest.mean() > 0.8 * 255)
