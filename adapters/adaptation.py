"""Per-image adaptation of a codec, as recipes and the command line ask for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor

from adapters.coding import Lattice
from adapters.cost import Cost
from adapters.descent import Tell
from adapters.half import is_quick
from adapters.kinds import LowRank, kind_of
from adapters.layer import adapt_layer
from adapters.methods import Method, method_of
from adapters.places import named_in_layers
from adapters.plain import coding_of
from adapters.private import private
from adapters.schedule import Schedule, schedule_of
from adapters.stack import Together, refine_stack, shifted
from layered.adaptation import Adapted, Choose
from layered.base.gain import lambda_at
from layered.codec import LayeredCodec
from layered.errors import LayeredError, OptionError
from layered.guide import Guide
from layered.layer import Context
from layered.recipes import Strict

__all__ = ["AdaptationSettings", "LayerReport", "PerImage"]


class AdaptationSettings(Strict):
    """What is adapted, by which method, and for how long.

    method: a name of `adapters.methods`; the following replace its own settings where they are given.  layers: numbers
    of the layers, base 0, or `all`.  steps, adapter_steps, last_steps: of the refinement, of the adapters, and of the
    refinement after them.  seconds: of each of these stages of each layer, at the most, after which the latents that
    were best so far are kept, or the adapters as they are; of `layered-joint` the refinement of all layers is one stage
    more.  patience: see `adapters.schedule`.  schedule: a name of the refinement's.  lam: the trade-off, by default
    that of each layer's quality.  distortion: `mse` or `ms-ssim`.  rank, sites, rate: of the adapters, see
    `adapters.fit.AdapterPlan`; each pattern of sites must name one in some adapted layer, and a layer where none is
    named has no adapter.  weights: of the layers' distortions, base first, for `layered-joint`; 1 each by default, less
    for lower layers whose pictures may become worse for the sake of the top layer's.  seed: of all that is drawn. half:
    steps in bfloat16; by default where the processor computes so.  compiled: the refinement's synthesis goes through
    torch.compile, which takes a minute for each layer and picture; steps are a tenth faster on a CPU.
    """

    method: str = Field(default="universal")
    layers: Literal["all"] | tuple[int, ...] = "all"
    steps: int | None = Field(default=None, ge=0)
    adapter_steps: int | None = Field(default=None, ge=0)
    last_steps: int | None = Field(default=None, ge=0)
    seconds: float | None = Field(default=None, gt=0)
    patience: int | None = Field(default=None, ge=1)
    schedule: str | None = None
    lam: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    distortion: str = "mse"
    rank: int | None = Field(default=None, ge=1, le=64)
    sites: tuple[str, ...] | None = None
    rate: bool | None = None
    weights: tuple[float, ...] | None = None
    seed: int = Field(default=0, ge=0, lt=2**63)
    half: bool | None = None
    compiled: bool = False

    @field_validator("layers")
    @classmethod
    def _some(cls, layers: Literal["all"] | tuple[int, ...]) -> Literal["all"] | tuple[int, ...]:
        if not layers:
            raise ValueError("layers: name at least one, or all")
        return layers

    @field_validator("method", "schedule", "distortion")
    @classmethod
    def _known(cls, name: str | None, info: ValidationInfo) -> str | None:
        if name is None:
            return None
        try:
            if info.field_name == "method":
                method_of(name)
            elif info.field_name == "schedule":
                schedule_of(name)
            else:
                Cost(1, name)
        except LayeredError as error:
            raise ValueError(str(error)) from None
        return name

    def resolved(self) -> Method:
        """The method with the settings that replace its own.  Raises OptionError for one that it has no use for."""
        method = method_of(self.method)
        first, last, plan = method.first, method.last, method.plan
        refined = first is not None or last is not None
        adapter_alone = plan is not None and not refined
        unused = {
            "steps": (adapter_alone and self.adapter_steps is not None)
            or (first is None and last is not None and self.last_steps is not None),
            "adapter_steps": plan is None,
            "last_steps": last is None,
            "patience": not refined,
            "schedule": not refined,
            "rank": plan is None or not isinstance(kind_of(plan.kind), LowRank),
            "sites": plan is None,
            "rate": plan is None or not isinstance(coding_of(plan.coding), Lattice),
            "weights": not method.stack,
            "layers": method.stack,
            "compiled": self.compiled and (not refined or method.stack),
        }
        for name, useless in unused.items():
            if useless and getattr(self, name) not in (None, "all"):
                raise OptionError(f"{name} has no meaning for the method {self.method}, as it is set here")
        if first is not None:
            first = self._schedule(first, self.steps)
        if last is not None:
            last = self._schedule(last, self.steps if self.last_steps is None else self.last_steps)
        if plan is not None:
            steps = self.steps if adapter_alone and self.adapter_steps is None else self.adapter_steps
            given = {"steps": steps, "seconds": self.seconds, "rank": self.rank, "sites": self.sites, "rate": self.rate}
            plan = plan.model_copy(update={name: value for name, value in given.items() if value is not None})
        return replace(method, first=first, last=last, plan=plan)

    def in_half(self, device: torch.device) -> bool:
        """Whether steps are in bfloat16 on that device, as asked for or else where that is quick."""
        return is_quick(device) if self.half is None else self.half

    def check(self, layers: int) -> None:
        """Raise OptionError for settings that do not go together, or not with a stream of so many layers."""
        self.resolved()
        if self.layers != "all" and (missing := [k for k in self.layers if not 0 <= k < layers]):
            raise OptionError(f"layers: there is no layer {missing[0]} in a stream of {layers} layers")
        weights = self.weights
        if weights is not None and (len(weights) != layers or min(weights) < 0 or max(weights) == 0):
            raise OptionError(f"weights: {layers} numbers are needed, one a layer, 0 or more, not all 0")

    def _schedule(self, own: Schedule, steps: int | None) -> Schedule:
        base = own if self.schedule is None else schedule_of(self.schedule)
        given = {"steps": steps, "seconds": self.seconds, "patience": self.patience}
        return base.model_copy(update={name: value for name, value in given.items() if value is not None})


@dataclass(frozen=True)
class LayerReport:
    """What adaptation did to one layer: cost of its file before and after, bytes of adapter weights, seconds.

    Distortions count as the layers' weights say.  before: above what is in the file of the layers below; of a stack
    that is refined together, in the stack as the encoder has it, and the seconds of all layers are the top layer's.
    """

    layer: int
    before: float
    after: float
    adapter_bytes: int
    seconds: float


class PerImage:
    """The adaptation that `LayeredCodec.encode` takes.

    reports: of the layers of the last picture that were adapted.  tell: of a layer's number and the name
    of a stage, what is told of its steps.  Raises OptionError for settings that do not go together.
    """

    def __init__(self, settings: AdaptationSettings, tell: Callable[[int, str], Tell] | None = None) -> None:
        self.settings, self.tell = settings, tell
        self.method = settings.resolved()
        self.reports: list[LayerReport] = []

    def start(
        self, codec: LayeredCodec, originals: Sequence[Tensor], qualities: Sequence[float], exact: bool,
        guide: Guide | None,
    ) -> Choose:  # fmt: skip
        settings = self.settings
        self.reports = []
        count = len(originals)
        settings.check(count)
        codec = private(codec)
        wanted = range(count) if settings.layers == "all" else settings.layers
        generator = torch.Generator().manual_seed(settings.seed)
        half = settings.in_half(codec.device)
        methods = {k: self.method for k in wanted}
        if settings.sites is not None and (plan := self.method.plan) is not None:
            there = named_in_layers(codec, originals, qualities, guide, wanted, plan.kind, settings.sites)
            for k, names in there.items():
                own = plan.model_copy(update={"sites": names}) if names else None
                methods[k] = replace(self.method, plan=own)
        together = self._together(codec, originals, qualities, exact, guide, generator, half)
        if together is not None:  # of a stack the top layer alone is refined again: no other waits for it
            methods = {count - 1: replace(self.method, first=self.method.last, last=None)}

        def choose(k: int, context: Context) -> Adapted:
            layer = codec.layer(k)
            latents = layer.analyse(originals[k], context)
            if together is not None:
                latents = shifted(latents, together.shifts[k])
            if together is not None and k < count - 1:
                self.reports.append(LayerReport(k, together.before[k], together.after[k], 0, 0.0))
            if k not in methods:
                return Adapted(latents)
            cost = self._cost(codec, k, qualities).weighted(self._weights(count)[k])
            tell = None if self.tell is None else partial(self.tell, k)
            found = adapt_layer(
                layer, originals[k], context, cost, methods[k], generator, half, settings.compiled, latents, tell
            )
            report = LayerReport(k, found.before, found.after, len(found.weights), found.seconds)
            if together is not None:
                report = replace(report, before=together.before[k], seconds=together.seconds + found.seconds)
            self.reports.append(report)
            return Adapted(found.latents, found.weights)

        return choose

    def _together(
        self, codec: LayeredCodec, originals: Sequence[Tensor], qualities: Sequence[float], exact: bool,
        guide: Guide | None, generator: torch.Generator, half: bool,
    ) -> Together | None:  # fmt: skip
        if not self.method.stack or self.method.first is None:
            return None
        costs = [self._cost(codec, k, qualities) for k in range(len(originals))]
        return refine_stack(
            codec, originals, qualities, costs, self._weights(len(originals)), self.method.first, generator, guide,
            half, exact, self.tell,
        )  # fmt: skip

    def _cost(self, codec: LayeredCodec, k: int, qualities: Sequence[float]) -> Cost:
        lam = self.settings.lam or lambda_at(codec.layer(k).lambdas, qualities[k])
        return Cost(lam, self.settings.distortion)

    def _weights(self, count: int) -> tuple[float, ...]:
        return self.settings.weights or (1.0,) * count
