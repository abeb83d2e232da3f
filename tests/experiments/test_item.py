"""Items: what they depend on and what they measure."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from baselines.classical import CLASSICAL
from baselines.simulcast import Simulcast
from experiments import item as items
from experiments.item import measure, plan
from experiments.metrics import psnr
from experiments.record import Provenance
from layered.errors import LayeredError, OptionError
from layered.image import load_image, resize8
from tests.experiments.small_run import QUALITIES, small_recipe, write_pictures

PROVENANCE = Provenance("tests", None, "Linux", 1)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


def keys(pictures: Path, **changes: Any) -> list[str]:
    return [item.key for item in plan(small_recipe(pictures, **changes), PROVENANCE)]


def test_a_plan_has_one_item_for_each_codec_quality_and_image(pictures: Path) -> None:
    planned = plan(small_recipe(pictures), PROVENANCE)
    assert len(planned) == len({item.key for item in planned}) == 2 * len(QUALITIES) * 2
    assert [item.picture.name for item in planned[:2]] == ["p0", "p1"]


def test_a_record_holds_what_the_files_say(pictures: Path) -> None:
    item = next(item for item in plan(small_recipe(pictures), PROVENANCE) if item.quality == 30)
    record, image = measure(item), load_image(pictures / "p0.png")
    codec = Simulcast(CLASSICAL["jpeg"])
    encoded = codec.encode(image, (0.5, 1.0), 30)
    decoded = codec.decode(encoded)
    assert record.files_sha256 == tuple(hashlib.sha256(file).hexdigest() for file in encoded.files)
    assert [(layer.width, layer.height) for layer in record.layers] == [(24, 16), (48, 32)]
    assert tuple(layer.bytes for layer in record.layers) == encoded.layer_bytes
    assert record.layers[0].bpp == 8 * len(encoded.files[0]) / (24 * 16)
    assert record.layers[1].bpp == 8 * sum(map(len, encoded.files)) / (48 * 32)
    assert record.layers[0].psnr == psnr(decoded[0], resize8(image, 24, 16))
    assert record.layers[1].psnr == psnr(decoded[1], image)
    assert record.encode_seconds > 0 and record.decode_seconds > 0 and record.provenance == PROVENANCE


@pytest.mark.parametrize(
    "changes",
    [
        {"scales": [0.25, 1]},
        {"ms_ssim": True},
        {"codecs": [{"name": "simulcast jpeg", "codec": "single", "of": "jpeg", "qualities": QUALITIES}]},
        {"codecs": [{"name": "simulcast jpeg", "codec": "simulcast", "of": "avif", "qualities": QUALITIES}]},
    ],
)
def test_what_changes_the_result_changes_every_key(pictures: Path, changes: dict[str, Any]) -> None:
    assert not set(keys(pictures)) & set(keys(pictures, **changes))


def test_what_leaves_the_result_alone_leaves_the_keys(pictures: Path) -> None:
    other = {"anchors": [], "bd_rate": "cubic", "description": "words", "threads": 2}
    assert keys(pictures) == keys(pictures, **other, data={"source": str(pictures), "limit": 2})


def test_other_pixels_other_libraries_and_other_code_change_the_keys(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = keys(pictures, data={"source": str(pictures), "limit": 1})
    monkeypatch.setattr("PIL.__version__", "0.0")
    library = keys(pictures, data={"source": str(pictures), "limit": 1})
    monkeypatch.setattr(items, "source_digest", lambda *sources: "other")
    code = keys(pictures, data={"source": str(pictures), "limit": 1})
    (pictures / "p0.png").write_bytes((pictures / "p1.png").read_bytes())
    pixels = keys(pictures, data={"source": str(pictures), "limit": 1})
    assert len({*before, *library, *code, *pixels}) == 4 * len(before)


def test_a_quality_out_of_range_shows_before_any_work(pictures: Path) -> None:
    codec = {"name": "a", "codec": "single", "of": "jpeg", "qualities": [50, 99]}
    with pytest.raises(OptionError, match="a: quality 99 is outside 1 to 95"):
        plan(small_recipe(pictures, codecs=[codec], anchors=[]), PROVENANCE)


def test_a_codec_that_changes_during_the_run_is_caught(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = plan(small_recipe(pictures), PROVENANCE)[0]
    monkeypatch.setattr("PIL.__version__", "0.0")
    with pytest.raises(LayeredError, match="changed after the run began"):
        measure(item)


def test_a_codec_that_returns_another_size_is_caught(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = np.zeros((5, 5, 3), np.uint8)
    monkeypatch.setattr(Simulcast, "decode", lambda self, encoded: (wrong, wrong))
    with pytest.raises(LayeredError, match=r"decoded layers of sizes \(\(5, 5\), \(5, 5\)\) where"):
        measure(plan(small_recipe(pictures), PROVENANCE)[0])
