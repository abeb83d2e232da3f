"""Pictures are made in whole float32, whatever a GPU would do by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import torch

from layered.codec import LayeredCodec
from layered.float32 import whole_float32
from tests.conftest import smooth_picture

CUDNN: Any = torch.backends.cudnn


@pytest.fixture(autouse=True)
def as_torch_has_it() -> Iterator[None]:
    CUDNN.allow_tf32 = True
    yield
    CUDNN.allow_tf32 = True


@pytest.mark.parametrize("before", [True, False])
def test_the_callers_setting_is_the_same_afterwards(before: bool) -> None:
    CUDNN.allow_tf32 = before
    with pytest.raises(KeyError), whole_float32():
        assert not CUDNN.allow_tf32
        raise KeyError
    assert CUDNN.allow_tf32 == before


@pytest.mark.parametrize("before", [True, False])
def test_a_thread_that_leaves_first_does_not_end_it_for_another(before: bool) -> None:
    CUDNN.allow_tf32 = before
    first, second = ExitStack(), ExitStack()
    for thread in (first, second):
        thread.enter_context(whole_float32())
    first.close()
    assert not CUDNN.allow_tf32
    second.close()
    assert CUDNN.allow_tf32 == before


def test_one_within_another_lasts_until_the_outer_one_ends() -> None:
    @whole_float32()
    def inner() -> bool:
        return bool(CUDNN.allow_tf32)

    with whole_float32():
        assert not inner() and not CUDNN.allow_tf32
    assert CUDNN.allow_tf32


def test_all_that_makes_pictures_of_a_stream_runs_so(
    tiny_codec: LayeredCodec, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    synthesise = type(tiny_codec.base).synthesise

    def watched(self: Any, *given: Any) -> Any:
        seen.append(CUDNN.allow_tf32)
        return synthesise(self, *given)

    monkeypatch.setattr(type(tiny_codec.base), "synthesise", watched)
    data = tiny_codec.encode(smooth_picture(20, 24), (0.5, 1.0), verify=False)
    tiny_codec.decode(data)
    tiny_codec.render(data, 40, 30)
    assert len(seen) == 3 * 2 and not any(seen) and CUDNN.allow_tf32


@pytest.mark.skipif(not hasattr(CUDNN, "conv"), reason="torch before 2.9 has the one setting alone")
def test_a_precision_that_the_caller_has_set_by_the_newer_name_stays() -> None:
    before = CUDNN.conv.fp32_precision
    try:
        CUDNN.conv.fp32_precision = "ieee"
        with whole_float32():
            assert CUDNN.conv.fp32_precision == "ieee"
    finally:
        CUDNN.conv.fp32_precision = before
