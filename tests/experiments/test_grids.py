"""Tables of runs with several sets of scales, and with published results beside ours."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.grids import _with_base, bd_grids, published_grids
from experiments.harness import run
from experiments.recipe import DataSpec, Recipe, load_recipe
from experiments.report import write_report
from experiments.runs import Results
from experiments.tables import RULES, Cell, Tables
from layered.errors import RecipeError
from tests.experiments.small_run import QUALITIES, small_recipe, write_pictures

LADDERS = [[0.25, 0.3, 0.6], [0.25, 0.35, 0.6], [0.5, 1]]
PAPER = {
    "paper": "compass",
    "data": "Kodak",
    "names": {"simulcast jpeg": "COMPASS", "single webp": "Simulcast (Mean-scale)"},
}


def ladders(folder: Path, **changes: Any) -> Recipe:
    return small_recipe(folder, scales=LADDERS, published=PAPER, previews=False, **changes)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    place = tmp_path_factory.mktemp("ladders")
    return run(ladders(write_pictures(place / "pictures")), place / "out", workers=0, command="t", progress=False)


def test_a_table_per_anchor_and_codec_has_a_row_per_set_of_scales(results: Results) -> None:
    tables = Tables(results)
    (grid,) = bd_grids(tables)
    assert grid.title.startswith("BD-rate of single webp in % of RGB PSNR (pchip) against simulcast jpeg")
    assert grid.header == ("scales", "BL", "EL1", "EL2")
    assert [row[0] for row in grid.rows] == ["x0.25 x0.3 x0.6", "x0.25 x0.35 x0.6", "x0.5 x1"]
    assert grid.rows[2][3] == "" and all(cell for row in grid.rows[:2] for cell in row)
    value = tables.bd_cell("simulcast jpeg", "single webp", 2, RULES[0], 1).value
    assert value is not None and grid.rows[1][3].startswith(f"{value:+.2f} / ")


def test_published_values_stand_beside_ours(results: Results) -> None:
    tables = Tables(results)
    grid = published_grids(tables)[0]
    assert grid.header == ("top layer of", "", "single webp")
    # 0.3 and 0.35 of 0.25 are the paper's 1.2 and 1.4, of which only the layers above at 2.4 are published.
    assert [row[1] for row in grid.rows] == ["ours", "paper"] * 3
    cells = {ours[0]: (ours[2], paper[2]) for ours, paper in zip(grid.rows[::2], grid.rows[1::2], strict=True)}
    for index, published in ((0, "-34.75"), (1, "-38.69")):
        ours = tables.bd_cell("single webp", "simulcast jpeg", 2, RULES[0], index).value
        shown = f"{ours:+.2f}" if ours is not None else "none"
        assert cells[tables.ladders[index].label] == (shown, published)
    assert cells["x0.5 x1"][1] == "-16.29" and len(cells) == 3


def test_a_zero_of_one_and_the_same_base_layer_says_so() -> None:
    assert "same base layer" in _with_base(Cell(0.0), 0).notes[0]
    for cell, layer in [(Cell(0.1), 0), (Cell(0.0), 1), (Cell(None, ("why",)), 0)]:
        assert _with_base(cell, layer) == cell


def test_images_that_are_not_the_papers_are_told(results: Results) -> None:
    def first_note(**data: object) -> str:
        recipe = results.recipe.model_copy(update={"data": DataSpec.model_validate(data)})
        return published_grids(Tables(replace(results, recipe=recipe)))[0].notes[0]

    assert first_note(source="photos").startswith("NO COMPARISON: ours are of photos, not known to be the paper's")
    assert first_note(source="elsewhere/kodak").endswith("`data: kodak` would be.")
    assert first_note(source="kodak_fake").startswith("NO COMPARISON")
    assert first_note(source="kodak", limit=2).startswith("Ours are of 2 images of the paper's 24")
    assert "shrunk to 100 a side" in first_note(source="kodak", longest_side=100)


def test_both_training_budgets_are_told_also_before_anything_is_measured(results: Results) -> None:
    grid = published_grids(Tables(replace(results, recipe=load_recipe("kodak_3layer"), records=(), keys=())))[0]
    paper = next(number for number, note in enumerate(grid.notes) if note.startswith("Published: "))
    assert "1,633 CLIC images" in grid.notes[paper]
    told = grid.notes[paper + 1 : paper + 4]
    assert [note.split(":")[0] for note in told[:2]] == ["Ours, compass-small", "Ours, factorized-small"]
    assert "595 pictures; base 14000 steps of 8 crops of 128x128" in told[0] and "weak anchor" in told[2]
    at = [row[0] for row in grid.rows].index("x0.25 x0.5")
    assert grid.rows[at + 1][3] == "+8.80" and grid.rows[at][3].startswith("none [")  # a footnote says why


def test_a_report_of_several_sets_of_scales_has_a_curve_for_each_and_all_averages(results: Results) -> None:
    text = write_report(results)
    names = {path.name for path in results.folder.iterdir()}
    assert {"rd_ladder0.svg", "rd_ladder1.svg", "rd_ladder2.png", "points.csv", "report.html"} <= names
    assert "rd_layer0.svg" not in names
    with (results.folder / "points.csv").open(newline="") as file:
        points = list(csv.DictReader(file))
    assert len(points) == (3 + 3 + 2) * 2 * len(QUALITIES)
    assert {row["scales"] for row in points} == {"x0.25 x0.3 x0.6", "x0.25 x0.35 x0.6", "x0.5 x1"}
    report = (results.folder / "report.md").read_text()
    assert "Beside published results" in report and "rd_ladder2.svg" in report and "Beside" not in text
    assert (results.folder / "compressai" / "ladder1" / "single-webp-layer2.json").is_file()


def test_no_preview_is_kept_where_none_is_wanted(results: Results) -> None:
    assert not (results.folder / "previews").exists()


def test_rows_that_are_not_there_cannot_be_paired_with_a_paper(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="'x' is not among the codecs"):
        small_recipe(tmp_path, published={**PAPER, "names": {"x": "COMPASS"}})
