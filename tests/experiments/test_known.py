"""Published data sets: found by their layouts, and never taken for complete when they are not."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from experiments import known
from experiments.data import find_data
from experiments.known import KNOWN, KODAK
from layered.errors import RecipeError
from layered.image import save_image


def write(path: Path, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_image(np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8), path)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder, and nothing beside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(known, "__file__", str(tmp_path / "a" / "experiments" / "known.py"))
    monkeypatch.setenv("LAYERED_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def kodak(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for Kodak: two files, of which the digests are made the published ones."""
    names = ("kodim01.png", "kodim02.png")
    for seed, name in enumerate(names):
        write(place / "kodak" / name, seed)
    digests = {name: hashlib.sha256((place / "kodak" / name).read_bytes()).hexdigest() for name in names}
    monkeypatch.setattr(
        "experiments.data._NAMED", {"kodak": replace(KNOWN["kodak"], count=2, sha256=digests).find}
    )
    return place / "kodak"


def test_kodak_is_found_where_layered_data_says(kodak: Path) -> None:
    (kodak / "other.png").write_bytes(b"does not belong to it")
    assert [item.path for item in find_data("kodak").items] == [kodak / "kodim01.png", kodak / "kodim02.png"]


def test_kodak_of_other_bytes_is_refused(kodak: Path) -> None:
    write(kodak / "kodim02.png", seed=9)
    with pytest.raises(RecipeError, match=r"kodim02\.png: not the published file"):
        find_data("kodak")


def test_incomplete_kodak_is_refused(kodak: Path) -> None:
    (kodak / "kodim01.png").unlink()
    with pytest.raises(RecipeError, match=r"kodim01\.png is missing"):
        find_data("kodak")


@pytest.mark.parametrize("name", KNOWN)
def test_an_absent_set_gets_told_where_to_be_put(place: Path, name: str) -> None:
    with pytest.raises(RecipeError, match=f"{name} is not here: put .*set LAYERED_DATA"):
        find_data(name)


@pytest.mark.parametrize(("name", "pattern"), [(n, p) for n, entry in KNOWN.items() for p in entry.patterns])
def test_every_layout_is_found_and_an_incomplete_set_refused(place: Path, name: str, pattern: str) -> None:
    folder = (place / pattern).parent
    count = KNOWN[name].count
    folder.mkdir(parents=True)
    for number in range(count - 1):
        (folder / Path(pattern).name.replace("*", f"{number:04}").upper()).touch()
    with pytest.raises(RecipeError, match=f"{count - 1} images where {name} has {count}"):
        find_data(name)
    (folder / Path(pattern).name.replace("*", "last")).touch()
    if name != "kodak":  # whose bytes are checked too
        assert len(find_data(name, limit=3).items) == 3 and len(find_data(name).items) == count


def test_kodak_has_24_digests() -> None:
    assert len(KODAK) == len(set(KODAK.values())) == KNOWN["kodak"].count == 24
