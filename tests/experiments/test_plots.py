"""Curves are those of the tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from experiments import plots
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
    kept = tuple(r for r in small_results.records if (r.codec, r.quality) != ("single webp", QUALITIES[0]))
    axes = Figure().add_subplot()
    assert plots._draw(axes, Tables(replace(small_results, records=kept)), 0, 0) == ["single webp"]
    assert len(axes.lines) == 1


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
