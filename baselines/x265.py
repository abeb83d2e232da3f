"""HEVC at a stated QP: x265 and FFmpeg's decoder, both through PyAV, one thread, nothing left to rate control.

A file begins with its picture's size and a CRC32 of all of it, so that damage is found before the decoder, which
would conceal it, sees any of it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.yuv import Chroma, Planes, chroma_of, pad
from layered.errors import CorruptStream, LayeredError, OptionError
from layered.fields import VARINT, Field, read_fields, write_fields
from layered.image import MAX_PIXELS, MAX_SIDE

__all__ = ["MAX_QP", "PARAMETERS", "decode", "encode", "padded", "padded_size", "qp_of", "seal", "unseal", "versions"]

MAX_QP = 51
MULTIPLE, MIN_SIDE = 8, 32
"""The smallest coding unit, and the least side that the slowest presets take."""

PARAMETERS = (
    "log-level=none:info=0:keyint=-1:bframes=0:ref=1:scenecut=0:aq-mode=0:cutree=0:weightp=0:psy-rd=0:psy-rdoq=0:"
    "frame-threads=1:pools=1:no-wpp=1"
)
"""What x265, tuned for PSNR, is told besides preset and QP: no adaptation, and nothing that depends on timing."""

_SLACK = 128
_STATS = struct.Struct("<iB")
_LAMBDA_PER_QP = 118  # FFmpeg reports a QP times this
_PICTURE_TYPES = b"\x01\x02"  # FFmpeg's numbers of I and P
_HEADER = (Field("crc", 4), Field("width", VARINT), Field("height", VARINT))


def encode(
    frames: Sequence[Planes], qp: int, first_qp: int | None = None, preset: str = "placebo"
) -> tuple[bytes, ...]:
    """One packet for each of one or two frames of equal size (see `padded`): an I picture, then a P picture.

    qp: of all frames; first_qp: of the first, where it differs.  Raises LayeredError when x265 used another QP, and
    OptionError without PyAV.
    """
    av, first = _av(), qp if first_qp is None else first_qp
    context = av.CodecContext.create("libx265", "w")
    context.height, context.width = frames[0][0].shape
    context.pix_fmt = _format(chroma_of(frames[0]), 8 if frames[0][0].dtype == np.uint8 else 10)
    context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
    # Of all ways to give frames QPs of their own only this reaches x265: qpfile and zones are ignored.
    rate = f"qp={qp}:ipratio={2 ** ((qp - first) / 6)!r}"
    context.options = {"preset": preset, "tune": "psnr", "x265-params": f"{rate}:{PARAMETERS}"}
    packets = []
    try:
        for number, planes in enumerate(frames):
            frame = av.VideoFrame(context.width, context.height, context.pix_fmt)
            for target, plane in zip(frame.planes, planes, strict=True):
                _lines(target, plane.dtype)[:, : plane.shape[1]] = plane
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


def decode(
    packets: Sequence[bytes], width: int, height: int, chroma: Chroma, bits: int = 8, codec: str = "hevc"
) -> Planes:
    """The last picture of packets as `encode` makes them.  Raises CorruptStream when they hold anything else.

    codec: FFmpeg's name of the decoder.
    """
    av, kind = _av(), _format(chroma, bits)
    context = av.CodecContext.create(codec, "r")
    context.thread_count = 1
    # The sizes in a damaged stream are as large as it likes; FFmpeg itself needs some more than the picture.
    context.options = {"max_pixels": str((width + _SLACK) * (height + _SLACK))}
    try:
        pictures = [picture for data in packets for picture in context.decode(av.Packet(data))]
        pictures += context.decode(None)
    except av.FFmpegError as error:
        raise CorruptStream(f"{codec.upper()}: {error.strerror}") from None
    found = [(picture.width, picture.height, picture.format.name, picture.is_corrupt) for picture in pictures]
    if found != [(width, height, kind, False)] * len(packets):
        wanted = f"{len(packets)} pictures of {width}x{height} {kind}"
        raise CorruptStream(f"{codec.upper()}: {wanted} expected, got {found}")
    dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
    y, cb, cr = (_lines(plane, dtype)[:, : plane.width].copy() for plane in pictures[-1].planes)
    return y, cb, cr


def padded(planes: Planes) -> Planes:
    """Planes of a size that x265 takes, `padded_size`; new samples repeat the edge."""
    height, width = planes[0].shape
    return pad(planes, *padded_size(width, height))


def padded_size(width: int, height: int) -> tuple[int, int]:
    """Width and height, each the next that x265 takes: a multiple of 8, at least 32."""
    wide, high = (max(MIN_SIDE, -(-side // MULTIPLE) * MULTIPLE) for side in (width, height))
    return wide, high


def qp_of(quality: float, highest: int = MAX_QP) -> int:
    """The QP of a quality, 51 - quality.  Raises OptionError unless it is a whole number from 0 to the highest."""
    if quality not in range(highest + 1):
        raise OptionError(f"HEVC: quality is {MAX_QP} - QP, a whole number in 0 to {highest}, got {quality:g}")
    return MAX_QP - int(quality)


def seal(kind: str, width: int, height: int, payload: bytes) -> bytes:
    """A file: CRC32, size of the picture, payload.  kind: what it is, which reading must name again."""
    body = write_fields(_HEADER[1:], {"width": width, "height": height}) + payload
    return write_fields(_HEADER[:1], {"crc": _crc(kind, body)}) + body


def unseal(kind: str, data: bytes) -> tuple[int, int, bytes]:
    """Width, height and payload of a file.  Raises CorruptStream for any that `seal` did not make of this kind."""
    values, at = read_fields(_HEADER, data, 0, kind)
    if values["crc"] != _crc(kind, data[_HEADER[0].size :]):
        raise CorruptStream(f"{kind}: checksum mismatch; the data are damaged, or not of this codec")
    width, height = values["width"], values["height"]
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE and width * height <= MAX_PIXELS):
        raise CorruptStream(f"{kind}: no picture has {width}x{height} pixels")
    return width, height, data[at:]


@cache
def versions() -> Mapping[str, str]:
    """Versions of x265, FFmpeg and PyAV."""
    av = _av()
    context = av.CodecContext.create("libx265", "w")
    context.width = context.height = 64
    context.pix_fmt, context.time_base, context.framerate = "yuv420p", Fraction(1, 25), Fraction(25)
    # Only coded pictures tell which x265 made them.
    context.options = {"preset": "ultrafast", "x265-params": "log-level=none:info=1:pools=1:frame-threads=1"}
    told = b"".join(map(bytes, [*context.encode(av.VideoFrame(64, 64, "yuv420p")), *context.encode(None)]))
    name = told.partition(b"x265 ")[2].partition(b" - H.265")[0].decode("ascii", "replace")
    return {"x265": name, "ffmpeg": av.ffmpeg_version_info, "av": av.__version__}


def _crc(kind: str, body: bytes) -> int:
    return zlib.crc32(body, zlib.crc32(kind.encode()))


def _av() -> ModuleType:
    try:
        import av
    except ImportError:
        raise OptionError("HEVC needs PyAV, which has x265 in it: pip install 'layered[codecs]'") from None
    return av


def _used(stats: bytes) -> tuple[float, int] | None:
    """QP and type of a coded picture, by FFmpeg's report; None where it made none."""
    if len(stats) < _STATS.size:
        return None
    scaled, kind = _STATS.unpack_from(stats)
    return scaled / _LAMBDA_PER_QP, kind


def _lines(plane: Any, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A plane of one of FFmpeg's frames, not copied: [H, W], with what it has beyond W on each line."""
    return np.frombuffer(plane, dtype).reshape(-1, plane.line_size // dtype.itemsize)[: plane.height]


def _format(chroma: Chroma, bits: int) -> str:
    return f"yuv{chroma}p" if bits == 8 else f"yuv{chroma}p10le"
