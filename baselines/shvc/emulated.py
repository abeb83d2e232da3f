"""SHVC without its reference software: HEVC's own inter prediction, by x265, from the resampled lower layer.

SHVC codes an enhancement layer as a P picture whose only reference is the lower layer's picture, resampled.  Here
that reference is an I picture at QP 0, so nearly the resampled picture, of which nothing is stored: the decoder makes
it again from the lower layer, by the same x265, and a checksum tells whether it succeeded.  What differs from real
SHVC: the reference is that picture coded rather than itself; vectors need not be zero; there are no parameter sets
for the upper layers; and x265 decides otherwise than the reference software.  Players of SHVC cannot read the files.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from baselines import ffmpeg, sealed, x265
from baselines.fingerprint import source_digest
from baselines.hevc import HevcPicture
from baselines.protocol import Encoded, Quality, layer_qualities
from baselines.shvc.resample import resample
from baselines.yuv import Chroma, Planes, crop, to_picture, to_planes
from layered.errors import CorruptStream, LayeredError, OptionError
from layered.image import Image8, check_image, layer_sizes, resize8

__all__ = ["NAME", "EmulatedShvc"]

NAME = "SHVC (emulated, x265)"
MAX_RATIO = 16
"""Of a layer's sides to those below: decoding codes a reference of its size before it can look at the layer."""

_PREFIX = struct.Struct("<BI")  # of an enhancement layer: QP, and CRC32 of the decoded planes
_START = b"\0\0\0\1"
_REFERENCE_QP = 0
_SOURCES = (
    "baselines/ffmpeg.py", "baselines/hevc.py", "baselines/sealed.py", "baselines/shvc/emulated.py",
    "baselines/shvc/resample.py", "baselines/x265.py", "baselines/yuv.py", "layered/fields.py", "layered/image.py",
)  # fmt: skip


@dataclass(frozen=True)
class EmulatedShvc:
    """Any number of layers, one file each; the base layer's is that of the codec `hevc-420` (or 4:4:4, 8 bits).

    Quality is 51 - QP, one for all layers or one for each.
    """

    chroma: Chroma = "420"

    @property
    def quality_range(self) -> tuple[float, float]:
        return 0, x265.MAX_QP

    def encode(self, image: Image8, scales: Sequence[float], quality: Quality) -> Encoded:
        """Raises OptionError for wrong scales or qualities, or without PyAV; LayeredError where x265 fails."""
        check_image(image)
        sizes = layer_sizes(image.shape[1], image.shape[0], scales)
        sealed.check_size(NAME, *sizes[-1])
        for below, size in pairwise(sizes):
            if _too_far(below, size):
                raise OptionError(f"{NAME}: a layer is at most {MAX_RATIO} times as wide and high as the one below")
        qps = [x265.qp_of(value, what="SHVC") for value in layer_qualities(quality, len(sizes))]
        files = [self._base.encode(resize8(image, *sizes[0]), x265.MAX_QP - qps[0])]
        lower = self._base.decode_planes(files[0])
        for below, size, qp in zip(sizes[:-1], sizes[1:], qps[1:], strict=True):
            reference = x265.padded(resample(lower, below, size))
            target = x265.padded(to_planes(resize8(image, *size), self.chroma))
            packets = x265.encode([reference, target], qp, _REFERENCE_QP)
            if not packets[1].startswith(_START):
                raise LayeredError("x265 wrote a picture without a start code; use a PyAV that is known to work")
            lower = self._decoded(packets, *size)
            payload = _PREFIX.pack(qp, _checksum(lower)) + packets[1][len(_START) :]
            files.append(sealed.seal(self._kind, *size, payload))
        return Encoded(tuple(files), tuple(accumulate(map(len, files))))

    def decode(self, encoded: Encoded) -> tuple[Image8, ...]:
        """Any number of layers from the base up.

        Raises CorruptStream for damaged files, for layers of different pictures, and where this x265 or decoder
        does not make the pictures that the encoder had.
        """
        if not encoded.files:
            raise CorruptStream(f"{NAME}: no file at all")
        pictures: list[Image8] = []
        for number, file in enumerate(encoded.files):
            if number == 0:
                width, height, _ = sealed.unseal(self._base.kind, file)
                planes = self._base.decode_planes(file)
            else:
                below = (width, height)
                width, height, payload = sealed.unseal(self._kind, file)
                planes = self._enhanced(planes, below, (width, height), payload)
            pictures.append(to_picture(planes, width, height))
        return tuple(pictures)

    def fingerprint(self) -> Mapping[str, str]:
        settings = f"{self.chroma} bt709 8 bits, preset placebo, reference at QP {_REFERENCE_QP}: {x265.PARAMETERS}"
        return {"codec": NAME, **x265.versions(), "settings": settings, "code": source_digest(*_SOURCES)}

    @property
    def _base(self) -> HevcPicture:
        return HevcPicture(self.chroma)

    @property
    def _kind(self) -> str:
        return f"SHVC {self.chroma} enhancement layer"

    def _decoded(self, packets: Sequence[bytes], width: int, height: int) -> Planes:
        return crop(ffmpeg.decode(packets, *x265.padded_size(width, height), self.chroma), width, height)

    def _enhanced(self, lower: Planes, below: tuple[int, int], size: tuple[int, int], payload: bytes) -> Planes:
        if len(payload) < _PREFIX.size or payload[0] > x265.MAX_QP:
            raise CorruptStream(f"{self._kind}: no QP and checksum at the start")
        if size[0] < below[0] or size[1] < below[1] or _too_far(below, size):
            raise CorruptStream(f"{self._kind}: not 1 to {MAX_RATIO} times as large as the layer below")
        qp, checksum = _PREFIX.unpack_from(payload)
        intra = x265.encode([x265.padded(resample(lower, below, size))], qp, _REFERENCE_QP)
        planes = self._decoded([*intra, _START + payload[_PREFIX.size :]], *size)
        if _checksum(planes) != checksum:
            raise CorruptStream(
                f"{self._kind}: the picture is not the encoder's; this layer belongs to another lower layer, or was "
                f"written with another x265 than {x265.versions()['x265']}"
            )
        return planes


def _too_far(below: tuple[int, int], size: tuple[int, int]) -> bool:
    return any(above > MAX_RATIO * side for side, above in zip(below, size, strict=True))


def _checksum(planes: Planes) -> int:
    checksum = 0
    for plane in planes:
        checksum = zlib.crc32(plane.tobytes(), checksum)
    return checksum
