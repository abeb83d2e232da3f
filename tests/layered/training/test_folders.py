"""Training pictures are found where data sets put them, with the right classes, and left out where the paper does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from layered.errors import RecipeError
from layered.files import IMAGE_ENDINGS
from layered.image import save_image
from layered.training.folders import LAYOUTS, load_pictures
from layered.training.recipe import DataSettings
from tests.conftest import smooth_picture


def settings(folder: Path, **values: Any) -> DataSettings:
    return DataSettings.model_validate({"folder": str(folder), **values})


def write(path: Path, height: int = 20, width: int = 30, labels: np.ndarray[Any, Any] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if labels is None:
        save_image(smooth_picture(height, width), path)
    else:
        Image.fromarray(labels.astype(np.uint8)).save(path)


def test_any_folder_gives_its_pictures_in_order(tmp_path: Path) -> None:
    write(tmp_path / "b.png")
    write(tmp_path / "deep" / "a.png", 24)
    pictures, maps = load_pictures(settings(tmp_path))
    assert [tuple(picture.shape) for picture in pictures] == [(3, 20, 30), (3, 24, 30)] and maps is None
    assert len(load_pictures(settings(tmp_path, limit=1))[0]) == 1


@pytest.mark.parametrize("layout", ["folder", "ade20k"])
def test_hidden_files_and_folders_and_what_is_no_file_are_left_out(tmp_path: Path, layout: str) -> None:
    root = tmp_path / ".cache"  # a hidden folder may be named itself
    place = root / "images" / "training"
    write(place / "a.jpg")
    write(root / "annotations" / "training" / "a.png", labels=np.zeros((20, 30)))
    (place / "._a.jpg").write_bytes(b"Mac OS X")
    (place / "b.jpg").mkdir()
    (place / ".thumbnails").mkdir()
    (place / ".thumbnails" / "c.jpg").write_bytes(b"")
    pictures, _ = load_pictures(settings(root if layout == "ade20k" else root / "images", layout=layout))
    assert [tuple(picture.shape) for picture in pictures] == [(3, 20, 30)]


def test_pictures_of_every_ending_that_commands_take_are_trained_on(tmp_path: Path) -> None:
    for ending in IMAGE_ENDINGS:
        kind = {".pbm": "PPM", ".pgm": "PPM", ".pnm": "PPM"}.get(ending)
        Image.fromarray(smooth_picture(20, 30)).save(tmp_path / f"a{ending}", kind)
    assert len(load_pictures(settings(tmp_path))[0]) == len(IMAGE_ENDINGS)


def test_maps_stand_in_a_folder_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "pictures" / "deep" / "a.png")
    write(tmp_path / "maps" / "deep" / "a.png", labels=np.full((20, 30), 7))
    _, maps = load_pictures(settings(tmp_path / "pictures", labels=str(tmp_path / "maps")))
    assert maps is not None and maps[0].shape == (1, 20, 30) and bool((maps[0] == 7).all())
    write(tmp_path / "maps" / "deep" / "a.png", labels=np.full((20, 31), 7))
    with pytest.raises(RecipeError, match="is 31x20, its picture 30x20"):
        load_pictures(settings(tmp_path / "pictures", labels=str(tmp_path / "maps")))
    (tmp_path / "maps" / "deep" / "a.png").unlink()
    with pytest.raises(RecipeError, match=r"data\.labels: .*no such file"):
        load_pictures(settings(tmp_path / "pictures", labels=str(tmp_path / "maps")))


def cityscapes(folder: Path) -> Path:
    """One picture of 30x20 and its numbers: road, car, licence plate (-1 as a byte), and unlabelled."""
    numbers = np.array([[7, 26], [255, 0]]).repeat(10, 0).repeat(15, 1)
    write(folder / "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png")
    write(folder / "gtFine/train/aachen/aachen_000000_000019_gtFine_labelIds.png", labels=numbers)
    return folder


@pytest.mark.parametrize(
    ("layout", "expected"), [("cityscapes-34", [7, 26, 0, 0]), ("cityscapes-19", [0, 13, 19, 19])]
)
def test_cityscapes_is_found_with_its_classes(tmp_path: Path, layout: str, expected: list[int]) -> None:
    _, maps = load_pictures(settings(cityscapes(tmp_path), layout=layout))
    assert maps is not None
    assert [int(maps[0][0, y, x]) for y, x in [(0, 0), (0, 29), (19, 0), (19, 29)]] == expected


def test_maps_are_shrunk_with_their_pictures_and_keep_their_classes(tmp_path: Path) -> None:
    pictures, maps = load_pictures(settings(cityscapes(tmp_path), layout="cityscapes-34", longest_side=16))
    assert maps is not None and pictures[0].shape == (3, 11, 16) and maps[0].shape == (1, 11, 16)
    assert set(maps[0].flatten().tolist()) == {0, 7, 26}


def test_ade20k_is_found(tmp_path: Path) -> None:
    write(tmp_path / "images/training/ADE_train_00000001.jpg")
    write(tmp_path / "annotations/training/ADE_train_00000001.png", labels=np.full((20, 30), 150))
    _, maps = load_pictures(settings(tmp_path, layout="ade20k"))
    assert maps is not None and bool((maps[0] == 150).all())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_empty_layout_says_what_was_looked_for(tmp_path: Path, layout: str) -> None:
    with pytest.raises(RecipeError, match=r"data\.folder: no (leftImg8bit|images)/train"):
        load_pictures(settings(tmp_path, layout=layout))


def test_the_filter_leaves_out_what_is_small_saturated_or_bright(tmp_path: Path) -> None:
    write(tmp_path / "a_kept.png", 60, 80)
    write(tmp_path / "b_small.png", 30, 78)
    for name, colour in (("c_saturated", (200, 0, 10)), ("d_bright", (250, 240, 230))):
        save_image(np.full((60, 80, 3), colour, np.uint8), tmp_path / f"{name}.png")
    chosen = settings(tmp_path, longest_side=64, filter="open-images")
    assert [tuple(p.shape) for p in load_pictures(chosen)[0]] == [(3, 48, 64)]
    (tmp_path / "a_kept.png").unlink()
    with pytest.raises(RecipeError, match="pass the filter"):
        load_pictures(chosen)


def test_settings_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="goes with longest_side"):
        settings(tmp_path, filter="open-images")
    with pytest.raises(ValidationError, match="says where they are"):
        settings(tmp_path, layout="ade20k", labels="x")
    with pytest.raises(RecipeError, match="is not a folder"):
        load_pictures(settings(tmp_path / "nowhere"))
