"""`layered adapt`: images to layered streams that are adapted to each of them."""

from __future__ import annotations

import reprlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from layered.commands.batch import STREAM_ENDING, Job, is_folder, keeping, plan, run, write_output
from layered.commands.guide import GuideOptions
from layered.commands.journal import Journal, digest_of
from layered.commands.model import check_name, named_codec
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
from layered.commands.steps import Steps
from layered.errors import OptionError
from layered.files import IMAGE_ENDINGS

if TYPE_CHECKING:
    from adapters.adaptation import AdaptationSettings, LayerReport
    from layered.codec import LayeredCodec
    from layered.guide import Guide
    from layered.image import Image8

__all__ = ["adapt"]

Made = TypeVar("Made")

MOST = 1e6
"""Of lambda and of weights: far above any use, and far below where costs are no numbers any more."""


def adapt(
    source: Images,
    target: Streams,
    method: Annotated[str, typer.Option(help="How it is adapted; see adapters/README.md.")] = "universal",
    steps: Annotated[
        int | None, typer.Option(min=0, help="Of the latents' refinement.  Default: the method's own.")
    ] = None,
    adapter_steps: Annotated[int | None, typer.Option(min=0, help="Of the adapters.")] = None,
    last_steps: Annotated[
        int | None, typer.Option(min=0, help="Of a refinement after the adapters.  Default: --steps.")
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option(help="Of the steps of each stage of each layer, at the most: refinement, adapters, refinement "
                     "after them; what a stage sets up and tries at its end comes on top."),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Stop a refinement after so many trials of 25 without a gain.")
    ] = None,
    schedule: Annotated[str | None, typer.Option(help="Of the refinement: fast, reference, universal, ...")] = None,
    lam: Annotated[
        float | None, typer.Option("--lambda", max=MOST, help="The trade-off.  Default: that of each layer's quality.")
    ] = None,
    distortion: Annotated[str, typer.Option(help="What is minimised beside bits: mse or ms-ssim.")] = "mse",
    rank: Annotated[int | None, typer.Option(min=1, max=64, help="Of adapters that have one.")] = None,
    sites: Annotated[
        list[str] | None,
        typer.Option(help="Where adapters are: @attention, @synthesis, @decoder or a pattern of modules' names; may be "
                     "given again.  Default: @attention, and @synthesis in layers without any."),
    ] = None,
    layers: Annotated[str, typer.Option(help="Which layers are adapted: all, or their numbers, as 0 or 1,2.")] = "all",
    layer_weights: Annotated[
        str | None, typer.Option(help="Of the layers' distortions, for layered-joint: one number a layer, base first.")
    ] = None,
    scales: Scales = None,
    quality: Qualities = None,
    weights: Weights = "compass-small",
    labels: LabelMap = None,
    preserve: Preserve = None,
    box: Box = None,
    mask: Mask = None,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    exact: Exact = False,
    no_verify: NoVerify = False,
    device: Device = "cpu",
) -> None:
    """Encode images into layered streams that are adapted to each: fewer bits for more time, decoded as any others.

    In a folder OUT, what the same command has made before is left alone, what it has made otherwise is made anew, and
    what it has not made is never replaced; adapt.jsonl there says by digests what each was made from.
    """
    jobs = plan(source, target, lambda path: path.suffix.lower() in IMAGE_ENDINGS, STREAM_ENDING)
    check_name(weights)

    from adapters.adaptation import PerImage
    from adapters.allocator import keep_memory

    given = scales_of(scales)
    qualities = None if quality is None else numbers(quality, "--quality")
    chosen = qualities[0] if qualities and len(qualities) == 1 else qualities
    guides = GuideOptions(labels, preserve, box or (), mask)
    settings = _settings(
        method=method, steps=steps, adapter_steps=adapter_steps, last_steps=last_steps, seconds=seconds,
        patience=patience, schedule=schedule, lam=lam, distortion=distortion, rank=rank,
        sites=tuple(sites) if sites else None, layers=_numbered(layers),
        weights=None if layer_weights is None else _weighed(layer_weights), seed=seed,
    )  # fmt: skip
    journal = Journal(Path(target)) if is_folder(target) or is_folder(source) else None
    codec = named_codec(weights, device)
    ladder = ladder_of(given, codec)
    _named(lambda: settings.check(len(ladder)))
    each = codec.qualities(chosen, len(ladder))  # what is wrong is told once, not for each file
    bars = Steps()
    adaptation = PerImage(settings, lambda k, stage: bars.begin(f"layer {k}: {stage}"))
    keep_memory()
    if journal is not None:
        journal.begin(Path(job.target) for job in jobs)

    def work(job: Job) -> str:
        began = time.monotonic()
        image = picture_of(job.source)
        guide = guides.of(job.source, codec)
        origin = _origin(image, guide, codec, {
            "settings": settings.model_dump(mode="json"), "scales": ladder, "qualities": each, "exact": exact,
        })  # fmt: skip
        if journal is not None and journal.has(Path(job.target), origin):
            return f"{job.name} -> {job.target}: made before"
        data = codec.encode(
            image, ladder, chosen, exact=exact, verify=not no_verify, guide=guide, adaptation=adaptation
        )
        if journal is None:
            write_output(job.target, data)
        else:
            with keeping():
                journal.note(Path(job.target), origin, data)
                write_output(job.target, data)
        size = told_of(data, image.shape[0] * image.shape[1], ladder, codec)
        told = f"{job.name} -> {job.target}: {size}, {time.monotonic() - began:.0f} s"
        return "\n".join((told, *map(_reported, adaptation.reports)))

    run(jobs, work, "adapting", bars)


