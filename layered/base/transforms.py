"""What all layers on CompressAI's transforms share: padding, synthesis, tables, state dicts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from compressai.entropy_models import EntropyBottleneck, EntropyModel, GaussianConditional
from compressai.layers import GDN
from compressai.models.base import get_scale_table
from torch import Tensor, nn

from layered.base.gain import RateGains
from layered.entropy.symbols import SymbolModel
from layered.errors import OptionError
from layered.layer import Context, Latents, Layer, for_synthesis, in_double, in_order

__all__ = [
    "RESIZED", "STRIDE", "SteadyGDN", "SteadyDeconvolution", "TransformLayer", "ceil_div", "load_resized",
    "make_steady", "pad_to_stride", "rebuild_tables", "strided",
]  # fmt: skip

STRIDE = 16
SPREAD = 2**12
"""Integers between an offset of rounding and a channel's outer quantiles, at the most; tables hold all of them."""
RESIZED = {"_quantized_cdf": (False, 2), "_cdf_length": (False, 1), "_offset": (False, 1), "scale_table": (True, 1)}
"""The entropy models' tables, whose lengths depend on what was learned: whether of floats, and dimensions."""
FEWEST = 2**9
"""Positions of the smallest picture that a convolution of any number of threads is known to round alike."""
BAND = 2**15  # of fewer pixels oneDNN's 1x1 convolution adds up in another order, and bits would change


class SteadyGDN(GDN):
    """CompressAI's divisive normalisation, rounding alike on one thread and on two.

    PyTorch computes a 1x1 convolution of one picture by another kernel on one thread than on several; a dilation,
    which means nothing at this size, makes it take the same.  Without autograd a large picture goes through in
    bands of rows, whose working memory is used again: fresh memory costs more than the arithmetic.
    """

    def forward(self, x: Tensor, out: Tensor | None = None) -> Tensor:
        """x [B, C, H, W] normalised; without autograd into `out`, which may be x itself."""
        channels = x.shape[1]
        gamma, beta = self.gamma_reparam(self.gamma).reshape(channels, channels, 1, 1), self.beta_reparam(self.beta)
        if torch.is_grad_enabled():
            norm = F.conv2d(x**2, gamma, beta, dilation=2)
            return x * (torch.sqrt(norm) if self.inverse else torch.rsqrt(norm))
        y = torch.empty_like(x) if out is None else out
        for top, bottom in pairwise(_band_edges(x)):
            band = x[:, :, top:bottom]
            norm = F.conv2d(band**2, gamma, beta, dilation=2)
            torch.mul(band, norm.sqrt_() if self.inverse else norm.rsqrt_(), out=y[:, :, top:bottom])
        return y


