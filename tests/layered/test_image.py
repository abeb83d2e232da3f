"""Loading, saving, sizes: one rule each, and bad pictures are named in one line."""

from __future__ import annotations

import struct
import warnings
import zlib
from itertools import pairwise
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from layered.errors import ImageError, OptionError
from layered.image import layer_sizes, load_image, resize8, save_image, to_image8, to_tensor
from tests.conftest import smooth_picture


@pytest.mark.parametrize("ending", [".png", ".webp", ".bmp", ".ppm", ".tif"])
def test_what_is_saved_is_loaded_again(tmp_path: Path, ending: str) -> None:
    image = smooth_picture(13, 17)
    save_image(image, tmp_path / f"picture{ending}")
    assert np.array_equal(load_image(tmp_path / f"picture{ending}"), image)
    assert [path.name for path in tmp_path.iterdir()] == [f"picture{ending}"]


def test_grey_and_palette_pictures_become_rgb(tmp_path: Path) -> None:
    grey = Image.fromarray(smooth_picture(5, 6)[..., 0])
    for k, picture in enumerate((grey, grey.convert("1"), grey.convert("P"))):
        picture.save(tmp_path / f"{k}.png")
        assert np.array_equal(load_image(tmp_path / f"{k}.png"), np.array(picture.convert("RGB")))


def test_transparent_pictures_are_laid_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((4, 4, 4), dtype=np.uint8)
    rgba[:2, :, 3] = 255
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png")[:, 0, 0].tolist() == [0, 0, 255, 255]


def test_the_exif_orientation_is_applied(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(smooth_picture(8, 20)).save(tmp_path / "a.jpg", exif=exif)
    assert load_image(tmp_path / "a.jpg").shape == (20, 8, 3)


def test_pictures_that_cannot_be_converted_without_guessing_are_refused(tmp_path: Path) -> None:
    picture = Image.fromarray(smooth_picture(8, 8))
    Image.fromarray(np.full((8, 8), 40000, dtype=np.uint16)).save(tmp_path / "deep.png")
    picture.convert("CMYK").save(tmp_path / "print.jpg")
    picture.save(tmp_path / "moving.gif", save_all=True, append_images=[picture.rotate(90)])
    deep = np.full((8, 8, 3), 40000, dtype=">u2")
    (tmp_path / "deep.ppm").write_bytes(b"P6 8 8 65535\n" + deep.tobytes())
    rows = b"".join(b"\0" + row.tobytes() for row in deep)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    (tmp_path / "deeprgb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ))  # fmt: skip
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "empty.png").write_bytes(b"")
    picture.save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:90])
    for name, word in [("deep", "8 bits"), ("print", "CMYK"), ("moving", "animated"), ("text", "not an image"),
                       ("empty", "not an image"), ("cut", "unreadable"), ("absent", "no such file"),
                       ("deep.ppm", "8 bits"), ("deeprgb", "8 bits")]:  # fmt: skip
        endings = {"print": "jpg", "moving": "gif"}
        with pytest.raises(ImageError, match=word) as caught:
            load_image(tmp_path / (name if "." in name else f"{name}.{endings.get(name, 'png')}"))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["jp2", "j2k"])
def test_jpeg_2000_of_more_than_8_bits_is_refused(tmp_path: Path, kind: str) -> None:
    deep = np.full((16, 24, 3), 300, np.uint16)
    for bits, picture in ((8, smooth_picture(16, 24)), (12, deep), (16, deep)):
        made = imagecodecs.jpeg2k_encode(picture, codecformat=kind, bitspersample=bits, reversible=True, level=0)
        (tmp_path / f"{bits}.{kind}").write_bytes(made)
    assert np.array_equal(load_image(tmp_path / f"8.{kind}"), smooth_picture(16, 24))
    for bits in (12, 16):
        with pytest.raises(ImageError, match="more than 8 bits a sample"):
            load_image(tmp_path / f"{bits}.{kind}")


