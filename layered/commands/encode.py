"""`layered encode`: images to layered streams."""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layered.commands.batch import STREAM_ENDING, Job, plan, read_input, run, write_output
from layered.commands.guide import GuideOptions
from layered.commands.model import named_codec
from layered.errors import OptionError

if TYPE_CHECKING:
    from layered.codec import LayeredCodec

__all__ = ["encode", "numbers"]

# What is taken from a folder; a single file may be anything that Pillow reads.
IMAGE_ENDINGS = frozenset(".avif .bmp .gif .jp2 .jpeg .jpg .pbm .pgm .png .pnm .ppm .tif .tiff .webp".split())


def encode(
    source: Annotated[str, typer.Argument(metavar="IN", help="Image, folder of images, or - for a pipe.")],
    target: Annotated[str, typer.Argument(metavar="OUT", help="Stream, folder, or - for a pipe.")],
    layers: Annotated[
        str | None,
        typer.Option(
            help="Scale of each layer, base first, increasing, 1 being the full image.  "
            "Default: 0.25,0.5,1, or 1 with weights of one layer."
        ),
    ] = None,
    quality: Annotated[
        str | None, typer.Option(help="One real number, or one a layer: 2.5 or 2,3,3.  Default: the middle.")
    ] = None,
    target_bpp: Annotated[
        float | None, typer.Option(help="Best quality within this many bits per pixel of the full image.")
    ] = None,
    target_bytes: Annotated[int | None, typer.Option(help="Best quality within this many bytes.")] = None,
    weights: Annotated[
        str, typer.Option("--weights", "--model", help="Bundled weights by name, or a checkpoint.")
    ] = "compass-small",
    labels: Annotated[
        str | None, typer.Option(help="Label map (grey PNG) for weights that need one, or a folder of them.")
    ] = None,
    preserve: Annotated[str | None, typer.Option(help="Classes to keep: car,person, their numbers, or all.")] = None,
    box: Annotated[list[str] | None, typer.Option(help="x,y,width,height to keep; may be given again.")] = None,
    mask: Annotated[str | None, typer.Option(help="Picture that is not 0 where to keep, or a folder of them.")] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Pictures identical on every machine, at some cost in time.")
    ] = False,
    no_verify: Annotated[
        bool, typer.Option("--no-verify", help="Skip decoding the stream as a check.")
    ] = False,
    device: Annotated[str, typer.Option(help="Where the networks run: cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Encode an image, or every image of a folder, into layered streams."""
    from layered.image import check_scales, load_image

    given = None if layers is None else check_scales(numbers(layers, "--layers"))
    qualities = None if quality is None else numbers(quality, "--quality")
    guides = GuideOptions(labels, preserve, box or (), mask)
    if sum(option is not None for option in (quality, target_bpp, target_bytes)) > 1:
        raise OptionError("--quality, --target-bpp and --target-bytes exclude one another")
    if qualities is not None and given is not None and len(qualities) not in (1, len(given)):
        raise OptionError(
            f"--quality: {len(qualities)} numbers for {len(given)} layers; give one, or one a layer"
        )
    if target_bpp is not None and not 0 < target_bpp < float("inf"):
        raise OptionError(f"--target-bpp must be above 0, got {target_bpp}")
    if target_bytes is not None and target_bytes < 1:
        raise OptionError(f"--target-bytes must be at least 1, got {target_bytes}")
    chosen = qualities[0] if qualities and len(qualities) == 1 else qualities
    jobs = plan(source, target, lambda path: path.suffix.lower() in IMAGE_ENDINGS, STREAM_ENDING)

    def scales_of(codec: LayeredCodec) -> tuple[float, ...]:
        return given or ((0.25, 0.5, 1.0) if codec.uppers else (1.0,))

    def work(job: Job) -> str:
        path = Path(job.source)
        image = load_image(path if path.is_file() else BytesIO(read_input(job.source)))  # pipes cannot seek
        pixels = image.shape[0] * image.shape[1]
        codec = named_codec(weights, device)
        scales = scales_of(codec)
        guide = guides.of(job.source, codec)
        budget = target_bytes if target_bpp is None else int(min(target_bpp * pixels / 8, sys.maxsize))
        if budget is None:
            data = codec.encode(image, scales, chosen, exact=exact, verify=not no_verify, guide=guide)
        else:
            data = codec.encode_to_bytes(image, scales, budget, exact=exact, verify=not no_verify, guide=guide)
        write_output(job.target, data)
        return f"{job.name} -> {job.target}: {len(data)} bytes, {8 * len(data) / pixels:.3f} bpp"

    if len(jobs) > 1:
        codec = named_codec(weights, device)
        codec.qualities(chosen, len(scales_of(codec)))  # what is wrong is told once, not for each file
    run(jobs, work, "encoding")


def numbers(text: str, option: str) -> tuple[float, ...]:
    """`1,2.5` -> (1.0, 2.5).  Raises OptionError, naming the option."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"{option}: {text!r} is not a number or several, separated by commas") from None
