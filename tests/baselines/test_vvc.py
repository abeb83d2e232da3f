"""VVC still pictures: a real encoder where there is one, and pretended ones for their command lines."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from baselines import vvc
from baselines.vvc import VVC
from experiments.metrics import psnr
from layered.errors import CorruptStream, LayeredError, OptionError
from tests.conftest import smooth_picture

IMAGE = smooth_picture(40, 56)

PRETENDER = """#!{python}
import sys
from pathlib import Path
if "--version" in sys.argv:
    print("pretended encoder 1.0")
else:
    Path({log!r}).write_text(" ".join(sys.argv[1:]))
    Path("out.266").write_bytes(b"no picture, " + str(len(Path("in.yuv").read_bytes())).encode())
"""


def pretend(path: Path, log: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(PRETENDER.format(python=sys.executable, log=str(log)))
    path.chmod(0o755)
    return path


def needs_vvenc() -> None:
    try:
        VVC["vvc"].fingerprint()
    except OptionError as error:
        pytest.skip(str(error))


def test_more_quality_costs_more_bytes_and_looks_better() -> None:
    needs_vvenc()
    codec = VVC["vvc"]
    files = [codec.encode(IMAGE, quality) for quality in (10, 25, 40)]
    scores = [psnr(codec.decode(file), IMAGE) for file in files]
    assert all(len(a) < len(b) for a, b in pairwise(files)) and all(a < b for a, b in pairwise(scores))


def test_a_flipped_bit_raises() -> None:
    needs_vvenc()
    file = bytearray(VVC["vvc"].encode(IMAGE, 25))
    for at in range(0, len(file), 37):
        file[at] ^= 4
        with pytest.raises(CorruptStream):
            VVC["vvc"].decode(bytes(file))
        file[at] ^= 4


def test_vvencapp_is_taken_first_and_given_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path / "bin" / "vvencapp", tmp_path / "log")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    file = VVC["vvc"].encode(IMAGE, 31)
    words = (tmp_path / "log").read_text()
    assert "-s 64x64" in words and "--qp 32 --qpa 0" in words and "-c yuv420_10" in words
    assert file.endswith(b"no picture, " + str(64 * 64 * 3).encode())
    made = VVC["vvc"].fingerprint()
    assert made["encoder"].startswith("pretended encoder 1.0, SHA-256 ") and "--preset medium" in made["settings"]
    with pytest.raises(CorruptStream, match="VVC"):
        VVC["vvc"].decode(file)


def test_vtm_runs_with_its_own_intra_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VTM_HOME", str(tmp_path))
    pretend(tmp_path / "bin" / "EncoderAppStatic", tmp_path / "log")
    with pytest.raises(OptionError, match=r"encoder_intra_vtm\.cfg is missing"):
        VVC["vtm"].encode(IMAGE, 31)
    (tmp_path / "cfg").mkdir()
    (tmp_path / "cfg" / "encoder_intra_vtm.cfg").touch()
    VVC["vtm"].encode(IMAGE, 31)
    words = (tmp_path / "log").read_text()
    assert words.startswith(f"-c {tmp_path}/cfg/encoder_intra_vtm.cfg") and "-wdt 64 -hgt 64" in words
    assert "-q 32" in words


def test_the_fingerprint_of_vtm_has_what_its_settings_hold_and_not_where_they_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for place, settings in (("a", "one"), ("b", "one"), ("b", "two")):
        monkeypatch.setenv("VTM_HOME", str(tmp_path / place))
        pretend(tmp_path / place / "bin" / "EncoderAppStatic", tmp_path / "log")
        (tmp_path / place / "cfg").mkdir(exist_ok=True)
        (tmp_path / place / "cfg" / "encoder_intra_vtm.cfg").write_text(settings)
        found.append({name: value for name, value in VVC["vtm"].fingerprint().items() if name != "encoder"})
    assert found[0] == found[1] != found[2]


def test_an_absent_encoder_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VTM_HOME", raising=False)
    with pytest.raises(OptionError, match="set VTM_HOME"):
        VVC["vtm"].encode(IMAGE, 31)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    monkeypatch.setenv("PATH", "")
    vvc._find_vvenc.cache_clear()
    with pytest.raises(OptionError, match="vvencapp"):
        VVC["vvc"].encode(IMAGE, 31)
    vvc._find_vvenc.cache_clear()


def test_an_ffmpeg_that_does_not_run_leaves_the_next_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("path", "package"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ffmpeg").write_bytes(b"\x7fELF, and no more")
        (tmp_path / name / "ffmpeg").chmod(0o755)
    package = SimpleNamespace(get_ffmpeg_exe=lambda: str(tmp_path / "package" / "ffmpeg"))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", package)
    path = str(tmp_path / "path")
    with pytest.raises(OptionError, match=r"pip install imageio-ffmpeg; .*path/ffmpeg does not run: .*; .*package/ff"):
        vvc._find_vvenc.__wrapped__(path)
    (tmp_path / "package" / "ffmpeg").write_text("#!/bin/sh\necho V libvvenc\n")
    assert vvc._find_vvenc.__wrapped__(path) == package.get_ffmpeg_exe()


def test_an_encoder_that_fails_is_reported_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "vvencapp"
    program.write_text(f"#!{sys.executable}\nimport sys\nprint('no licence', file=sys.stderr)\nsys.exit(3)\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LayeredError, match="vvencapp failed with exit status 3: no licence"):
        VVC["vvc"].encode(IMAGE, 31)


@pytest.mark.parametrize("quality", [-1, 64, 20.5])
def test_quality_outside_the_range_is_refused(quality: float) -> None:
    with pytest.raises(OptionError, match="0 to 63"):
        VVC["vvc"].encode(IMAGE, quality)