@pytest.mark.parametrize("bits", [8, 10, 12])
def test_avif_of_more_than_8_bits_is_refused(tmp_path: Path, bits: int) -> None:
    picture = smooth_picture(16, 24)
    deep = picture if bits == 8 else picture.astype(np.uint16) << (bits - 8)
    (tmp_path / "a.avif").write_bytes(imagecodecs.avif_encode(deep, bitspersample=bits))
    if bits == 8:
        assert load_image(tmp_path / "a.avif").shape == (16, 24, 3)
        return
    with pytest.raises(ImageError, match="more than 8 bits a sample"):
        load_image(tmp_path / "a.avif")


def test_a_bmp_of_16_bits_a_pixel_has_fewer_a_sample_and_is_read(tmp_path: Path) -> None:
    row = struct.pack("<2H", 0xF800, 0x07E0)  # red, green
    head = struct.pack("<IiiHHIIiiII3I", 40, 2, 1, 1, 16, 3, len(row), 0, 0, 0, 0, 0xF800, 0x07E0, 0x001F)
    (tmp_path / "a.bmp").write_bytes(b"BM" + struct.pack("<IHHI", 66 + len(row), 0, 0, 66) + head + row)
    assert load_image(tmp_path / "a.bmp").tolist() == [[[255, 0, 0], [0, 255, 0]]]


def test_of_a_cameras_several_pictures_the_first_is_taken(tmp_path: Path) -> None:
    first = Image.fromarray(smooth_picture(16, 24))
    first.save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=[first.rotate(180)], quality=95)
    first.save(tmp_path / "b.jpg", quality=95)
    assert np.abs(load_image(tmp_path / "a.jpg").astype(int) - load_image(tmp_path / "b.jpg")).max() < 8


def test_pictures_too_wide_for_a_format_are_told_with_one_that_takes_them(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"does not write 16384x1 as WEBP .*; use .png"):
        save_image(np.zeros((1, 16384, 3), np.uint8), tmp_path / "wide.webp")
    assert not list(tmp_path.iterdir())


def test_large_pictures_are_read_without_a_warning_and_larger_ones_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_image(np.zeros((10, 15, 3), np.uint8), tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert load_image(tmp_path / "a.png").shape == (10, 15, 3)
    assert not told
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(ImageError, match="more pixels than Pillow reads"):
        load_image(tmp_path / "a.png")


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def full(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        save_image(smooth_picture(4, 4), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
    with pytest.raises(ImageError, match="unknown image ending"):
        save_image(smooth_picture(4, 4), tmp_path / "a.xyz")


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_layer_sizes_never_shrink_upwards_and_end_at_the_picture(width: int, height: int) -> None:
    sizes = layer_sizes(width, height, (0.1, 0.25, 0.5, 1.0))
    assert sizes[-1] == (width, height) and min(sizes[0]) >= 1
    assert all(a[0] <= b[0] and a[1] <= b[1] for a, b in pairwise(sizes))


def test_halves_are_rounded_up() -> None:
    assert layer_sizes(5, 3, (0.5, 1.0))[0] == (3, 2)
    with pytest.raises(OptionError):
        layer_sizes(5, 3, (1.0, 0.5))


def test_resizing_is_pillows_antialiased_bicubic() -> None:
    image = smooth_picture(20, 30)
    expected = np.array(Image.fromarray(image).resize((15, 10), Image.Resampling.BICUBIC))
    assert np.array_equal(resize8(image, 15, 10), expected)


def test_rounding_to_8_bits_is_to_the_nearest_and_clamped() -> None:
    values = torch.tensor([-0.2, 0.0, 100.4 / 255, 100.6 / 255, 1.0, 1.7]).reshape(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert to_image8(values)[0, :, 0].tolist() == [0, 0, 100, 101, 255, 255]
    image = smooth_picture(9, 4)
    assert np.array_equal(to_image8(to_tensor(image)), image)