def _band_edges(x: Tensor) -> list[int]:
    """Where to cut the rows of x [B, C, H, W]: on a CPU into bands of near BAND pixels each, not below."""
    height, width = x.shape[-2:]
    count = max(1, height * width // BAND) if x.device.type == "cpu" and len(x) == 1 else 1
    return [height * k // count for k in range(count + 1)]


class SteadyDeconvolution(nn.ConvTranspose2d):
    """The transforms' 5x5 deconvolution of stride 2, rounding alike on any number of threads.

    oneDNN adds up deconvolutions of some sizes in an order that depends on the threads.  Without autograd on a CPU
    they are a 3x3 convolution here, with four outputs for each channel, one for each pixel that a cell becomes.  Of
    few positions its convolutions do so too, on some processors, so that a small input is widened by zeros.
    """

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        shape = (self.kernel_size, self.stride, self.padding, self.output_padding)
        usual = shape == ((5, 5), (2, 2), (2, 2), (1, 1)) and self.groups == 1 and output_size is None
        if torch.is_grad_enabled() or not usual or x.device.type != "cpu" or x.dtype != torch.float32:
            return super().forward(x, output_size)
        # Output 2i + a takes input i + d through tap a + 2 - 2d: 4, 2, 0 for a = 0, and 5, which is none, 3, 1.
        taps = F.pad(self.weight, (0, 1, 0, 1))
        taps = torch.stack([taps[:, :, (4, 2, 0)], taps[:, :, (5, 3, 1)]], 2)
        taps = torch.stack([taps[..., (4, 2, 0)], taps[..., (5, 3, 1)]], 3)
        kernel = taps.permute(1, 2, 3, 0, 4, 5).flatten(0, 2).contiguous()
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        height, width = x.shape[-2:]
        if height * width < FEWEST:
            wide = max(width, FEWEST // 32)
            x = F.pad(x, (0, wide - width, 0, max(0, ceil_div(FEWEST, wide) - height)))
        return F.pixel_shuffle(F.conv2d(x, kernel, bias, padding=1), 2)[..., : 2 * height, : 2 * width]


def make_steady(module: nn.Module) -> None:
    """Let every normalisation and deconvolution below be a steady one; parameters and names stay."""
    for part in module.modules():
        if type(part) is GDN:
            part.__class__ = SteadyGDN
        elif type(part) is nn.ConvTranspose2d:
            part.__class__ = SteadyDeconvolution


class TransformLayer(Layer):
    """A layer with CompressAI's transforms g_a and g_s, of stride 16, and gains around its quantiser."""

    g_a: nn.Sequential
    g_s: nn.Sequential
    gains: RateGains

    @abstractmethod
    def with_hyper_latents(self, y: Tensor) -> Latents:
        """Scaled latents y [B, M, h, w] and the side information that is coded with them."""

    def start_entropy(self, spread: Tensor) -> None:
        """Expect, before training, scaled latents y of zero mean and of these standard deviations [M]."""

    def analyse(self, image: Tensor, context: Context) -> Latents:
        return self.with_hyper_latents(self.gains.apply_gain(self.transformed(image), context.quality))

    def synthesise(self, latents: Latents, context: Context) -> Tensor:
        return self.picture(self.carry(latents, context), context)

    def carry(self, latents: Latents, context: Context) -> Tensor:
        """The quantised latents y without their gain."""
        return self.gains.remove_gain(for_synthesis(latents.parts[0], context), context.quality)

    def transformed(self, image: Tensor) -> Tensor:
        """Image [B, 3, H, W] -> latents y [B, M, ceil(H/16), ceil(W/16)], before any gain."""
        return _through(self.g_a, pad_to_stride(image))

    def picture(self, y_hat: Tensor, context: Context) -> Tensor:
        """What the synthesis transform makes of `y_hat`, cut to the context's size."""
        weights = next(self.g_s.parameters())
        image = in_double(self.g_s, y_hat) if context.exact else _through(self.g_s, in_order(y_hat.to(weights.dtype)))
        return image[..., : context.height, : context.width]

    def latent_size(self, context: Context) -> tuple[int, int]:
        """Height and width of y for the context's picture."""
        return ceil_div(context.height, STRIDE), ceil_div(context.width, STRIDE)


def _through(stack: nn.Sequential, x: Tensor) -> Tensor:
    """stack(x); without autograd a normalisation overwrites what the convolution before it has made."""
    for module in stack:
        inside = isinstance(module, SteadyGDN) and not torch.is_grad_enabled()
        x = module(x, x) if inside else module(x)
    return x


def strided(stack: nn.Module, x: Tensor) -> Tensor:
    """stack(x), which halves x once or twice; of inputs one or two wide in full precision, whatever the autocast.

    Where an input is one wide, oneDNN 3.12 leaves parts of a bfloat16 convolution's weight gradient as they were in
    memory (kernel 5, stride 2).
    """
    whole = x.shape[-1] <= 2 and next(stack.parameters()).dtype == torch.float32  # halved weights are not trained
    with torch.autocast(x.device.type, enabled=torch.is_autocast_enabled(x.device.type) and not whole):
        y: Tensor = stack(x.float() if whole else x)
    return y


def ceil_div(value: int, by: int) -> int:
    """The smallest integer not below value / by."""
    return -(-value // by)


def pad_to_stride(image: Tensor, stride: int = STRIDE) -> Tensor:
    """Replicate the last row and column of [B, 3, H, W] until both sides are multiples of the stride.

    The latents then have ceil(H/stride) x ceil(W/stride) positions.  Hyper-latents need no padding: a convolution of
    stride 2 rounds sizes up, and the hyper-synthesis output is cropped.
    """
    height, width = image.shape[-2:]
    below, right = -height % stride, -width % stride
    return F.pad(image, (0, right, 0, below), mode="replicate") if below or right else image


def rebuild_tables(module: nn.Module, only_missing: bool = False) -> None:
    """Solve the bottlenecks' outer quantiles by bisection and build all integer tables under `module`.

    The quantiles get no gradient from the rate; solving them replaces the auxiliary optimiser.  Medians stay: they are
    the offsets of rounding that training saw, and where straight-through rounding hides what is within a step, density
    and offset of a channel come apart without harm, until one is moved.
    only_missing: leave entropy models that have tables as they are.
    Raises OptionError for an offset so far outside its density that no table could hold what is between.
    """
    for part in module.modules():
        if isinstance(part, EntropyModel) and only_missing and part._quantized_cdf.numel():
            continue
        if isinstance(part, EntropyBottleneck):
            with torch.no_grad():
                medians = part.quantiles[:, :, 1].clone()
                part._update_quantiles()
                part.quantiles[:, :, 1] = medians
                if not bool(((part.quantiles - medians[:, :, None]).abs() <= SPREAD).all()):
                    raise OptionError(f"an offset of rounding is more than {SPREAD} from what its channel holds")
            part.update(force=True)
        elif isinstance(part, GaussianConditional):
            part.update_scale_table(get_scale_table().tolist(), force=True)
        elif isinstance(part, SymbolModel) and not (only_missing and part.has_tables()):
            part.update()


def load_resized(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """`load_state_dict`, strict, after giving the entropy models' tables the sizes found in `state`."""
    for name, part in module.named_modules():
        if not isinstance(part, EntropyModel):
            continue
        for buffer, current in part.named_buffers(recurse=False):
            stored = state.get(f"{name}.{buffer}" if name else buffer)
            if stored is None or buffer not in RESIZED:
                continue
            built = stored.numel() > 0  # before training has ended there are none
            if built and (stored.is_floating_point(), stored.ndim) != RESIZED[buffer]:
                raise RuntimeError(f"{name}.{buffer} is {stored.dtype} {list(stored.shape)}, which is no such table")
            if stored.shape != current.shape:
                setattr(part, buffer, torch.empty_like(stored, device=current.device))
    nn.Module.load_state_dict(module, dict(state), strict=True)
