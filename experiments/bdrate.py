"""Bjontegaard's delta rate between two rate-distortion curves, by three interpolations.

Source: G. Bjontegaard, ITU-T VCEG-M33 (2001), for the cubic; VCEG-AI11 and the JVET common test conditions
for piecewise interpolation.  What common scripts only warn of, or pass over in silence, raises here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from layered.errors import LayeredError, OptionError

__all__ = ["METHODS", "Curve", "CurveError", "bd_rate", "overlap"]


class CurveError(LayeredError):
    """Two curves cannot be compared; the message says why."""


@dataclass(frozen=True)
class Curve:
    """Points of a rate-distortion curve in any order: rates > 0 (bits per pixel, say), qualities in dB.

    A point given twice counts once: some codecs write the same file at two settings.
    Raises CurveError for values that are not finite, rates of 0, and qualities that do not rise with rate.
    """

    rates: tuple[float, ...]
    qualities: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.rates) != len(self.qualities):
            raise CurveError(f"{len(self.rates)} rates, but {len(self.qualities)} qualities")
        points = sorted(set(zip(self.rates, self.qualities, strict=True)))
        for rate, quality in points:
            if not (math.isfinite(rate) and rate > 0):
                raise CurveError(f"a rate is {rate}; rates must be finite and above 0")
            if not math.isfinite(quality):
                raise CurveError(f"a quality is {quality}; a lossless point cannot be on a curve")
        for lower, upper in pairwise(points):
            if upper[0] <= lower[0] or upper[1] <= lower[1]:
                raise CurveError(
                    f"the curve is not monotone: {lower[0]:.4g} bpp gives {lower[1]:.3f} dB, "
                    f"{upper[0]:.4g} bpp gives {upper[1]:.3f} dB"
                )
        object.__setattr__(self, "rates", tuple(rate for rate, _ in points))
        object.__setattr__(self, "qualities", tuple(quality for _, quality in points))


def bd_rate(anchor: Curve, test: Curve, method: str = "pchip") -> float:
    """Mean difference of rate at equal quality, in percent; below 0 where `test` needs fewer bits.

    The mean of log rate is taken over the qualities that both curves cover.  method: `pchip`, `akima` (at
    least 2 points) or `cubic` (least squares through all points, at least 4).  Raises CurveError where the
    curves have too few points or no quality in common, OptionError for an unknown method.
    """
    if method not in METHODS:
        raise OptionError(f"unknown BD-rate method {method!r}; there are {', '.join(METHODS)}")
    integral, minimum = METHODS[method]
    for curve in (anchor, test):
        if len(curve.rates) < minimum:
            raise CurveError(f"{method} needs {minimum} points, a curve has {len(curve.rates)}")
    low, high = _common(anchor, test)
    if high <= low:
        raise CurveError(
            f"the curves do not overlap: {anchor.qualities[0]:.2f} to {anchor.qualities[-1]:.2f} dB and "
            f"{test.qualities[0]:.2f} to {test.qualities[-1]:.2f} dB"
        )
    areas = [integral(c.qualities, [math.log10(r) for r in c.rates], low, high) for c in (test, anchor)]
    return float(100 * (10 ** ((areas[0] - areas[1]) / (high - low)) - 1))


def overlap(anchor: Curve, test: Curve) -> float:
    """Share of the shorter curve's range of quality that the other covers too, in [0, 1]."""
    low, high = _common(anchor, test)
    shorter = min(curve.qualities[-1] - curve.qualities[0] for curve in (anchor, test))
    return max(0.0, high - low) / shorter if shorter > 0 else 0.0


def _common(a: Curve, b: Curve) -> tuple[float, float]:
    return max(a.qualities[0], b.qualities[0]), min(a.qualities[-1], b.qualities[-1])


def _cubic(x: Sequence[float], y: Sequence[float], low: float, high: float) -> float:
    whole = np.polyint(np.polyfit(x, y, 3))
    return float(np.polyval(whole, high) - np.polyval(whole, low))


def _pchip(x: Sequence[float], y: Sequence[float], low: float, high: float) -> float:
    return float(_piecewise("PchipInterpolator", tuple(x), tuple(y)).integrate(low, high))


def _akima(x: Sequence[float], y: Sequence[float], low: float, high: float) -> float:
    return float(_piecewise("Akima1DInterpolator", tuple(x), tuple(y)).integrate(low, high))


@lru_cache(maxsize=2**14)
def _piecewise(kind: str, x: tuple[float, ...], y: tuple[float, ...]) -> Any:
    """Kept, since every curve is compared with many, and making the interpolant takes most of the time."""
    from scipy import interpolate

    return getattr(interpolate, kind)(x, y)


Integral = Callable[[Sequence[float], Sequence[float], float, float], float]
METHODS: dict[str, tuple[Integral, int]] = {"pchip": (_pchip, 2), "cubic": (_cubic, 4), "akima": (_akima, 2)}
"""Integral of log10 rate over quality, and the fewest points it takes, by name."""
