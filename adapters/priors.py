"""What is expected of adapter weights on a grid: priors with a signalled scale, and tables that are made of integers.

A step and a scale are one byte each.  The tables follow from these bytes in decimal arithmetic, which is correctly
rounded, so that every machine has the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Context, Decimal, localcontext
from functools import lru_cache
from itertools import accumulate, pairwise
from math import frexp

import torch
from torch import Tensor

from layered.entropy.coder import TOTAL, Tables
from layered.errors import LayeredError, OptionError

__all__ = ["CODES", "PRIORS", "Prior", "code_of", "integers", "table_of", "value_of"]

CODES = 256
_UNIT = 2.0**-19  # codes reach from 16 to 31 * 2^15 of these: 0.00003 to 1.94
_MOST = 1024  # integers to each side that have a count of their own; those beyond are escaped
_LEAST = Decimal(1) / (2 * TOTAL)
_EXACT = Context(prec=34)
_FEWEST = 1e-30  # a probability below which training no longer looks


def value_of(code: int) -> float:
    """The number that a byte stands for: 4 bits of exponent, then 4 of mantissa, no more than 1/16 apart."""
    return (16 + code % 16) * 2.0 ** (code // 16) * _UNIT


def code_of(value: float) -> int:
    """The byte whose number is nearest, within 1/32 of it.  Raises OptionError beyond 0.00003 to 1.94."""
    if not value_of(0) * 0.97 <= value <= value_of(CODES - 1) * 1.03:
        raise OptionError(f"steps and scales are from {value_of(0):.2g} to {value_of(CODES - 1):.3g}, got {value:g}")
    mantissa, exponent = frexp(value / _UNIT)  # the mantissa is from 1/2 to 1
    code = 16 * (exponent - 5) + round(32 * mantissa) - 16
    return min(max(code, 0), CODES - 1)


class Prior(ABC):
    """A density, symmetric about zero, of a scale."""

    @abstractmethod
    def below(self, x: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        """The probability of less than x <= 0, differentiable."""

    @abstractmethod
    def above(self, x: Decimal, step: Decimal, scale: Decimal) -> Decimal:
        """The probability of more than x >= 0, to 30 digits."""

    def bits(self, values: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        """The ideal code length of each value, within half a step to both sides; what escapes cost is not in it."""
        far = -values.abs()  # in the lower tail small probabilities keep their digits
        upper = far + step / 2
        beyond = self.below(torch.where(upper <= 0, upper, -upper), step, scale)
        mass = torch.where(upper <= 0, beyond, 1 - beyond) - self.below(far - step / 2, step, scale)
        return -torch.log2(mass.clamp(min=_FEWEST))


class Logistic(Prior):
    """1 / (1 + exp(-x / s))."""

    def below(self, x: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        return torch.sigmoid(x / scale)

    def above(self, x: Decimal, step: Decimal, scale: Decimal) -> Decimal:
        small = (-x / scale).exp()
        return small / (1 + small)


class Laplace(Prior):
    """exp(-|x| / s) / 2 s."""

    def below(self, x: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        return torch.exp(x / scale) / 2

    def above(self, x: Decimal, step: Decimal, scale: Decimal) -> Decimal:
        return (-x / scale).exp() / 2


class SpikeAndSlab(Prior):
    """A normal density of deviation s, and 1000 times as much of one of step / 6.

    Source: van Rozendaal et al. (ICLR 2021), with s = 0.05 and a step of 0.005.
    """

    alpha = 1000

    def below(self, x: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        slab: Tensor = torch.special.ndtr(x / scale)
        spike: Tensor = torch.special.ndtr(6 * x / step)
        return (slab + self.alpha * spike) / (1 + self.alpha)

    def above(self, x: Decimal, step: Decimal, scale: Decimal) -> Decimal:
        return (_normal_above(x / scale) + self.alpha * _normal_above(6 * x / step)) / (1 + self.alpha)


PRIORS: dict[str, Prior] = {"logistic": Logistic(), "laplace": Laplace(), "spike-and-slab": SpikeAndSlab()}


@lru_cache(maxsize=512)
def table_of(prior: str, step: int, scale: int) -> Tables:
    """The table of integers under a prior, by the codes of step and scale.

    It ends where an integer has less than half a count, or at 1024; what is beyond, the escape stands for.
    """
    model = PRIORS[prior]
    with localcontext(_EXACT):
        width, spread = Decimal(value_of(step)), Decimal(value_of(scale))
        above = [model.above(width / 2, width, spread)]  # than k + 1/2
        while len(above) <= _MOST:
            above.append(model.above(width * (2 * len(above) + 1) / 2, width, spread))
            if above[-2] - above[-1] < _LEAST:
                del above[-1]
                break
        side = [max(1, _count(a - b)) for a, b in pairwise(above)]  # of 1, 2, ...
        middle, escape = max(1, _count(1 - 2 * above[0])), max(1, _count(2 * above[-1]))
    over = middle + escape + 2 * sum(side) - TOTAL  # by rounding; little, against the larger of these two
    middle, escape = (middle - over, escape) if middle > escape else (middle, escape - over)
    edges = [0, *accumulate((*reversed(side), middle, *side, escape))]
    return Tables([edges], [len(edges)], [-len(side)])


def _count(mass: Decimal) -> int:
    return int(mass * TOTAL + Decimal("0.5"))


def _normal_above(x: Decimal) -> Decimal:
    if x > 12:
        return Decimal(0)  # less than 10^-32
    term = total = x
    n = 1
    while term > Decimal("1e-40"):
        n += 2
        term *= x * x / n
        total += term
    return max(Decimal(0), Decimal("0.5") - total * (-x * x / 2).exp() / _ROOT)


_ROOT = _EXACT.sqrt(2 * Decimal("3.14159265358979323846264338327950288"))


def integers(values: Tensor, step: float, most: int) -> Tensor:
    """round(values / step), int64.  Raises LayeredError for NaN, infinity, and integers beyond `most`."""
    found = torch.round(values.detach().double() / step)
    if not bool((found.abs() <= most).all()):  # false of NaN as well
        raise LayeredError(f"adapter weights are not finite, or beyond {most} steps of {step:g}")
    return found.long()
