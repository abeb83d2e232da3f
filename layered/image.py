"""One rule each for loading, saving, rounding and resizing pictures; every codec uses these and no other.

A picture at rest is an `Image8`: a NumPy array, uint8, [H, W, 3], RGB.  A picture in a network is a float
tensor [B, 3, H, W] in [0, 1].
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from layered.depth import cut_to_8_bits
from layered.errors import ImageError, OptionError
from layered.files import write_bytes_atomic

if TYPE_CHECKING:
    import torch

__all__ = [
    "MAX_PIXELS", "MAX_SIDE", "Image8", "check_image", "check_scales", "format_of", "layer_sizes", "load_image",
    "open_image", "resize8", "save_image", "stored_as", "to_image8", "to_tensor",
]  # fmt: skip

Image8: TypeAlias = NDArray[np.uint8]

MAX_SIDE = 32768
MAX_PIXELS = 2**28
_READ = ("PNG", "JPEG", "MPO", "WEBP", "BMP", "PPM", "TIFF", "GIF", "AVIF", "JPEG2000", "TGA")
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".bmp": "BMP", ".ppm": "PPM",
            ".tif": "TIFF", ".tiff": "TIFF"}  # fmt: skip
_OPTIONS: dict[str, dict[str, Any]] = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}


def load_image(source: str | Path | IO[bytes], formats: Sequence[str] = _READ) -> Image8:
    """Read a picture as 8-bit RGB [H, W, 3].  formats: Pillow's names of those that are tried.

    Grey and palette pictures become RGB; transparent ones are composited on white.  Of the several pictures
    that cameras put into one JPEG (MPO) the first is taken.  Animations, CMYK, and files of more than 8 bits a
    sample are refused, because any conversion would be a guess.  The EXIF orientation is applied.  Raises ImageError.
    """
    with open_image(source, formats) as (opened, name):
        if _is_deep(opened):
            raise ImageError(f"{name}: more than 8 bits a sample; convert it to 8-bit RGB first")
        if getattr(opened, "n_frames", 1) > 1 and opened.format != "MPO":
            raise ImageError(f"{name}: animated or multi-page pictures are refused; extract one frame first")
        return _as_rgb(opened, name)


@contextmanager
def open_image(source: str | Path | IO[bytes], formats: Sequence[str] = _READ) -> Iterator[tuple[Image.Image, str]]:
    """A picture of one of these formats and of no more than the largest size, not yet decoded, and its name for errors.

    Raises ImageError, also for what Pillow raises within.
    """
    name = str(source) if isinstance(source, str | Path) else getattr(source, "name", "input")
    try:
        Image.init()
        readable = [kind for kind in formats if kind in Image.OPEN]
        with _without_warnings(), Image.open(source, formats=readable) as opened:
            width, height = opened.size
            if width > MAX_SIDE or height > MAX_SIDE or width * height > MAX_PIXELS:
                raise ImageError(f"{name}: {width}x{height} is beyond {MAX_SIDE} a side or {MAX_PIXELS} pixels")
            yield opened, name
    except UnidentifiedImageError:
        raise ImageError(f"{name}: not an image that Pillow can read") from None
    except FileNotFoundError:
        raise ImageError(f"{name}: no such file") from None
    except Image.DecompressionBombError:
        raise ImageError(f"{name}: more pixels than Pillow reads (twice PIL.Image.MAX_IMAGE_PIXELS)") from None
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # Pillow's readers raise almost anything on damaged files
        raise ImageError(f"{name}: unreadable ({' '.join(str(error).split())})") from None


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Pillow's of odd or large files; what matters in them is checked here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def stored_as(opened: Image.Image) -> list[object]:
    """What Pillow is to unpack a file's samples with, such as `L;4`."""
    arguments = [tile[3] for tile in getattr(opened, "tile", ())]
    return [part for each in arguments for part in (each if isinstance(each, tuple) else (each,))]


def _is_deep(opened: Image.Image) -> bool:
    """Whether Pillow is about to cut samples of more bits down to 8, which its `mode` does not tell."""
    parts = stored_as(opened)
    deep_ppm = opened.format == "PPM" and any(isinstance(part, int) and part > 255 for part in parts)
    # BGR;16 has 16 bits a pixel: 5, 6 and 5.
    return deep_ppm or any(";16" in str(part) and part != "BGR;16" for part in parts) or cut_to_8_bits(opened)


