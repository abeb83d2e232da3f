"""What the commands that code pictures have in common: options, the picture of a path or pipe, default scales."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from layered.commands.batch import read_input
from layered.errors import OptionError

if TYPE_CHECKING:
    from layered.codec import LayeredCodec
    from layered.image import Image8

__all__ = [
    "Box", "Device", "Exact", "Images", "LabelMap", "Mask", "NoVerify", "Preserve", "Qualities",
    "Scales", "Streams", "Weights", "ladder_of", "numbers", "picture_of", "scales_of",
    "told_of",
]  # fmt: skip

Images: TypeAlias = Annotated[str, typer.Argument(metavar="IN", help="Image, folder of images, or - for a pipe.")]
Streams: TypeAlias = Annotated[str, typer.Argument(metavar="OUT", help="Stream, folder, or - for a pipe.")]
Scales: TypeAlias = Annotated[
    str | None,
    typer.Option(
        help="Scale of each layer, base first, increasing, 1 being the full image.  "
        "Default: 0.25,0.5,1, or 1 with weights of one layer, or with no other trained."
    ),
]
Qualities: TypeAlias = Annotated[
    str | None, typer.Option(help="One real number, or one a layer: 2.5 or 2,3,3.  Default: the middle.")
]
Weights: TypeAlias = Annotated[
    str, typer.Option("--weights", "--model", help="Bundled weights by name, or a checkpoint.")
]
LabelMap: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Label map (grey PNG) for weights that need one, or a folder of them, by stem: a.png for a.jpg."),
]
Preserve: TypeAlias = Annotated[
    str | None, typer.Option(help="Classes to keep: car,person, their numbers, or all.")
]
Box: TypeAlias = Annotated[list[str] | None, typer.Option(help="x,y,width,height to keep; may be given again.")]
Mask: TypeAlias = Annotated[
    str | None, typer.Option(help="Picture that is not 0 where to keep, or a folder of them, by stem: a.png for a.jpg.")
]
Exact: TypeAlias = Annotated[
    bool, typer.Option("--exact", help="Pictures identical on every machine, at some cost in time.")
]
NoVerify: TypeAlias = Annotated[bool, typer.Option("--no-verify", help="Skip decoding the stream as a check.")]
Device: TypeAlias = Annotated[str, typer.Option(help="Where the networks run: cpu, cuda, cuda:1, ...")]


def numbers(text: str, option: str) -> tuple[float, ...]:
    """`1,2.5` -> (1.0, 2.5).  Raises OptionError, naming the option."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"{option}: {text!r} is not a number or several, separated by commas") from None


def scales_of(text: str | None) -> tuple[float, ...] | None:
    """What `--scales` says, where it is given.  Raises OptionError, naming the option."""
    from layered.image import check_scales

    if text is None:
        return None
    values = numbers(text, "--scales")
    try:
        return check_scales(values)
    except OptionError as error:
        raise OptionError(f"--scales: {error}") from None


def picture_of(source: str) -> Image8:
    """The picture in a file or pipe.  Raises ImageError."""
    from layered.image import load_image

    path = Path(source)
    return load_image(path if path.is_file() else BytesIO(read_input(source)))  # pipes cannot seek


def ladder_of(given: tuple[float, ...] | None, codec: LayeredCodec) -> tuple[float, ...]:
    """The scales that were given, or the top ones of 1/4, 1/2 and 1 that the weights have layers for."""
    if given:
        return given
    layers = 1 if "enhancement" in codec.untrained else codec.most_layers
    return (0.25, 0.5, 1.0)[-min(3, layers or 3) :]


def told_of(data: bytes, pixels: int, ladder: tuple[float, ...], codec: LayeredCodec) -> str:
    """What is to be said of a stream that codes a picture of `pixels` at these scales."""
    told = f"{len(data)} bytes, {8 * len(data) / pixels:.3f} bpp"
    if ladder[-1] < 1:
        told += " of the full picture"
    if codec.untrained:
        parts = " and ".join(sorted(codec.untrained))
        told += f", {len(ladder)} layer{'s' * (len(ladder) > 1)}; no training has reached {codec.name}'s {parts}"
    return told
