"""`layered decode`: layered streams to pictures."""

from __future__ import annotations

import re
import sys
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from layered.commands.batch import (
    PIPE,
    STREAM_ENDING,
    Job,
    is_folder,
    naming,
    plan,
    read_input,
    run,
    write_output,
)
from layered.commands.model import named_codec, writer_of
from layered.errors import CorruptStream, LayeredError, OptionError

if TYPE_CHECKING:
    from layered.image import Image8

__all__ = ["decode", "size_of"]


def decode(
    source: Annotated[str, typer.Argument(metavar="IN", help="Stream, folder of .lyr files, or - (a pipe).")],
    target: Annotated[
        str,
        typer.Argument(metavar="OUT", help="Picture, folder, - for a pipe (PNG), or a pattern with {layer}."),
    ],
    layer: Annotated[
        str | None,
        typer.Option(metavar="K", help="Layer to write, 0 (the base) and up, or 'all'.  Default: the top."),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="Write it at this size, which may exceed the top layer's."),
    ] = None,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Drop a damaged tail and write what is whole.")
    ] = False,
    weights: Annotated[
        str | None,
        typer.Option("--weights", "--model", help="What wrote the stream.  Default: the bundled weights it names."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where the networks run: cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Decode a stream, or every stream of a folder, into pictures."""
    from layered.image import format_of
    from layered.stream import parse

    if layer is not None and size is not None:
        raise OptionError("--layer and --size exclude one another")
    every, index = layer == "all", _index(layer)
    box = None if size is None else size_of(size)
    if every and "{layer}" not in target:
        if target == PIPE or (Path(target).suffix and not is_folder(target)):
            raise OptionError(f"{target}: --layer all needs a folder, or a name with {{layer}} in it, as OUT")
        target = f"{target}/"
    ending = ".layer{layer}.png" if every else ".png"
    jobs = plan(source, target, lambda path: path.suffix == STREAM_ENDING, ending)
    if jobs[0].target != PIPE:
        format_of(jobs[0].target)  # an ending that cannot be written shows before anything is decoded

    def work(job: Job) -> str:
        data = read_input(job.source)
        with naming(job.name):
            try:
                parsed = parse(data, strict=not lenient)
            except CorruptStream as error:
                if left := _whole_layers(data):
                    raise CorruptStream(f"{error}; --lenient writes what is whole ({left})") from None
                raise
            digest = parsed.header.digest
            model = named_codec(weights, device) if weights else writer_of(digest, device)
            top = len(parsed.chunks) - 1
            if index is not None and index > top:
                raise OptionError(f"{job.name}: --layer {index}: the stream holds layers 0 to {top}")
            chosen = top if index is None else index
            if box is not None:
                pictures = {chosen: model.render(data, *box, strict=not lenient)}
            else:
                decoded = dict(enumerate(model.decode(data, layers=chosen + 1, strict=not lenient)))
                pictures = decoded if every else {chosen: decoded[chosen]}
        if box is not None and _skewed(box, parsed.header.width, parsed.header.height):
            full = f"{parsed.header.width}x{parsed.header.height}"
            print(f"warning: {job.name}: --size {size} distorts a picture of {full}", file=sys.stderr)
        if parsed.dropped:
            print(f"warning: {job.name}: the tail was dropped ({parsed.dropped})", file=sys.stderr)
        for k, picture in pictures.items():
            _save(picture, job.target.replace("{layer}", str(k)))
        sizes = ", ".join(f"{picture.shape[1]}x{picture.shape[0]}" for picture in pictures.values())
        return f"{job.name} -> {job.target}: {sizes}"

    run(jobs, work, "decoding")


def _skewed(box: tuple[int, int], width: int, height: int) -> bool:
    """Whether a size is of another shape than width x height, by more than a pixel of rounding a side explains."""
    return abs(box[0] * height - box[1] * width) > max(width, height)


def _whole_layers(data: bytes) -> str:
    """Which layers of a damaged stream are whole, in words; empty where none is."""
    from layered.stream import parse

    try:
        top = len(parse(data, strict=False).chunks) - 1
    except LayeredError:
        return ""
    return f"layers 0 to {top}" if top else "layer 0"


def _index(text: str | None) -> int | None:
    if text is None or text == "all":
        return None
    if not text.isdecimal():
        raise OptionError(f"--layer: {text!r} is neither a number from 0 (the base layer) nor 'all'")
    return int(text)


def size_of(text: str) -> tuple[int, int]:
    """`1536x1024` -> (1536, 1024).  Raises OptionError."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text)
    if match is None:
        raise OptionError(f"--size: {text!r} is not WIDTHxHEIGHT, for example 1536x1024")
    return int(match[1]), int(match[2])


def _save(picture: Image8, target: str) -> None:
    if target == PIPE:
        from PIL import Image

        png = BytesIO()
        Image.fromarray(picture).save(png, format="PNG")
        write_output(PIPE, png.getvalue())
        return
    from layered.image import save_image

    Path(target).parent.mkdir(parents=True, exist_ok=True)
    save_image(picture, target)
