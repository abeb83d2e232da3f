"""Still pictures in HEVC by x265, in YCbCr of full range; quality is 51 - QP, so that more of it costs more bytes.

`hevc` is in full colour resolution and 10 bits, so that the conversion of colours costs nothing; `hevc-420` is what
SHVC's layers are here, 4:2:0 and 8 bits.

`bpg` stands for `bpgenc -e x265 -f 444 -c ycbcr -b 8` (libbpg 0.9.8) at its default level 8, as the curve `BPG 8b 444
x265 ycbcr` of CompressAI was made.  Its source gives: preset `veryslow`, constant QP, which leaves no adaptive
quantisation, and edges repeated up to a multiple of 8.  Assumed: that `ycbcr` is BT.601 in full range; that x265 lowers
the QP of I pictures by its default ratio, 1.4, so that `-q Q` codes at Q - 3; that it decides now as it did then.
BPG packs the parameter sets tighter, by some tens of bytes a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from baselines import ffmpeg, sealed, x265
from baselines.fingerprint import source_digest
from baselines.yuv import Chroma, Matrix, Planes, crop, to_picture, to_planes
from layered.image import Image8

__all__ = ["HEVC", "HevcPicture"]


_SOURCES = (
    "baselines/ffmpeg.py", "baselines/hevc.py", "baselines/sealed.py", "baselines/x265.py", "baselines/yuv.py",
    "layered/fields.py",
)  # fmt: skip


@dataclass(frozen=True)
class HevcPicture:
    """One I picture, in a file of its own.

    bits: of the coded samples, 8 or 10.  preset: of x265, which is always tuned for PSNR.  lower_qp: what the
    coded QP is below the nominal one.
    """

    chroma: Chroma
    matrix: Matrix = "bt709"
    bits: int = 8
    preset: str = "placebo"
    lower_qp: int = 0

    @property
    def quality_range(self) -> tuple[float, float]:
        return 0, x265.MAX_QP - self.lower_qp

    def encode(self, image: Image8, quality: float) -> bytes:
        """Raises OptionError for a quality that does not exist, or without PyAV; LayeredError where x265 fails."""
        sealed.check_size(self.kind, image.shape[1], image.shape[0])
        qp = x265.qp_of(quality, x265.MAX_QP - self.lower_qp) - self.lower_qp
        planes = x265.padded(to_planes(image, self.chroma, self.matrix, self.bits))
        (packet,) = x265.encode([planes], qp, preset=self.preset)
        return sealed.seal(self.kind, image.shape[1], image.shape[0], packet)

    def decode(self, data: bytes) -> Image8:
        """Raises CorruptStream for anything that `encode` of the same codec did not make."""
        width, height, _ = sealed.unseal(self.kind, data)
        return to_picture(self.decode_planes(data), width, height, self.matrix)

    def decode_planes(self, data: bytes) -> Planes:
        """The picture before it becomes RGB; in 4:2:0 a side that is odd is one larger.  Raises as `decode` does."""
        width, height, packet = sealed.unseal(self.kind, data)
        planes = ffmpeg.decode([packet], *x265.padded_size(width, height), self.chroma, self.bits)
        return crop(planes, width, height)

    def fingerprint(self) -> Mapping[str, str]:
        return {
            **x265.versions(),
            "settings": f"{self.kind}, preset {self.preset}, QP {self.lower_qp} lower: {x265.PARAMETERS}",
            "code": source_digest(*_SOURCES),
        }

    @property
    def kind(self) -> str:
        """What a file of it is called; files of another kind are refused."""
        return f"HEVC {self.chroma} {self.matrix} {self.bits} bits"


HEVC: Mapping[str, HevcPicture] = {
    "hevc": HevcPicture("444", bits=10),
    "hevc-420": HevcPicture("420"),
    "bpg": HevcPicture("444", "bt601", preset="veryslow", lower_qp=3),
}
