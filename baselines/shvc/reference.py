"""SHVC by its reference software SHM, which a user builds: one stream for all layers, coded, decoded and compared.

The software is found by the option `shm` or by SHM_HOME: a folder with the programs TAppEncoder and TAppDecoder (or
TAppEncoderStatic and TAppDecoderStatic) and the file encoder_intra_scalable.cfg, in itself or in its bin and cfg.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import numpy as np

from baselines import sealed, x265
from baselines.fingerprint import source_digest
from baselines.process import run_program
from baselines.protocol import Encoded, Quality, layer_qualities
from baselines.shvc.config import coded_size, layer_config
from baselines.shvc.log import Log, parse_log
from baselines.yuv import Planes, pad, to_picture, to_planes
from layered.errors import CorruptStream, LayeredError, OptionError
from layered.fields import VARINT, Field, read_fields, write_fields
from layered.files import read_bytes
from layered.image import Image8, check_image, layer_sizes, resize8

__all__ = ["ReferenceShvc", "layer_ends"]

_KIND = "SHVC stream"
_HINT = "; set the option `timeout` higher"
_ENCODER, _DECODER = ("TAppEncoder", "TAppEncoderStatic"), ("TAppDecoder", "TAppDecoderStatic")
_CONFIGURATION = ("encoder_intra_scalable.cfg",)
_FOLDERS = (".", "bin", "cfg")
_COUNT, _SIZE = (Field("layers", 1),), (Field("width", VARINT), Field("height", VARINT))
_SOURCES = (
    "baselines/process.py", "baselines/sealed.py", "baselines/shvc/config.py", "baselines/shvc/log.py",
    "baselines/shvc/reference.py", "baselines/shvc/resample.py", "baselines/x265.py", "baselines/yuv.py",
    "layered/fields.py", "layered/image.py",
)  # fmt: skip


@dataclass(frozen=True)
class ReferenceShvc:
    """Two or more layers in 4:2:0 and 8 bits.  Quality is 51 - QP, one for all layers or one for each.

    Pictures have even sides there: an odd one grows by one, and with it changes the ratio to the other layers.
    shm: folder of the software; SHM_HOME by default.  timeout: seconds for one run of a program.  Nothing is looked
    for before it is needed; then OptionError names what is missing.
    """

    shm: str | None = None
    timeout: float = 3600.0

    @property
    def quality_range(self) -> tuple[float, float]:
        for names in (_ENCODER, _DECODER, _CONFIGURATION):
            self._find(names)
        return 0, x265.MAX_QP

    def encode(self, image: Image8, scales: Sequence[float], quality: Quality) -> Encoded:
        """Raises OptionError for wrong scales, qualities or software.

        Raises LayeredError when a program fails, codes at another QP, or decodes what the encoder did not have.
        """
        check_image(image)
        sizes = layer_sizes(image.shape[1], image.shape[0], scales)
        sealed.check_size(_KIND, *sizes[-1])
        qps = [x265.qp_of(value, what="SHVC") for value in layer_qualities(quality, len(sizes))]
        layers = [to_planes(resize8(image, *size), "420") for size in sizes]
        with tempfile.TemporaryDirectory(prefix="layered-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            self._code(layers, qps, folder)
            stream = read_bytes(folder / "s.bin")
            for number, made in enumerate(self._decode(folder, len(sizes))):
                if made != read_bytes(folder / f"rec{number}.yuv"):
                    raise LayeredError(f"SHM's decoder makes another picture of layer {number} than its encoder")
        header = write_fields(_COUNT, {"layers": len(sizes)})
        for width, height in sizes[:-1]:
            header += write_fields(_SIZE, {"width": width, "height": height})
        file = sealed.seal(_KIND, *sizes[-1], header + stream)
        return Encoded((file,), tuple(len(file) - len(stream) + end for end in layer_ends(stream, len(sizes))))

    def decode(self, encoded: Encoded) -> tuple[Image8, ...]:
        """Raises CorruptStream for a damaged file, LayeredError when the decoder fails."""
        if not encoded.files:
            raise CorruptStream("SHVC: no file at all")
        *top, payload = sealed.unseal(_KIND, encoded.files[0])
        values, at = read_fields(_COUNT, payload, 0, _KIND)
        sizes = []
        for _ in range(values["layers"] - 1):
            size, at = read_fields(_SIZE, payload, at, _KIND)
            sizes.append((size["width"], size["height"]))
        sizes.append((int(top[0]), int(top[1])))
        with tempfile.TemporaryDirectory(prefix="layered-", ignore_cleanup_errors=True) as name:
            (Path(name) / "s.bin").write_bytes(payload[at:])
            made = self._decode(Path(name), len(sizes))
        return tuple(to_picture(_planes(data, *size), *size) for data, size in zip(made, sizes, strict=True))

    def fingerprint(self) -> Mapping[str, str]:
        """Codes a small picture where the software is new, since only a whole run tells its version."""
        files = {names[0]: self._find(names) for names in (_ENCODER, _DECODER, _CONFIGURATION)}
        digests = {name: hashlib.sha256(read_bytes(path)).hexdigest()[:16] for name, path in files.items()}
        return {
            "codec": "SHVC (reference software SHM)",
            "version": _version(self, tuple(digests.values())),
            **digests,
            "encode": " ".join([_ENCODER[0], *_arguments(Path(_CONFIGURATION[0]))]),
            "decode": " ".join([_DECODER[0], *_decoder_arguments(2, range(2))]),
            "code": source_digest(*_SOURCES),
        }

    def _find(self, names: Sequence[str]) -> Path:
        told = self.shm or os.environ.get("SHM_HOME")
        if not told:
            raise OptionError(
                "SHVC's reference software does not come with this package: build SHM, and name its folder by "
                "`options: {engine: reference, shm: FOLDER}` or by SHM_HOME"
            )
        try:
            home = Path(told).expanduser().absolute()
        except RuntimeError as error:
            raise OptionError(f"SHM: {told}: {error}") from None
        if not home.is_dir():
            raise OptionError(f"SHM: {home} is no folder; name the one in which SHM was built")
        for path in (home / folder / name for folder in _FOLDERS for name in names):
            if path.is_file():
                return path.resolve()
        raise OptionError(f"SHM: {home}, its bin and its cfg have no {' or '.join(names)}; build it there")

    def _code(self, layers: Sequence[Planes], qps: Sequence[int], folder: Path) -> Log:
        sizes = [(planes[0].shape[1], planes[0].shape[0]) for planes in layers]
        (folder / "layers.cfg").write_text(layer_config(sizes, qps))
        for number, (planes, size) in enumerate(zip(layers, sizes, strict=True)):
            samples = b"".join(plane.tobytes() for plane in pad(planes, *coded_size(*size)))
            (folder / f"in{number}.yuv").write_bytes(samples)
        words = [str(self._find(_ENCODER)), *_arguments(self._find(_CONFIGURATION))]
        log = parse_log(run_program(words, folder, self.timeout, _HINT))
        wanted = [("P" if number else "I", float(qp)) for number, qp in enumerate(qps)]
        if (used := [(layer.kind, layer.qp) for layer in log.layers]) != wanted:
            raise LayeredError(f"SHM coded layers of type and QP {used}, not {wanted}")
        if not (folder / "s.bin").is_file() or (folder / "s.bin").stat().st_size != log.file_bytes:
            raise LayeredError(f"SHM's encoder tells of {log.file_bytes} bytes, which it did not write")
        return log

    def _decode(self, folder: Path, count: int) -> list[bytes]:
        """The samples of each layer, at their coded sizes."""
        program, paths = str(self._find(_DECODER)), [folder / f"dec{layer}.yuv" for layer in range(count)]
        run_program([program, *_decoder_arguments(count, range(count))], folder, self.timeout, _HINT)
        for layer, path in enumerate(paths):
            # Lower layers need not be among those that a stream puts out; as the highest one they are.
            if not path.is_file() or not path.stat().st_size:
                run_program([program, *_decoder_arguments(layer + 1, [layer])], folder, self.timeout, _HINT)
            if not path.is_file():
                raise LayeredError(f"SHM's decoder wrote no picture of layer {layer}")
        return [read_bytes(path) for path in paths]


def layer_ends(stream: bytes, layers: int) -> tuple[int, ...]:
    """How many bytes of an Annex B stream belong to the layers 0 to k, for each k.

    Raises LayeredError for units of other layers, or where there are none.
    """
    starts = [match.start() for match in re.finditer(rb"\x00?\x00\x00\x01", stream)]
    if not starts or starts[0]:
        raise LayeredError("SHM wrote no stream: it does not begin with a start code")
    sizes = [0] * layers
    for start, end in zip(starts, [*starts[1:], len(stream)], strict=True):
        header = stream[start:end].lstrip(b"\0")[1:3]
        layer = ((header[0] & 1) << 5 | header[1] >> 3) if len(header) == 2 else layers
        if layer >= layers:
            raise LayeredError(f"SHM wrote a unit of layer {layer}, where there are {layers} layers")
        sizes[layer] += end - start
    return tuple(accumulate(sizes))


def _arguments(configuration: Path) -> list[str]:
    return ["-c", str(configuration), "-c", "layers.cfg", "-b", "s.bin", "-f", "1"]


def _decoder_arguments(count: int, written: Sequence[int]) -> list[str]:
    outputs = [word for layer in written for word in (f"-o{layer}", f"dec{layer}.yuv")]
    return ["-b", "s.bin", "-ls", str(count), *outputs]


def _planes(data: bytes, width: int, height: int) -> Planes:
    wide, high = coded_size(width, height)
    if len(data) != wide * high * 3 // 2:
        raise CorruptStream(f"{_KIND}: {len(data)} bytes of samples are no picture of {wide}x{high}")
    samples, luma = np.frombuffer(data, np.uint8), wide * high
    blue, red = samples[luma : luma + luma // 4], samples[luma + luma // 4 :]
    return samples[:luma].reshape(high, wide), blue.reshape(high // 2, -1), red.reshape(high // 2, -1)


@lru_cache(maxsize=8)
def _version(codec: ReferenceShvc, files: tuple[str, ...]) -> str:
    """The version that the encoder prints; asked for again when one of the files, whose digests these are, changes."""
    grey = np.full((64, 64, 3), 128, np.uint8)
    with tempfile.TemporaryDirectory(prefix="layered-", ignore_cleanup_errors=True) as folder:
        layers = [to_planes(grey[:side, :side], "420") for side in (32, 64)]
        return codec._code(layers, [32, 32], Path(folder)).version
