"""Still pictures in VVC, 4:2:0 and 10 bits, BT.709 in full range; quality is 63 - QP.

`vvc` codes by VVenC: `vvencapp` where it is on the PATH, else an FFmpeg with libvvenc, on the PATH or in the package
imageio-ffmpeg.  `vtm` codes by the reference software, whose folder VTM_HOME names.  Both are decoded by the FFmpeg in
PyAV.  A file begins with the picture's size and a CRC32 of all of it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np

from baselines import ffmpeg, sealed, x265
from baselines.fingerprint import source_digest
from baselines.process import run_program
from baselines.yuv import Planes, crop, pad, padded_to, to_picture, to_planes
from layered.errors import LayeredError, OptionError
from layered.files import read_bytes
from layered.image import Image8

__all__ = ["VVC", "VvcPicture"]

MAX_QP = 63
BITS = 10
MULTIPLE, MIN_SIDE, MAX_SIDE = 8, 64, 16384
"""The smallest coding unit, the least side that VVenC takes, and one that FFmpeg surely decodes."""
PRESET = "medium"
SECONDS = 3600.0
KIND = "VVC 420 bt709 10 bits"
_SOURCES = (
    "baselines/ffmpeg.py", "baselines/sealed.py", "baselines/vvc.py", "baselines/yuv.py", "layered/fields.py",
)  # fmt: skip


@dataclass(frozen=True)
class VvcPicture:
    """One intra picture, in a file of its own.  encoder: VVenC or VTM, neither of which is part of this package."""

    encoder: Literal["vvenc", "vtm"]

    @property
    def quality_range(self) -> tuple[float, float]:
        return 0, MAX_QP

    def encode(self, image: Image8, quality: float) -> bytes:
        """Raises OptionError for a quality that does not exist, or without an encoder; LayeredError where it fails."""
        sealed.check_size(KIND, image.shape[1], image.shape[0])
        if quality not in range(MAX_QP + 1):
            raise OptionError(f"VVC: quality is {MAX_QP} - QP, a whole number in 0 to {MAX_QP}, got {quality:g}")
        height, width = image.shape[:2]
        if max(height, width) > MAX_SIDE:
            raise OptionError(f"VVC: {width}x{height} is beyond {MAX_SIDE} a side")
        planes = pad(to_planes(image, "420", bits=BITS), *padded_to(width, height, MULTIPLE, MIN_SIDE))
        samples = b"".join(plane.astype("<u2").tobytes() for plane in planes)
        try:
            with tempfile.TemporaryDirectory() as place:
                (Path(place) / "in.yuv").write_bytes(samples)
                run_program(self._command(planes, MAX_QP - int(quality)), Path(place), SECONDS)
                return sealed.seal(KIND, width, height, read_bytes(Path(place) / "out.266"))
        except OSError as error:
            raise LayeredError(f"VVC: a temporary folder cannot be used ({error.strerror or error})") from None

    def decode(self, data: bytes) -> Image8:
        """Raises CorruptStream for anything that `encode` did not make."""
        width, height, packet = sealed.unseal(KIND, data)
        planes = ffmpeg.decode([packet], *padded_to(width, height, MULTIPLE, MIN_SIDE), "420", BITS, codec="vvc")
        return to_picture(crop(planes, width, height), width, height)

    def fingerprint(self) -> Mapping[str, str]:
        """Raises OptionError where there is no encoder, or no decoder."""
        ffmpeg.coder("vvc", "r")
        words = " ".join(self._command(to_planes(np.zeros((64, 64, 3), np.uint8), "420", bits=BITS), 32)[1:])
        found = {"encoder": _version(self._program()), "decoder": f"FFmpeg {x265.versions()['ffmpeg']}"}
        if self.encoder == "vtm":  # what the file holds, wherever it lies
            settings = _settings_of(self._program())
            words = words.replace(str(settings), _VTM_SETTINGS)
            found["configuration"] = hashlib.sha256(read_bytes(settings)).hexdigest()[:16]
        return {**found, "settings": f"{KIND}: {words}", "code": source_digest(*_SOURCES)}

    def _program(self) -> str:
        return _vtm() if self.encoder == "vtm" else _vvenc()

    def _command(self, planes: Planes, qp: int) -> Sequence[str]:
        """The program and its arguments for `in.yuv`, which holds the planes."""
        program, (height, width) = self._program(), planes[0].shape
        if self.encoder == "vtm":
            return (
                program, "-c", str(_settings_of(program)), "-i", "in.yuv", "-b", "out.266",
                "-wdt", str(width), "-hgt", str(height), "-fr", "1", "-f", "1", "-q", str(qp),
                "--InputBitDepth=10", "--InternalBitDepth=10", "--InputChromaFormat=420", "--Level=6.2",
            )  # fmt: skip
        if Path(program).stem == "vvencapp":
            return (
                program, "-i", "in.yuv", "-o", "out.266", "-s", f"{width}x{height}", "-c", "yuv420_10", "-f", "1",
                "--qp", str(qp), "--qpa", "0", "--preset", PRESET, "-t", "1",
            )  # fmt: skip
        return (
            program, "-hide_banner", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p10le", "-s",
            f"{width}x{height}", "-i", "in.yuv", "-frames:v", "1", "-c:v", "libvvenc", "-qp", str(qp), "-qpa", "0",
            "-preset", PRESET, "-threads", "1", "-f", "vvc", "out.266",
        )  # fmt: skip


VVC: Mapping[str, VvcPicture] = {"vvc": VvcPicture("vvenc"), "vtm": VvcPicture("vtm")}

_VTM_SETTINGS = "cfg/encoder_intra_vtm.cfg"


def _settings_of(vtm: str) -> Path:
    return Path(vtm).parent.parent / _VTM_SETTINGS


def _vvenc() -> str:
    return _find_vvenc(os.environ.get("PATH", ""))


@cache
def _find_vvenc(path: str) -> str:
    if own := shutil.which("vvencapp", path=path):
        return own
    candidates = [shutil.which("ffmpeg", path=path)]
    try:
        import imageio_ffmpeg

        candidates.append(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError):
        pass
    broken = []
    for program in filter(None, candidates):
        try:
            if "libvvenc" in _printed(program, "-hide_banner", "-encoders"):
                return program
        except LayeredError as error:  # the next may run
            broken.append(f"; {error}")
    raise OptionError(
        "VVC needs vvencapp, or an ffmpeg with libvvenc, on the PATH, or such as: pip install imageio-ffmpeg"
        + "".join(broken)
    )


def _vtm() -> str:
    home = os.environ.get("VTM_HOME")
    if not home:
        raise OptionError("vtm needs the reference software: set VTM_HOME to its folder, with bin/ and cfg/ in it")
    program = Path(home) / "bin" / "EncoderAppStatic"
    for needed in (program, Path(home) / _VTM_SETTINGS):
        if not needed.is_file():
            raise OptionError(f"vtm: {needed} is missing; VTM_HOME is the folder in which VTM was built")
    return str(program)


@cache
def _version(program: str) -> str:
    """What the program says of itself, and a digest of it, since builds differ where versions do not."""
    flags = ("-version",) if "ffmpeg" in Path(program).name else ("--version",)
    first = next(iter(_printed(program, *flags).splitlines()), "unknown version")
    return f"{' '.join(first.split())}, SHA-256 {hashlib.sha256(read_bytes(program)).hexdigest()[:16]}"


def _printed(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise LayeredError(f"{words[0]} does not run: {error}") from None
    return done.stdout or done.stderr
