"""Random codes become pictures, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import layered
from layered.base.transforms import rebuild_tables
from layered.cli import run
from layered.codec import LayeredCodec
from layered.errors import OptionError
from layered.image import load_image
from layered.sampling import sample, sheet
from layered.spec import CodecSpec, build
from layered.weights.store import save_codec


@pytest.fixture(scope="module")
def codec() -> LayeredCodec:
    base = {"name": "gc", "width": 32, "channels": 2, "blocks": 1, "norm": "channel", "noise": 1}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = build(CodecSpec.model_validate({"base": base, "lambdas": (0.0002,)}))
    rebuild_tables(made)
    return made.requires_grad_(False).eval()


def test_a_seed_gives_its_pictures_and_another_gives_others(codec: LayeredCodec) -> None:
    once, again, other = (sample(codec, 2, 40, 56, seed) for seed in (1, 1, 2))
    assert [picture.shape for picture in once] == [(40, 56, 3)] * 2
    assert np.array_equal(once[0], again[0]) and not np.array_equal(once[0], other[0])
    assert not np.array_equal(once[0], once[1])


def test_layers_without_an_alphabet_are_told() -> None:
    with pytest.raises(OptionError, match="no finite alphabet"):
        sample(layered.load("factorized-small"), 1, 16, 16)


def test_a_sheet_shows_every_picture_in_its_place() -> None:
    pictures = [np.full((4, 6, 3), value, np.uint8) for value in (10, 20, 30)]
    made = sheet(pictures, 2)
    assert made.shape == (8, 12, 3)
    assert (made[:4, :6] == 10).all() and (made[:4, 6:] == 20).all() and (made[4:, :6] == 30).all()
    assert (made[4:, 6:] == 0).all()


def test_the_command_writes_a_sheet(
    codec: LayeredCodec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    save_codec(codec, "gc.safetensors", "gc")
    assert run(["sample", "out.png", "--model", "gc.safetensors", "--count", "3", "--size", "40x24"]) == 0
    assert load_image("out.png").shape == (48, 80, 3)
    assert run(["sample", "out.xyz", "--model", "gc.safetensors"]) == 2
    assert run(["sample", "out.png", "--model", "gc.safetensors", "--size", "0x4"]) == 2
    assert "cannot be drawn" in capsys.readouterr().err
    for size, number in (("30000x30000", "1"), ("4096x4096", "3"), ("40000x8", "1")):
        assert run(["sample", "out.png", "--model", "gc.safetensors", "--size", size, "--count", number]) == 2
        assert f"too large: {number} of {size}; at most 32768 a side and 33554432 pixels" in capsys.readouterr().err