def _numbered(text: str) -> str | tuple[int, ...]:
    """`1,2` -> (1, 2); `all` stays.  Raises OptionError."""
    if text == "all":
        return text
    parts = text.split(",")
    if not all(part.isascii() and part.isdecimal() and len(part) <= 3 for part in parts):
        raise OptionError(f"--layers: {reprlib.repr(text)} is neither all nor numbers of layers, 0 being the base; "
                          "their scales are --scales")
    found = tuple(int(part) for part in parts)
    if twice := [number for number in found if found.count(number) > 1]:
        raise OptionError(f"--layers: {twice[0]} is given twice")
    return found


def _weighed(text: str) -> tuple[float, ...]:
    """The weights of layers.  Raises OptionError."""
    found = numbers(text, "--layer-weights")
    if not all(0 <= weight <= MOST for weight in found):  # nor is NaN
        raise OptionError(f"--layer-weights: each is 0 to {MOST:.0f}")
    return found


_OPTIONS = {
    "lam": "lambda", "adapter_steps": "adapter-steps", "last_steps": "last-steps", "weights": "layer-weights",
}  # fmt: skip
"""Settings whose options have other names."""


def _settings(**given: Any) -> AdaptationSettings:
    from adapters.adaptation import AdaptationSettings

    settings = _named(lambda: AdaptationSettings(**given))
    _named(settings.resolved)
    return settings


def _named(check: Callable[[], Made]) -> Made:
    """What it returns, with an option's name for a setting's in front of what it finds wrong."""
    try:
        return check()
    except OptionError as error:
        raise OptionError(_as_option(str(error))) from None


def _as_option(message: str) -> str:
    """`last_steps has no meaning ...` -> `--last-steps has no meaning ...`."""
    name = message.split(" ", 1)[0].removesuffix(":")
    return f"--{_OPTIONS.get(name, name)}{message[len(name):]}"


def _origin(image: Image8, guide: Guide | None, codec: LayeredCodec, how: dict[str, Any]) -> str:
    """A digest of all that a stream depends on."""
    from layered import __version__

    guided = () if guide is None else (guide.labels.numpy().tobytes(), guide.preserved.numpy().tobytes())
    facts = {**how, "size": image.shape, "weights": codec.digest.hex(), "version": __version__}
    return digest_of(facts, image.tobytes(), *guided)


def _reported(report: LayerReport) -> str:
    gain = 100 * (report.after / report.before - 1)
    sent = f"adapter {report.adapter_bytes} bytes" if report.adapter_bytes else "no adapter"
    return f"  layer {report.layer}: cost {report.before:.4f} -> {report.after:.4f} ({gain:+.1f}%), {sent}"
