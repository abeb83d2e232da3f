"""Published BD-rates, found by what they are of."""

from __future__ import annotations

import pytest

from experiments.published import published_rates
from layered.errors import RecipeError


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


def test_data_and_methods_that_a_paper_lacks_are_named() -> None:
    rates = published_rates("compass")
    rates.check("Kodak", ["COMPASS", "Simulcast (Mean-scale)"])
    with pytest.raises(RecipeError, match=r"no BD-rates on 'Urban'; there are .*Kodak"):
        rates.check("Urban", ["COMPASS"])
    with pytest.raises(RecipeError, match="no method 'COMPAS' on Kodak; there are COMPASS, "):
        rates.check("Kodak", ["COMPAS"])
