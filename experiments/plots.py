"""Rate-distortion curves of each layer as SVG and PNG."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.method import CodecSpec
from experiments.tables import Tables
from experiments.words import quantity
from layered.errors import LayeredError
from layered.files import write_bytes_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["colours", "dash", "plot_curves"]

_MARKERS = {"layered": "o", "single": "^"}


def plot_curves(tables: Tables, folder: Path) -> tuple[Path, ...]:
    """Write curves as SVG and PNG; a codec without a finite curve is left out and named in the title.

    `rd_layer<k>` for each layer, or where there are several ladders `rd_ladder<j>` for the top layer of each; those
    of an earlier report go.  Solid for layered, dashed for simulcast, dotted for single-layer files.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    written = []
    several = len(tables.ladders) > 1
    layers = [(index, ladder.top) for index, ladder in enumerate(tables.ladders)] if several else [
        (0, layer) for layer in range(len(tables.ladders[0].scales))]  # fmt: skip
    for index, layer in layers:
        label = tables.ladders[index].label if several else tables.ladders[index].layers[layer]
        figure = Figure(figsize=(8.0, 5.2), layout="constrained")
        FigureCanvasAgg(figure)  # needs no display, and leaves pyplot's global state alone
        axes = figure.add_subplot()
        missing = _draw(axes, tables, index, layer)
        title = f"{tables.results.recipe.name}: {label}, mean of {quantity(len(tables.results.images()), 'image')}"
        axes.set_title(_plain(title + (f"\nwithout {', '.join(missing)}" if missing else "")), fontsize=10)
        axes.set_xlabel("bits per pixel of this layer, accumulated file bytes")
        axes.set_ylabel("RGB PSNR (dB)")
        axes.grid(True, alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8, loc="lower right")
        for ending in ("svg", "png"):
            path = folder / (f"rd_ladder{index}.{ending}" if several else f"rd_layer{layer}.{ending}")
            with matplotlib.rc_context({"svg.hashsalt": "layered"}):  # the same data give the same file
                drawn = BytesIO()
                dated = {"Date": None} if ending == "svg" else None
                figure.savefig(drawn, format=ending, dpi=150, metadata=dated)
            write_bytes_atomic(path, drawn.getvalue())
            written.append(path)
    for old in {*folder.glob("rd_layer*.*"), *folder.glob("rd_ladder*.*")} - set(written):
        old.unlink()
    return tuple(written)


def _draw(axes: Axes, tables: Tables, ladder: int, layer: int) -> list[str]:
    missing = []
    whole = len(tables.results.images())
    specs = tables.results.recipe.codecs
    for spec, colour in zip(specs, colours(specs), strict=True):
        try:
            points = sorted(tables.points(spec.name, layer, ladder), key=lambda point: point.bpp)
        except LayeredError:
            missing.append(spec.name)
            continue
        count = points[0].images
        axes.plot(
            [point.bpp for point in points],
            [point.psnr for point in points],
            label=_plain(spec.name + ("" if count == whole else f" ({count} of {quantity(whole, 'image')})")),
            color=f"C{colour % 10}",
            linestyle=dash(spec),
            linewidth=2.2 if spec.codec == "layered" else 1.2,
            marker=_MARKERS.get(spec.codec, "s"),
            markersize=4,
        )
    return missing


def dash(spec: CodecSpec) -> str:
    """Solid for layered files, dotted for single-layer ones, dashed for simulcast and the rest."""
    return {"layered": "solid", "single": "dotted"}.get(spec.codec, "dashed")


def colours(specs: Sequence[CodecSpec]) -> tuple[int, ...]:
    """A number per row, shared by those that differ in method alone, as simulcast and single-layer coding do."""
    drawn: list[tuple[object, set[str]]] = []
    numbers = []
    for spec in specs:
        picture = (spec.of, spec.weights, spec.options) if spec.of else spec.name
        free = (k for k, (of, methods) in enumerate(drawn) if of == picture and spec.codec not in methods)
        number = next(free, len(drawn))
        if number == len(drawn):
            drawn.append((picture, set()))
        drawn[number][1].add(spec.codec)
        numbers.append(number)
    return tuple(numbers)


def _plain(text: str) -> str:
    """Text in which matplotlib sees no formulas, and which it does not hide for its first letter."""
    return ("\u200a" if text.startswith("_") else "") + text.replace("$", r"\$")
