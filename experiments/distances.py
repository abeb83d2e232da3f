"""FID and KID: how far the distribution of decoded patches is from that of the original ones, in somebody's features.

Which features is the caller's choice: a callable that takes patches, uint8 [N, side, side, 3], and gives [N, D].  With
Inception's the numbers are what papers call FID/256 and KID; with others they compare codecs all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from baselines.classes import kind, loaded
from layered.errors import LayeredError, OptionError
from layered.image import Image8

__all__ = ["Extractor", "Kid", "features_of", "fid", "find_extractor", "kid", "mmd2", "patches"]

Features = NDArray[np.float64]
Extractor = Callable[[NDArray[np.uint8]], Features]
BATCH = 32


@dataclass(frozen=True)
class Kid:
    """value: squared MMD, the mean over subsets.  deviation: over the subsets, of one of them."""

    value: float
    deviation: float


def patches(image: Image8, side: int) -> Iterator[Image8]:
    """The whole squares [side, side, 3] of a grid, then those of the grid shifted by half a square down and right.

    Source: Mentzer et al. 2020 (HiFiC, appendix), with sides of 256.
    """
    height, width = image.shape[:2]
    for start in (0, side // 2):
        for top in range(start, height - side + 1, side):
            for left in range(start, width - side + 1, side):
                yield image[top : top + side, left : left + side]


def features_of(extractor: Extractor, images: Iterable[Image8], side: int) -> Features:
    """Features [N, D] of all patches of the pictures.  Raises OptionError where no picture has a whole patch."""
    found, all_patches = [], (patch for image in images for patch in patches(image, side))
    while batch := list(islice(all_patches, BATCH)):
        found.append(extractor(np.stack(batch)))
    if not found:
        raise OptionError(f"no picture has both sides of {side} pixels; choose smaller patches")
    return np.concatenate(found)


def fid(first: Features, second: Features) -> float:
    """Frechet distance of two Gaussians fitted to features [N, D]: of means, and of covariances.

    The trace of (C1 C2)^(1/2) is the sum of square roots of the eigenvalues of C1^(1/2) C2 C1^(1/2), which are real.
    Raises OptionError where a set has no more patches than features, so that its covariance is singular.  Source:
    Heusel et al. 2017.
    """
    for each in (first, second):
        if len(each) <= each.shape[1]:
            raise OptionError(
                f"FID of {each.shape[1]} features needs more patches than that, there are {len(each)}; take more or "
                "larger pictures, smaller patches, or KID"
            )
    means = first.mean(0) - second.mean(0)
    one, two = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (first, second))
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    roots = np.sqrt(np.clip(np.linalg.eigvalsh(root @ two @ root), 0, None))
    return max(0.0, float(means @ means + np.trace(one) + np.trace(two) - 2 * roots.sum()))


def mmd2(first: Features, second: Features) -> float:
    """Squared maximum mean discrepancy, unbiased and thus at times below 0, with the kernel (x . y / D + 1)^3.

    Source: Gretton et al. 2012, with the kernel of KID.  Raises OptionError for fewer than two of a kind.
    """
    if min(len(first), len(second)) < 2:
        raise OptionError("KID needs two patches or more of each kind")

    def kernel(x: Features, y: Features) -> Features:
        cubed: Features = (x @ y.T / x.shape[1] + 1) ** 3
        return cubed

    def within(x: Features) -> float:
        values = kernel(x, x)
        return float((values.sum() - np.trace(values)) / (len(x) * (len(x) - 1)))

    return within(first) + within(second) - 2 * float(kernel(first, second).mean())


def kid(
    first: Features, second: Features, generator: np.random.Generator, subsets: int = 100, size: int = 1000
) -> Kid:
    """Kernel inception distance: `mmd2` of random subsets, drawn without repetition, their mean and deviation.

    size: patches a subset, of small sets at most half, since subsets of all would be all the same.  Source: Binkowski
    et al. 2018, who take 100 subsets of 1,000.
    """
    size = max(2, min(size, len(first) // 2, len(second) // 2))
    values = []
    for _ in range(subsets):
        one, two = (generator.choice(len(each), min(size, len(each)), replace=False) for each in (first, second))
        values.append(mmd2(first[one], second[two]))
    return Kid(float(np.mean(values)), float(np.std(values)))


def find_extractor(words: str) -> Extractor:
    """An extractor by `file.py:Class`.  It raises LayeredError where the class gives anything but [N, D] of numbers."""
    made = loaded(words).new()
    if not callable(made):
        raise OptionError(f"{words} has no method `__call__`, which takes patches")

    def of(stack: NDArray[np.uint8]) -> Features:
        found: Any = np.asarray(made(stack.copy()))
        if found.ndim != 2 or len(found) != len(stack) or found.dtype.kind not in "fiu":
            raise LayeredError(f"{words} returned {kind(found)}, where numbers [{len(stack)}, D] are needed")
        if not np.isfinite(found).all():
            raise LayeredError(f"{words} returned a feature that is not finite")
        features: Features = found.astype(np.float64)
        return features

    return of
