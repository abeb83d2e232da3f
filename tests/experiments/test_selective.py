"""What is kept of a picture, and what it costs, measured from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.selective import WAYS, Kept, main, measure, summary
from layered.base.transforms import rebuild_tables
from layered.codec import LayeredCodec
from layered.image import save_image
from layered.spec import CodecSpec, build
from layered.training.recipe import load_recipe
from layered.weights.store import digest_of, save_codec
from tests.conftest import smooth_picture

CLASSES = load_recipe("sc_camvid").model.base.classes  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def codec() -> LayeredCodec:
    base = {"name": "sc", "classes": CLASSES, "width": 16, "channels": 2, "blocks": 0, "norm": "channel"}
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = build(CodecSpec.model_validate({"base": {**base, "shortcut": True}, "lambdas": (0.0002,)}))
    rebuild_tables(made)
    made.digest = digest_of(made.spec, made.state_dict())
    return made.requires_grad_(False).eval()


def labels() -> np.ndarray:  # type: ignore[type-arg]
    made = np.repeat(np.arange(12, dtype=np.uint8), 4)[:, None] * np.ones((1, 64), np.uint8)
    return made


@pytest.mark.parametrize("name", WAYS)
def test_every_way_keeps_a_share_of_its_own(codec: LayeredCodec, name: str) -> None:
    kept = WAYS[name](labels(), CLASSES)
    assert kept.shape == (48, 64) and kept.dtype == np.bool_
    shares = {"nothing": 0, "everything": 1, "car": 1 / 12, "a box, a quarter": 0.25, "road, pavement": 1 / 6}
    assert name not in shares or kept.mean() == pytest.approx(shares[name], abs=0.02)


def test_the_kept_part_costs_bytes_and_is_nearer_to_the_original(codec: LayeredCodec) -> None:
    ways = [WAYS[name](labels(), CLASSES) for name in ("nothing", "a box, half")]
    nothing, half = (measure(codec, smooth_picture(48, 64), labels(), way) for way in ways)
    assert nothing.within is None and nothing.bytes < half.bytes
    assert half.within is not None and half.without is not None and half.within < half.without


def test_errors_are_averaged_over_pixels_and_bytes_over_pictures() -> None:
    found = [Kept(0.5, 100, 0.2, 4.0, 10.0), Kept(0.25, 300, 0.6, 1.0, 2.0), Kept(0.0, 50, 0.1, None, 7.0)]
    made = summary(found)
    assert (made.pictures, made.share, made.bytes) == (3, 0.25, 150)
    assert made.within == pytest.approx((4 * 0.5 + 1 * 0.25) / 0.75)
    assert made.without == pytest.approx((10 * 0.5 + 2 * 0.75 + 7) / 2.25)


def test_the_command_prints_a_line_for_each_way(
    codec: LayeredCodec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("images", "labels"):
        (tmp_path / folder).mkdir()
    save_image(smooth_picture(48, 64), tmp_path / "images" / "a.png")
    Image.fromarray(labels()).save(tmp_path / "labels" / "a.png")
    save_codec(codec, tmp_path / "sc.safetensors", "sc")
    main([str(tmp_path / "images"), str(tmp_path / "labels"), "--weights", str(tmp_path / "sc.safetensors")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + len(WAYS) and lines[0].startswith("1 pictures, weights sc ")
    assert lines[-1].startswith("everything") and " 1.000 " in lines[-1]
