"""SHVC's reference software, for which two small programs stand here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from baselines.protocol import Encoded
from baselines.shvc.reference import ReferenceShvc, layer_ends
from experiments.metrics import psnr
from layered.errors import CorruptStream, LayeredError, LimitExceeded, OptionError
from layered.image import layer_sizes, resize8
from tests.conftest import smooth_picture

IMAGE = smooth_picture(21, 34)
SCALES = (0.5, 1.0)

# One unit a layer, whose samples are stored as they are but for the QP's lowest bits; SPOIL changes what they do.
ENCODER = """
import os, re, sys
from pathlib import Path
arguments = sys.argv[1:]
assert arguments[0] == arguments[2] == "-c" and Path(arguments[1]).name == "encoder_intra_scalable.cfg"
assert Path(arguments[1]).is_file() and arguments[4:] == ["-b", "s.bin", "-f", "1"], arguments
keys = dict(re.split(r"\\s*:\\s*", line, maxsplit=1) for line in Path(arguments[3]).read_text().splitlines() if line)
spoil, stream = os.environ.get("SPOIL"), b""
print("\\nSHM software: Encoder Version [0.1 (fake)][64 bit] \\n")
for k in range(int(keys["NumLayers"])):
    size, qp = int(keys[f"SourceWidth{k}"]) * int(keys[f"SourceHeight{k}"]), int(keys[f"QP{k}"])
    samples = Path(keys[f"InputFile{k}"]).read_bytes()
    assert len(samples) == size * 3 // 2
    coded = bytes(max(4, (value >> qp // 12 << qp // 12)) for value in samples)  # no byte looks like a start code
    Path(keys[f"ReconFile{k}"]).write_bytes(coded if spoil != "encoder" else coded[:-1] + b"\\0")
    unit = bytes([0, 0, 0, 1, 2 | k >> 5, (k & 31) << 3 | 1]) + coded
    stream += unit
    kind, told = "P" if k else "I", qp + (spoil == "qp")
    print(f"POC    0 LId: {k} TId: 0 ( {kind}-SLICE IDR_W_RADL, nQP {qp} QP {told} ) {8 * len(unit)} bits "
          "[Y 36.0 dB    U 40.0 dB    V 41.0 dB] [ET 0 ] [L0 ] [L1 ]")
Path("s.bin").write_bytes(stream + b"\\3" * (spoil == "size"))
print(f"Bytes written to file: {len(stream)} (1.0 kbps)")
"""
DECODER = """
import os, sys
from pathlib import Path
arguments = sys.argv[1:]
assert arguments[:3] == ["-b", "s.bin", "-ls"], arguments
count, outputs = int(arguments[3]), dict(zip(arguments[4::2], arguments[5::2]))
units = Path("s.bin").read_bytes().split(b"\\0\\0\\0\\1")[1:]
spoil = os.environ.get("SPOIL")
for k, unit in enumerate(units[:count]):
    # As the real one does, it may write the highest layer alone.
    if spoil != "none" and f"-o{k}" in outputs and (k == count - 1 or spoil != "highest"):
        Path(outputs[f"-o{k}"]).write_bytes(unit[2:] if spoil != "short" else unit[2:-1])
"""


def program(path: Path, code: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable} -IS\n{code}")
    path.chmod(0o755)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder as SHM is built in, at a path with a space."""
    home = tmp_path / "my shm"
    program(home / "bin" / "TAppEncoderStatic", ENCODER)
    program(home / "bin" / "TAppDecoderStatic", DECODER)
    (home / "cfg").mkdir()
    (home / "cfg" / "encoder_intra_scalable.cfg").write_text("Profile : main\n")
    return home


def test_layers_come_back_at_their_sizes(home: Path) -> None:
    codec = ReferenceShvc(str(home))
    for scales in (SCALES, (0.25, 0.6, 1.0)):
        made = codec.decode(codec.encode(IMAGE, scales, 51 - 20))
        assert tuple((picture.shape[1], picture.shape[0]) for picture in made) == layer_sizes(34, 21, scales)
        for picture in made:
            assert psnr(picture, resize8(IMAGE, picture.shape[1], picture.shape[0])) > 20


def test_layers_cost_their_units_and_those_below(home: Path) -> None:
    encoded = ReferenceShvc(str(home)).encode(IMAGE, SCALES, 30)
    (file,) = encoded.files
    units = [6 + 24 * 16 * 3 // 2, 6 + 40 * 24 * 3 // 2]  # 17x11 and 34x21, coded at multiples of 8
    header = len(file) - sum(units)
    assert encoded.layer_bytes == (header + units[0], len(file)) and header < 12


def test_each_layer_has_its_own_qp(home: Path) -> None:
    codec = ReferenceShvc(str(home))
    coarse, fine = (codec.decode(codec.encode(IMAGE, SCALES, quality)) for quality in ((51, 0), (51, 51)))
    assert np.array_equal(coarse[0], fine[0]) and psnr(coarse[1], IMAGE) < psnr(fine[1], IMAGE)


def test_the_folder_may_come_from_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHM_HOME", str(home))
    assert ReferenceShvc().quality_range == (0, 51)
    monkeypatch.setenv("SHM_HOME", str(home / "elsewhere"))
    assert ReferenceShvc(str(home)).quality_range == (0, 51)


def test_no_folder_at_all_says_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SHM_HOME", raising=False)
    codec = ReferenceShvc()
    with pytest.raises(OptionError, match=r"build SHM, and name its folder by .*SHM_HOME"):
        _ = codec.quality_range
    with pytest.raises(OptionError, match="build SHM"):
        codec.encode(IMAGE, SCALES, 30)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("bin/TAppEncoderStatic", "no TAppEncoder or TAppEncoderStatic"),
        ("bin/TAppDecoderStatic", "no TAppDecoder or TAppDecoderStatic"),
        ("cfg/encoder_intra_scalable.cfg", r"no encoder_intra_scalable\.cfg"),
    ],
)
def test_what_is_missing_is_named_with_where_it_was_looked_for(home: Path, gone: str, message: str) -> None:
    (home / gone).unlink()
    with pytest.raises(OptionError, match=rf"my shm, its bin and its cfg have {message}; build it there"):
        _ = ReferenceShvc(str(home)).quality_range


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ("encoder", "decoder makes another picture of layer 0"),
        ("short", "decoder makes another picture of layer 0"),
        ("none", "decoder wrote no picture of layer 0"),
        ("qp", "SHM coded layers of type and QP"),
        ("size", "which it did not write"),
    ],
)
def test_programs_that_do_not_do_what_they_should_are_noticed(
    home: Path, monkeypatch: pytest.MonkeyPatch, spoil: str, message: str
) -> None:
    monkeypatch.setenv("SPOIL", spoil)
    with pytest.raises(LayeredError, match=message):
        ReferenceShvc(str(home)).encode(IMAGE, SCALES, 30)


