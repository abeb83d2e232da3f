import pytest
import torch

from layered.enhancement.predictor import PREDICTORS, build_predictor
from layered.errors import OptionError

SMALL: dict[str, dict[str, object]] = {
    "liff": {"features": 8, "growth": 4, "hidden": 16},
    "liif": {"features": 8, "growth": 4, "hidden": 16},
    "bicubic": {},
}


def test_registry_holds_exactly_the_documented_names() -> None:
    assert set(PREDICTORS) == {"liff", "liif", "bicubic"}


@pytest.mark.parametrize("name", sorted(SMALL))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (1, 1, 7, 5), (5, 7, 1, 1), (4, 6, 6, 6), (3, 5, 10, 3)])
def test_every_predictor_reaches_every_size(
    name: str, dtype: torch.dtype, sizes: tuple[int, int, int, int]
) -> None:
    h, w, height, width = sizes
    predictor = build_predictor(name, **SMALL[name]).to(dtype)
    with torch.no_grad():
        answer = predictor(torch.rand(2, 3, h, w, dtype=dtype), height, width)
    assert answer.shape == (2, 3, height, width)
    assert answer.dtype == dtype
    assert bool(answer.isfinite().all())


def test_options_reach_the_predictor() -> None:
    weights = build_predictor("liff", features=8, growth=4, hidden=24).state_dict()
    assert weights["last.weight"].shape == (216, 24)


def test_unknown_predictor_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(OptionError, match=r"'lanczos'.*bicubic, liff, liif"):
        build_predictor("lanczos")


@pytest.mark.parametrize(("name", "valid"), [("liif", "features, growth, hidden"), ("bicubic", "none")])
def test_unknown_option_is_refused_with_the_valid_ones(name: str, valid: str) -> None:
    with pytest.raises(OptionError, match=rf"no option depth.*{valid}"):
        build_predictor(name, depth=3)


@pytest.mark.parametrize("value", [0, -1, 2.5, "8", True])
def test_widths_that_are_no_counts_are_refused(value: object) -> None:
    with pytest.raises(OptionError, match="hidden of predictor liff"):
        build_predictor("liff", hidden=value)
