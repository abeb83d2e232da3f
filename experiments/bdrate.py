"""Bjontegaard's delta rate, and delta PSNR, between two rate-distortion curves, by three interpolations.

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

__all__ = ["METHODS", "Curve", "CurveError", "bd_psnr", "bd_rate", "in_common", "overlap"]


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
    return float(100 * (10 ** _mean_gap(_over_quality(anchor), _over_quality(test), method, "dB") - 1))


def bd_psnr(anchor: Curve, test: Curve, method: str = "pchip") -> float:
    """Mean difference of quality at equal rate, in dB; above 0 where `test` is better.

    The mean is taken over the log rates that both curves cover.  method, and what is raised, as for `bd_rate`.
    """
    return _mean_gap(_over_rate(anchor), _over_rate(test), method, "log10 bpp")


def in_common(anchor: Curve, test: Curve) -> float:
    """The range of quality that both curves cover, in dB."""
    low, high = _common(anchor.qualities, test.qualities)
    return max(0.0, high - low)


def overlap(anchor: Curve, test: Curve) -> float:
    """Share of the shorter curve's range of quality that the other covers too, in [0, 1]."""
    shorter = min(curve.qualities[-1] - curve.qualities[0] for curve in (anchor, test))
    return in_common(anchor, test) / shorter if shorter > 0 else 0.0


_Line = tuple[Sequence[float], Sequence[float]]
"""Increasing places, and values there."""


def _over_quality(curve: Curve) -> _Line:
    return curve.qualities, [math.log10(rate) for rate in curve.rates]


def _over_rate(curve: Curve) -> _Line:
    return [math.log10(rate) for rate in curve.rates], curve.qualities


def _mean_gap(anchor: _Line, test: _Line, method: str, unit: str) -> float:
    """Mean of test - anchor over the places that both have; unit: of the places."""
    if method not in METHODS:
        raise OptionError(f"unknown BD-rate method {method!r}; there are {', '.join(METHODS)}")
    integral, minimum = METHODS[method]
    for places, _ in (anchor, test):
        if len(places) < minimum:
            raise CurveError(f"{method} needs {minimum} points, a curve has {len(places)}")
    low, high = _common(anchor[0], test[0])
    if high <= low:
        raise CurveError(
            f"the curves do not overlap: {anchor[0][0]:.2f} to {anchor[0][-1]:.2f} {unit} and "
            f"{test[0][0]:.2f} to {test[0][-1]:.2f} {unit}"
        )
    areas = [integral(*line, low, high) for line in (test, anchor)]
    return (areas[0] - areas[1]) / (high - low)


def _common(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    return max(a[0], b[0]), min(a[-1], b[-1])


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
"""Integral of values over places, as log10 rate over quality, and the fewest points it takes, by name."""
