"""The comparison of the emulated SHVC with tables of SHM's results."""

from __future__ import annotations

from pathlib import Path

import pytest

from baselines.shvc.emulated import EmulatedShvc
from experiments.bdrate import Curve, bd_rate
from experiments.data import find_data
from experiments.runs import Results
from experiments.shvc_check import Key, Point, against, compare, main, measured, referenced
from layered.errors import LayeredError
from layered.image import save_image
from tests.conftest import smooth_picture
from tests.experiments.small_run import QUALITIES

TABLE = """image,scales,qp,layer,width,height,layer_bits,psnr_rgb_db,file_bytes
a.png,"2,1",24,0,32,24,1000,36.0,400
a.png,"2,1",24,1,64,48,2000,37.0,400
a.png,"2,1",32,0,32,24,500,31.0,200
a.png,"2,1",32,1,64,48,900,32.0,200
b.png,"2,1",24,0,32,24,1,1.0,1
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE)
    return path


def test_bits_of_a_table_are_accumulated_over_layers(table: Path) -> None:
    assert referenced(table, ["a"]) == {
        Key("a", 0, 24): Point(1000, 36), Key("a", 1, 24): Point(3000, 37),
        Key("a", 0, 32): Point(500, 31), Key("a", 1, 32): Point(1400, 32),
    }  # fmt: skip


def test_tables_without_an_image_or_a_number_are_refused(table: Path) -> None:
    with pytest.raises(LayeredError, match="no results of c"):
        referenced(table, ["a", "c"])
    for wrong in (TABLE.replace("layer_bits", "bits"), TABLE.replace("2000", "many")):
        table.write_text(wrong)
        with pytest.raises(LayeredError, match="no table of SHM's results"):
            referenced(table, ["a"])


def test_rates_are_ours_relative_to_theirs() -> None:
    theirs = {Key("a", 0, 24): Point(1000, 36), Key("a", 0, 32): Point(500, 31)}
    ours = {key: Point(1.1 * point.bits, point.psnr - 0.5) for key, point in theirs.items()}
    rows = compare(ours, theirs)
    assert [(layer, what) for layer, what, _, _ in rows] == [
        (0, "QP 24"), (0, "QP 32"), (0, "mean curve"), (0, "mean of images"),
    ]  # fmt: skip
    assert [rate for _, _, rate, _ in rows[:2]] == pytest.approx([10, 10]) and rows[0][3] == -0.5
    expected = bd_rate(Curve((500, 1000), (31, 36)), Curve((550, 1100), (30.5, 35.5)))
    assert rows[2][2] == rows[3][2] == pytest.approx(expected) and expected > 10


def test_results_of_different_points_are_not_compared() -> None:
    point = {Key("a", 0, 24): Point(1000, 36)}
    with pytest.raises(LayeredError, match="a at QP 32, layer 0, is in one of the results only"):
        compare({**point, Key("a", 0, 32): Point(500, 31)}, point)


def test_our_bits_are_those_of_whole_files(tmp_path: Path) -> None:
    image = smooth_picture(40, 48)
    save_image(image, tmp_path / "a.png")
    made = measured(EmulatedShvc(), find_data(str(tmp_path)), (0.5, 1), [30])
    sizes = EmulatedShvc().encode(image, (0.5, 1), 21).layer_bytes
    assert [made[Key("a", layer, 30)].bits for layer in (0, 1)] == [8 * size for size in sizes]
    assert made[Key("a", 1, 30)].psnr > 20


def test_a_run_is_compared_layer_by_layer(small_results: Results) -> None:
    codec, factor = "single webp", 0.8
    theirs = {
        Key(record.image, layer, number): Point(factor * 8 * held.bytes, held.psnr)
        for number, quality in enumerate(QUALITIES)
        for record in small_results.records
        if record.codec == codec and record.quality == quality
        for layer, held in enumerate(record.layers)
    }
    rows = against(theirs, small_results, codec)
    assert [(layer, what) for layer, what, _, _ in rows] == [(0, "mean curve"), (1, "mean curve")]
    assert [rate for _, _, rate, _ in rows] == pytest.approx([25, 25])
    with pytest.raises(LayeredError, match="no codec 'nobody'"):
        against(theirs, small_results, "nobody")
    with pytest.raises(LayeredError, match="not all of the table's 1 images"):
        against({key: point for key, point in theirs.items() if key.image == "p0"}, small_results, codec)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--scales", "x"], "'x': factors such as 4_2_1"),
        (["--scales", "1_2"], "'1_2': factors such as 4_2_1"),
        (["--images", "0"], "at least one image is needed, got 0"),
        (["--codec", "layered"], "--codec goes with --run"),
    ],
)
def test_wrong_words_end_with_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--reference", "nowhere", *words])
    assert f"error: {message}" in capsys.readouterr().err
