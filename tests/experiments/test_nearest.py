"""Codecs beside one another at one rate: the table, and sheets of exact pictures."""

from __future__ import annotations

import csv
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments.harness import run
from experiments.nearest import groups, nearest_grid
from experiments.recipe import load_recipe
from experiments.redecode import redecoded
from experiments.report import write_report
from experiments.runs import Results
from experiments.sheets import CAPTION, Tile, sheet, write_sheets
from layered.errors import LayeredError, OptionError, RecipeError
from layered.image import load_image, save_image
from tests.experiments.small_run import small_recipe, write_pictures

BESIDE = {"codec": "single webp", "quality": 30, "images": 1}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    place: Path = tmp_path_factory.mktemp("beside")
    recipe = small_recipe(write_pictures(place / "pictures"), beside=BESIDE)
    return run(recipe, place / "out", workers=0, command="tests", progress=False)


def test_each_codec_stands_at_its_nearest_rate(results: Results) -> None:
    found = groups(results)
    assert [group.image for group in found] == ["p0", "p1"]
    for group in found:
        first, near = group.records
        assert (first.codec, first.quality, near.codec) == ("single webp", 30, "simulcast jpeg")
        target = first.layers[-1].bpp
        all_rates = [r.layers[-1].bpp for r in results.records if (r.codec, r.image) == (near.codec, near.image)]
        assert len(all_rates) == 4
        assert near.layers[-1].bpp == min(all_rates, key=lambda rate: abs(math.log(rate / target)))


def test_the_report_has_the_means_at_that_rate(results: Results) -> None:
    grid = nearest_grid(results)
    assert grid is not None and [row[0] for row in grid.rows] == ["single webp", "simulcast jpeg"]
    rates = [group.records[0].layers[-1].bpp for group in groups(results)]
    assert grid.rows[0][1:3] == (f"{sum(rates) / 2:.4f}", "1.00")
    assert "At the rate of single webp at quality 30" in write_report(results)
    assert "## At one rate" in (results.folder / "report.md").read_text()
    with (results.folder / "nearest.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [list(grid.header), *map(list, grid.rows)]


def test_a_lossless_picture_costs_the_mean_of_its_row_alone(results: Results) -> None:
    records = [
        replace(r, layers=(*r.layers[:-1], replace(r.layers[-1], psnr=math.inf)))
        if (r.codec, r.image) == ("simulcast jpeg", "p1") else r
        for r in results.records
    ]  # fmt: skip
    grid = nearest_grid(replace(results, records=tuple(records)))
    assert grid is not None and grid.rows[1][3] == "-" and float(grid.rows[0][3]) > 20


def test_sheets_hold_the_original_and_what_was_measured(results: Results) -> None:
    other = results.folder / "sheets" / "other.png"
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"of an earlier recipe")
    (path,) = write_sheets(results)
    assert not other.exists()
    made = load_image(path)
    assert path.name == "p0.png" and made.shape == (2 * (32 + CAPTION), 2 * 48, 3)
    original = load_image(Path(results.recipe.data.source) / "p0.png")
    first = groups(results)[0].records[0]
    assert np.array_equal(made[:32, :48], original)
    assert np.array_equal(made[:32, 48:], redecoded(results, first)[-1])


def test_sheets_are_written_again_without_coding_again(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [path.read_bytes() for path in write_sheets(results)]
    monkeypatch.setattr("experiments.decoded.redecoded", None)
    assert [path.read_bytes() for path in write_sheets(results)] == before


def test_the_table_at_one_rate_goes_with_the_key_that_asked_for_it(results: Results, tmp_path: Path) -> None:
    folder = shutil.copytree(results.folder, tmp_path / "run")
    assert (folder / "nearest.csv").is_file()
    plain = results.recipe.model_copy(update={"beside": None})
    write_report(replace(results, folder=folder, recipe=plain))
    assert not (folder / "nearest.csv").exists()


def test_other_pictures_than_were_measured_are_refused(results: Results, tmp_path: Path) -> None:
    recipe = small_recipe(write_pictures(tmp_path / "pictures"), beside=BESIDE)
    fresh = run(recipe, tmp_path / "out", workers=0, command="tests", progress=False)
    save_image(np.zeros((32, 48, 3), np.uint8), tmp_path / "pictures" / "p0.png")
    with pytest.raises(LayeredError, match="another picture"):
        write_sheets(fresh)


def test_other_files_than_were_measured_are_refused(results: Results) -> None:
    record = results.records[0]
    other = type(record)(**{**vars(record), "files_sha256": ("0" * 64,) * len(record.files_sha256)})
    with pytest.raises(LayeredError, match="in other bytes than when it was measured"):
        redecoded(results, other)


def test_pictures_that_decode_otherwise_than_when_measured_are_refused(results: Results) -> None:
    record = results.records[0]
    layers = (*record.layers[:-1], replace(record.layers[-1], psnr=record.layers[-1].psnr + 1))
    with pytest.raises(LayeredError, match="now decodes equal files"):
        redecoded(results, replace(record, layers=layers))


def test_images_that_lack_different_codecs_are_not_averaged_together(results: Results) -> None:
    jpeg, webp = "simulcast jpeg", "single webp"
    spec = next(spec for spec in results.recipe.codecs if spec.name == jpeg)
    other = [replace(r, codec="other") for r in results.records if r.codec == jpeg]
    recipe = results.recipe.model_copy(
        update={"codecs": (*results.recipe.codecs, spec.model_copy(update={"name": "other"}))}
    )
    kept = [r for r in results.records if (r.codec, r.image) != (jpeg, "p1")]
    partial = replace(results, recipe=recipe, records=(*kept, *(r for r in other if r.image == "p1")))
    assert [group.codecs for group in groups(partial)] == [(webp, jpeg), (webp, "other")]
    grid = nearest_grid(partial)
    assert grid is not None and grid.title.endswith("means over 1 image") and grid.rows[1][0] == jpeg


def test_a_recipe_that_names_no_codec_to_stand_beside_has_no_sheets(small_results: Results) -> None:
    assert groups(small_results) == () and nearest_grid(small_results) is None
    with pytest.raises(OptionError, match="does not say beside which codec"):
        write_sheets(small_results)


@pytest.mark.parametrize("wrong", [{"codec": "gif"}, {"codec": "single webp", "quality": 31}])
def test_a_codec_or_quality_that_the_recipe_lacks_is_named(tmp_path: Path, wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match=r"beside: .*(not among the codecs|not measured at quality 31)"):
        small_recipe(write_pictures(tmp_path), beside=wrong)


def test_tiles_fill_rows_on_white() -> None:
    tiles = [Tile(np.full((4 + k, 60, 3), 50 * k, np.uint8), "") for k in range(5)]
    made = sheet(tiles)
    assert made.shape == (2 * (8 + CAPTION), 180, 3)
    assert made[0, 0, 0] == 0 and made[0, 60, 0] == 50 and made[8 + CAPTION, 0, 0] == 150
    assert (made[8 + CAPTION :, 120:] == 255).all() and Image.fromarray(made).mode == "RGB"


def test_the_low_rate_recipe_stands_beside_gc() -> None:
    recipe = load_recipe("low_rate_kodak")
    assert recipe.compared is not None and recipe.compared[0] == "GC"
