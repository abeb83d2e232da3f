"""Learned codecs that adapt to each picture, behind the harness's protocol."""

from __future__ import annotations

import numpy as np
import pytest

from adapters.adaptation import AdaptationSettings
from baselines import adapted, learned
from baselines.adapted import AdaptedFile, AdaptedPicture
from baselines.learned import BasePicture, LayeredFile
from baselines.protocol import Encoded
from baselines.registry import build, picture_codec
from baselines.simulcast import Simulcast
from layered.codec import LayeredCodec
from layered.errors import OptionError
from layered.image import Image8
from layered.stream import parse
from tests.conftest import smooth_picture

SCALES = (0.5, 1.0)
REFINE = AdaptationSettings(method="refine", steps=20)


@pytest.fixture
def image(tiny_codec: LayeredCodec, monkeypatch: pytest.MonkeyPatch) -> Image8:
    for module in (learned, adapted):
        monkeypatch.setattr(module, "load_codec", lambda weights, device: tiny_codec)
    return smooth_picture(32, 48)


def test_an_adapted_file_is_decoded_by_the_plain_codec(image: Image8) -> None:
    codec = AdaptedFile(adaptation=AdaptationSettings(steps=3, adapter_steps=2, sites=("@synthesis",)))
    encoded = codec.encode(image, SCALES, 2.0)
    assert encoded.layer_bytes == parse(encoded.files[0]).ends
    assert encoded.files != LayeredFile().encode(image, SCALES, 2.0).files
    pictures = zip(codec.decode(encoded), LayeredFile().decode(encoded), strict=True)
    assert all(np.array_equal(own, plain) for own, plain in pictures)


def test_without_steps_the_file_is_the_plain_codecs(image: Image8) -> None:
    still = AdaptationSettings(method="refine", steps=0)
    assert AdaptedFile(adaptation=still).encode(image, SCALES, 2.0) == LayeredFile().encode(image, SCALES, 2.0)


def test_an_adapted_picture_is_the_adapted_base_layer(image: Image8, tiny_codec: LayeredCodec) -> None:
    plain = BasePicture("mean-scale", "any")
    data = AdaptedPicture("mean-scale", "any", adaptation=REFINE).encode(image, 2.0)
    assert data != plain.encode(image, 2.0) and plain.decode(data).shape == image.shape
    assert Encoded((data,), (len(data),)) == AdaptedFile(adaptation=REFINE).encode(image, (1.0,), 2.0)


def test_the_same_picture_is_adapted_to_the_same_bytes(image: Image8) -> None:
    codec = AdaptedPicture("mean-scale", "any", adaptation=REFINE)
    first, second = (codec.encode(image, 2.0) for _ in range(2))
    assert first == second


def test_the_fingerprint_adds_code_and_numbers_of_adaptation_to_that_of_the_plain_codec(image: Image8) -> None:
    plain, own = LayeredFile().fingerprint(), AdaptedFile().fingerprint()
    added = {"adaptation", "numbers"}
    assert {name: own[name] for name in plain} == plain and own.keys() - plain.keys() == added
    picture = AdaptedPicture("mean-scale", "any").fingerprint()
    assert picture.keys() - BasePicture("mean-scale", "any").fingerprint().keys() == added


def test_a_search_in_other_numbers_is_another(image: Image8, monkeypatch: pytest.MonkeyPatch) -> None:
    def numbers(settings: AdaptationSettings) -> str:
        return AdaptedFile(adaptation=settings).fingerprint()["numbers"]

    for quick, name in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr("adapters.adaptation.is_quick", lambda device, quick=quick: quick)
        assert numbers(REFINE) == name
        assert numbers(REFINE.model_copy(update={"half": True})) == "bfloat16"
        assert numbers(REFINE.model_copy(update={"half": False})) == "float32"


def test_a_recipes_words_build_the_adapted_codecs() -> None:
    assert build("layered", weights="w", adaptation=REFINE) == AdaptedFile("w", "cpu", REFINE)
    simulcast = build("simulcast", "mean-scale", adaptation=REFINE)
    assert simulcast == Simulcast(AdaptedPicture("mean-scale", "compass-small", "cpu", REFINE))
    assert build("layered") == LayeredFile() and picture_codec("gc") == BasePicture("gc", "gc-small")


@pytest.mark.parametrize(
    ("codec", "of"),
    [("single", "jpeg"), ("shvc", None), ("single", "mine.py:Mine"), ("mine.py:Mine", None)],
)
def test_what_is_not_ours_cannot_be_adapted(codec: str, of: str | None) -> None:
    with pytest.raises(OptionError, match=r"`adaptation:` has no meaning for .*; what can be adapted to a picture is"):
        build(codec, of, adaptation=REFINE)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (AdaptationSettings(method="refine", rank=2), "rank has no meaning for the method refine"),
        (AdaptationSettings(layers=(0, 1)), "layers: there is no layer 1 in a stream of 1 layer"),
        (AdaptationSettings(method="layered-joint", weights=(1, 2)), "weights: 1 numbers are needed, one a layer"),
    ],
)
def test_settings_that_do_not_suit_a_picture_codec_are_refused(settings: AdaptationSettings, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        picture_codec("mean-scale", adaptation=settings)
