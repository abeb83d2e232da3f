"""Codecs by the names that recipes use."""

from __future__ import annotations

import re

import pytest

from baselines.classical import CLASSICAL
from baselines.learned import BasePicture, LayeredFile
from baselines.registry import PICTURES, build
from baselines.simulcast import Simulcast
from baselines.single import SingleLayer
from layered.errors import OptionError


def test_names_build_what_they_say() -> None:
    assert build("layered", weights="w") == LayeredFile("w", "cpu")
    assert build("simulcast", "mean-scale") == Simulcast(BasePicture("mean-scale", "compass-small", "cpu"))
    factorized = BasePicture("factorized", "factorized-small", "cuda")
    assert build("single", "factorized", device="cuda") == SingleLayer(factorized)
    assert build("single", "avif") == SingleLayer(CLASSICAL["avif"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("layred",), "unknown codec 'layred'; there are layered, simulcast, single"),
        (
            ("single", "jpegxs"),
            "unknown picture codec 'jpegxs'; there are mean-scale, factorized, gc, tunable, wacnn, jpeg",
        ),
        (("single",), "single needs `of:`"),
        (("layered", "jpeg"), "no meaning for the layered codec"),
        (("single", "jpeg", "compass-small"), "jpeg takes no weights"),
    ],
)
def test_wrong_words_are_refused_with_the_valid_ones(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        build(*arguments)


def test_every_picture_codec_can_be_simulcast() -> None:
    assert all(isinstance(build("simulcast", name), Simulcast) for name in PICTURES)


def test_a_base_layer_without_bundled_weights_needs_some() -> None:
    with pytest.raises(OptionError, match="aedc has no bundled weights"):
        build("single", "aedc")


def test_weights_with_another_base_layer_than_named_are_refused() -> None:
    for name, weights, held in [
        ("factorized", "compass-small", "mean-scale"),
        ("aedc", "factorized-small", "factorized"),
    ]:
        codec = build("simulcast", name, weights)
        with pytest.raises(OptionError, match=f"the base layer of {weights} is {held}, not {name}"):
            codec.fingerprint()
