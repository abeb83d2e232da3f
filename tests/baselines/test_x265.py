"""x265 through PyAV."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines import ffmpeg, sealed, x265
from baselines.yuv import Chroma, Planes, to_planes
from layered.errors import CorruptStream, LayeredError, LimitExceeded, OptionError
from tests.conftest import smooth_picture

FAST = "ultrafast"
PLANES = x265.padded(to_planes(smooth_picture(48, 64), "420"))
OTHER = x265.padded(to_planes(smooth_picture(48, 64, seed=1), "420"))
PACKET = x265.encode([PLANES], 30, preset=FAST)[0]


def distance(a: Planes, b: Planes) -> int:
    return max(int(np.abs(p.astype(int) - q.astype(int)).max()) for p, q in zip(a, b, strict=True))


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("chroma", ["420", "444"])
def test_a_picture_at_qp_0_comes_back_nearly_as_it_was(chroma: Chroma, bits: int) -> None:
    planes = x265.padded(to_planes(smooth_picture(40, 64), chroma, bits=bits))
    made = ffmpeg.decode(x265.encode([planes], 0, preset=FAST), 64, 40, chroma, bits)
    assert distance(made, planes) <= 2 * 2 ** (bits - 8)


def test_two_frames_are_an_intra_picture_at_its_own_qp_and_a_picture_predicted_from_it() -> None:
    intra, predicted = x265.encode([PLANES, PLANES], 30, 0)
    assert len(predicted) < 40 < len(intra)  # nothing is left to say of it
    assert distance(ffmpeg.decode([intra, predicted], 64, 48, "420"), PLANES) <= 2
    assert (intra,) == x265.encode([PLANES], 30, 0), "the decoder has only the first frame to make this packet from"


@settings(max_examples=6)
@given(qp=st.integers(0, 51), first=st.integers(0, 51))
def test_every_pair_of_qps_is_used_or_refused(qp: int, first: int) -> None:
    if qp == 0 < first:  # which x265 takes for lossless coding of all pictures
        with pytest.raises(LayeredError, match="coded pictures of QP"):
            x265.encode([PLANES, OTHER], qp, first, preset=FAST)
    else:
        assert len(x265.encode([PLANES, OTHER], qp, first, preset=FAST)) == 2


@contextmanager
def parameters(monkeypatch: pytest.MonkeyPatch, text: str) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(x265, "PARAMETERS", f"{x265.PARAMETERS}:{text}")
        yield


def test_a_qp_that_x265_does_not_use_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with parameters(monkeypatch, "qp=33"), pytest.raises(LayeredError, match=r"\(33\.0, 1\).*not.*\(30, 1\)"):
        x265.encode([PLANES], 30, preset=FAST)


def test_a_picture_type_that_was_not_asked_for_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    with parameters(monkeypatch, "keyint=1"), pytest.raises(LayeredError, match="x265 coded pictures of QP and type"):
        x265.encode([PLANES, OTHER], 30, preset=FAST)


def test_a_size_that_x265_refuses_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    small = to_planes(smooth_picture(8, 8), "420")
    with pytest.raises(LayeredError, match="8x8 yuv420p"):
        x265.encode([small], 30)
    assert capfd.readouterr() == ("", "")


def test_coding_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    ffmpeg.decode(x265.encode([PLANES], 30, preset=FAST), 64, 48, "420")
    x265.versions()
    assert capfd.readouterr() == ("", "")


def test_equal_pictures_make_equal_bytes() -> None:
    assert x265.encode([PLANES, OTHER], 30, 0) == x265.encode([PLANES, OTHER], 30, 0)


def test_sizes_are_multiples_of_8_and_at_least_32() -> None:
    assert [x265.padded_size(*size) for size in ((1, 33), (40, 41), (768, 512))] == [(32, 40), (40, 48), (768, 512)]


@pytest.mark.parametrize("quality, qp", [(0, 51), (51.0, 0), (19, 32)])
def test_quality_is_51_less_qp(quality: float, qp: int) -> None:
    assert x265.qp_of(quality) == qp


@pytest.mark.parametrize("quality", [-1, 52, 10.5, float("nan")])
def test_other_qualities_are_refused(quality: float) -> None:
    with pytest.raises(OptionError, match="whole number in 0 to 51"):
        x265.qp_of(quality)


@settings(max_examples=40)
@given(data=st.binary(max_size=200))
def test_any_bytes_decode_or_raise_corrupt_stream(data: bytes) -> None:
    with pytest.raises(CorruptStream):
        ffmpeg.decode([data], 64, 48, "420")


@settings(max_examples=60)
@given(st.data())
def test_damaged_packets_decode_or_raise_corrupt_stream(data: st.DataObject) -> None:
    """Files are checked before; this is for those whose checksums were made to fit."""
    packet = bytearray(PACKET)
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    try:
        made = ffmpeg.decode([bytes(packet)], 64, 48, "420")
    except CorruptStream:
        return
    assert made[0].shape == (48, 64)


@pytest.mark.parametrize("packets", [[b""], [PACKET[:60]], [PACKET, PACKET[:10]]])
def test_too_few_pictures_are_corrupt(packets: list[bytes]) -> None:
    with pytest.raises(CorruptStream):
        ffmpeg.decode(packets, 64, 48, "420")


@pytest.mark.parametrize(("width", "chroma", "bits"), [(32, "420", 8), (64, "444", 8), (64, "420", 10)])
def test_a_picture_of_another_size_or_format_is_corrupt(width: int, chroma: Chroma, bits: int) -> None:
    with pytest.raises(CorruptStream, match="expected, got"):
        ffmpeg.decode([PACKET], width, 48, chroma, bits)


def test_pictures_much_larger_than_stated_are_never_allocated() -> None:
    large = x265.encode([to_planes(np.zeros((640, 640, 3), np.uint8), "420")], 40, preset=FAST)
    with pytest.raises(CorruptStream):
        ffmpeg.decode(large, 32, 32, "420")


@pytest.mark.parametrize(("width", "height"), [(40000, 100), (100, 40000), (8192, 8192)])
def test_a_picture_that_no_file_may_have_is_refused_before_it_is_coded(width: int, height: int) -> None:
    with pytest.raises(LimitExceeded, match=f"{width}x{height} is beyond"):
        sealed.check_size("a", width, height)
    with pytest.raises(CorruptStream, match=f"no picture has {width}x{height}"):
        sealed.unseal("a", sealed.seal("a", width, height, b""))


def test_a_sealed_file_gives_back_size_and_payload_at_ten_bytes_or_less() -> None:
    file = sealed.seal("a", 768, 512, b"payload")
    assert sealed.unseal("a", file) == (768, 512, b"payload") and len(file) <= len(b"payload") + 10


@settings(max_examples=100)
@given(bit=st.integers(0, 8 * 15 - 1))
def test_any_flipped_bit_of_a_file_raises(bit: int) -> None:
    file = bytearray(sealed.seal("a", 768, 512, b"payload"))
    file[bit // 8] ^= 1 << bit % 8
    with pytest.raises(CorruptStream):
        sealed.unseal("a", bytes(file))


def test_cut_or_longer_files_and_those_of_another_kind_raise() -> None:
    file = sealed.seal("a", 768, 512, b"payload")
    for kind, data in (("a", b""), ("a", file[:3]), ("a", file[:-1]), ("a", file + b"\0"), ("b", file)):
        with pytest.raises(CorruptStream):
            sealed.unseal(kind, data)


@pytest.mark.parametrize("width, height", [(0, 5), (5, 0), (2**15 + 1, 1), (2**15, 2**14)])
def test_sizes_that_no_picture_has_raise(width: int, height: int) -> None:
    with pytest.raises(CorruptStream, match="no picture has"):
        sealed.unseal("a", sealed.seal("a", width, height, b""))


def test_versions_are_told() -> None:
    made = x265.versions()
    assert "build" in made["x265"] and made["ffmpeg"] and made["av"]


def test_settings_are_those_that_results_were_made_with() -> None:
    adaptation = "bframes=0:ref=1:scenecut=0:aq-mode=0:cutree=0:weightp=0:psy-rd=0:psy-rdoq=0"
    timing = "frame-threads=1:pools=1:no-wpp=1"
    assert f"log-level=none:info=0:keyint=-1:{adaptation}:{timing}" == x265.PARAMETERS


def test_a_missing_pyav_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(OptionError, match=r"pip install -e '\.\[codecs\]'"):
        x265.encode([PLANES], 30)
