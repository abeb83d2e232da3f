"""SC: the label map comes back whole, codes exist only where something is kept, and both ends agree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from layered.base.sc import Sc
from layered.codec import LayeredCodec
from layered.errors import CorruptStream, LimitExceeded, OptionError, UnsupportedVersion, WrongModel
from layered.guide import Guide, guide_of
from layered.layer import Context
from layered.rounding import Hard
from layered.spec import CodecSpec
from tests.conftest import smooth_picture, untrained

CLASSES = ("sky", "road", "car", "tree")


@pytest.fixture(scope="module")
def codec() -> LayeredCodec:
    base = {"name": "sc", "classes": CLASSES, "width": 32, "channels": 3, "blocks": 1, "norm": "channel"}
    return untrained(CodecSpec.model_validate({"base": base, "lambdas": (0.0002,)}), 5)


def labels(height: int, width: int) -> NDArray[np.uint8]:
    made = np.zeros((height, width), np.uint8)
    made[height // 2 :], made[height // 3 :, width // 2 :] = 1, 3
    return made


def box(height: int, width: int, *edges: int) -> NDArray[np.bool_]:
    top, bottom, left, right = edges
    made = np.zeros((height, width), bool)
    made[top:bottom, left:right] = True
    return made


@pytest.mark.parametrize("size", [(1, 1), (1, 30), (40, 7), (64, 48), (65, 50)])
@pytest.mark.parametrize("kept", ["nothing", "everything", "a part"])
@pytest.mark.parametrize("exact", [False, True])
def test_decoding_gives_the_encoders_picture(
    codec: LayeredCodec, size: tuple[int, int], kept: str, exact: bool
) -> None:
    height, width = size
    preserved = box(height, width, 0, {"nothing": 0, "everything": height}.get(kept, (height + 1) // 2), 0, width)
    guide = guide_of(labels(height, width), preserved)
    data = codec.encode(smooth_picture(height, width), (1.0,), exact=exact, verify=True, guide=guide)
    assert codec.decode(data)[0].shape == (height, width, 3)


@pytest.mark.parametrize("entropy", ["uniform", "histogram", "static", "checkerboard", "autoregressive"])
def test_every_entropy_model_can_do_with_nothing_that_is_kept(entropy: str) -> None:
    base = {"name": "sc", "classes": CLASSES, "width": 16, "channels": 2, "blocks": 1, "entropy": entropy}
    codec = untrained(CodecSpec.model_validate({"base": base, "lambdas": (0.0002,)}), 5)
    guide = guide_of(labels(40, 30), box(40, 30, 0, 0, 0, 30))
    data = codec.encode(smooth_picture(40, 30), (1.0,), guide=guide)
    assert codec.decode(data)[0].shape == (40, 30, 3)


def test_codes_where_nothing_is_kept_are_refused(codec: LayeredCodec) -> None:
    context = Context(40, 30, guide=guide_of(labels(40, 30), box(40, 30, 0, 0, 0, 30)))
    image = torch.rand(1, 3, 40, 30, generator=torch.Generator().manual_seed(0))
    written = codec.base.write(codec.base.code(codec.base.analyse(image, context), context, Hard()).latents, context)
    with pytest.raises(CorruptStream):
        codec.base.read(written + bytes(8), Context(40, 30))


def test_what_is_read_is_what_was_written(codec: LayeredCodec) -> None:
    layer = codec.base
    guide = guide_of(labels(50, 70), box(50, 70, 10, 30, 5, 40))
    context = Context(50, 70, guide=guide)
    image = torch.rand(1, 3, 50, 70, generator=torch.Generator().manual_seed(0))
    coded = layer.code(layer.analyse(image, context), context, Hard())
    found = layer.read(layer.write(coded.latents, context), Context(50, 70))
    assert all(torch.equal(a, b) for a, b in zip(found.parts, coded.latents.parts, strict=True))
    assert np.array_equal(found.parts[2][0, 0].numpy(), labels(50, 70))


def test_bytes_grow_with_what_is_kept(codec: LayeredCodec) -> None:
    image = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    sizes = [
        len(codec.encode(image, (1.0,), guide=guide_of(labels(128, 128), box(128, 128, 0, rows, 0, 128)), verify=False))
        for rows in (0, 32, 64, 96, 128)
    ]
    steps = np.diff(sizes)
    cells = 4 * 16 * 3 * np.log2(5) / 8  # of a quarter, at the bound
    assert sizes[0] < 60 and np.allclose(steps, cells, rtol=0.25)


def test_codes_are_zero_where_nothing_is_kept_and_fidelity_says_so(codec: LayeredCodec) -> None:
    guide = guide_of(labels(64, 64), box(64, 64, 16, 40, 0, 9))
    context = Context(64, 64, guide=guide)
    coded = codec.base.code(codec.base.analyse(torch.rand(1, 3, 64, 64), context), context, Hard())
    code, heatmap, _ = coded.latents.parts
    assert bool((code[:, :, heatmap[0, 0] == 0] == 0).all())
    fidelity = codec.base.fidelity(coded.latents, context)
    assert fidelity is not None and fidelity.shape == (1, 1, 64, 64)
    assert bool((fidelity[0, 0][torch.from_numpy(box(64, 64, 16, 40, 0, 9))] == 1).all())
    assert float(fidelity.mean()) == pytest.approx(24 * 16 / 64**2)


def test_a_picture_without_a_label_map_or_with_a_wrong_one_is_refused(codec: LayeredCodec) -> None:
    image = smooth_picture(32, 32)
    with pytest.raises(OptionError, match="give one with the picture"):
        codec.encode(image, (1.0,))
    with pytest.raises(OptionError, match="know 0 to 3"):
        codec.encode(image, (1.0,), guide=guide_of(labels(32, 32) + np.uint8(2)))
    with pytest.raises(OptionError, match="not of this picture"):
        codec.encode(image, (1.0,), guide=guide_of(labels(31, 32)))
    with pytest.raises(OptionError, match="8-bit classes"):
        guide_of(labels(32, 32).astype(np.int64))
    with pytest.raises(OptionError, match="what is preserved"):
        guide_of(labels(32, 32), box(31, 32, 0, 1, 0, 1))


@pytest.mark.parametrize("at", range(0, 220, 3))
def test_damage_is_told(codec: LayeredCodec, at: int) -> None:
    guide = guide_of(labels(48, 48), box(48, 48, 0, 20, 0, 48))
    data = bytearray(codec.encode(smooth_picture(48, 48), (1.0,), guide=guide, verify=False))
    data[at % len(data)] ^= 0x41
    with pytest.raises((CorruptStream, UnsupportedVersion, WrongModel, LimitExceeded)):
        codec.decode(bytes(data))


def test_a_damaged_label_map_with_a_right_checksum_around_it_is_told(codec: LayeredCodec) -> None:
    layer = codec.base
    context = Context(48, 48, guide=guide_of(labels(48, 48), box(48, 48, 0, 20, 0, 48)))
    coded = layer.code(layer.analyse(torch.rand(1, 3, 48, 48), context), context, Hard())
    payload = bytearray(layer.write(coded.latents, context))
    for at in range(10, 10 + 12):
        damaged = bytes(payload[:at]) + bytes([payload[at] ^ 0x55]) + bytes(payload[at + 1 :])
        with pytest.raises(CorruptStream):
            layer.read(damaged, Context(48, 48))


def test_networks_have_the_papers_layers() -> None:
    with torch.device("meta"):
        sc = Sc(960, 8, 9, classes=[str(k) for k in range(34)])
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in sc.named_children()}
    down = 60 * 120 * 9 + 120 + 120 * 240 * 9 + 240 + 240 * 480 * 9 + 480
    assert count["features"] == 34 * 60 * 49 + 60 + down + 480 * 960 * 9 + 960
    assert count["encoder"] == 3 * 60 * 49 + 60 + down + 480 * 8 * 9 + 8
    assert count["branch"] == 9 * 480 * 9 + 480 + 480 * 960 * 9 + 960
    assert count["generator"] == 154_869_723 + (1920 - 4) * 960 * 9


def test_a_guide_at_another_size_keeps_what_touches_what_was_kept() -> None:
    guide = guide_of(labels(64, 64), box(64, 64, 31, 32, 5, 6)).at(16, 16)
    assert guide.labels.shape == (1, 16, 16) and guide.labels.dtype == torch.uint8
    assert guide.preserved.nonzero().tolist() == [[0, 7, 1]]
    assert np.array_equal(guide.labels[0].numpy(), labels(16, 16))
    assert isinstance(guide, Guide)
