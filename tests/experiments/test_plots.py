"""Curves are those of the tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from experiments import plots
from experiments.method import CodecSpec
from experiments.runs import Results
from experiments.tables import Tables
from tests.experiments.small_run import QUALITIES


def test_lines_go_through_the_averages_of_their_layer(small_results: Results) -> None:
    tables, axes = Tables(small_results), Figure().add_subplot()
    assert plots._draw(axes, tables, 0, 1) == []
    assert [line.get_label() for line in axes.lines] == ["simulcast jpeg", "single webp"]
    for line in axes.lines:
        points = tables.points(str(line.get_label()), 1)
        assert list(line.get_xdata()) == pytest.approx([point.bpp for point in points])  # type: ignore[arg-type]
        assert list(line.get_ydata()) == pytest.approx([point.psnr for point in points])  # type: ignore[arg-type]
    assert [line.get_linestyle() for line in axes.lines] == ["--", ":"]


def test_a_codec_without_a_curve_is_returned_by_name(small_results: Results) -> None:
    lost = {("single webp", QUALITIES[0], "p0"), ("single webp", QUALITIES[1], "p1")}
    kept = tuple(r for r in small_results.records if (r.codec, r.quality, r.image) not in lost)
    axes = Figure().add_subplot()
    assert plots._draw(axes, Tables(replace(small_results, records=kept)), 0, 0) == ["single webp"]
    assert len(axes.lines) == 1


def test_rows_share_a_colour_where_only_their_method_differs() -> None:
    def spec(codec: str, **words: object) -> CodecSpec:
        return CodecSpec.model_validate({"name": f"{codec} {words}", "codec": codec, "qualities": [1], **words})

    rows = [
        spec("layered", weights="a"),
        spec("layered", weights="b"),
        spec("simulcast", of="mean-scale", weights="a"),
        spec("single", of="mean-scale", weights="a"),
        spec("single", of="mean-scale", weights="b"),
        spec("single", of="jpeg"),
        spec("single", of="jpeg"),
        spec("simulcast", of="jpeg"),
    ]
    assert plots.colours(rows) == (0, 1, 2, 2, 3, 4, 5, 4)


def test_a_curve_over_fewer_images_says_so_and_no_name_is_hidden(small_results: Results) -> None:
    lost = ("single webp", QUALITIES[0], "p0")
    kept = tuple(r for r in small_results.records if (r.codec, r.quality, r.image) != lost)
    axes = Figure().add_subplot()
    plots._draw(axes, Tables(replace(small_results, records=kept)), 0, 0)
    assert [line.get_label() for line in axes.lines] == ["simulcast jpeg", "single webp (1 of 2 images)"]
    axes.plot([0, 1], [0, 1], label=plots._plain("_mine"))
    assert "_mine" in str(axes.get_legend_handles_labels()[1][-1])


def test_curves_of_an_earlier_report_go(small_results: Results, tmp_path: Path) -> None:
    for name in ("rd_layer7.svg", "rd_ladder0.png", "rd_layer0.svg"):
        (tmp_path / name).write_bytes(b"old")
    written = plots.plot_curves(Tables(small_results), tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted(written)


def test_an_interrupted_plot_leaves_the_older_one(
    small_results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "rd_layer0.svg"
    old.write_bytes(b"old")
    draw = Figure.savefig

    def interrupted(self: Figure, *arguments: object, **options: object) -> None:
        draw(self, *arguments, **options)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", interrupted)
    with pytest.raises(KeyboardInterrupt):
        plots.plot_curves(Tables(small_results), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [old.name] and old.read_bytes() == b"old"
