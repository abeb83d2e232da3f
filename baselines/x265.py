"""HEVC at a stated QP: x265 through PyAV, on one thread, nothing left to rate control."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache

import numpy as np

from baselines.ffmpeg import coder, lines, pixel_format, pyav
from baselines.yuv import Planes, chroma_of, pad, padded_to
from layered.errors import LayeredError, OptionError

__all__ = ["MAX_QP", "PARAMETERS", "encode", "padded", "padded_size", "qp_of", "versions"]

MAX_QP = 51
MULTIPLE, MIN_SIDE = 8, 32
"""The smallest coding unit, and the least side that the slowest presets take."""

PARAMETERS = (
    "log-level=none:info=0:keyint=-1:bframes=0:ref=1:scenecut=0:aq-mode=0:cutree=0:weightp=0:psy-rd=0:psy-rdoq=0:"
    "frame-threads=1:pools=1:no-wpp=1"
)
"""What x265, tuned for PSNR, is told besides preset and QP: no adaptation, and nothing that depends on timing."""

_STATS = struct.Struct("<iB")
_LAMBDA_PER_QP = 118  # FFmpeg reports a QP times this
_PICTURE_TYPES = b"\x01\x02"  # FFmpeg's numbers of I and P


def encode(
    frames: Sequence[Planes], qp: int, first_qp: int | None = None, preset: str = "placebo"
) -> tuple[bytes, ...]:
    """One packet for each of one or two frames of equal size (see `padded`): an I picture, then a P picture.

    qp: of all frames; first_qp: of the first, where it differs.  Raises LayeredError when x265 used another QP, and
    OptionError without PyAV.
    """
    av, first = pyav(), qp if first_qp is None else first_qp
    context = coder("libx265", "w")
    context.height, context.width = frames[0][0].shape
    context.pix_fmt = pixel_format(chroma_of(frames[0]), 8 if frames[0][0].dtype == np.uint8 else 10)
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    # Of all ways to give frames QPs of their own only this reaches x265: qpfile and zones are ignored.
    rate = f"qp={qp}:ipratio={2 ** ((qp - first) / 6)!r}"
    context.options = {"preset": preset, "tune": "psnr", "x265-params": f"{rate}:{PARAMETERS}"}
    packets = []
    try:
        for number, planes in enumerate(frames):
            frame = av.VideoFrame(context.width, context.height, context.pix_fmt)
            for target, plane in zip(frame.planes, planes, strict=True):
                lines(target, plane.dtype)[:, : plane.shape[1]] = plane
            frame.pts = number
            packets += context.encode(frame)
        packets += context.encode(None)
    except av.FFmpegError as error:
        size = f"{context.width}x{context.height} {context.pix_fmt}"
        raise LayeredError(f"x265 did not code a picture of {size} at QP {qp}: {error.strerror}") from None
    wanted = [(first, _PICTURE_TYPES[0]), (qp, _PICTURE_TYPES[1])][: len(frames)]
    used = [_used(bytes(packet.get_sidedata("quality_stats"))) for packet in packets]
    if used != wanted:
        raise LayeredError(f"x265 coded pictures of QP and type {used}, not {wanted}; use a PyAV that is known to work")
    return tuple(bytes(packet) for packet in packets)


def padded(planes: Planes) -> Planes:
    """Planes of a size that x265 takes, `padded_size`; new samples repeat the edge."""
    height, width = planes[0].shape
    return pad(planes, *padded_size(width, height))


def padded_size(width: int, height: int) -> tuple[int, int]:
    """Width and height, each the next that x265 takes: a multiple of 8, at least 32."""
    return padded_to(width, height, MULTIPLE, MIN_SIDE)


def qp_of(quality: float, highest: int = MAX_QP, what: str = "HEVC") -> int:
    """The QP of a quality, 51 - quality.  Raises OptionError, naming `what`, unless it is whole, 0 to the highest."""
    if quality not in range(highest + 1):
        raise OptionError(f"{what}: quality is {MAX_QP} - QP, a whole number in 0 to {highest}, got {quality:g}")
    return MAX_QP - int(quality)


@cache
def versions() -> Mapping[str, str]:
    """Versions of x265, FFmpeg and PyAV."""
    av = pyav()
    context = coder("libx265", "w")
    context.width = context.height = 64
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
    # Only coded pictures tell which x265 made them.
    context.options = {"preset": "ultrafast", "x265-params": "log-level=none:info=1:pools=1:frame-threads=1"}
    told = b"".join(map(bytes, [*context.encode(av.VideoFrame(64, 64, "yuv420p")), *context.encode(None)]))
    name = told.partition(b"x265 ")[2].partition(b" - H.265")[0].decode("ascii", "replace")
    return {"x265": name, "ffmpeg": av.ffmpeg_version_info, "av": av.__version__}


def _used(stats: bytes) -> tuple[float, int] | None:
    """QP and type of a coded picture, by FFmpeg's report; None where it made none."""
    if len(stats) < _STATS.size:
        return None
    scaled, kind = _STATS.unpack_from(stats)
    return scaled / _LAMBDA_PER_QP, kind
