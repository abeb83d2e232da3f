"""Items: what they depend on and what they measure."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL
import pytest

from baselines.classical import CLASSICAL
from baselines.simulcast import Simulcast
from baselines.single import SingleLayer
from experiments import item as items
from experiments.item import PREVIEW_SIDE, Wanted, measure, preview
from experiments.metrics import psnr
from experiments.plan import plan
from experiments.record import Provenance, join
from layered.codec import LayeredCodec
from layered.errors import LayeredError, OptionError
from layered.image import load_image, resize8
from layered.weights.store import save_codec
from tests.experiments.small_run import QUALITIES, small_recipe, write_pictures

PROVENANCE = Provenance("tests", None, "Linux", 1)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


def keys(pictures: Path, **changes: Any) -> list[str]:
    return [item.key for item in plan(small_recipe(pictures, **changes), PROVENANCE).items]


def test_a_record_holds_what_the_files_say(pictures: Path) -> None:
    planned = plan(small_recipe(pictures), PROVENANCE)
    entry = next(entry for entry in planned.entries if entry.quality == 30)
    items = {item.key: item for item in planned.items}
    pieces = [measure(items[key]).record for key in entry.keys]
    record, image = join(entry.codec, entry.quality, pieces, entry.cumulative), load_image(pictures / "p0.png")
    codec = Simulcast(CLASSICAL["jpeg"])
    encoded = codec.encode(image, (0.5, 1.0), 30)
    decoded = codec.decode(encoded)
    assert (record.codec, record.quality, record.image, record.scales) == ("simulcast jpeg", 30, "p0", (0.5, 1.0))
    assert record.files_sha256 == tuple(hashlib.sha256(file).hexdigest() for file in encoded.files)
    assert [(layer.width, layer.height) for layer in record.layers] == [(24, 16), (48, 32)]
    assert tuple(layer.bytes for layer in record.layers) == encoded.layer_bytes
    assert record.layers[0].bpp == 8 * len(encoded.files[0]) / (24 * 16)
    assert record.layers[1].bpp == 8 * sum(map(len, encoded.files)) / (48 * 32)
    assert record.layers[0].psnr == psnr(decoded[0], resize8(image, 24, 16))
    assert record.layers[1].psnr == psnr(decoded[1], image)
    assert record.encode_seconds == sum(piece.encode_seconds for piece in pieces) > 0
    assert record.decode_seconds > 0 and record.provenance.command == "tests"


def test_previews_are_the_decoded_pictures_at_most_the_previews_side(pictures: Path) -> None:
    item = plan(small_recipe(pictures), PROVENANCE).items[1]
    (shown,) = measure(item).previews
    assert load_image(io.BytesIO(shown)).shape == (32, 48, 3)
    large = np.zeros((40, 2 * PREVIEW_SIDE, 3), np.uint8)
    assert load_image(io.BytesIO(preview(large))).shape == (20, PREVIEW_SIDE, 3)
    assert measure(replace(item, wanted=Wanted())).previews == ()


def test_operations_are_those_of_decoding(pictures: Path, tiny_codec: LayeredCodec) -> None:
    weights = str(pictures / "tiny.safetensors")
    save_codec(tiny_codec, weights, "tiny", half=False)
    codecs = [{"name": "layered", "codec": "layered", "weights": weights, "qualities": [1]}]
    recipe = small_recipe(pictures, codecs=codecs, anchors=[], operations=True)
    one, both = (
        measure(plan(recipe.model_copy(update={"scales": scales}), PROVENANCE).items[0]).record.decode_operations
        for scales in (((0.5,),), ((0.5, 1.0),))
    )
    assert one is not None and both is not None and both > 2 * one > 0


def test_operations_of_what_does_not_compute_by_torch_are_unknown_not_0(pictures: Path) -> None:
    item = plan(small_recipe(pictures, operations=True), PROVENANCE).items[0]
    assert item.method.of == "jpeg" and measure(item).record.decode_operations is None


def test_what_a_codec_tells_of_itself_hides_nothing_of_the_harness(
    pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codec = items.codec_of(plan(small_recipe(pictures), PROVENANCE).items[0].method, "cpu")
    monkeypatch.setattr(type(codec), "fingerprint", lambda self: {"pillow": "7", "mine": "1"})
    told = dict(plan(small_recipe(pictures), PROVENANCE).items[0].fingerprint)
    assert (told["pillow"], told["codec's pillow"], told["mine"]) == (PIL.__version__, "7", "1")


@pytest.mark.parametrize(
    "changes",
    [
        {"scales": [0.25, 0.75]},
        {"operations": True},
        {"ms_ssim": True},
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


def test_an_adaptation_and_its_settings_change_the_key_of_its_row_alone(
    pictures: Path, tiny_codec: LayeredCodec
) -> None:
    weights = str(pictures / "tiny.safetensors")
    save_codec(tiny_codec, weights, "tiny", half=False)
    plain = {"name": "plain", "codec": "single", "of": "mean-scale", "weights": weights, "qualities": [1]}
    rows = [plain] + [
        {**plain, "name": f"{steps}", "adaptation": {"method": "refine", "steps": steps}} for steps in (20, 80)
    ]
    recipe = small_recipe(pictures, codecs=rows, anchors=[], scales=[1], data={"source": str(pictures), "limit": 1})
    own = plan(recipe, PROVENANCE).items
    alone = plan(recipe.model_copy(update={"codecs": recipe.codecs[:1]}), PROVENANCE).items
    assert len({item.key for item in own}) == 3 and own[0].key == alone[0].key
    assert "adaptation" not in own[0].method.words and "adaptation" not in dict(own[0].fingerprint)
    assert dict(own[1].fingerprint)["adaptation"] == dict(own[2].fingerprint)["adaptation"]
    assert len({measure(item).record.files_sha256 for item in own}) == 3


def test_a_quality_out_of_range_shows_before_any_work(pictures: Path) -> None:
    codec = {"name": "a", "codec": "single", "of": "jpeg", "qualities": [50, 99]}
    with pytest.raises(OptionError, match="a: quality 99 is outside 1 to 95"):
        plan(small_recipe(pictures, codecs=[codec], anchors=[]), PROVENANCE)


def test_a_codec_that_changes_during_the_run_is_caught(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = plan(small_recipe(pictures), PROVENANCE).items[0]
    monkeypatch.setattr("PIL.__version__", "0.0")
    with pytest.raises(LayeredError, match="than when the run began"):
        measure(item)


def test_other_measuring_code_than_the_runs_own_is_caught(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = plan(small_recipe(pictures), PROVENANCE).items[0]
    monkeypatch.setattr(items, "source_digest", lambda *sources: "other")
    with pytest.raises(LayeredError, match="code than when the run began"):
        measure(item)


def test_a_picture_that_changes_during_the_run_is_caught(pictures: Path) -> None:
    item = plan(small_recipe(pictures), PROVENANCE).items[0]
    item.picture.path.write_bytes((pictures / "p1.png").read_bytes())
    with pytest.raises(LayeredError, match="another picture than when the run began"):
        measure(item)


def test_a_codec_that_returns_another_size_is_caught(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = np.zeros((5, 5, 3), np.uint8)
    monkeypatch.setattr(SingleLayer, "decode", lambda self, encoded: (wrong,))
    with pytest.raises(LayeredError, match=r"decoded layers of sizes \(\(5, 5\),\) where"):
        measure(plan(small_recipe(pictures), PROVENANCE).items[0])