def _as_rgb(opened: Image.Image, name: str) -> Image8:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(opened)
    if image.mode.startswith(("I", "F")):
        raise ImageError(f"{name}: {image.mode} has more than 8 bits a sample; convert it to 8-bit RGB first")
    if image.mode in ("CMYK", "LAB", "HSV"):
        raise ImageError(f"{name}: {image.mode} pictures are refused; convert it to RGB first")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return np.array(image.convert("RGB"), dtype=np.uint8)


def save_image(image: Image8, path: str | Path) -> None:
    """Write `image` [H, W, 3] in the format that the file's ending names, whole or not at all.

    PNG, WebP, BMP, PPM and TIFF are written lossless, JPEG at quality 95.  Raises ImageError for an ending
    that is not known or a format without such sides, and OSError when the disk refuses.
    """
    kind = format_of(path)
    written = BytesIO()
    try:
        Image.fromarray(image).save(written, format=kind, **_OPTIONS.get(kind, {}))
    except ValueError as error:
        sides = f"{image.shape[1]}x{image.shape[0]}"
        raise ImageError(f"{path}: Pillow does not write {sides} as {kind} ({error}); use .png") from None
    write_bytes_atomic(path, written.getvalue())


def format_of(path: str | Path) -> str:
    """Pillow's name of the format that a file's ending asks for.  Raises ImageError for one that is not written."""
    ending = Path(path).suffix
    if ending.lower() not in _FORMATS:
        raise ImageError(f"{path}: unknown image ending {ending!r}; use one of {', '.join(sorted(_FORMATS))}")
    return _FORMATS[ending.lower()]


def check_scales(scales: Sequence[float]) -> tuple[float, ...]:
    """The layers' scales relative to the full picture: finite, above 0, at most 1, strictly increasing.

    Raises OptionError otherwise.
    """
    values = tuple(float(scale) for scale in scales)
    if not values:
        raise OptionError("at least one layer scale is needed, for example 0.25,0.5,1")
    if not all(0 < value <= 1 for value in values):
        raise OptionError(f"layer scales must be above 0 and at most 1, got {values}")
    if any(b <= a for a, b in pairwise(values)):
        raise OptionError(f"layer scales must increase from the base layer up, got {values}")
    return values


def layer_sizes(width: int, height: int, scales: Sequence[float]) -> tuple[tuple[int, int], ...]:
    """(width, height) of each layer: the scaled size rounded half up, at least 1."""
    return tuple((max(1, int(s * width + 0.5)), max(1, int(s * height + 0.5))) for s in check_scales(scales))


def resize8(image: Image8, width: int, height: int) -> Image8:
    """Resize by Pillow's antialiased bicubic filter: the original of a lower layer."""
    if (width, height) == (image.shape[1], image.shape[0]):
        return image
    return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC), dtype=np.uint8)


def check_image(image: object) -> None:
    """Raise OptionError unless `image` is an array [H, W, 3] of uint8 with at least one pixel."""
    if not (isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3):
        kind = f"{image.dtype} {list(image.shape)}" if isinstance(image, np.ndarray) else type(image).__name__
        raise OptionError(f"a picture is an array of uint8 [H, W, 3], got {kind}; layered.image.load_image makes one")
    if not image.size:
        raise OptionError(f"a picture has at least one pixel, got {list(image.shape)}")


def to_tensor(image: Image8, device: torch.device | str = "cpu") -> torch.Tensor:
    """[H, W, 3] uint8 -> [1, 3, H, W] float32 in [0, 1]."""
    import torch

    tensor = torch.from_numpy(np.array(image)).to(device).permute(2, 0, 1).unsqueeze(0)
    return tensor.to(torch.float32) / 255


def to_image8(tensor: torch.Tensor) -> Image8:
    """[1, 3, H, W] float -> [H, W, 3] uint8: clamped to [0, 1], then rounded to the nearest level."""
    levels = (tensor.detach()[0].clamp(0, 1) * 255).round().to("cpu")
    return np.ascontiguousarray(levels.permute(1, 2, 0).numpy().astype(np.uint8))
