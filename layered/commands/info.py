"""`layered info`: what a stream holds, without loading a model unless asked what only a codec can tell."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from layered.commands.batch import PIPE, naming, read_input
from layered.commands.options import picture_of
from layered.errors import OptionError

if TYPE_CHECKING:
    from layered.codec import LayeredCodec
    from layered.image import Image8
    from layered.stream import Stream

__all__ = ["describe", "info"]

COLUMNS = ("layer", "width", "height", "quality", "bytes", "accumulated", "bpp")
SCORES = ("psnr", "ms_ssim")


def info(
    source: Annotated[str, typer.Argument(metavar="FILE", help="Stream, or - for a pipe.")],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
    lenient: Annotated[
        bool, typer.Option("--lenient", help="Describe what is whole of a damaged one.")
    ] = False,
    parts: Annotated[
        bool, typer.Option("--parts", help="What the bytes of each layer are spent on; loads the weights.")
    ] = False,
    original: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help="The picture that was coded: PSNR and MS-SSIM of each layer; decodes them."),
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            "--model",
            help="With --parts or --original: the weights that wrote the stream, if they are not bundled.",
        ),
    ] = None,
) -> None:
    """Say what a stream holds: sizes, qualities, bytes of each layer, and the weights it needs.

    Accumulated bytes are those up to a layer's end, which must be there to decode it, header and lower layers included;
    bpp are their bits per pixel of that layer.  PSNR (dB; inf, in JSON null, of equal pictures) and MS-SSIM (- or null
    where the shorter side has less than 161 pixels) are on RGB in 8 bits, against the original at the layer's size.
    """
    from layered.stream import parse
    from layered.weights import name_of

    if weights is not None and not parts and original is None:
        raise OptionError("--weights goes with --parts or --original")
    if source == PIPE == original:
        raise OptionError("the stream and --original cannot both be read from standard input; name a file for one")
    reference = None if original is None else picture_of(original)
    data = read_input(source)
    name = "standard input" if source == PIPE else source
    with naming(name):
        stream = parse(data, strict=not lenient)
        facts = {
            "file": name,
            "file_bytes": len(data),
            "weights": name_of(stream.header.digest),
            **describe(stream),
        }
        if reference is not None:
            _require_size(stream, reference)
        if parts or reference is not None:
            from layered.commands.model import named_codec, writer_of

            codec = named_codec(weights, "cpu") if weights else writer_of(stream.header.digest, "cpu")
            if parts:
                _add_parts(facts["layers"], stream, codec)
            if reference is not None:
                _add_scores(facts["layers"], codec.decode(data, strict=not lenient), reference)
    typer.echo(json.dumps(facts, indent=2) if as_json else _text(facts))


def _add_parts(layers: list[dict[str, Any]], stream: Stream, codec: LayeredCodec) -> None:
    from layered.parts import parts_of

    for layer, held in zip(layers, parts_of(stream, codec), strict=True):
        layer["parts"] = {part.name: part.bytes for part in held}


def _require_size(stream: Stream, reference: Image8) -> None:
    """Raises OptionError, before anything is decoded, for another size than that of the picture that was coded."""
    height, width = reference.shape[:2]
    if (width, height) != (stream.header.width, stream.header.height):
        coded = f"{stream.header.width}x{stream.header.height}"
        raise OptionError(f"--original is a picture of {width}x{height}, and one of {coded} was coded")


def _add_scores(layers: list[dict[str, Any]], pictures: Sequence[Image8], reference: Image8) -> None:
    """PSNR, None of equal pictures, and MS-SSIM, None of pictures too small for it."""
    from experiments.metrics import ms_ssim, psnr
    from layered.image import resize8

    for layer, picture in zip(layers, pictures, strict=True):
        there = resize8(reference, layer["width"], layer["height"])
        score = psnr(picture, there)
        layer.update(psnr=score if math.isfinite(score) else None, ms_ssim=ms_ssim(picture, there))


def describe(stream: Stream) -> dict[str, Any]:
    """A JSON-ready summary.

    Per layer: width, height, quality, payload and adapter bytes, all bytes of the chunk, bytes accumulated
    up to its end (header and lower layers included), and bpp, the accumulated bits per pixel of this layer.
    """
    header, starts = stream.header, (0, *stream.ends)
    layers = [
        {
            "layer": k,
            "width": chunk.width,
            "height": chunk.height,
            "quality": chunk.quality,
            "payload": len(chunk.payload),
            "adapter": len(chunk.adapter),
            "bytes": end - starts[k],
            "accumulated": end,
            "bpp": 8 * end / (chunk.width * chunk.height),
        }
        for k, (chunk, end) in enumerate(zip(stream.chunks, stream.ends, strict=True))
    ]
    return {
        "version": header.version,
        "model": header.digest.hex(),
        "width": header.width,
        "height": header.height,
        "exact": header.exact,
        "layers_written": header.layers,
        "layers": layers,
        "dropped": stream.dropped,
    }


def _text(facts: dict[str, Any]) -> str:
    weights = facts["weights"] or "not bundled"
    held = len(facts["layers"])
    cut = "" if held == facts["layers_written"] else f", cut after {held} of {facts['layers_written']}"
    layers = "layer" if facts["layers_written"] == 1 else "layers"
    lines = [
        f"{facts['file']}: {facts['file_bytes']} bytes, layered stream version {facts['version']}",
        f"picture {facts['width']}x{facts['height']} in {facts['layers_written']} {layers}{cut}",
        f"weights {weights} ({facts['model']}), {'exact' if facts['exact'] else 'float32'} synthesis",
    ]
    if facts["dropped"]:
        lines.append(f"damaged tail: {facts['dropped']}")
    columns = (*COLUMNS, *(score for score in SCORES if score in facts["layers"][0]))
    rows = [columns] + [tuple(_cell(column, layer[column]) for column in columns) for layer in facts["layers"]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["  ".join(cell.rjust(w) for cell, w in zip(row, widths, strict=True)) for row in rows]
    for layer in facts["layers"]:
        if "parts" in layer:
            told = ", ".join(f"{name} {count}" for name, count in layer["parts"].items())
            lines.append(f"bytes of layer {layer['layer']}: {told}")
    return "\n".join(lines)


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return "inf" if column == "psnr" else "-"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
