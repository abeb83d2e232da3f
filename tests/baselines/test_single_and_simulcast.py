"""Rates and pictures of codecs that store each size as a file of its own."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest

from baselines.classical import CLASSICAL
from baselines.simulcast import Simulcast
from baselines.single import SingleLayer
from layered.errors import OptionError
from layered.image import resize8

SCALES = (0.25, 0.5, 1.0)
JPEG = CLASSICAL["jpeg"]
IMAGE = np.random.default_rng(0).integers(0, 256, (45, 66, 3), dtype=np.uint8)
SIZES = ((17, 11), (33, 23), (66, 45))


def test_each_layer_is_the_resized_original_coded_alone() -> None:
    encoded = SingleLayer(JPEG).encode(IMAGE, SCALES, 50)
    assert encoded.files == tuple(JPEG.encode(resize8(IMAGE, *size), 50) for size in SIZES)


def test_single_layer_coding_counts_the_layers_own_file_only() -> None:
    encoded = SingleLayer(JPEG).encode(IMAGE, SCALES, 50)
    assert encoded.layer_bytes == tuple(map(len, encoded.files))


def test_simulcast_accumulates_the_files_below() -> None:
    single, simulcast = (kind(JPEG).encode(IMAGE, SCALES, 50) for kind in (SingleLayer, Simulcast))
    assert simulcast.files == single.files
    assert simulcast.layer_bytes == tuple(accumulate(single.layer_bytes))


@pytest.mark.parametrize("kind", [SingleLayer, Simulcast])
def test_decoding_gives_every_layer_at_its_size(kind: type[SingleLayer | Simulcast]) -> None:
    codec = kind(JPEG)
    pictures = codec.decode(codec.encode(IMAGE, SCALES, 50))
    assert tuple((picture.shape[1], picture.shape[0]) for picture in pictures) == SIZES


def test_each_layer_may_have_its_own_quality() -> None:
    encoded = Simulcast(JPEG).encode(IMAGE, SCALES, (90, 50, 10))
    assert encoded.files[0] == JPEG.encode(resize8(IMAGE, *SIZES[0]), 90)
    assert encoded.files[2] == JPEG.encode(IMAGE, 10)


def test_a_wrong_number_of_qualities_is_refused() -> None:
    with pytest.raises(OptionError, match="2 qualities for 3 layers"):
        Simulcast(JPEG).encode(IMAGE, SCALES, (90, 50))
