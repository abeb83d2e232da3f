"""Several weights of one quality each, measured as one codec."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from baselines.family import Family, LayeredFamily, PictureFamily
from baselines.learned import BasePicture, LayeredFile, load_codec
from baselines.registry import build, picture_codec
from baselines.simulcast import Simulcast
from experiments.method import Method
from experiments.spent import spent
from layered.errors import CorruptStream, OptionError, WrongModel
from layered.weights.store import save_codec
from tests.conftest import make_codec, smooth_picture, tiny_spec

SCALES = (0.5, 1.0)
IMAGE = smooth_picture(40, 56)


@dataclass(frozen=True)
class Files:
    """Weights files: two of one lambda each, and one of three."""

    one: str
    other: str
    several: str

    @property
    def both(self) -> tuple[str, ...]:
        return self.one, self.other


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    folder, lambdas = tmp_path_factory.mktemp("weights"), [(0.0018,), (0.013,), (0.0018, 0.0067, 0.013)]
    paths = []
    for k, trained in enumerate(lambdas):
        paths.append(folder / f"{k}.safetensors")
        save_codec(make_codec(tiny_spec(lambdas=trained), seed=k), paths[-1], f"tiny-{k}")
    return Files(*map(str, paths))


def test_each_quality_is_coded_and_decoded_by_its_own_weights(files: Files) -> None:
    family, layered, single = build("layered", weights=files.both), [], []
    assert isinstance(family, LayeredFamily) and family.quality_range == (1, 2)
    of = picture_codec("mean-scale", files.both)
    for k, weights in enumerate(files.both):
        encoded = family.encode(IMAGE, SCALES, float(k + 1))
        assert encoded == LayeredFile(weights).encode(IMAGE, SCALES, 1.0)
        pictures = zip(family.decode(encoded), LayeredFile(weights).decode(encoded), strict=True)
        assert all(np.array_equal(got, wanted) for got, wanted in pictures)
        data = of.encode(IMAGE, k + 1)
        assert data == BasePicture("mean-scale", weights).encode(IMAGE, 1.0)
        assert np.array_equal(of.decode(data), BasePicture("mean-scale", weights).decode(data))
        layered.append(encoded.files[0])
        single.append(data)
    assert layered[0] != layered[1] and single[0] != single[1]


def test_the_layers_of_simulcast_may_be_of_different_weights_and_those_of_a_file_may_not(files: Files) -> None:
    simulcast = build("simulcast", "mean-scale", files.both)
    encoded = simulcast.encode(IMAGE, SCALES, (2.0, 1.0))
    digests = [load_codec(weights, "cpu").digest[:6] for weights in reversed(files.both)]
    assert [digest in file for digest, file in zip(digests, encoded.files, strict=True)] == [True, True]
    assert [picture.shape for picture in simulcast.decode(encoded)] == [(20, 28, 3), (40, 56, 3)]
    with pytest.raises(OptionError, match="have one quality"):
        build("layered", weights=files.both).encode(IMAGE, SCALES, (2.0, 1.0))


def test_bytes_are_told_by_parts_as_of_a_single_codec(files: Files) -> None:
    family = PictureFamily(tuple(BasePicture("mean-scale", weights) for weights in files.both))
    encoded = Simulcast(family).encode(IMAGE, SCALES, (1.0, 2.0))
    parts = spent(Simulcast(family), encoded)
    assert parts is not None and [sum(part.values()) for part in parts] == [len(file) for file in encoded.files]


@pytest.mark.parametrize(
    ("quality", "told"), [(0, "outside"), (3, "outside"), (1.5, "between two weights"), (float("nan"), "quality nan")]
)
def test_a_quality_that_is_no_place_of_weights_is_refused(files: Files, quality: float, told: str) -> None:
    with pytest.raises(OptionError, match=told):
        picture_codec("mean-scale", files.both).encode(IMAGE, quality)


def test_weights_with_several_qualities_are_refused_among_others(files: Files) -> None:
    with pytest.raises(OptionError, match="has qualities 1 to 3; of several weights each has one"):
        picture_codec("mean-scale", (files.one, files.several)).encode(IMAGE, 2)


def test_files_of_other_weights_and_damaged_ones_are_refused(files: Files) -> None:
    of = picture_codec("mean-scale", files.both)
    with pytest.raises(WrongModel, match="none of"):
        of.decode(BasePicture("mean-scale", files.several).encode(IMAGE, 1.0))
    data = bytearray(of.encode(IMAGE, 1))
    data[-10] ^= 4
    for wrong in (bytes(data), bytes(data[:-20]), b""):
        with pytest.raises(CorruptStream):
            of.decode(wrong)


def test_the_fingerprint_names_all_weights(files: Files) -> None:
    family = build("layered", weights=files.both)
    digests = [load_codec(weights, "cpu").digest.hex() for weights in files.both]
    assert family.fingerprint()["model"] == " ".join(digests)


def test_a_row_takes_a_list_of_weights_and_keeps_a_single_name_as_it_was(files: Files) -> None:
    method = Method(codec="single", of="mean-scale", weights=files.both)
    assert Method.model_validate(method.model_dump(mode="json")) == method
    assert method.label == f"single mean-scale {files.one}, {files.other}"
    assert method.words["weights"] == list(files.both)
    assert Method(codec="layered", weights=files.one).words["weights"] == files.one
    refined = {"method": "refine", "steps": 2}
    adapted = Method.model_validate({"codec": "layered", "weights": files.both, "adaptation": refined})
    made = build(adapted.codec, weights=adapted.weights, adaptation=adapted.adaptation)
    assert isinstance(made, Family) and [member.weights for member in made.members] == list(files.both)
    for wrong in ([], [files.one, files.one]):
        with pytest.raises(ValueError, match="a list of different ones"):
            Method.model_validate({"codec": "layered", "weights": wrong})
    with pytest.raises(OptionError, match="jpeg takes no weights"):
        Method(codec="single", of="jpeg", weights=files.both)
