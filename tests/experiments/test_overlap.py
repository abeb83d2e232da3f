"""mIoU: counted as by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from experiments.overlap import Confusion, find_segmenter
from layered.errors import LayeredError, OptionError
from layered.guide import Labels

TRUTH = np.array([[0, 0, 1], [1, 2, 9]], np.uint8)
IMAGE = np.zeros((2, 3, 3), np.uint8)


def test_the_matrix_is_that_of_a_hand_made_case() -> None:
    confusion = Confusion(4, ignore=9)
    confusion.add(TRUTH, np.array([[0, 1, 1], [1, 7, 0]]))
    assert confusion.counts.tolist() == [[1, 1, 0, 0, 0], [0, 2, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]
    assert confusion.ious() == (1 / 2, 2 / 3, 0.0, None)
    assert confusion.mean() == pytest.approx((1 / 2 + 2 / 3 + 0) / 3)
    confusion.add(TRUTH, np.array([[0, 0, 1], [1, 2, 3]]))
    assert confusion.ious() == (3 / 4, 4 / 5, 1 / 2, None)


@settings(max_examples=30)
@given(st.lists(arrays(np.uint8, (3, 4), elements=st.integers(0, 5)), min_size=1))
def test_an_oracle_has_1_and_the_matrix_is_the_sum_over_pictures(maps: list[Labels]) -> None:
    oracle, swapped, alone = Confusion(5, ignore=5), Confusion(5, ignore=5), Confusion(5, ignore=5)
    for labels in maps:
        oracle.add(labels, labels)
        swapped.add(labels, np.roll(labels, 1))
        alone = Confusion(5, ignore=5)
        alone.add(labels, np.roll(labels, 1))
    assert oracle.counts.sum() == sum(int((labels < 5).sum()) for labels in maps)
    assert {iou for iou in oracle.ious() if iou is not None} <= {1.0}
    assert np.all(swapped.counts >= alone.counts)
    if oracle.counts.sum():
        assert oracle.mean() == 1
    else:
        with pytest.raises(OptionError, match="no pixel"):
            oracle.mean()


def test_a_class_may_be_the_one_that_is_ignored() -> None:
    confusion = Confusion(3, ignore=0)
    confusion.add(TRUTH, np.zeros_like(TRUTH))
    assert confusion.ious() == (None, 0.0, 0.0) and confusion.mean() == 0


@pytest.mark.parametrize("wrong", [np.zeros((3, 2), np.uint8), np.zeros((2, 3)), np.zeros((2, 3, 1), np.uint8)])
def test_what_is_no_map_of_the_same_size_is_refused(wrong: NDArray[Any]) -> None:
    with pytest.raises(OptionError, match="the segmenter gave"):
        Confusion(3).add(TRUTH, wrong)


def test_a_segmenter_is_a_class_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("class Mine:\n    def __call__(self, image): return image[..., 0] // 2\n")
    hook = find_segmenter(f"{path}:Mine", ["a", "b"], 9)
    assert hook.of(np.full_like(IMAGE, 2)).tolist() == [[1] * 3] * 2 and hook.confusion().counts.shape == (2, 3)
    with pytest.raises(OptionError, match="needs --classes"):
        find_segmenter(f"{path}:Mine")
    path.write_text("class Mine:\n    def __call__(self, image): return 'sky'\n")
    with pytest.raises(LayeredError, match="returned str"):
        find_segmenter(f"{path}:Mine", ["a", "b"]).of(IMAGE)
    path.write_text("class Mine: pass\n")
    with pytest.raises(OptionError, match="no method `__call__`"):
        find_segmenter(f"{path}:Mine", ["a", "b"])
