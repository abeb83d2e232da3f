"""Gaps to published curves."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.gaps import gaps, main
from experiments.published import published_curves
from experiments.recipe import DataSpec
from experiments.runs import Results
from experiments.tables import Ladder, Tables
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
        main([str(small_results.folder), "--codec", "single webp"])
    with pytest.raises(RecipeError, match="there are simulcast jpeg, single webp"):
        main([str(small_results.folder)])


def test_an_incomplete_run_and_one_of_smaller_pictures_are_not_compared_either(
    small_results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    kodak = DataSpec.model_validate({"source": "kodak"})
    for scales, count in (((0.5,), 24), ((1.0,), 2)):
        recipe = small_results.recipe.model_copy(update={"data": kodak, "scales": (scales,)})
        changed = replace(small_results, recipe=recipe)
        monkeypatch.setattr("experiments.gaps.load_results", lambda _, changed=changed: changed)
        monkeypatch.setattr(Tables, "complete", lambda *_, count=count: ("image",) * count)
        with pytest.raises(RecipeError, match=f"{count} of kodak, top layer BL x{scales[0]:g}"):
            main(["anywhere", "--codec", "single webp"])
