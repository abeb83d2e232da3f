"""Averages and BD-rates, by both rules, and what is said where there is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.bdrate import Curve, bd_rate
from experiments.record import LayerRecord, Provenance, Record
from experiments.runs import Results
from experiments.tables import RULES, SHARED, Tables
from layered.errors import OptionError
from tests.experiments.small_run import QUALITIES, small_recipe

AVERAGE, PER_IMAGE = RULES
ANCHOR, TEST = "simulcast jpeg", "single webp"
PROVENANCE = Provenance("tests", None, "Linux", 1)
Point = Callable[[str, int, str], tuple[float, float]]


def results_of(point: Point, images: tuple[str, ...] = ("a", "b"), **changes: Any) -> Results:
    """Records whose two layers have bpp and PSNR as `point(codec, index of quality, image)` says."""
    recipe = small_recipe(Path("nowhere"), **changes)
    records = []
    for spec in recipe.codecs:
        for index, quality in enumerate(spec.qualities):
            for image in images:
                bpp, psnr = point(spec.name, index, image)
                layer = LayerRecord(10, 10, 100, bpp, psnr, None)
                where = ("", recipe.scales[0], (layer, layer))
                records.append(Record("k", spec.name, quality, image, *where, 1.0, 2.0, None, (), {}, PROVENANCE))
    return Results(Path("nowhere"), recipe, PROVENANCE, tuple(records), (("k",),) * len(records), ())


def curves(codec: str, index: int, image: str) -> tuple[float, float]:
    """The test codec needs half the bits on image a, and a quarter less on b, which is the larger one."""
    saved = 1.0 if codec == ANCHOR else {"a": 0.5, "b": 0.75}[image]
    return saved * {"a": 0.1, "b": 0.4}[image] * 2**index, 30 + 2.0 * index


def without(results: Results, codec: str, quality: float, image: str) -> Results:
    kept = [r for r in results.records if (r.codec, r.quality, r.image) != (codec, quality, image)]
    return replace(results, records=tuple(kept))


def test_points_are_plain_means_over_the_images() -> None:
    point = Tables(results_of(curves)).points(TEST, 1)[2]
    assert (point.quality, point.images) == (QUALITIES[2], 2)
    assert point.bpp == pytest.approx((0.5 * 0.1 + 0.75 * 0.4) / 2 * 4)
    assert (point.psnr, point.encode_seconds, point.decode_seconds) == (34, 1, 2)


def test_the_two_rules_differ_where_images_differ() -> None:
    tables = Tables(results_of(curves))
    average, per_image = (tables.bd_cell(ANCHOR, TEST, 0, rule) for rule in RULES)
    assert per_image.value == pytest.approx(-37.5) and not per_image.notes
    assert average.value == pytest.approx(100 * ((0.05 + 0.3) / 0.5 - 1)) and not average.notes


def test_the_recipes_interpolation_is_used() -> None:
    def bent(codec: str, index: int, image: str) -> tuple[float, float]:
        return 0.1 * 2**index, (30 + index**1.5) if codec == ANCHOR else (29.5 + 1.9 * index)

    values = []
    for method in ("pchip", "cubic", "akima"):
        cell = Tables(results_of(bent, bd_rate=method)).bd_cell(ANCHOR, TEST, 0, AVERAGE)
        points = [[bent(codec, index, "a") for index in range(4)] for codec in (ANCHOR, TEST)]
        anchor, test = (Curve(tuple(p[0] for p in c), tuple(p[1] for p in c)) for c in points)
        assert cell.value == pytest.approx(bd_rate(anchor, test, method))
        values.append(round(cell.value or 0, 6))
    assert len(set(values)) == 3


@pytest.mark.parametrize("rule", RULES)
def test_curves_that_cannot_be_compared_have_no_value_but_a_note(rule: str) -> None:
    def apart(codec: str, index: int, image: str) -> tuple[float, float]:
        return 0.1 * 2**index, (30 if codec == ANCHOR else 60) + 2.0 * index

    cell = Tables(results_of(apart)).bd_cell(ANCHOR, TEST, 0, rule)
    assert cell.value is None and "do not overlap: 30.00 to 36.00 dB and 60.00 to 66.00 dB" in cell.notes[0]


@pytest.mark.parametrize("rule", RULES)
def test_a_comparison_over_a_sliver_of_psnr_is_noted_even_where_it_is_all_of_a_short_curve(rule: str) -> None:
    def short(codec: str, index: int, image: str) -> tuple[float, float]:
        return 0.1 * 2**index, 30 + (2.0 if codec == ANCHOR else 0.3) * index

    cell = Tables(results_of(short)).bd_cell(ANCHOR, TEST, 0, rule)
    assert cell.value is not None and f"{SHARED} " in cell.notes[0] and "0.90 dB" in cell.notes[0]


def partly(codec: str, index: int, image: str) -> tuple[float, float]:
    """On image b the test codec makes no monotone curve."""
    bpp, psnr = curves(codec, index, "b" if image == "b" else "a")
    return bpp, psnr - (1.5 * index**2 if image == "b" and codec == TEST else 0)


def test_a_mean_of_images_names_those_that_it_leaves_out() -> None:
    cell = Tables(results_of(partly, images=tuple("abcdefghij"))).bd_cell(ANCHOR, TEST, 0, PER_IMAGE)
    assert cell.value == pytest.approx(-50)
    assert cell.notes[0].startswith("without 1 of 10 images (b): the curve is not monotone")


def test_a_mean_of_the_few_images_that_can_be_compared_is_not_given() -> None:
    cell = Tables(results_of(partly)).bd_cell(ANCHOR, TEST, 0, PER_IMAGE)
    assert cell.value is None
    assert cell.notes[0].startswith("no mean, because of 1 of 2 images (b): the curve is not monotone")


def test_lossless_pictures_are_not_averaged_away() -> None:
    def lossless(codec: str, index: int, image: str) -> tuple[float, float]:
        bpp, psnr = curves(codec, index, image)
        return bpp, math.inf if (codec, index, image) == (TEST, 3, "a") else psnr

    tables = Tables(results_of(lossless))
    average, per_image = (tables.bd_cell(ANCHOR, TEST, 0, rule) for rule in RULES)
    assert average.value is None and "lossless" in average.notes[0]
    assert per_image.value is None and "1 of 2 images (a): a lossless picture" in per_image.notes[0]
    with pytest.raises(OptionError, match="lossless"):
        tables.points(TEST, 0)


def test_an_image_that_lacks_one_record_leaves_both_curves_and_is_noted() -> None:
    tables = Tables(without(results_of(curves), TEST, QUALITIES[1], "b"))
    for rule in RULES:
        cell = tables.bd_cell(ANCHOR, TEST, 0, rule)
        assert cell.value == pytest.approx(-50) and "over the 1 image that both completed" in cell.notes
    assert [point.images for point in tables.points(TEST, 0)] == [1, 1, 1, 1]
    assert [point.images for point in tables.points(ANCHOR, 0)] == [2, 2, 2, 2]


def test_a_codec_without_any_complete_image_has_no_value_but_a_note() -> None:
    lacking = without(results_of(curves), TEST, QUALITIES[0], "a")
    cell = Tables(without(lacking, TEST, QUALITIES[1], "b")).bd_cell(ANCHOR, TEST, 0, AVERAGE)
    assert cell.value is None and cell.notes == (f"no image was measured at all qualities with {TEST}",)


def test_a_quality_that_was_measured_on_no_image_is_left_out_and_noted() -> None:
    tables = Tables(without(results_of(curves, images=("a",)), TEST, QUALITIES[0], "a"))
    cell = tables.bd_cell(ANCHOR, TEST, 0, AVERAGE)
    assert cell.value == pytest.approx(-50)
    assert cell.notes == (f"{TEST} without quality {QUALITIES[0]:g}, measured on no image",)


def test_a_small_overlap_is_noted_beside_the_value() -> None:
    def barely(codec: str, index: int, image: str) -> tuple[float, float]:
        return 0.1 * 2**index, (30 if codec == ANCHOR else 35) + 2.0 * index

    average, per_image = (Tables(results_of(barely)).bd_cell(ANCHOR, TEST, 0, rule) for rule in RULES)
    assert average.value is not None and per_image.value is not None
    assert average.notes == ("the curves share only 17% of the shorter one's range of PSNR, 1.00 dB",)
    told = "the curves of 2 of 2 images share only a part of their range of PSNR"
    assert per_image.notes == (f"{told}, less than half or than 1 dB (a 1.00 dB)",)
