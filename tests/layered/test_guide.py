"""What is to be kept, by classes, boxes and masks, in Python and on the command line."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from layered.base.transforms import rebuild_tables
from layered.cli import run
from layered.codec import LayeredCodec
from layered.errors import ImageError, OptionError
from layered.guide import kept_boxes, kept_classes, load_labels
from layered.image import load_image, save_image
from layered.spec import CodecSpec, build
from layered.stream import parse
from layered.weights.store import save_codec
from tests.conftest import smooth_picture

CLASSES = ("sky", "road", "car")
LABELS = np.repeat(np.array([[0], [1], [2]], np.uint8), 20, 0) * np.ones((1, 70), np.uint8)


def made(name: str, blocks: int = 0) -> LayeredCodec:
    base = {"name": name, "classes": CLASSES, "width": 16, "channels": 2, "blocks": blocks, "norm": "channel"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        codec = build(CodecSpec.model_validate({"base": base, "lambdas": (0.0002,)}))
    rebuild_tables(codec)
    return codec


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A picture, its label map, a mask, and weights with an SC base layer."""
    monkeypatch.chdir(tmp_path)
    save_codec(made("sc"), "sc.safetensors", "sc")
    save_image(smooth_picture(60, 70), "a.png")
    Image.fromarray(LABELS).save("labels.png")
    Image.fromarray((LABELS == 1).astype(np.uint8) * 255).save("mask.png")
    return tmp_path


def encode(*options: str) -> int:
    """Payload bytes of a.png with these options, decoded as a check."""
    words = ["encode", "a.png", "a.lyr", "--model", "sc.safetensors", *options]
    assert run(words) == 0
    assert run(["decode", "a.lyr", "out.png", "--weights", "sc.safetensors"]) == 0
    assert load_image("out.png").shape == (60, 70, 3)
    (chunk,) = parse(Path("a.lyr").read_bytes()).chunks
    return len(chunk.payload)


def test_classes_boxes_and_masks_add_up(place: Path) -> None:
    nothing, everything = encode("--labels", "labels.png"), encode("--labels", "labels.png", "--preserve", "all")
    road = encode("--labels", "labels.png", "--preserve", "road")
    assert nothing < road < everything
    assert (
        road
        == encode("--labels", "labels.png", "--preserve", "1")
        == encode("--labels", "labels.png", "--mask", "mask.png")
    )
    assert road == encode("--labels", "labels.png", "--box", "0,20,70,20")
    assert road < encode("--labels", "labels.png", "--preserve", "road", "--box", "0,0,70,10") <= everything


