"""FID and KID: closed forms, and no bias."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest
import scipy.linalg
from numpy.typing import NDArray

from experiments.distances import features_of, fid, find_extractor, kid, mmd2, patches
from layered.errors import LayeredError, OptionError

Features: TypeAlias = NDArray[np.float64]


def normal(count: int, width: int, seed: int) -> Features:
    return np.random.default_rng(seed).normal(size=(count, width))


def test_patches_are_whole_squares_of_a_grid_and_of_the_grid_shifted_by_half() -> None:
    y, x = np.mgrid[0:10, 0:13]
    image = np.stack([y, x, 0 * x], -1).astype(np.uint8)
    found = list(patches(image, 4))
    assert all(patch.shape == (4, 4, 3) for patch in found)
    corners = [(int(patch[0, 0, 0]), int(patch[0, 0, 1])) for patch in found]
    plain = [(0, 0), (0, 4), (0, 8), (4, 0), (4, 4), (4, 8)]
    assert corners == [*plain, (2, 2), (2, 6), (6, 2), (6, 6)]


def test_every_patch_gives_features_once_and_in_order(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("class Mean:\n    def __call__(self, images): return images.mean((1, 2))\n")
    images = [np.full((16, 24, 3), level, np.uint8) for level in range(5)]
    found = features_of(find_extractor(f"{tmp_path / 'mine.py'}:Mean"), images, 4)
    assert found[:, 0].tolist() == [level for level in range(5) for _ in range(24 + 15)]
    with pytest.raises(OptionError, match="both sides of 17 pixels"):
        features_of(find_extractor(f"{tmp_path / 'mine.py'}:Mean"), images, 17)


@pytest.mark.parametrize("value", ["images", "images.mean((1, 2))[1:]", "0.0 * images.mean((1, 2)) + np.nan", "'a'"])
def test_features_that_are_none_are_refused(tmp_path: Path, value: str) -> None:
    lines = "import numpy as np", "class Mine:", f"    def __call__(self, images): return {value}"
    (tmp_path / "mine.py").write_text("\n".join(lines))
    with pytest.raises(LayeredError, match=r"mine\.py:Mine returned"):
        find_extractor(f"{tmp_path / 'mine.py'}:Mine")(np.zeros((2, 4, 4, 3), np.uint8))


def test_fid_of_a_set_with_itself_is_0_and_of_shifted_and_scaled_gaussians_the_closed_form() -> None:
    x = normal(200, 6, 0) @ normal(6, 6, 1)
    shift = np.arange(6.0)
    trace = float(np.trace(np.cov(x, rowvar=False)))
    assert fid(x, x) == pytest.approx(0, abs=1e-9 * trace)
    assert fid(x, x[::-1] + shift) == pytest.approx(shift @ shift)
    assert fid(x, 3 * (x - x.mean(0)) + x.mean(0)) == pytest.approx((3 - 1) ** 2 * trace)


def test_fid_is_what_the_matrix_root_gives_where_covariances_do_not_commute() -> None:
    x, y = normal(300, 5, 2) @ normal(5, 5, 3), normal(250, 5, 4) @ normal(5, 5, 5) + 1
    one, two = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = np.real(scipy.linalg.sqrtm(one @ two))
    wanted = np.sum((x.mean(0) - y.mean(0)) ** 2) + np.trace(one + two - 2 * root)
    assert fid(x, y) == pytest.approx(float(wanted)) == pytest.approx(fid(y, x))


def test_fid_of_no_more_patches_than_features_is_refused() -> None:
    assert fid(normal(7, 6, 0), normal(7, 6, 1)) > 0
    for first, second in ((6, 50), (50, 6)):
        with pytest.raises(OptionError, match="FID of 6 features needs more patches than that, there are 6"):
            fid(normal(first, 6, 0), normal(second, 6, 1))


def test_the_discrepancy_is_the_sum_over_pairs() -> None:
    x, y = normal(4, 3, 0), normal(5, 3, 1)

    def kernel(a: Features, b: Features) -> float:
        return float((a @ b / 3 + 1) ** 3)

    within = [np.mean([kernel(a, b) for i, a in enumerate(z) for j, b in enumerate(z) if i != j]) for z in (x, y)]
    between = np.mean([kernel(a, b) for a in x for b in y])
    assert mmd2(x, y) == pytest.approx(within[0] + within[1] - 2 * between)
    with pytest.raises(OptionError, match="two patches or more"):
        mmd2(x[:1], y)


def test_kid_has_no_bias_on_equal_distributions_however_small_the_sets() -> None:
    values = np.array([mmd2(normal(8, 4, 2 * seed), normal(8, 4, 2 * seed + 1)) for seed in range(1500)])
    error = values.std() / np.sqrt(len(values))
    assert abs(values.mean()) < 3 * error and (values < 0).mean() > 0.3
    diagonal = np.mean([((z * z).sum(1) / 4 + 1).mean() ** 3 for z in (normal(8, 4, seed) for seed in range(50))])
    assert 2 * diagonal / 8 > 20 * error  # what counting pairs of a patch with itself would add


def test_kid_tells_sets_apart_and_is_a_function_of_its_seed() -> None:
    x, near, far = normal(120, 4, 0), normal(100, 4, 1), normal(100, 4, 2) + 1.0
    close, apart = (kid(x, y, np.random.default_rng(0), subsets=20) for y in (near, far))
    assert abs(close.value) < 3 * close.deviation < apart.value and apart.deviation > 0
    again, other = (kid(x, far, np.random.default_rng(seed), subsets=20) for seed in (0, 1))
    assert apart == again != other
    assert kid(x, x, np.random.default_rng(0), subsets=20, size=10).deviation > close.deviation
