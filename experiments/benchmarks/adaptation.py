"""Steps of per-image adaptation against the plain way to write them: time, memory.

The plain way is that of published code: weights take gradients that nobody reads, and all that the steps have in
common is computed anew in each.  What surrounds the steps is in our times too: the encoder's latents, trials of hard
rounding, and, of adapters, their coding in several ways at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from adapters.cost import Cost
from adapters.fit import AdapterPlan
from adapters.half import is_quick
from adapters.refine import refine
from adapters.rounding import Gumbel
from adapters.schedule import Schedule
from adapters.sources import Fixed
from adapters.tune import tune
from experiments.benchmarks.material import picture
from experiments.benchmarks.measure import Goal, Row, Setting, pairs
from experiments.benchmarks.memory import METHOD, peak_of
from layered.base.initialise import initialise
from layered.base.transforms import rebuild_tables
from layered.base.wacnn import Wacnn
from layered.image import to_tensor
from layered.layer import Context, Latents
from layered.rounding import Hard

__all__ = ["rows"]

LAMBDA = 0.0067
SITE = "g_s.5.site"


def rows(setting: Setting) -> Iterator[Row]:
    """A small WACNN: refinement in float32 and as it runs by default, adapters at its attention, their memory."""
    size = (32, 48, 2) if setting.quick else (256, 384, 30)
    half = is_quick(torch.device("cpu"))
    for name, ours, theirs, goal in (
        ("refinement", refining, refining_plainly, 1.3),
        ("adapter", tuning, tuning_plainly, 1.6),
    ):
        for kind, low in (("float32", False), ("bfloat16", True)) if half else (("float32", False),):
            measured = pairs(setting, f"{name}, {kind}", ours(*size, low), theirs(*size))
            told = f"{size[2]} steps of {name}, {size[1]}x{size[0]}, {kind}"
            yield measured.speed("adaptation", told, "the plain way, float32", Goal(goal, at_least=True))
        tries = range(min(setting.repeats, 3))
        ratios = tuple(peak_of(ours, *size, False).risen / peak_of(theirs, *size).risen for _ in tries)
        yield Row("adaptation", f"{name}, peak memory", "x that of the plain way", ratios, Goal(1.0), None, METHOD)


def refining(height: int, width: int, steps: int, half: bool) -> Callable[[], object]:
    """Our refinement."""

    @torch.inference_mode(False)
    def run() -> object:
        layer, original, context = _material(height, width)
        schedule = Schedule(steps=steps, trials=1)
        generator = torch.Generator().manual_seed(0)
        return refine(layer, original, context, Cost(LAMBDA), schedule, generator, half=half)

    return run


def refining_plainly(height: int, width: int, steps: int) -> Callable[[], object]:
    """The same steps, written plainly."""

    @torch.inference_mode(False)
    @torch.enable_grad()
    def run() -> object:
        layer, original, context = _material(height, width)
        with torch.no_grad():
            latents = layer.analyse(original, context).leaf()
        optimiser, generator = torch.optim.Adam(latents.parts, lr=5e-3), torch.Generator()
        for step in range(steps):
            optimiser.zero_grad()
            rounding = _PlainGumbel(Schedule(steps=steps).temperature(step), generator)
            coded = layer.code(latents, context, rounding)
            made = layer.synthesise(coded.latents, context)
            loss = coded.bits.sum() / original[0, 0].numel() + LAMBDA * 255**2 * F.mse_loss(made, original)
            loss.backward()
            optimiser.step()
        return latents

    return run


def tuning(height: int, width: int, steps: int, half: bool) -> Callable[[], object]:
    """Our adapters at one site, coding included."""

    @torch.inference_mode(False)
    def run() -> object:
        layer, original, context = _material(height, width)
        latents = _encoded(layer, original, context)
        plan = AdapterPlan(steps=steps, sites=(SITE,))
        generator = torch.Generator().manual_seed(0)
        return tune(layer, original, context, Cost(LAMBDA), plan, Fixed(layer, latents, context), generator, half)

    return run


def tuning_plainly(height: int, width: int, steps: int) -> Callable[[], object]:
    """Two 1x1 convolutions at the same place, found plainly."""

    @torch.inference_mode(False)
    @torch.enable_grad()
    def run() -> object:
        layer, original, context = _material(height, width)
        with torch.no_grad():
            fixed = layer.code(_encoded(layer, original, context), context, Hard(exact=False)).latents
        site = layer.get_submodule(SITE)
        channels = int(site.channels)  # type: ignore[arg-type]
        generator = torch.Generator().manual_seed(0)
        down, up = (0.02 * torch.randn(shape, generator=generator) for shape in ((2, channels), (channels, 2)))
        optimiser = torch.optim.Adam([down.requires_grad_(), up.requires_grad_()], lr=1e-3)

        def mixed(module: object, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            rounded = (w + (torch.round(w / 0.06) * 0.06 - w).detach() for w in (down, up))
            first, second = (w[..., None, None] for w in rounded)
            return output + F.conv2d(F.conv2d(output, first), second)

        hook = site.register_forward_hook(mixed)
        try:
            for _ in range(steps):
                optimiser.zero_grad()
                made = layer.synthesise(Latents(tuple(part.clone() for part in fixed.parts)), context)
                loss = LAMBDA * 255**2 * F.mse_loss(made, original)
                loss.backward()
                optimiser.step()
        finally:
            hook.remove()
        return down, up

    return run


class _PlainGumbel(Gumbel):
    """The relaxed choice between two integers as a library's distribution over both."""

    def __call__(self, centred: Tensor) -> tuple[Tensor, Tensor]:
        temperature = torch.tensor(self.temperature)
        below = torch.floor(centred).detach()
        part = (centred - below).clamp(1e-5, 1 - 1e-5)
        logits = torch.stack([-torch.atanh(part), -torch.atanh(1 - part)], -1) / temperature
        chosen = torch.distributions.RelaxedOneHotCategorical(temperature, logits=logits).rsample()
        values = (chosen * torch.stack([below, below + 1], -1)).sum(-1)
        return values, values


@torch.no_grad()
def _encoded(layer: Wacnn, original: Tensor, context: Context) -> Latents:
    return layer.analyse(original, context)


def _material(height: int, width: int) -> tuple[Wacnn, Tensor, Context]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layer = Wacnn(64, 80, hyper=(64, 56, 48, 48, 48), context=(36, 24, 16), heads=4, lambdas=(LAMBDA,))
    initialise(layer, "wavelet", to_tensor(picture(128, 128)), torch.Generator().manual_seed(0))
    rebuild_tables(layer)
    return layer, to_tensor(picture(height, width)), Context(height, width)