def test_a_folder_of_maps_goes_with_a_folder_of_pictures(place: Path) -> None:
    for folder in ("pictures", "maps"):
        Path(folder).mkdir()
    save_image(smooth_picture(60, 70), "pictures/b.png")
    Image.fromarray(LABELS).save("maps/b.png")
    assert run(["encode", "pictures", "out/", "--weights", "sc.safetensors", "--labels", "maps"]) == 0
    assert Path("out/b.lyr").is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--labels", "labels.png", "--preserve", "dog"], "there is no class 'dog'; there are sky, road, car"),
        (["--labels", "labels.png", "--preserve", "3"], "there is no class '3'"),
        (["--labels", "labels.png", "--box", "80,0,5,5"], "outside of the picture of 70x60"),
        (["--labels", "labels.png", "--box", "1,2,3"], "not x,y,width,height"),
        (["--labels", "labels.png", "--box", "1,2,0,3"], "at least one pixel"),
        (["--labels", "labels.png", "--mask", "small.png"], "--mask is 5x4, the label map 70x60"),
        (["--labels", "small.png"], "not of this picture"),
        (["--labels", "a.png"], "one channel of 8 bits"),
        (["--labels", "nowhere.png"], "no such file"),
        (["--preserve", "road"], "go with --labels"),
        ([], "give one with the picture"),
    ],
)
def test_wrong_guides_are_told(
    place: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(LABELS[:4, :5]).save("small.png")
    assert run(["encode", "a.png", "a.lyr", "--weights", "sc.safetensors", *options]) == 2
    assert message in capsys.readouterr().err


def test_weights_without_a_label_map_take_none(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["encode", "a.png", "a.lyr", "--weights", "factorized-small", "--labels", "labels.png"]) == 2
    assert "take no label map" in capsys.readouterr().err


def test_weights_that_see_a_label_map_and_keep_everything_take_it_alone(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_codec(made("gc", blocks=1), "gc.safetensors", "gc")
    words = ["encode", "a.png", "a.lyr", "--weights", "gc.safetensors"]
    assert run([*words, "--labels", "labels.png"]) == 0
    assert run(["decode", "a.lyr", "out.png", "--weights", "gc.safetensors"]) == 0
    assert load_image("out.png").shape == (60, 70, 3)
    for more in (["--preserve", "road"], ["--box", "0,0,5,5"], ["--mask", "mask.png"]):
        assert run([*words, "--labels", "labels.png", *more]) == 2
        assert "'gc' keeps everything" in capsys.readouterr().err
    assert run(words) == 2
    assert "need a label map to encode" in capsys.readouterr().err


def test_boxes_that_reach_beyond_the_picture_are_cut() -> None:
    kept = kept_boxes(10, 12, [(-3, -2, 5, 4), (10, 8, 99, 99)])
    assert kept.sum() == 2 * 2 + 2 * 2 and kept[0, 0] and kept[9, 11]


def test_classes_go_by_name_or_number() -> None:
    assert np.array_equal(kept_classes(LABELS, ["car", "0"], CLASSES), LABELS != 1)
    with pytest.raises(OptionError, match="no class"):
        kept_classes(LABELS, ["-1"], CLASSES)


@pytest.mark.parametrize("make", [lambda i: i.convert("P"), lambda i: i], ids=["palette", "grey"])
def test_label_maps_are_read_as_numbers(make: Callable[[Image.Image], Image.Image], tmp_path: Path) -> None:
    make(Image.fromarray(LABELS)).save(tmp_path / "l.png")
    assert np.array_equal(np.unique(load_labels(tmp_path / "l.png")), [0, 1, 2])
    (tmp_path / "l.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match="not an image that Pillow can read"):
        load_labels(tmp_path / "l.png")


@pytest.mark.parametrize(
    ("ending", "options"), [("gif", {}), ("bmp", {}), ("tif", {"compression": "tiff_lzw"}), ("tif", {}), ("pgm", {})]
)
def test_label_maps_of_any_lossless_kind_are_read_as_numbers(
    ending: str, options: dict[str, str], tmp_path: Path
) -> None:
    labels = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20) % 7
    Image.fromarray(labels).save(tmp_path / f"l.{ending}", **options)
    assert np.array_equal(load_labels(tmp_path / f"l.{ending}"), labels)


def test_maps_whose_numbers_pillow_stretches_or_inverts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "l.pgm").write_bytes(b"P5 2 1 18 " + bytes([0, 1]))
    tags = [(256, 2), (257, 1), (258, 4), (259, 1), (262, 0), (273, 8), (277, 1), (278, 1), (279, 1)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = b"II*\0" + struct.pack("<I", 12) + b"\x12\0\0\0" + struct.pack("<H", len(tags))
    (tmp_path / "l.tif").write_bytes(head + entries + bytes(4))
    for name in ("l.pgm", "l.tif"):
        with pytest.raises(ImageError, match="stored inverted or stretched; save it as an 8-bit PNG"):
            load_labels(tmp_path / name)
    (tmp_path / "l.pgm").write_bytes(b"P5 2 1 255 " + bytes([0, 1]))
    assert load_labels(tmp_path / "l.pgm").tolist() == [[0, 1]]


def test_a_map_of_a_format_that_other_programs_would_read_is_refused(tmp_path: Path) -> None:
    Image.fromarray(LABELS).save(tmp_path / "map.png", "EPS")
    with pytest.raises(ImageError, match=r"map\.png: not an image that Pillow can read"):
        load_labels(tmp_path / "map.png")


def test_a_map_beyond_the_largest_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    header = b"IHDR" + struct.pack(">IIBBBBB", 32769, 1, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    (tmp_path / "map.png").write_bytes(data + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT")))
    with pytest.raises(ImageError, match="32769x1 is beyond 32768 a side"):
        load_labels(tmp_path / "map.png")


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_maps_of_fewer_bits_have_the_numbers_that_are_in_the_file(bits: int, tmp_path: Path) -> None:
    numbers = np.arange(min(1 << bits, 12), dtype=np.uint8)
    digits = "".join(f"{number:0{bits}b}" for number in numbers)
    row = bytes(int(digits[k : k + 8].ljust(8, "0"), 2) for k in range(0, len(digits), 8))
    chunks = (
        b"IHDR" + struct.pack(">IIBBBBB", len(numbers), 1, bits, 0, 0, 0, 0),
        b"IDAT" + zlib.compress(b"\0" + row),
    )
    parts = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (*chunks, b"IEND"))
    (tmp_path / "l.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    assert load_labels(tmp_path / "l.png").tolist() == [numbers.tolist()]


@pytest.mark.parametrize("command", ["encode", "adapt"])
def test_help_says_how_maps_are_matched_with_pictures(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert run([command, "--help"]) == 0
    told = " ".join(word for word in capsys.readouterr().out.split() if word != "│")
    assert told.count("or a folder of them, by stem: a.png for a.jpg") == 2
