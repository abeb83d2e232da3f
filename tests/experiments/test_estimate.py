"""Estimates: everything that would be measured, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.estimate import Cost, describe, estimate, picture_sizes, processes
from experiments.harness import run
from experiments.plan import plan
from experiments.record import Provenance
from layered.image import load_image, save_image
from tests.experiments.small_run import QUALITIES, small_recipe, write_pictures

PROVENANCE = Provenance("tests", None, "Linux", 1)
ITEMS = 2 * len(QUALITIES) * 2 * 2


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


def test_an_estimate_counts_the_items_and_pixels_of_every_codec(pictures: Path) -> None:
    planned = plan(small_recipe(pictures), PROVENANCE)
    estimates = estimate(planned.items, picture_sizes(planned.pictures))
    assert [entry.codec for entry in estimates] == ["single jpeg", "single webp"]
    for entry in estimates:
        assert entry.items == ITEMS // 2 and entry.seconds is not None and entry.seconds > 0
        assert entry.megapixels * 1e6 == pytest.approx(len(QUALITIES) * 2 * (48 * 32 + 24 * 16))


def test_a_dry_run_writes_nothing_and_leaves_out_what_is_done(pictures: Path, tmp_path: Path) -> None:
    recipe = small_recipe(pictures)
    assert f"{ITEMS} items for {ITEMS // 2} records, {ITEMS} of them to be measured" in describe(recipe, tmp_path)
    assert not (tmp_path / "small").exists()
    run(recipe, tmp_path, workers=0, progress=False)
    save_image(load_image(pictures / "p0.png")[::-1], pictures / "p2.png")
    assert f"{ITEMS * 3 // 2} items for 24 records, {ITEMS // 2} of them to be measured" in describe(recipe, tmp_path)


@pytest.mark.parametrize(
    ("few", "many", "of_a_hundred_times_as_many"),
    [
        ((1000, 0.500), (8000, 0.499), 0.499),  # starting a process is all
        ((1000, 0.500), (8000, 0.501), 0.6141),
        ((1000, 0.1), (8000, 0.8), 80.0),  # all is in the pixels
        ((1000, 0.01), (8000, 0.8), 80.0),  # more than all cannot be
        ((1000, 0.1), (1000, 0.2), 160.0),
    ],
)
def test_two_trials_tell_what_an_item_costs_besides_its_pixels(
    few: tuple[int, float], many: tuple[int, float], of_a_hundred_times_as_many: float
) -> None:
    cost = Cost.of_trials(few, many)
    assert cost.item + 800_000 * cost.pixel == pytest.approx(of_a_hundred_times_as_many, rel=1e-3)


def test_a_gpus_time_is_not_divided_by_the_number_of_cpus(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.estimate.visible_gpus", lambda: ["0"])
    monkeypatch.setattr("experiments.cluster.available_cpus", lambda: 16)
    assert processes(small_recipe(pictures, device="cuda"), None, 40) == 1
    assert processes(small_recipe(pictures), None, 40) == 16 and processes(small_recipe(pictures), None, 3) == 3
    assert processes(small_recipe(pictures), 0, 40) == processes(small_recipe(pictures), None, 0) == 1


def test_rows_that_share_files_are_told_only_where_there_are_some(pictures: Path, tmp_path: Path) -> None:
    told = "simulcast rows are put together"
    assert told in describe(small_recipe(pictures), tmp_path)
    alone = {"name": "a", "codec": "single", "of": "jpeg", "qualities": [20]}
    assert told not in describe(small_recipe(pictures, codecs=[alone], anchors=[]), tmp_path)


def test_a_codec_that_fails_its_trial_is_named_with_the_reason(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("no\nmore paper")

    monkeypatch.setattr("baselines.classical.PillowCodec.encode", broken)
    assert "fails: ValueError: no more paper" in describe(small_recipe(pictures), tmp_path)
