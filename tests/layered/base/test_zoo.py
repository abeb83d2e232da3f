"""CompressAI's zoo models as base layers, from local files only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from compressai.models.google import MeanScaleHyperprior

import layered
from layered.base.zoo import ZooName
from layered.codec import LayeredCodec
from layered.errors import OptionError
from layered.spec import build
from layered.training.recipe import load_recipe
from layered.weights.store import save_codec
from tests.conftest import smooth_picture


@pytest.fixture(scope="module")
def checkpoint(tiny_codec: LayeredCodec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What CompressAI's own training leaves: a state dict of its model class, tables included."""
    reference = MeanScaleHyperprior(12, 16)
    own = {k: v for k, v in tiny_codec.base.state_dict().items() if not k.startswith("gains")}
    reference.load_state_dict(own)
    path = tmp_path_factory.mktemp("zoo") / "model.pth.tar"
    torch.save(reference.state_dict(), path)
    return path


def test_a_zoo_checkpoint_codes_pictures_and_becomes_a_weights_file(checkpoint: Path, tmp_path: Path) -> None:
    codec = layered.load(f"compressai/mbt2018-mean?quality=3&path={checkpoint}")
    assert codec.spec.lambdas == (0.0067,) and codec.quality_range == (1.0, 1.0)
    image = smooth_picture(40, 60)
    data = codec.encode(image, (1.0,))
    save_codec(codec, tmp_path / "own.safetensors", "own", half=False)
    again = layered.load(tmp_path / "own.safetensors")
    assert again.digest == codec.digest
    assert np.array_equal(again.decode(data)[0], codec.decode(data)[0])


def test_a_recipe_takes_a_zoo_model_as_its_base(checkpoint: Path) -> None:
    base = f"model.base=compressai/mbt2018-mean?quality=2&path={checkpoint}"
    codec = build(load_recipe("compass_small", [base]).model)
    assert codec.spec.lambdas == (0.0035,)
    stored = torch.load(checkpoint, weights_only=True)["g_a.0.weight"]
    assert torch.equal(codec.base.state_dict()["g_a.0.weight"], stored)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("compressai/vtm?quality=3", "unknown zoo model"),
        ("compressai/mbt2018-mean", "quality=1..8"),
        ("compressai/mbt2018-mean?quality=9", "quality=1..8"),
        ("compressai/mbt2018-mean?quality=3&speed=2", "unknown speed"),
        ("compressai/mbt2018-mean?quality=3&download=maybe", "download=yes or no"),
    ],
)
def test_wrong_zoo_names_say_what_is_wrong(name: str, word: str) -> None:
    with pytest.raises(OptionError, match=word):
        ZooName.parse(name)


def test_nothing_is_downloaded_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(OptionError, match="download=yes to fetch mbt2018-mean-3-723404a8"):
        layered.load("compressai/mbt2018-mean?quality=3")


def test_files_that_are_not_the_named_checkpoint_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    published = tmp_path / "mbt2018-mean-3-723404a8.pth.tar"
    published.write_bytes(checkpoint.read_bytes())
    with pytest.raises(OptionError, match="damaged"):
        layered.load(f"compressai/mbt2018-mean?quality=3&path={published}")
    sibling = tmp_path / "mbt2018-mean-4-6dba02a3.pth.tar"
    sibling.write_bytes(checkpoint.read_bytes())
    with pytest.raises(OptionError, match="another published checkpoint; mbt2018-mean-3-723404a8"):
        layered.load(f"compressai/mbt2018-mean?quality=3&path={sibling}")
    other = tmp_path / "text.pth.tar"
    other.write_text("hello")
    with pytest.raises(OptionError, match="not a checkpoint"):
        layered.load(f"compressai/mbt2018-mean?quality=3&path={other}")
    with pytest.raises(OptionError, match="not a checkpoint of bmshj2018-factorized"):
        layered.load(f"compressai/bmshj2018-factorized?quality=3&path={checkpoint}")
