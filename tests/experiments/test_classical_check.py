"""Everyday codecs against published curves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.classical_check import CHECKS, main, measured
from experiments.data import DataSet, Picture
from experiments.published import published_curves
from layered.image import save_image
from tests.conftest import smooth_picture


def picture(folder: Path) -> DataSet:
    save_image(smooth_picture(96, 96), folder / "p.png")
    return DataSet("one", (Picture("p", folder / "p.png"),))


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_has_a_quality_for_each_published_point(name: str) -> None:
    check = CHECKS[name]
    assert len(check.qualities) == len(published_curves()[check.curve].rates)
    assert list(check.qualities) == sorted(check.qualities)


@pytest.mark.parametrize(("name", "qualities"), [("jpeg", (10, 50, 95)), ("jpeg2000", (-100, -30, -10))])
def test_more_quality_costs_more_and_comes_near_to_the_picture(
    name: str, qualities: tuple[float, ...], tmp_path: Path
) -> None:
    curve = measured(replace(CHECKS[name], qualities=qualities), picture(tmp_path))  # raises unless PSNR rises
    assert curve.qualities[-1] > 35 and curve.qualities[-1] > curve.qualities[0] + 5


def test_a_curve_measured_here_is_met_exactly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = picture(tmp_path)
    own = measured(CHECKS["jpeg"], data)
    monkeypatch.setattr("experiments.classical_check.find_data", lambda _: data)
    monkeypatch.setattr("experiments.classical_check.published_curves", lambda: {"jpeg": own})
    main(["--codec", "jpeg"])
    assert capsys.readouterr().out.count("+0.00 %") >= 3