def test_a_decoder_that_writes_the_highest_layer_only_is_run_for_each(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = ReferenceShvc(str(home))
    expected = codec.decode(encoded := codec.encode(IMAGE, SCALES, 30))
    monkeypatch.setenv("SPOIL", "highest")
    assert all(np.array_equal(a, b) for a, b in zip(codec.decode(encoded), expected, strict=True))


def test_programs_that_fail_or_hang_raise(home: Path) -> None:
    program(home / "bin" / "TAppEncoderStatic", "import sys\nprint('Error: no such QP')\nsys.exit(3)")
    with pytest.raises(LayeredError, match="TAppEncoderStatic failed with exit status 3: Error: no such QP"):
        ReferenceShvc(str(home)).encode(IMAGE, SCALES, 30)
    program(home / "bin" / "TAppEncoderStatic", "import time\ntime.sleep(60)")
    with pytest.raises(LayeredError, match=r"was not done after 0\.2 s"):
        ReferenceShvc(str(home), timeout=0.2).encode(IMAGE, SCALES, 30)


def test_damaged_files_raise_before_a_program_runs(home: Path) -> None:
    codec = ReferenceShvc(str(home))
    (file,) = codec.encode(IMAGE, SCALES, 30).files
    (home / "bin" / "TAppDecoderStatic").unlink()
    for damaged in (b"", file[:-1], file[:20] + bytes([file[20] ^ 1]) + file[21:]):
        with pytest.raises(CorruptStream):
            codec.decode(Encoded((damaged,), (0, 0)))
    with pytest.raises(CorruptStream, match="no file at all"):
        codec.decode(Encoded((), ()))


def test_pictures_too_large_for_a_file_are_told_before_a_program_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "bin" / "TAppEncoderStatic").unlink()
    monkeypatch.setattr("baselines.sealed.MAX_PIXELS", 100)
    with pytest.raises(LimitExceeded, match="beyond 100 pixels"):
        ReferenceShvc(str(home)).encode(IMAGE, SCALES, 30)


def test_the_fingerprint_has_version_programs_and_command_lines(home: Path) -> None:
    codec = ReferenceShvc(str(home))
    made = codec.fingerprint()
    assert made["version"] == "[0.1 (fake)][64 bit]"
    assert made["encode"] == "TAppEncoder -c encoder_intra_scalable.cfg -c layers.cfg -b s.bin -f 1"
    assert made["decode"] == "TAppDecoder -b s.bin -ls 2 -o0 dec0.yuv -o1 dec1.yuv"
    program(home / "bin" / "TAppEncoderStatic", ENCODER.replace("0.1 (fake)", "0.2 (fake)"))
    changed = codec.fingerprint()
    assert changed["version"] == "[0.2 (fake)][64 bit]" and changed["TAppEncoder"] != made["TAppEncoder"]
    assert str(home) not in "".join(made.values())


def test_nothing_is_left_in_the_folder_for_temporary_files(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    codec = ReferenceShvc(str(home))
    codec.decode(codec.encode(IMAGE, SCALES, 30))
    assert not os.listdir(tmp_path / "temporary")


def test_units_are_counted_by_their_layer() -> None:
    def unit(layer: int, size: int, zero: bytes = b"\0") -> bytes:
        return zero + b"\0\0\1" + bytes([2 | layer >> 5, (layer & 31) << 3 | 1]) + bytes([7] * size)

    stream = unit(0, 10) + unit(1, 5, b"") + unit(0, 3) + unit(2, 1)
    assert layer_ends(stream, 3) == (6 + 10 + 6 + 3, 6 + 10 + 6 + 3 + 5 + 5, len(stream))
    for wrong in (b"", b"x" + stream, stream + b"\0\0\1", stream + unit(33, 1)):
        with pytest.raises(LayeredError):
            layer_ends(wrong, 3)
