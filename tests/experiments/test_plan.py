"""Plans: which items a recipe needs, and what records are put together from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.plan import Plan, plan
from experiments.record import Provenance
from layered.errors import RecipeError
from tests.experiments.small_run import QUALITIES, small_recipe, write_pictures

PROVENANCE = Provenance("tests", None, "Linux", 1)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    return write_pictures(tmp_path / "pictures")


def planned(pictures: Path, **changes: Any) -> Plan:
    return plan(small_recipe(pictures, **changes), PROVENANCE)


def test_every_quality_and_image_of_a_codec_is_an_entry_of_one_item_a_file(pictures: Path) -> None:
    made = planned(pictures)
    assert len(made.entries) == 2 * len(QUALITIES) * 2
    assert [entry.image for entry in made.entries[:2]] == ["p0", "p1"]
    assert all(len(entry.keys) == 2 for entry in made.entries)
    assert len(made.items) == len({item.key for item in made.items}) == 2 * len(made.entries)
    assert [entry.cumulative for entry in made.entries] == [True] * 8 + [False] * 8


def test_simulcast_and_single_layer_files_are_coded_once(pictures: Path) -> None:
    both = [
        {"name": name, "codec": name, "of": "jpeg", "qualities": QUALITIES} for name in ("simulcast", "single")
    ]
    made = planned(pictures, codecs=both, anchors=[])
    half = len(made.entries) // 2
    assert [entry.keys for entry in made.entries[:half]] == [entry.keys for entry in made.entries[half:]]
    assert len(made.items) == 2 * half


def test_sets_of_scales_share_the_files_of_equal_sizes(pictures: Path) -> None:
    one = planned(pictures, scales=[0.25, 1])
    made = planned(pictures, scales=[[0.25, 1], [0.5, 1], [0.25, 0.5, 1]])
    assert len(made.entries) == 3 * len(one.entries) and len(made.items) == 3 * len(one.items) // 2


def test_a_quality_per_layer_goes_to_its_file(pictures: Path) -> None:
    codecs = [{"name": "a", "codec": "simulcast", "of": "jpeg", "qualities": [[10, 40]]}]
    made = planned(pictures, codecs=codecs, anchors=[])
    assert [(item.quality, item.scales) for item in made.items[:2]] == [(10.0, (0.5,)), (40.0, (1.0,))]


def test_scales_may_be_all_combinations_of_ratios_to_a_base_layer(pictures: Path) -> None:
    recipe = small_recipe(pictures, scales={"base": 0.25, "ratios": [[1.2, 2], [3, 4]]})
    assert recipe.scales == ((0.25, 0.3, 0.75), (0.25, 0.3, 1.0), (0.25, 0.5, 0.75), (0.25, 0.5, 1.0))


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ([], "at least one"),
        ([[0.5, 1], [1, 0.5]], "must increase"),
        ([[0.5, 1], [0.5, 1]], "named twice"),
        ({"base": 0.5, "ratios": [[2], [1.5]]}, "must increase"),
        ({"bass": 0.5}, "write scales as"),
    ],
)
def test_scales_that_make_no_sense_are_refused(pictures: Path, scales: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        small_recipe(pictures, scales=scales)
