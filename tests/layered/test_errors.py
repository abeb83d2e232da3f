"""A quality that weights or codecs do not have is told with what they have."""

from __future__ import annotations

import pytest

from baselines.protocol import check_quality
from layered.base.gain import lambda_at
from layered.errors import OptionError
from tests.adapters.codecs import stack_codec
from tests.adapters.kit import tiny_gc


def test_a_range_of_one_quality_is_told_as_that_quality() -> None:
    with pytest.raises(OptionError, match=r"^quality 2.0 is not 1, the one quality of the weights 'unnamed'$"):
        tiny_gc().qualities(2.0, 1)
    with pytest.raises(OptionError, match=r"^quality 2.0 is not 1, the one quality that these weights"):
        lambda_at((0.01,), 2.0)
    with pytest.raises(OptionError, match=r"^gc: quality 2 is not 1, the one quality of this codec$"):
        check_quality(2.0, (1.0, 1.0), "gc")


def test_a_range_of_several_is_told_with_both_ends() -> None:
    with pytest.raises(OptionError, match=r"^quality 9 is outside 1 to 3 of the weights "):
        stack_codec().qualities(9, 1)
    with pytest.raises(OptionError, match=r"^jpeg: quality 99 is outside 1 to 95 of this codec$"):
        check_quality(99.0, (1.0, 95.0), "jpeg")
