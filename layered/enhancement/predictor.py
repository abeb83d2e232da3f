"""Predictors by name: what an enhancement layer starts from is the lower layer's picture brought to its own size by one of them."""

import inspect
from collections.abc import Callable

from torch import nn

from layered.enhancement.liff import LIFF
from layered.enhancement.resample import Bicubic
from layered.errors import OptionError

__all__ = ["PREDICTORS", "build_predictor"]

PREDICTORS: dict[str, Callable[..., nn.Module]] = {"liff": LIFF, "bicubic": Bicubic}


def build_predictor(name: str, **options: object) -> nn.Module:
    """A module that maps (image [B,3,h,w] in [0, 1], height, width) to an unclamped prediction [B,3,height,width].

    Options are the named class's arguments. Raises OptionError for a name or an option that does not exist.
    """
    if name not in PREDICTORS:
        raise OptionError(f"there is no predictor {name!r}; choose from {', '.join(sorted(PREDICTORS))}")
    known = inspect.signature(PREDICTORS[name]).parameters
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise OptionError(f"predictor {name} has no option {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    return PREDICTORS[name](**options)
