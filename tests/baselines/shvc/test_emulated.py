"""Emulated SHVC."""

from __future__ import annotations

import subprocess
import sys
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest

from baselines import sealed, x265
from baselines.hevc import HEVC, HevcPicture
from baselines.protocol import Encoded
from baselines.shvc.emulated import NAME, EmulatedShvc
from baselines.yuv import Chroma
from experiments.metrics import psnr
from layered.errors import CorruptStream, OptionError
from layered.image import layer_sizes, resize8
from tests.conftest import smooth_picture

IMAGE = smooth_picture(48, 72)
SCALES = (0.25, 0.5, 1.0)
CODEC = EmulatedShvc()
CODED = CODEC.encode(IMAGE, SCALES, 25)


def test_layers_have_their_sizes_and_look_like_their_originals() -> None:
    made = CODEC.decode(CODED)
    assert tuple((picture.shape[1], picture.shape[0]) for picture in made) == layer_sizes(72, 48, SCALES)
    assert all(psnr(picture, resize8(IMAGE, picture.shape[1], picture.shape[0])) > 22 for picture in made)


def test_the_base_layer_is_the_file_of_the_picture_codec() -> None:
    assert CODED.files[0] == HEVC["hevc-420"].encode(resize8(IMAGE, 18, 12), 25)


def test_each_layer_costs_its_file_and_those_below() -> None:
    assert CODED.layer_bytes == tuple(accumulate(map(len, CODED.files)))


def test_the_lower_layer_saves_bytes() -> None:
    image = smooth_picture(96, 128)
    layered = EmulatedShvc().encode(image, (0.5, 1), 30)
    assert len(layered.files[1]) < 0.95 * len(HEVC["hevc-420"].encode(image, 30))


def test_a_layer_very_much_larger_than_the_one_below_is_refused_at_both_ends() -> None:
    with pytest.raises(OptionError, match="at most 16 times as wide and high"):
        CODEC.encode(IMAGE, (0.05, 1.0), 25)
    _, _, payload = sealed.unseal(CODEC._kind, CODED.files[1])
    forged = sealed.seal(CODEC._kind, 8192, 4096, payload)
    with pytest.raises(CorruptStream, match="not 1 to 16 times as large"):
        CODEC.decode(Encoded((CODED.files[0], forged), CODED.layer_bytes[:2]))


def test_lower_layers_decode_without_those_above() -> None:
    for count in (1, 2):
        made = CODEC.decode(Encoded(CODED.files[:count], CODED.layer_bytes[:count]))
        assert all(np.array_equal(a, b) for a, b in zip(made, CODEC.decode(CODED)[:count], strict=True))


def test_more_quality_costs_more_bytes_and_looks_better() -> None:
    coded = [CODEC.encode(IMAGE, (0.5, 1), quality) for quality in (0, 20, 35, 51)]
    scores = [psnr(CODEC.decode(each)[1], IMAGE) for each in coded]
    assert all(a.layer_bytes[1] < b.layer_bytes[1] for a, b in pairwise(coded))
    assert all(a < b for a, b in pairwise(scores))


def test_each_layer_may_have_its_own_qp() -> None:
    mixed = CODEC.encode(IMAGE, SCALES, (25, 10, 40))
    assert mixed.files[0] == CODED.files[0]
    assert len(mixed.files[1]) < len(CODED.files[1]) and len(mixed.files[2]) > len(CODED.files[2])
    assert psnr(CODEC.decode(mixed)[2], IMAGE) > psnr(CODEC.decode(CODED)[2], IMAGE)


@pytest.mark.parametrize("chroma", ["420", "444"])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (7, 5), (65, 63)])
def test_any_size_and_ratio_decodes(chroma: Chroma, width: int, height: int) -> None:
    codec, image, scales = EmulatedShvc(chroma), smooth_picture(height, width), (0.3, 0.76)
    made = codec.decode(codec.encode(image, (*scales, 1), 30))
    assert tuple((picture.shape[1], picture.shape[0]) for picture in made) == layer_sizes(width, height, (*scales, 1))


def test_one_layer_is_plain_hevc() -> None:
    coded = EmulatedShvc("444").encode(IMAGE, (1,), 30)
    assert coded.files == (HevcPicture("444").encode(IMAGE, 30),)
    assert np.array_equal(EmulatedShvc("444").decode(coded)[0], HevcPicture("444").decode(coded.files[0]))


def test_another_process_decodes_the_same_pictures(tmp_path: Path) -> None:
    for number, file in enumerate(CODED.files):
        (tmp_path / f"{number}").write_bytes(file)
    code = (
        "import sys; from pathlib import Path\n"
        "from baselines.protocol import Encoded; from baselines.shvc.emulated import EmulatedShvc\n"
        "files = tuple(Path(sys.argv[1], str(k)).read_bytes() for k in range(3))\n"
        "made = EmulatedShvc().decode(Encoded(files, (0, 0, 0)))\n"
        "Path(sys.argv[1], 'made').write_bytes(b''.join(picture.tobytes() for picture in made))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=Path(__file__).parents[3])
    assert (tmp_path / "made").read_bytes() == b"".join(picture.tobytes() for picture in CODEC.decode(CODED))


def decoded(*files: bytes) -> None:
    CODEC.decode(Encoded(files, (0,) * len(files)))


def test_flipped_bits_of_any_layer_raise() -> None:
    rng = np.random.default_rng(0)
    for number, file in enumerate(CODED.files):
        for bit in rng.choice(8 * len(file), 12, replace=False):
            damaged = bytearray(file)
            damaged[bit // 8] ^= 1 << bit % 8
            with pytest.raises(CorruptStream):
                decoded(*CODED.files[:number], bytes(damaged))


def test_layers_of_different_pictures_do_not_mix() -> None:
    other = CODEC.encode(smooth_picture(48, 72, seed=1), SCALES, 25)
    with pytest.raises(CorruptStream, match="the picture is not the encoder's"):
        decoded(other.files[0], CODED.files[1])


def test_layers_out_of_order_raise() -> None:
    for files in (CODED.files[1:], (CODED.files[0], CODED.files[2], CODED.files[1]), CODED.files[:1] * 2):
        with pytest.raises(CorruptStream):
            decoded(*files)


def test_a_decoder_that_makes_another_reference_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(x265, "PARAMETERS", f"{x265.PARAMETERS}:no-deblock=1:no-sao=1:rdoq-level=0:rd=2")
    with pytest.raises(CorruptStream, match=r"another x265 than|^HEVC"):
        decoded(*CODED.files)


@pytest.mark.parametrize("payload", [b"", b"\x20", b"\x34" + bytes(30)])
def test_enhancement_layers_without_a_qp_raise(payload: bytes) -> None:
    file = sealed.seal("SHVC 420 enhancement layer", 36, 24, payload)
    with pytest.raises(CorruptStream, match="no QP"):
        decoded(CODED.files[0], file)


def test_wrong_qualities_are_refused() -> None:
    for quality in (10.5, -1, (1, 2)):
        with pytest.raises(OptionError):
            CODEC.encode(IMAGE, SCALES, quality)


def test_the_fingerprint_says_that_it_is_emulated() -> None:
    made = CODEC.fingerprint()
    assert made["codec"] == NAME == "SHVC (emulated, x265)" and made["x265"]
    assert made["settings"] != EmulatedShvc("444").fingerprint()["settings"]
