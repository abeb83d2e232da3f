"""Everyday codecs against published curves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.classical_check import CHECKS, main, measured, published
from experiments.data import DataSet, Picture
from layered.errors import LayeredError
from layered.image import save_image
from tests.conftest import smooth_picture


def write(path: Path, points: list[tuple[float, float]]) -> None:
    bpp, psnr = zip(*points, strict=True)
    path.write_text(json.dumps({"results": {"bpp": bpp, "psnr-rgb": psnr}}))


def test_published_points_come_by_rate_and_must_be_as_many_as_are_known(tmp_path: Path) -> None:
    write(tmp_path / "a.json", [(2.0, 40.0), (0.5, 30.0)])
    assert published(tmp_path / "a.json", 2) == [(0.5, 30.0), (2.0, 40.0)]
    with pytest.raises(LayeredError, match="2 points, where 19 are known"):
        published(tmp_path / "a.json", 19)
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(LayeredError, match="not in CompressAI's schema"):
        published(tmp_path / "b.json", 2)


@pytest.mark.parametrize("name", ["jpeg", "webp", "jpeg2000"])
def test_every_check_measures_as_many_points_as_were_published_in_order_of_rate(name: str, tmp_path: Path) -> None:
    save_image(smooth_picture(64, 96), tmp_path / "p.png")
    points = measured(CHECKS[name], DataSet("one", (Picture("p", tmp_path / "p.png"),)))
    rates, scores = zip(*points, strict=True)
    assert len(points) == 19 and list(rates) == sorted(rates)
    assert scores[-1] > 35 and scores[-1] > scores[0] + 5


def test_a_curve_measured_here_is_met_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    save_image(smooth_picture(96, 96), tmp_path / "p.png")
    data = DataSet("one", (Picture("p", tmp_path / "p.png"),))
    monkeypatch.setattr("experiments.classical_check.find_data", lambda *_: data)
    write(tmp_path / "jpeg.json", measured(CHECKS["jpeg"], data))
    main(["--reference", str(tmp_path), "--codec", "jpeg"])
    assert capsys.readouterr().out.count("+0.00 %") >= 3


def test_a_missing_folder_is_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--reference", str(tmp_path), "--images", "0"])
    assert "at least one image is needed" in capsys.readouterr().err
