"""The layered codec behind the harness's protocol."""

from __future__ import annotations

import copy
import importlib
import os
from pathlib import Path

import numpy as np
import pytest

from baselines import learned
from baselines.learned import BasePicture, LayeredFile
from baselines.simulcast import Simulcast
from layered.codec import LayeredCodec
from layered.image import Image8
from layered.stream import parse

SCALES = (0.5, 1.0)


@pytest.fixture
def image(tiny_codec: LayeredCodec, monkeypatch: pytest.MonkeyPatch) -> Image8:
    monkeypatch.setattr(learned, "load_codec", lambda weights, device: tiny_codec)
    y, x = np.mgrid[0:40, 0:56]
    waves = [128 + 80 * np.sin(x / (6 + k)) * np.cos(y / 7) for k in range(3)]
    return np.asarray(np.stack(waves, axis=-1), dtype=np.uint8)


def test_a_layer_costs_the_stream_up_to_its_end_and_decodes_from_it(
    image: Image8, tiny_codec: LayeredCodec
) -> None:
    codec = LayeredFile()
    encoded = codec.encode(image, SCALES, 2.0)
    assert len(encoded.files) == 1 and encoded.layer_bytes[-1] == len(encoded.files[0])
    prefix = encoded.files[0][: encoded.layer_bytes[0]]
    assert np.array_equal(tiny_codec.decode(prefix)[0], codec.decode(encoded)[0])
    assert [picture.shape for picture in codec.decode(encoded)] == [(20, 28, 3), (40, 56, 3)]


def test_each_layer_may_have_its_own_quality(image: Image8) -> None:
    data = LayeredFile().encode(image, SCALES, (1.0, 3.0)).files[0]
    assert [chunk.quality for chunk in parse(data).chunks] == [1.0, 3.0]


def test_the_picture_codec_is_the_base_layer_at_full_size(image: Image8, tiny_codec: LayeredCodec) -> None:
    codec = BasePicture("mean-scale", "any")
    data = codec.encode(image, 2.0)
    assert data == tiny_codec.encode(image, scales=(1.0,), quality=2.0)
    assert codec.decode(data).shape == image.shape


def test_layered_and_simulcast_share_the_base_layers_picture(image: Image8) -> None:
    layered, simulcast = LayeredFile(), Simulcast(BasePicture("mean-scale", "any"))
    first = layered.decode(layered.encode(image, SCALES, 2.0))[0]
    assert np.array_equal(first, simulcast.decode(simulcast.encode(image, SCALES, 2.0))[0])


def test_weights_are_loaded_once_and_again_after_they_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []

    def load(weights: str, device: str) -> object:
        loads.append(object())
        return loads[-1]

    monkeypatch.setattr("layered.load", load)
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"")
    first = learned.load_codec(str(path), "cpu")
    assert learned.load_codec(str(path), "cpu") is first and len(loads) == 1
    os.utime(path, ns=(1, 1))
    assert learned.load_codec(str(path), "cpu") is not first and len(loads) == 2


def test_the_fingerprint_names_the_model(image: Image8, tiny_codec: LayeredCodec) -> None:
    assert LayeredFile().fingerprint()["model"] == tiny_codec.digest.hex()
    assert LayeredFile().quality_range == tiny_codec.quality_range == BasePicture("mean-scale", "any").quality_range


def test_the_fingerprint_changes_with_the_code_of_a_layer_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_codec: LayeredCodec
) -> None:
    source, codec = tmp_path / "my_layer.py", copy.deepcopy(tiny_codec)
    monkeypatch.setattr(learned, "load_codec", lambda weights, device: codec)
    monkeypatch.syspath_prepend(str(tmp_path))
    source.write_text("from layered.base.mean_scale import MeanScale\n\n\nclass Mine(MeanScale):\n    pass\n")
    bundled = LayeredFile().fingerprint()
    codec.base.__class__ = importlib.import_module("my_layer").Mine
    first = LayeredFile().fingerprint()
    assert set(first) - set(bundled) == {"code of my_layer"}
    source.write_text(source.read_text() + "# mended\n")
    assert LayeredFile().fingerprint() != first
