"""What SHM's encoder prints about one picture in several layers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from layered.errors import LayeredError

__all__ = ["LayerLog", "Log", "parse_log"]

_VERSION = re.compile(r"SHM software: Encoder Version (.*\S)")
_DB = r"(-?(?:\d+(?:\.\d+)?|inf|nan)) dB"
_PICTURE = re.compile(
    r"POC\s+(\d+)\s+LId:\s*(\d+)\s.*\(\s*([A-Z])-SLICE\b.*\bQP\s+(-?\d+(?:\.\d+)?)\s*\)\s+(\d+) bits"
    rf"\s+\[Y\s+{_DB}\s+U\s+{_DB}\s+V\s+{_DB}\]"
)
_BYTES = re.compile(r"Bytes written to file:\s*(\d+)")


@dataclass(frozen=True)
class LayerLog:
    """One layer's picture.

    kind: of its slices, `I` or `P`.  bits: of this layer alone, with its parameter sets.  psnr: of Y, U and V in
    dB, at the coded size.
    """

    kind: str
    qp: float
    bits: int
    psnr: tuple[float, float, float]


@dataclass(frozen=True)
class Log:
    """All that a comparison needs of an encoder's run.

    version: of SHM and its build.  layers: the base first.  file_bytes: of the whole stream.
    """

    version: str
    layers: tuple[LayerLog, ...]
    file_bytes: int


def parse_log(lines: Iterable[str]) -> Log:
    """An encoder's output, by lines.

    Raises LayeredError when it is not that of SHM, was cut short, or tells of several pictures of a layer.
    """
    text = "\n".join(lines)
    version, written = _VERSION.search(text), _BYTES.search(text)
    if version is None:
        raise LayeredError("no output of SHM's encoder: it names no version")
    if written is None:
        raise LayeredError("SHM's encoder did not come to its end: it wrote no size of the stream")
    layers: list[LayerLog] = []
    for match in _PICTURE.finditer(text):
        number, layer, kind, qp, bits, *psnr = match.groups()
        if int(number) != 0 or int(layer) != len(layers):
            raise LayeredError(f"SHM's encoder: picture {number} of layer {layer} where layer {len(layers)} was due")
        y, u, v = map(float, psnr)
        layers.append(LayerLog(kind, float(qp), int(bits), (y, u, v)))
    if not layers:
        raise LayeredError("SHM's encoder coded no picture")
    return Log(version[1], tuple(layers), int(written[1]))
