"""Predictors by name: each brings the lower layer's picture to the size of the layer that starts from it."""

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from layered.enhancement.liff import LIFF
from layered.enhancement.liif import LIIF
from layered.enhancement.resample import Bicubic
from layered.errors import OptionError

__all__ = ["PREDICTORS", "build_predictor"]

PREDICTORS: dict[str, Callable[..., nn.Module]] = {"liff": LIFF, "liif": LIIF, "bicubic": Bicubic}


def build_predictor(name: str, **options: Any) -> nn.Module:
    """A module that maps (image [B,3,h,w], height, width) to an unclamped prediction [B,3,height,width].

    Options are the named class's arguments. Raises OptionError for a name or an option that does not exist,
    and for a width or memory that is not a whole number above zero.
    """
    if name not in PREDICTORS:
        valid = ", ".join(sorted(PREDICTORS))
        raise OptionError(f"no predictor is called {name!r}; use one of {valid}")
    known = [
        key
        for key, parameter in inspect.signature(PREDICTORS[name]).parameters.items()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    for key, value in options.items():
        if key not in known:
            valid = ", ".join(known) or "none"
            raise OptionError(f"predictor {name} has no option {key}; its options are: {valid}")
        if key in ("features", "growth", "hidden", "memory_bytes") and (type(value) is not int or value < 1):
            raise OptionError(f"{key} of predictor {name} is {value!r}; it must be a whole number above zero")
    try:
        return PREDICTORS[name](**options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise OptionError(f"predictor {name}: {options} do not make one ({str(error).splitlines()[0]})") from None
