"""Test images by name or by folder; nothing is downloaded."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from experiments.known import KNOWN
from layered.errors import ImageError, RecipeError
from layered.files import IMAGE_ENDINGS
from layered.image import Image8, load_image, resize8
from layered.recipes import hint

__all__ = ["SAMPLES", "DataSet", "Picture", "find_data"]

SAMPLES = ("coffee.png", "chelsea.png", "rocket.jpg", "astronaut.png", "motorcycle_left.png")
"""RGB photos of 451x300 to 741x500 that lie inside scikit-image's wheel."""

@dataclass(frozen=True)
class Picture:
    """One test image, read when it is needed.

    longest_side: the image is shrunk (antialiased bicubic) so that no side exceeds it; never enlarged.
    """

    name: str
    path: Path
    longest_side: int | None = None

    def load(self) -> Image8:
        """8-bit RGB [H, W, 3].  Raises ImageError."""
        image = load_image(self.path)
        height, width = image.shape[:2]
        if self.longest_side is None or max(width, height) <= self.longest_side:
            return image
        scale = self.longest_side / max(width, height)
        return resize8(image, max(1, round(scale * width)), max(1, round(scale * height)))

    def digest(self) -> str:
        """SHA-256 of the file and of what is done to it.  Raises ImageError when it cannot be read."""
        try:
            digest = hashlib.sha256(self.path.read_bytes())
        except OSError as error:
            raise ImageError(f"{self.path}: {error.strerror or error}") from None
        digest.update(f"longest side {self.longest_side}".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class DataSet:
    """A named, ordered collection of test images."""

    name: str
    items: tuple[Picture, ...]


def find_data(source: str, limit: int | None = None, longest_side: int | None = None) -> DataSet:
    """A data set by name (`samples`, or one of `experiments.known`) or the images of any folder, in order of names.

    limit: the first so many of them.  Raises RecipeError when there is no such set, or files of it are
    missing or not the published ones.
    """
    if source in _NAMED:
        name, paths = source, _NAMED[source]()
    else:
        folder = Path(source).expanduser().absolute()  # workers may run elsewhere
        if folder.exists() and not folder.is_dir():
            raise RecipeError(f"{source} is a file; name the folder that it is in, or one of {', '.join(_NAMED)}")
        if not folder.is_dir():
            near = hint(source.lower(), _NAMED)
            raise RecipeError(f"no data set or folder {source!r}{near} named sets are {', '.join(_NAMED)}")
        name, paths = folder.resolve().name, _images(folder)
        if not paths:
            raise RecipeError(f"{folder}: no image in this folder (endings {' '.join(IMAGE_ENDINGS)})")
    chosen = paths if limit is None else paths[:limit]
    # One stem twice, and all keep their ending: else `a.png` could also be what is left of `a.png.png`.
    whole = len({path.stem for path in chosen}) < len(chosen)
    names = [_printable(path.name if whole else path.stem) for path in chosen]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise RecipeError(f"two images are called {twice}; rename one")
    return DataSet(name, tuple(Picture(n, path, longest_side) for n, path in zip(names, chosen, strict=True)))


def _images(folder: Path) -> list[Path]:
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() in IMAGE_ENDINGS and not p.name.startswith("."))
    return [path for path in found if not path.is_dir()]


def _printable(name: str) -> str:
    """Names on disk need not be text; reports are."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _samples() -> list[Path]:
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise RecipeError("the sample photos come with scikit-image: pip install scikit-image")
    folder = Path(found.origin).parent / "data"
    paths = [folder / name for name in SAMPLES]
    for path in paths:
        if not path.is_file():
            raise RecipeError(f"{path}: this scikit-image lacks a sample; install its wheel from PyPI again")
    return paths


_NAMED = {**{name: known.find for name, known in KNOWN.items()}, "samples": _samples}
