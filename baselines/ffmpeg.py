"""FFmpeg's decoders of HEVC and VVC through PyAV, on one thread."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from baselines.yuv import Chroma, Planes
from layered.errors import CorruptStream, OptionError, install

__all__ = ["coder", "decode", "lines", "pixel_format", "pyav"]

_SLACK = 128


def decode(
    packets: Sequence[bytes], width: int, height: int, chroma: Chroma, bits: int = 8, codec: str = "hevc"
) -> Planes:
    """The last picture of packets as `encode` makes them.  Raises CorruptStream when they hold anything else.

    codec: FFmpeg's name of the decoder.
    """
    kind, context = pixel_format(chroma, bits), coder(codec, "r")
    context.thread_count = 1
    # The sizes in a damaged stream are as large as it likes; FFmpeg itself needs some more than the picture.
    context.options = {"max_pixels": str((width + _SLACK) * (height + _SLACK))}
    try:
        pictures = [picture for data in packets for picture in context.decode(pyav().Packet(data))]
        pictures += context.decode(None)
    except pyav().FFmpegError as error:
        raise CorruptStream(f"{codec.upper()}: {error.strerror}") from None
    found = [(picture.width, picture.height, picture.format.name, picture.is_corrupt) for picture in pictures]
    if found != [(width, height, kind, False)] * len(packets):
        wanted = f"{len(packets)} pictures of {width}x{height} {kind}"
        raise CorruptStream(f"{codec.upper()}: {wanted} expected, got {found}")
    dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
    y, cb, cr = (lines(plane, dtype)[:, : plane.width].copy() for plane in pictures[-1].planes)
    return y, cb, cr


def pyav() -> ModuleType:
    """The package `av`.  Raises OptionError without it."""
    try:
        import av
    except ImportError:
        raise OptionError(f"HEVC, VVC and SHVC need PyAV: {install('codecs')}") from None
    return av


def coder(name: str, mode: Literal["r", "w"]) -> Any:
    """A context of one of FFmpeg's codecs, to read or to write.  Raises OptionError where PyAV has no such codec."""
    av = pyav()
    try:
        return av.CodecContext.create(name, mode)
    except ValueError:  # a codec that is unknown is no FFmpegError
        raise OptionError(f"this PyAV has no {name}; install its own wheel from PyPI") from None


def lines(plane: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A plane of one of FFmpeg's frames, not copied: [H, W], with what it has beyond W on each line."""
    return np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)[: plane.height]


def pixel_format(chroma: Chroma, bits: int) -> str:
    """FFmpeg's name of planes of this kind."""
    return f"yuv{chroma}p" if bits == 8 else f"yuv{chroma}p10le"
