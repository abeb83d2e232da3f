"""Data sets by name and by folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from experiments.data import SAMPLES, Picture, find_data
from experiments.known import KODAK, data_folders
from layered.errors import ImageError, RecipeError
from layered.files import IMAGE_ENDINGS
from layered.image import resize8, save_image

HAS_KODAK = any((folder / "kodak").is_dir() for folder in data_folders())


def write(path: Path, height: int = 6, width: int = 9, seed: int = 0) -> None:
    save_image(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8), path)


def test_a_folder_gives_its_images_in_order_of_names_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.png", "a.jpg", "c.PNG", ".hidden.png"):
        write(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    assert [item.name for item in find_data(str(tmp_path)).items] == ["a", "b", "c"]
    assert [item.name for item in find_data(str(tmp_path), limit=2).items] == ["a", "b"]


def test_a_folder_gives_images_of_every_ending_that_commands_take(tmp_path: Path) -> None:
    for ending in IMAGE_ENDINGS:
        (tmp_path / f"a{ending}").touch()
    assert len(find_data(str(tmp_path)).items) == len(IMAGE_ENDINGS)


def test_images_that_differ_only_in_their_ending_keep_it_as_part_of_the_name(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp", "a.png.png"):
        write(tmp_path / name)
    assert [item.name for item in find_data(str(tmp_path)).items] == ["a.bmp", "a.png", "a.png.png"]


def test_a_missing_or_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"named sets are kodak, .*samples"):
        find_data(str(tmp_path / "nonesuch"))
    with pytest.raises(RecipeError, match="no image in this folder"):
        find_data(str(tmp_path))
    with pytest.raises(RecipeError, match="'Kodak', did you mean 'kodak'"):
        find_data("Kodak")
    write(tmp_path / "a.png")
    with pytest.raises(RecipeError, match=r"a\.png is a file; name the folder"):
        find_data(str(tmp_path / "a.png"))


def test_two_images_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / os.fsdecode(b"\xff.png"))
    write(tmp_path / "\\xff.png")
    with pytest.raises(RecipeError, match="two images are called"):
        find_data(str(tmp_path))


def test_a_relative_folder_is_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.png")
    monkeypatch.chdir(tmp_path.parent)
    (item,) = find_data(tmp_path.name).items
    assert item.path == tmp_path / "a.png"


def test_large_images_are_shrunk_to_the_longest_side_and_small_ones_left(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    write(path, 30, 60)
    original = Picture("a", path).load()
    assert np.array_equal(Picture("a", path, 40).load(), resize8(original, 40, 20))
    assert np.array_equal(Picture("a", path, 60).load(), original)


def test_the_digest_depends_on_the_file_and_on_the_shrinking(tmp_path: Path) -> None:
    write(tmp_path / "a.png", seed=0)
    write(tmp_path / "b.png", seed=1)
    plain = [Picture("a", tmp_path / name).digest() for name in ("a.png", "b.png")]
    assert len({*plain, Picture("a", tmp_path / "a.png", 4).digest()}) == 3
    with pytest.raises(ImageError):
        Picture("c", tmp_path / "c.png").digest()


def test_the_sample_photos_lie_inside_the_installed_wheel() -> None:
    pytest.importorskip("skimage")
    pictures = find_data("samples").items
    assert [picture.path.name for picture in pictures] == list(SAMPLES)
    assert all(min(picture.load().shape[:2]) >= 300 for picture in pictures)


def test_missing_scikit_image_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(RecipeError, match="scikit-image"):
        find_data("samples")


@pytest.mark.skipif(not HAS_KODAK, reason="the Kodak images are not on this machine")
def test_the_kodak_images_at_hand_are_the_published_ones() -> None:
    pictures = find_data("kodak").items
    assert [picture.path.name for picture in pictures] == list(KODAK) and len(pictures) == 24
    assert {pictures[0].load().shape, pictures[3].load().shape} == {(512, 768, 3), (768, 512, 3)}


def test_a_folder_named_like_an_image_is_not_one(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    assert [picture.name for picture in find_data(str(tmp_path)).items] == ["a"]
