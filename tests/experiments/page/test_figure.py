"""Figures of the results page show what its tables hold."""

from __future__ import annotations

import csv
import re
import shutil
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.page.__main__ import main
from experiments.page.chart import DASHES, Line, Panel, chart
from experiments.page.figure import FIGURE, figure
from experiments.page.index import RESULTS, Published, published
from layered.errors import RecipeError

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("run", published(), ids=lambda run: run.name)
def test_every_figure_of_the_page_is_drawn_from_the_tables_beside_it(run: Published) -> None:
    folder = RESULTS / run.name
    assert (folder / FIGURE).read_text(encoding="utf-8") == figure(run.load(), folder)


def test_a_figure_follows_a_changed_table_when_it_is_drawn_again(tmp_path: Path) -> None:
    shutil.copytree(RESULTS / "base_layers", tmp_path / "base_layers")
    (tmp_path / "index.yaml").write_text("- recipe: base_layers\n")
    table = tmp_path / "base_layers" / "points.csv"
    before = (tmp_path / "base_layers" / FIGURE).read_text()
    header, first, *rest = table.read_text().splitlines()
    cells = dict(zip(header.split(","), first.split(","), strict=True))
    first = ",".join((cells | {"psnr": f"{float(cells['psnr']) - 1}"}).values())
    table.write_text("\n".join([header, first, *rest]))
    assert main(["--folder", str(tmp_path), "draw"]) == 0
    assert (tmp_path / "base_layers" / FIGURE).read_text() != before


def test_a_run_without_tables_has_no_figure(tmp_path: Path) -> None:
    (run,) = (run for run in published() if run.name == "base_layers")
    with pytest.raises(RecipeError, match=r"points\.csv: No such file"):
        figure(run.load(), tmp_path)


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        ("points.csv", ",psnr,", ",x,"),
        ("points.csv", "mean-scale,1,24,0.", "mean-scale,1,24,nan"),
        ("points.csv", "", "\x00"),
    ],
)
def test_tables_that_are_none_are_refused_in_one_line(tmp_path: Path, table: str, old: str, new: str) -> None:
    (run,) = (run for run in published() if run.name == "base_layers")
    shutil.copytree(RESULTS / "base_layers", tmp_path / "base_layers")
    path = tmp_path / "base_layers" / table
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new) if old else text.splitlines()[0])
    with pytest.raises(RecipeError, match="not the tables of a run"):
        figure(run.load(), tmp_path / "base_layers")


def test_codecs_without_numbers_are_named_and_gaps_are_not_bridged(tmp_path: Path) -> None:
    (run,) = (run for run in published() if run.name == "many_layers")
    folder = tmp_path / "many_layers"
    shutil.copytree(RESULTS / "many_layers", folder)
    header, *rows = (folder / "bd_rate.csv").read_text().splitlines()
    five = next(row["scales"] for row in csv.DictReader([header, *rows]) if len(row["scales"].split()) == 5)
    kept = [row for row in rows if not row.startswith("single") and five not in row]
    (folder / "bd_rate.csv").write_text("\n".join([header, *kept]))
    text = figure(run.load(), folder)
    panel = next(iter(ElementTree.fromstring(text).iter(f"{SVG}g")))
    assert "without single mean-scale<" in text and len(list(panel.iter(f"{SVG}polyline"))) == 2


def drawn(*lines: Line, window: tuple[float, float] | None = None) -> ElementTree.Element:
    return ElementTree.fromstring(chart("t", "y", [Panel("p", "x", lines, window=window)]))


def corners(line: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in line.attrib["points"].split())]


def test_words_with_marks_of_xml_are_shown_as_they_are() -> None:
    line = Line('a <b> & "c"', ((0, 0), (1, 1)), 0)
    assert 'a <b> & "c"' in [text.text for text in drawn(line).iter(f"{SVG}text")]


def test_every_word_is_escaped_and_what_xml_forbids_is_left_out() -> None:
    word = "<&\x00\x07\ud800>"
    panel = Panel(word, word, (Line(word, ((0, 0), (1, 1)), 0),), names=(word, word))
    text = chart(word, word, [panel])
    assert [found.text for found in ElementTree.fromstring(text.encode()).iter(f"{SVG}text")].count("<&>") == 7


def test_a_curve_is_cut_where_it_leaves_the_window() -> None:
    curve = Line("a", ((0, 0), (10, 10), (20, 0)), 0)
    panel = next(iter(drawn(curve, window=(5, 15)).iter(f"{SVG}g")))
    (line,) = panel.iter(f"{SVG}polyline")
    (x0, y0), (x1, y1), (x2, y2) = corners(line)
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11) and y0 == y2 and y0 > y1


def test_what_cannot_be_seen_is_not_in_the_legend() -> None:
    lines = (Line("near", ((0, 0), (1, 1)), 0), Line("far", ((8, 0), (9, 1)), 1))
    shown = [text.text for text in drawn(*lines, window=(0, 2)).iter(f"{SVG}text")]
    assert "near" in shown and "far" not in shown


def test_a_codec_of_one_point_is_a_dot() -> None:
    panel = next(iter(drawn(Line("one", ((3, 4),), 0)).iter(f"{SVG}g")))
    assert len(list(panel.iter(f"{SVG}circle"))) == 1


def test_a_panel_without_points_is_drawn_empty() -> None:
    image = drawn(Line("none", (), 0))
    assert not list(image.iter(f"{SVG}polyline")) and "none" not in [text.text for text in image.iter(f"{SVG}text")]


numbers = st.floats(-1e6, 1e6, allow_nan=False).map(lambda value: round(value, 6))
curves = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8).map(lambda points: tuple(sorted(points)))
dashes = st.sampled_from(list(DASHES))
made = st.builds(Line, st.text("abc", min_size=1), curves, st.integers(0, 20), dashes, st.booleans())


@given(st.lists(made, min_size=1, max_size=5))
def test_all_curves_lie_within_the_picture_and_rise_where_their_points_do(lines: list[Line]) -> None:
    image = drawn(*lines)
    wide, high = (float(value) for value in image.attrib["viewBox"].split()[2:])
    panel = next(iter(image.iter(f"{SVG}g")))
    x, y = map(float, re.findall(r"\d+", panel.attrib["transform"]))
    for line, curve in zip(lines, panel.iter(f"{SVG}polyline"), strict=True):
        places = corners(curve)
        assert all(0 <= x + across <= wide and 0 <= y + down <= high for across, down in places)
        for (a, b), (p, q) in zip(pairwise(line.points), pairwise(places), strict=True):
            assert (b[0] >= a[0]) <= (q[0] >= p[0]) and (b[1] >= a[1]) <= (q[1] <= p[1])


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e6))
def test_axes_have_four_to_ten_round_numbers(low: float, wide: float) -> None:
    image = drawn(Line("a", ((low, 0), (low + wide, 1)), 0))
    panel = next(iter(image.iter(f"{SVG}g")))
    grid = [path.attrib["d"] for path in panel.iter(f"{SVG}path") if path.attrib["class"] == "g"]
    verticals = [line for line in grid if "V" in line]
    assert 4 <= len(verticals) <= 10
