"""`layered encode`: images to layered streams."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from layered.commands.batch import STREAM_ENDING, Job, plan, run, write_output
from layered.commands.guide import GuideOptions
from layered.commands.model import named_codec
from layered.commands.options import (
    Box,
    Device,
    Exact,
    Images,
    LabelMap,
    Mask,
    NoVerify,
    Preserve,
    Qualities,
    Scales,
    Streams,
    Weights,
    ladder_of,
    numbers,
    picture_of,
    scales_of,
    told_of,
)  # fmt: skip
from layered.errors import OptionError
from layered.files import IMAGE_ENDINGS

__all__ = ["encode"]


def encode(
    source: Images,
    target: Streams,
    scales: Scales = None,
    quality: Qualities = None,
    target_bpp: Annotated[
        float | None, typer.Option(help="Best quality within this many bits per pixel of the full image.")
    ] = None,
    target_bytes: Annotated[int | None, typer.Option(help="Best quality within this many bytes.")] = None,
    weights: Weights = "compass-small",
    labels: LabelMap = None,
    preserve: Preserve = None,
    box: Box = None,
    mask: Mask = None,
    exact: Exact = False,
    no_verify: NoVerify = False,
    device: Device = "cpu",
) -> None:
    """Encode an image, or every image of a folder, into layered streams."""
    given = scales_of(scales)
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

    def work(job: Job) -> str:
        image = picture_of(job.source)
        pixels = image.shape[0] * image.shape[1]
        codec = named_codec(weights, device)
        ladder = ladder_of(given, codec)
        guide = guides.of(job.source, codec)
        budget = target_bytes if target_bpp is None else int(min(target_bpp * pixels / 8, sys.maxsize))
        if budget is None:
            data = codec.encode(image, ladder, chosen, exact=exact, verify=not no_verify, guide=guide)
        else:
            from layered.budget import encode_to_bytes  # it brings torch, as the codec has by now

            data = encode_to_bytes(codec, image, ladder, budget, exact=exact, verify=not no_verify, guide=guide)
        write_output(job.target, data)
        told = f"{job.name} -> {job.target}: {told_of(data, pixels, ladder, codec)}"
        if budget is not None and _quality_of(data) >= codec.quality_range[1]:
            told += "; the target allowed more than the highest quality takes"
        return told

    if len(jobs) > 1:
        codec = named_codec(weights, device)
        codec.qualities(chosen, len(ladder_of(given, codec)))  # what is wrong is told once, not for each file
    run(jobs, work, "encoding")


def _quality_of(data: bytes) -> float:
    """The quality of a stream's base layer, which stands for all where a target was given."""
    from layered.stream import parse

    return parse(data).chunks[0].quality
