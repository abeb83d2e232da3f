"""Methods of per-image adaptation, by name: which numbers are found, in which order, and how they are coded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from adapters.fit import AdapterPlan
from adapters.schedule import SCHEDULES, Schedule
from layered.errors import OptionError

__all__ = ["METHODS", "Method", "method_of"]


@dataclass(frozen=True)
class Method:
    """One way to adapt a layer to a picture.

    first: how latents are refined before anything else.  plan: the adapters, found next.  latents: whether these come
    with latents that stay as they are, latents that are optimised with them, or an encoder that is.  last: how latents
    are refined with the adapters in place.  stack: `first` refines the latents of each layer and then of all layers
    together, and `last` those of the top layer again.
    """

    first: Schedule | None = None
    plan: AdapterPlan | None = None
    latents: Literal["fixed", "free", "encoder"] = "fixed"
    last: Schedule | None = None
    stack: bool = False


_OURS, _PAPER = SCHEDULES["fast"], SCHEDULES["universal"]
_BIASES = AdapterPlan(
    kind="bias", coding="float64-lzma", sites=("@synthesis",), steps=500, lr=1e-3, rate=False, optional=False
)
_ALL = AdapterPlan(
    kind="full", coding="spike-and-slab", sites=("@decoder",), step=0.005, scale=0.05, steps=2000, lr=3e-5,
    optional=False,
)  # fmt: skip
_CHANNELS = AdapterPlan(kind="channel", coding="linear8", steps=500, lr=1e-3, rate=False, optional=False)
_TWO_1X1 = AdapterPlan(step=0.06, scale=0.05, steps=500, lr=1e-3, optional=False, spread=0.02)

METHODS: dict[str, Method] = {
    "refine": Method(first=_OURS),
    "universal": Method(first=_OURS, plan=AdapterPlan()),
    "universal-joint": Method(plan=AdapterPlan(steps=500, lr=2e-2), latents="free", last=_OURS),
    "universal-swapped": Method(plan=AdapterPlan(), last=_OURS),
    "layered-joint": Method(first=_OURS, last=_OURS, stack=True),
    "yang": Method(first=_PAPER),
    "lam": Method(first=_PAPER, plan=_BIASES),
    "lam-fair": Method(
        first=_OURS, plan=AdapterPlan(kind="bias", sites=("@synthesis",), step=0.004, steps=300, lr=1e-3)
    ),
    "rozendaal": Method(plan=_ALL, latents="encoder"),
    "rozendaal-fair": Method(
        first=_OURS, plan=_ALL.model_copy(update={"optional": True, "scale": None, "steps": 300, "lr": 3e-4}),
    ),
    "zou": Method(first=_PAPER, plan=_CHANNELS),
    "zou-fair": Method(first=_OURS, plan=AdapterPlan(kind="channel", step=0.02)),
    "universal-paper": Method(first=_PAPER, plan=_TWO_1X1),
}  # fmt: skip
"""refine, universal, -joint, -swapped, layered-joint: ours, at a faster schedule; adapters from the identity, optional.

As their papers, or the code of Tsubota et al. (WACV 2023), have them: universal-paper, with a step of .06 and a scale
of .05, from random numbers; yang (NeurIPS 2020), latents alone; lam (ACM MM 2020), all biases, for distortion alone, as
float64 behind LZMA, though differences here; rozendaal (ICLR 2021), all that the decoder has, with an encoder that is
not sent; zou (2021), factors of channels in 8 bits.  Each of the last three has a fair variant: refined latents as
ours, numbers on a grid whose bits count, optional.
"""


def method_of(name: str) -> Method:
    """The method of that name.  Raises OptionError listing the valid ones."""
    if name not in METHODS:
        raise OptionError(f"no method of adaptation is called {name!r}; use one of {', '.join(METHODS)}")
    return METHODS[name]
