"""The segmenter: it learns, its file says what it is, and stopped training ends in the same bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.overlap import find_segmenter
from experiments.segmentation import Segmenter, SegmenterSpec, load_segmenter, save_segmenter
from experiments.segmentation import training as trainer
from experiments.segmentation.__main__ import main
from experiments.segmentation.training import Settings, class_weights, train
from layered.errors import ImageError, OptionError, RecipeError
from layered.image import save_image
from tests.conftest import smooth_picture

SPEC = SegmenterSpec(classes=("dark", "bright"), ignore=9, widths=(8, 8, 8), dilations=(1,))
Tensors: TypeAlias = dict[str, torch.Tensor]
SETTINGS = Settings(steps=6, batch=2, side=32, lr=0.02)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, and maps of what is bright in them, a stripe without class."""
    place = tmp_path_factory.mktemp("data")
    for name in ("images", "labels"):
        (place / name).mkdir()
    for k in range(3):
        picture = smooth_picture(56, 64, seed=k)
        labels = (picture.mean(2) > 150).astype(np.uint8)
        labels[20:22] = 9
        save_image(picture, place / "images" / f"{k}.png")
        Image.fromarray(labels).save(place / "labels" / f"{k}.png")
    return place


def trained(data: Path, out: Path, settings: Settings = SETTINGS, spec: SegmenterSpec = SPEC) -> Tensors:
    return train(data / "images", data / "labels", out, spec, settings, progress=False).state_dict()


def same(first: Tensors, second: Tensors) -> bool:
    return all(torch.equal(first[name], second[name]) for name in second) and first.keys() == second.keys()


class Killed(BaseException):
    """Stands for a signal that leaves no time to save anything."""


@pytest.mark.parametrize("stop", [1, 4])
def test_a_training_that_was_killed_and_resumed_ends_in_the_same_bits(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    whole, descend, seen = trained(data, tmp_path / "whole.safetensors"), trainer._Run.descend, []

    def dying(self: trainer._Run, *arguments: object) -> float:
        seen.append(self.step)
        if len(seen) == stop + 1:
            raise Killed
        return descend(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(trainer._Run, "descend", dying)
    with pytest.raises(Killed):
        trained(data, tmp_path / "other.safetensors")
    assert not (tmp_path / "other.safetensors").exists()
    assert same(trained(data, tmp_path / "other.safetensors"), whole)
    assert seen == [*range(stop + 1), *range(stop, SETTINGS.steps)]
    assert same(load_segmenter(tmp_path / "other.safetensors").state_dict(), whole)
    assert not same(trained(data, tmp_path / "seed.safetensors", replace(SETTINGS, seed=1)), whole)


def test_the_state_of_another_training_is_refused(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.safetensors"
    trained(data, out, replace(SETTINGS, steps=1))
    for settings, spec in [(SETTINGS, SPEC), (replace(SETTINGS, steps=1), SPEC.model_copy(update={"dilations": (2,)}))]:
        with pytest.raises(OptionError, match=r"a\.safetensors\.state belongs to a training with other"):
            trained(data, out, settings, spec)
    (tmp_path / "a.safetensors.state").write_bytes(b"words")
    with pytest.raises(OptionError, match="not the state of a training"):
        trained(data, out)


def test_it_learns_what_the_maps_say(data: Path, tmp_path: Path) -> None:
    trained(data, tmp_path / "a.safetensors", replace(SETTINGS, steps=60))
    hook = find_segmenter(str(tmp_path / "a.safetensors"))
    confusion = hook.confusion()
    for k in range(3):
        labels = np.array(Image.open(data / "labels" / f"{k}.png"))
        confusion.add(labels, hook.of(np.array(Image.open(data / "images" / f"{k}.png"))))
    assert (hook.classes, hook.ignore) == (("dark", "bright"), 9)
    assert confusion.mean() > 0.6


def test_the_default_network_is_small_and_its_file_says_how_it_is_built(tmp_path: Path) -> None:
    spec = SegmenterSpec(classes=tuple("abcdefghijk"), ignore=11)
    net = Segmenter(spec).eval()
    assert sum(parameter.numel() for parameter in net.parameters()) < 500_000
    save_segmenter(net, tmp_path / "a.safetensors")
    again = load_segmenter(tmp_path / "a.safetensors")
    assert again.spec == spec and same(again.state_dict(), net.state_dict())
    picture = smooth_picture(33, 50)
    assert net.segment(picture).shape == (33, 50) and np.array_equal(net.segment(picture), again.segment(picture))


def test_files_that_are_no_segmenters_are_refused(tmp_path: Path) -> None:
    from layered.weights.container import read_tensors, write_tensors

    save_segmenter(Segmenter(SPEC), path := tmp_path / "a.safetensors")
    metadata, tensors = read_tensors(path)
    for changed, message in [
        ({"format": "other"}, "no segmenter of this project"),
        ({"spec": metadata["spec"].replace("[8,8,8]", "[8,8,4]")}, "a damaged segmenter"),
        ({"spec": metadata["spec"].replace('"ignore":9', '"ignore":1')}, "ignore: 1 is the class bright"),
    ]:
        write_tensors(path, tensors, {**metadata, **changed})
        with pytest.raises(OptionError, match=message):
            load_segmenter(path)
    with pytest.raises(OptionError, match="says itself which classes"):
        find_segmenter(str(path), ["a", "b"])


def test_classes_that_nobody_named_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"label maps have the class 9, of which there are 2 .* --ignore 9"):
        trained(data, tmp_path / "a.safetensors", spec=SPEC.model_copy(update={"ignore": None}))


def test_rare_classes_weigh_more_and_a_pixel_weighs_1_on_average() -> None:
    labels = torch.tensor([[0] * 6 + [1] * 2 + [9] * 8], dtype=torch.uint8)
    weights = class_weights([labels, labels], 3)
    assert weights[2] > weights[1] > weights[0] and float(weights[1] / weights[0]) == pytest.approx(
        np.log(1.02 + 0.75) / np.log(1.02 + 0.25)
    )
    assert float(0.75 * weights[0] + 0.25 * weights[1]) == pytest.approx(1)


def test_the_commands_train_and_test(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, images, labels = str(tmp_path / "new" / "a.safetensors"), str(data / "images"), str(data / "labels")
    with pytest.raises(OptionError, match="ignore: 1 is the class bright"):
        main(["train", images, labels, "--out", out, "--classes", "dark,bright", "--ignore", "1"])
    with pytest.raises(ImageError, match="no training picture has more than 56"):
        main(["train", images, labels, "--out", out, "--classes", "dark,bright", "--ignore", "9", "--steps", "1"])
    trained(data, Path(out))
    main(["test", out, images, labels])
    told = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert float(told["mIoU"]) == pytest.approx((float(told["dark"]) + float(told["bright"])) / 2, abs=1e-4)
