"""Gaps to published curves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from experiments.published import gaps, main, published_curves, published_rates
from experiments.results import Results
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


def test_a_published_rate_is_found_by_ratios_whatever_the_base_layers_scale() -> None:
    rates = published_rates("compass")
    for base in (0.25, 0.2):
        scales = (base, 1.2 * base, 2.8 * base)
        assert rates.find("Kodak", "COMPASS", "Simulcast (Mean-scale)", scales) == -29.16
    assert rates.find("Kodak", "COMPASS", "Single-layer (Mean-scale)", (0.25, 0.5)) == 8.8
    assert rates.find("Kodak", "COMPASS", "Single-layer (Mean-scale)", (0.25, 0.45)) is None
    assert rates.find("Kodak", "COMPASS", "JPEG", (0.25, 0.5)) is None


def test_a_paper_without_rates_is_refused_and_the_others_listed() -> None:
    with pytest.raises(RecipeError, match="there are compass"):
        published_rates("compressai_kodak")


def test_other_images_than_kodak_are_not_compared_with_its_curves(small_results: Results) -> None:
    with pytest.raises(RecipeError, match="not the 24 Kodak images"):
        main([str(small_results.folder)])
