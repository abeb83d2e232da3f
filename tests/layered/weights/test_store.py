"""Weights files rebuild their codec, and say so when they cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import layered
from layered.base.transforms import load_resized
from layered.codec import LayeredCodec
from layered.errors import OptionError
from layered.spec import CodecSpec, build
from layered.weights import Card, card, catalogue, name_of, store
from layered.weights.container import read_tensors
from layered.weights.precision import bits_of, rounded
from layered.weights.store import card_of, digest_of, export, parameters_of, save_codec
from tests.conftest import smooth_picture


def test_a_saved_codec_is_rebuilt_from_its_file_alone(tiny_codec: LayeredCodec, tmp_path: Path) -> None:
    digest = save_codec(tiny_codec, tmp_path / "w.safetensors", "mine")
    codec = layered.load(tmp_path / "w.safetensors")
    assert (codec.name, codec.digest, codec.spec) == ("mine", digest, tiny_codec.spec)
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]
    image = smooth_picture(40, 33)
    other = layered.load(tmp_path / "w.safetensors")
    data = codec.encode(image, (0.5, 1.0))
    assert np.array_equal(other.decode(data)[1], codec.decode(data)[1])


def test_full_precision_keeps_every_bit(tiny_codec: LayeredCodec, tmp_path: Path) -> None:
    assert save_codec(tiny_codec, tmp_path / "w.safetensors", "mine", half=False) == tiny_codec.digest


def test_weights_on_bundled_ones_hold_only_what_differs_and_load_whole(tmp_path: Path) -> None:
    codec = layered.load("factorized-small")
    with torch.no_grad():
        next(iter(codec.base.parameters())).add_(0.25)
    digest = save_codec(codec, tmp_path / "w.safetensors", "mine", on=["factorized-small"])
    assert (tmp_path / "w.safetensors").stat().st_size < 100_000
    loaded = layered.load(tmp_path / "w.safetensors")
    assert loaded.digest == digest != layered.load("factorized-small").digest
    state = codec.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in loaded.state_dict().items())


def test_weights_may_stand_on_several_bundled_ones(tmp_path: Path) -> None:
    under, other = layered.load("compass-small"), layered.load("factorized-small")
    spec = under.spec.model_copy(update={"base": other.spec.base})
    codec = build(spec)
    load_resized(codec, {k: {**under.state_dict(), **other.state_dict()}[k] for k in codec.state_dict()})
    with torch.no_grad():
        next(iter(codec.uppers[0].parameters())).add_(0.25)
    digest = save_codec(codec, tmp_path / "w.safetensors", "mine", on=["factorized-small", "compass-small"])
    assert (tmp_path / "w.safetensors").stat().st_size < 100_000
    assert layered.load(tmp_path / "w.safetensors").digest == digest


def test_fewer_significant_bits_round_transforms_alone_and_pack_smaller(
    tiny_codec: LayeredCodec, tmp_path: Path
) -> None:
    sizes = []
    for bits in (11, 5):
        path = tmp_path / f"{bits}.safetensors.xz"
        save_codec(tiny_codec, path, "mine", significant=bits)
        sizes.append(path.stat().st_size)
    assert sizes[1] < 0.9 * sizes[0]
    before, after = tiny_codec.state_dict(), layered.load(path).state_dict()
    gain = next(key for key in before if "gains" in key)
    assert torch.equal(before[gain], after[gain])
    weight, kept = before["base.g_s.0.weight"], after["base.g_s.0.weight"]
    assert bool(((kept - weight).abs() <= weight.abs() / 2**5).all()) and not torch.equal(kept, weight)
    with pytest.raises(OptionError, match="2 to 11 significant bits"):
        save_codec(tiny_codec, path, "mine", significant=12)


def test_bits_go_by_the_longest_name_that_a_tensor_lies_below(tiny_codec: LayeredCodec, tmp_path: Path) -> None:
    significant = {"": 4, "g_s": 9, "g_s.0": 2}
    named = {"base.g_s.0.weight": 2, "base.g_s.2.weight": 9, "base.g_s.01.weight": 9, "base.h_g_s.weight": 4, "g_s": 9}
    assert {name: bits_of(name, significant) for name in named} == named
    assert bits_of("base.h_a.weight", {"g_s": 5}) == 11 and bits_of("base.h_a.weight", 7) == 7
    save_codec(tiny_codec, tmp_path / "w.safetensors", "mine", significant=significant)
    before, after = tiny_codec.state_dict(), layered.load(tmp_path / "w.safetensors").state_dict()
    for name in ("base.g_s.0.weight", "base.g_s.2.weight", "base.g_a.0.weight"):
        assert torch.equal(after[name], rounded(before[name], bits_of(name, significant)).half().float())


def test_equal_tensors_are_stored_once_and_all_come_back(tiny_codec: LayeredCodec, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    digest = save_codec(tiny_codec, path, "mine", half=False)
    tables = [name for name in tiny_codec.state_dict() if name.endswith("gaussian_conditional._quantized_cdf")]
    with safe_open(path, framework="pt") as file:
        assert len(tables) == 2 and len(set(tables) & set(file.keys())) == 1
    loaded = layered.load(path)
    assert loaded.digest == digest
    assert all(torch.equal(value, tiny_codec.state_dict()[key]) for key, value in loaded.state_dict().items())


@pytest.mark.parametrize("same", ['{"base.g_s.0.weight": "nothing"}', '{"base.g_s.0.weight": ["a"]}', "[]", "{"])
def test_references_to_nothing_are_refused(tiny_codec: LayeredCodec, tmp_path: Path, same: str) -> None:
    path = tmp_path / "w.safetensors"
    save_codec(tiny_codec, path, "mine")
    with safe_open(path, framework="pt") as file:
        tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118
    save_file(tensors, path, metadata | {"same": same})
    with pytest.raises(OptionError, match="damaged"):
        layered.load(path)


HUGE = {
    "liff": {"predictor": {"name": "liff", "hidden": 30_000}, "residual": {"N": 3, "M": 3}},
    "mei": {"name": "mei", "layers": 16, "coder": {"name": "mean-scale", "N": 1024, "M": 1024}},
}


@pytest.mark.parametrize("kind", HUGE)
def test_a_specification_beyond_its_tensors_is_refused_before_memory_is_taken(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    side = 1024 if kind == "mei" else 3
    spec = json.dumps({"base": {"N": side, "M": side}, "enhancement": HUGE[kind]})
    metadata = {"format": "layered-weights-1", "name": "w", "spec": spec}
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors", metadata)
    built: list[str] = []

    def noting(spec: object) -> LayeredCodec:
        codec = build(spec)  # type: ignore[arg-type]
        built.append(type(next(codec.parameters())).__name__ + type(next(codec.parameters()).data).__name__)
        return codec

    monkeypatch.setattr(store, "build", noting)
    with pytest.raises(OptionError, match="do not fit its own specification"):
        layered.load(tmp_path / "w.safetensors")
    assert len(built) == 1 and "Fake" in built[0]  # never with memory behind it


@pytest.mark.parametrize("wrong", [lambda t: t[0], lambda t: t.float()], ids=["rank", "type"])
def test_tables_that_are_none_are_refused(
    wrong: Callable[[torch.Tensor], torch.Tensor], tiny_codec: LayeredCodec, tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    save_codec(tiny_codec, path, "mine")
    metadata, tensors = read_tensors(path)
    name = "base.gaussian_conditional._quantized_cdf"
    tensors[name] = wrong(tensors[name]).contiguous().clone()
    save_file(tensors, path, metadata)
    with pytest.raises(OptionError, match="which is no such table"):
        layered.load(path)


def test_weights_on_others_than_they_were_made_for_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec = layered.load("factorized-small")
    save_codec(codec, tmp_path / "w.safetensors", "mine", on=["factorized-small"])
    with torch.no_grad():
        next(iter(codec.base.parameters())).add_(0.25)
    save_codec(codec, tmp_path / "other.safetensors", "other")
    inner = store.load
    monkeypatch.setattr(
        store, "load", lambda name: inner(tmp_path / "other.safetensors" if name == "factorized-small" else name)
    )
    with pytest.raises(OptionError, match="made for factorized-small"):
        store.load(tmp_path / "w.safetensors")


def test_one_changed_weight_changes_the_digest(tiny_codec: LayeredCodec) -> None:
    state = {key: value.clone() for key, value in tiny_codec.state_dict().items()}
    state["base.g_s.0.weight"][0, 0, 0, 0] += 1e-6
    assert digest_of(tiny_codec.spec, state) != tiny_codec.digest


def test_files_that_are_not_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"hello")
    save_file({"x": torch.zeros(1)}, tmp_path / "b.safetensors")
    for name, word in [("a", "not a weights file"), ("b", "not weights of this library"), ("c", "no such weights")]:
        with pytest.raises(OptionError, match=word):
            layered.load(str(tmp_path / f"{name}.safetensors"))


@pytest.mark.parametrize("entry", catalogue(), ids=lambda entry: entry.name)
def test_bundled_weights_match_their_cards(entry: layered.weights.Card, tmp_path: Path) -> None:
    codec = layered.load(entry.name)
    assert codec.digest.hex() == entry.digest and name_of(codec.digest) == entry.name
    assert CodecSpec.model_validate(entry.spec) == codec.spec and entry.parameters == parameters_of(codec)
    assert entry.training["phases"] and entry.training["machine"]
    assert entry.measured.get("curves") or entry.measured.get("kept")
    assert ("earlier weights" in entry.text()) == entry.is_of_earlier
    assert export(entry.name, tmp_path / "out.safetensors") == tmp_path / "out.safetensors"
    assert layered.load(tmp_path / "out.safetensors").digest == codec.digest


def test_exported_weights_keep_the_name_they_are_given(tmp_path: Path) -> None:
    assert export("gc-small", tmp_path / "model.v2") == tmp_path / "model.v2.safetensors"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.v2.json", "model.v2.safetensors"]
    assert export("gc-small", tmp_path) == tmp_path / "gc-small.safetensors"


def test_loading_draws_nothing_from_the_callers_random_numbers() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(4)
    torch.manual_seed(3)
    layered.load("compass-small")
    assert torch.equal(torch.rand(4), wanted)


def test_a_card_says_where_it_was_measured_with_earlier_weights() -> None:
    made = Card("mine", "0123456789ab", "For a test.", {}, {}, {}, {"weights": ["ba9876543210"]})
    assert made.is_of_earlier and "Measured below are earlier weights of that name, ba9876543210." in made.text()
    assert not replace(made, measured={"weights": ["aa", "0123456789ab"]}).is_of_earlier
    assert not replace(made, measured={}).is_of_earlier


@pytest.mark.parametrize("training", [{"untrained": ["nonesuch", 3, "base"]}, {"untrained": 7}, {}])
def test_a_file_that_tells_nonsense_of_its_training_is_loaded(
    tiny_codec: LayeredCodec, tmp_path: Path, training: dict[str, object]
) -> None:
    save_codec(tiny_codec, tmp_path / "w.safetensors", "mine", training=training)
    known = {"base"} if training.get("untrained") not in (None, 7) else set()
    assert layered.load(tmp_path / "w.safetensors").untrained == known


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(OptionError, match="unknown weights 'nobody'"):
        card("nobody")


def test_a_weights_file_is_described_by_itself(tiny_codec: LayeredCodec, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    digest = save_codec(tiny_codec, path, "mine", training={"seconds": 3})
    found = card_of(path)
    assert (found.name, found.digest, found.training) == ("mine", digest.hex(), {"seconds": 3})
    assert layered.spec.CodecSpec.model_validate(found.spec) == tiny_codec.spec
    assert "seconds: 3" in found.text()


def test_a_weights_file_may_be_read_by_whom_any_new_file_may(tiny_codec: LayeredCodec, tmp_path: Path) -> None:
    save_codec(tiny_codec, tmp_path / "w.safetensors", "mine")
    (tmp_path / "other").touch()
    assert (tmp_path / "w.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spec": None}, "lacks a printable name"),
        ({"name": None}, "lacks a printable name"),
        ({"name": "a\nb"}, "lacks a printable name"),
        ({"spec": "{"}, "cannot be read"),
        ({"spec": "[" * 100_000}, "cannot be read"),
        ({"spec": "3"}, "is no mapping"),
        ({"spec": '{"base": "compressai/mbt2018-mean?quality=1&download=yes"}'}, "instead of a base layer"),
        ({"training": "{"}, "cannot be read"),
    ],
)
def test_a_file_whose_own_words_are_damaged_is_refused(
    tiny_codec: LayeredCodec, tmp_path: Path, changes: dict[str, str | None], message: str
) -> None:
    path = tmp_path / "w.safetensors"
    save_codec(tiny_codec, path, "mine")
    with safe_open(path, framework="pt") as file:
        metadata = {**file.metadata(), **changes}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {key: value for key, value in metadata.items() if value is not None})
    with pytest.raises(OptionError, match=message):
        card_of(path)
