"""The entropy models of latents from a finite alphabet, by name.

uniform, histogram, static: see `layered.entropy.symbols`.  checkerboard: half of the positions as in static, the others
from a network that sees their neighbours (He et al., CVPR 2021, on symbols instead of Gaussians).  autoregressive: each
position after those above and left of it (Mentzer et al., CVPR 2018, in two dimensions); the fewest bits, and serial.
"""

from __future__ import annotations

from collections.abc import Callable

from layered.entropy.autoregressive import Autoregressive
from layered.entropy.checkerboard import Checkerboard
from layered.entropy.symbols import Histogram, Static, SymbolModel, Uniform
from layered.errors import OptionError

__all__ = ["MODELS", "build_symbol_model"]

MODELS: dict[str, Callable[[int, int], SymbolModel]] = {
    "uniform": Uniform,
    "histogram": Histogram,
    "static": Static,
    "checkerboard": Checkerboard,
    "autoregressive": Autoregressive,
}


def build_symbol_model(name: str, channels: int, size: int) -> SymbolModel:
    """The entropy model of that name.  Raises OptionError listing the valid ones."""
    if name not in MODELS:
        raise OptionError(f"no entropy model of symbols is called {name!r}; use one of {', '.join(MODELS)}")
    return MODELS[name](channels, size)
