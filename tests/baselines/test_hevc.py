"""HEVC still pictures."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from baselines import sealed, x265
from baselines.hevc import HEVC, HevcPicture
from baselines.yuv import to_planes
from experiments.metrics import psnr
from layered.errors import CorruptStream, OptionError
from tests.conftest import smooth_picture

IMAGE = smooth_picture(40, 56)
SIZES = [(1, 1), (1, 7), (7, 5), (33, 50)]


@pytest.mark.parametrize("name", HEVC)
def test_more_quality_costs_more_bytes_and_looks_better_over_the_whole_range(name: str) -> None:
    codec = HEVC[name]
    low, high = codec.quality_range
    files = [codec.encode(IMAGE, quality) for quality in (low, 15, 25, 35, high)]
    scores = [psnr(codec.decode(file), IMAGE) for file in files]
    assert all(len(a) < len(b) for a, b in pairwise(files))
    assert all(a < b for a, b in pairwise(scores))


@pytest.mark.parametrize("name", HEVC)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_any_size_comes_back_at_its_own_size(name: str, height: int, width: int) -> None:
    image, codec = smooth_picture(height, width), HEVC[name]
    made = codec.decode(codec.encode(image, 40))
    assert made.shape == image.shape
    assert psnr(made, image) > (22 if codec.chroma == "420" else 33)  # these pictures have much colour


def test_only_full_resolution_keeps_columns_of_colour() -> None:
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, ::2, 0] = image[:, 1::2, 2] = 200
    scores = {name: psnr(codec.decode(codec.encode(image, 45)), image) for name, codec in HEVC.items()}
    assert scores["hevc"] > 35 and scores["bpg"] > 35 > 20 > scores["hevc-420"]


def test_ten_bits_are_nearer_to_the_picture_than_the_rounding_to_eight_allows() -> None:
    image = smooth_picture(40, 56)
    eight, ten = (HevcPicture("444", bits=bits) for bits in (8, 10))
    assert psnr(ten.decode(ten.encode(image, 51)), image) > psnr(eight.decode(eight.encode(image, 51)), image) + 1


def test_the_file_is_x265s_picture_at_51_less_quality_after_size_and_checksum() -> None:
    codec = HEVC["hevc-420"]
    (packet,) = x265.encode([x265.padded(to_planes(IMAGE, "420"))], 51 - 20)
    assert codec.encode(IMAGE, 20) == sealed.seal(codec.kind, 56, 40, packet)


def test_bpg_codes_three_qps_below_its_nominal_one() -> None:
    codec = HEVC["bpg"]
    planes = x265.padded(to_planes(IMAGE, "444", "bt601"))
    assert codec.encode(IMAGE, 51 - 32).endswith(x265.encode([planes], 29, preset="veryslow")[0])
    assert codec.quality_range == (0, 48)


@pytest.mark.parametrize(("name", "quality"), [("hevc", -1), ("hevc", 52), ("hevc", 9.5), ("bpg", 49)])
def test_qualities_that_do_not_exist_are_refused(name: str, quality: float) -> None:
    with pytest.raises(OptionError, match=f"whole number in 0 to {HEVC[name].quality_range[1]}, got {quality:g}"):
        HEVC[name].encode(IMAGE, quality)


def test_every_flipped_bit_raises() -> None:
    codec = HEVC["hevc-420"]
    file = codec.encode(smooth_picture(9, 9), 10)
    for bit in range(8 * len(file)):
        damaged = bytearray(file)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(CorruptStream):
            codec.decode(bytes(damaged))


def test_files_of_other_codecs_raise() -> None:
    file = HEVC["hevc"].encode(IMAGE, 10)
    for codec in (HEVC["hevc-420"], HEVC["bpg"], HevcPicture("444", bits=8)):
        with pytest.raises(CorruptStream, match="checksum"):
            codec.decode(file)


def test_another_process_decodes_the_same_picture(tmp_path: Path) -> None:
    file = HEVC["hevc-420"].encode(IMAGE, 25)
    (tmp_path / "file").write_bytes(file)
    code = (
        "import sys; from pathlib import Path; from baselines.hevc import HEVC\n"
        "made = HEVC['hevc-420'].decode(Path(sys.argv[1], 'file').read_bytes())\n"
        "Path(sys.argv[1], 'made').write_bytes(made.tobytes())"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=Path(__file__).parents[2])
    assert (tmp_path / "made").read_bytes() == HEVC["hevc-420"].decode(file).tobytes()


def test_the_fingerprint_tells_codecs_and_versions_apart() -> None:
    made = [codec.fingerprint() for codec in HEVC.values()]
    assert len({told["settings"] for told in made}) == len(HEVC)
    assert all(told["x265"] and told["ffmpeg"] and told["code"] for told in made)
