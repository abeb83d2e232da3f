"""How the descent of one picture's latents runs: rounding, learning rate, and when it stops."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field

from adapters.rounding import LOGITS, Gumbel, SoftRound
from layered.errors import OptionError
from layered.recipes import Strict
from layered.rounding import Noise, Rounding, StraightThrough

__all__ = ["SCHEDULES", "Schedule", "reached", "schedule_of", "share_of"]


def reached(step: int, steps: int, elapsed: float, seconds: float | None) -> float:
    """Where a descent stands before `step`, in steps: by their number or, if that is further, by the time that is gone.

    So rounding hardens, and the learning rate drops, before the seconds are over.  elapsed: of `seconds`, if there are.
    """
    return step if seconds is None else min(steps, max(step, steps * elapsed / seconds))


def share_of(step: float, steps: int, drop: float) -> float:
    """The share of the learning rate that a step, counted from 0, has: a tenth from the share `drop` of them on."""
    return 0.1 if step >= drop * steps else 1.0


class Schedule(Strict):
    """Steps of Adam under a rounding that hardens.

    rounding: `sga` (stochastic Gumbel annealing), `soft-round` (with annealed noise), `noise` (uniform), or
    `straight-through`.  logits, classes: of SGA, see `adapters.rounding.Gumbel`.  steps: at the most; seconds: no step
    begins later, and what changes with the steps has changed by then.  patience: stop after so many trials of the
    hard-rounded latents without a gain.  lr: learning rate, a tenth from the share `drop` of the steps on.  The
    temperature is `ceiling` for the share `hold` of the steps, then falls exponentially to `last`.  widest, narrowest:
    standard deviation of the noise of soft rounding, likewise.  trials: so often are the hard-rounded latents tried,
    the best of which are kept.
    """

    rounding: Literal["sga", "soft-round", "noise", "straight-through"] = "sga"
    logits: str = Field(default="atanh", pattern=f"^({'|'.join(LOGITS)})$")
    classes: int = Field(default=2, ge=2, le=3)
    steps: int = Field(default=500, ge=0)
    seconds: float | None = Field(default=None, gt=0)
    patience: int | None = Field(default=None, ge=1)
    lr: float = Field(default=5e-3, gt=0, allow_inf_nan=False)
    drop: float = Field(default=1.0, ge=0, le=1)
    ceiling: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    last: float = Field(default=0.5 * math.exp(-1.3), gt=0, allow_inf_nan=False)
    hold: float = Field(default=0.35, ge=0, le=1)
    widest: float = Field(default=0.22, ge=0, allow_inf_nan=False)
    narrowest: float = Field(default=0.15, ge=0, allow_inf_nan=False)
    trials: int = Field(default=25, ge=1)

    def share(self, step: float) -> float:
        """The share of the learning rate that `step`, counted from 0, has."""
        return share_of(step, self.steps, self.drop)

    def temperature(self, step: float) -> float:
        """The temperature of `step`."""
        return float(self.ceiling * (self.last / self.ceiling) ** self._fallen(step))

    def rounding_at(self, step: float, generator: torch.Generator) -> Rounding:
        """The rounding of `step`."""
        if self.rounding == "sga":
            return Gumbel(self.temperature(step), generator, self.logits, self.classes)
        if self.rounding == "soft-round":
            noise = self.widest + (self.narrowest - self.widest) * self._fallen(step)
            return SoftRound(self.temperature(step), noise, generator)
        return Noise(generator) if self.rounding == "noise" else StraightThrough()

    def is_trial(self, step: int) -> bool:
        """Whether the latents are tried after `step`: at equal distances, and at the end."""
        return (step + 1) * self.trials // self.steps > step * self.trials // self.steps

    def _fallen(self, step: float) -> float:
        held = self.hold * self.steps
        return min(1.0, max(0.0, (step - held) / max(1.0, self.steps - held)))


SCHEDULES: dict[str, Schedule] = {
    "fast": Schedule(lr=2e-2),
    "reference": Schedule(),
    "universal": Schedule(lr=1e-3, drop=0.8, hold=0.0, last=0.5 * math.exp(-2)),
    "sga+": Schedule(logits="ssl", classes=3, ceiling=1.0, last=math.exp(-2), hold=0.0),
    "soft-round": Schedule(rounding="soft-round", lr=1e-2, ceiling=0.35, last=0.08, hold=0.0),
    "noise": Schedule(rounding="noise"),
    "straight-through": Schedule(rounding="straight-through", lr=1e-3),
}
"""By name; those of SGA are stated for 2,000 steps by their papers and stretched or compressed to others.

fast: as the reference, with the learning rate that fewer steps need (ours).  reference: Yang, Bamler and Mandt (NeurIPS
2020), at .5 for 700 of 2,000 steps, then falling by exp(-.001) a step.  universal: Tsubota et al. (WACV 2023), falling
from the beginning, with a lower learning rate.
"""


def schedule_of(name: str, **changes: object) -> Schedule:
    """The schedule of that name, with some of its settings changed.  Raises OptionError for names and values."""
    if name not in SCHEDULES:
        raise OptionError(f"no schedule is called {name!r}; use one of {', '.join(SCHEDULES)}")
    from pydantic import ValidationError

    from layered.recipes import faults

    try:
        return Schedule.model_validate(SCHEDULES[name].model_dump() | changes)
    except ValidationError as error:
        raise OptionError(f"schedule {name}: {faults(error)}") from None
