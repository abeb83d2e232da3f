"""Gaps to published curves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from experiments.gaps import gaps, main
from experiments.published import published_curves
from experiments.runs import Results
from experiments.tables import Ladder
from layered.errors import RecipeError

NAME = "compressai-mbt2018-mean_mse_cpu"


def _tables(factor: float) -> Any:
    curve = published_curves()[NAME]
    points = [SimpleNamespace(bpp=factor * r, psnr=q) for r, q in zip(curve.rates, curve.qualities, strict=True)]
    results = SimpleNamespace(recipe=SimpleNamespace(bd_rate="pchip"))
    return SimpleNamespace(points=lambda codec, layer: points, ladders=(Ladder((1.0,), ("BL x1",)),), results=results)


@pytest.mark.parametrize("factor", [0.5, 1.0, 1.3])
def test_the_gap_is_the_share_of_bits_spent_more(factor: float) -> None:
    assert gaps(_tables(factor), "any")[NAME] == pytest.approx(100 * (factor - 1), abs=1e-6)


def test_a_curve_without_overlap_says_so() -> None:
    tables = _tables(1.0)
    tables.points = lambda codec, layer: [SimpleNamespace(bpp=b, psnr=b) for b in (1.0, 2.0, 3.0, 4.0)]
    assert all(isinstance(gap, str) for gap in gaps(tables, "any").values())


def test_other_images_than_kodak_are_not_compared_with_its_curves(small_results: Results) -> None:
    with pytest.raises(RecipeError, match="not the 24 Kodak images"):
        main([str(small_results.folder)])
