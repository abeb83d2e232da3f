"""CompressAI's entropy models under any rounding: ideal bits for training, symbols and indexes for coding."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from compressai.entropy_models import EntropyBottleneck, EntropyModel, GaussianConditional
from numpy.typing import NDArray
from torch import Tensor

from layered.entropy.coder import MAX_SYMBOL, SerialDecoder, Tables, decode_symbols, encode_symbols
from layered.errors import CorruptStream, LayeredError
from layered.rounding import Rounding

__all__ = [
    "SlicedGaussians", "Symbols", "code_bottleneck", "code_gaussian", "gaussian_indexes", "read_bottleneck",
    "read_gaussian", "write_bottleneck", "write_gaussian",
]  # fmt: skip


@dataclass(frozen=True)
class Symbols:
    """One entropy-coded string and the integers in it, int32 in coding order."""

    string: bytes
    values: NDArray[np.int32]


def _bits(likelihood: Tensor, model: EntropyModel) -> Tensor:
    """likelihood [B, C, h, w] in [0, 1] -> bits [B]; likelihoods are bounded below at 1e-9 (29.9 bits)."""
    return -torch.log2(model.likelihood_lower_bound(likelihood)).sum(dim=(1, 2, 3))


def code_bottleneck(model: EntropyBottleneck, z: Tensor, rounding: Rounding) -> tuple[Tensor, Tensor]:
    """Latents z [B, C, h, w] under the factorized prior -> quantised z, bits [B]."""
    with _full_precision(z):
        medians = _medians(model)
        values, points = rounding(_widened(z) - medians)
        rated = (points + medians).transpose(0, 1)
        likelihood, _, _ = model._likelihood(rated.reshape(rated.shape[0], 1, -1))
        likelihood = likelihood.reshape(rated.shape).transpose(0, 1)
        return values + medians, _bits(likelihood, model)


def code_gaussian(
    model: GaussianConditional, y: Tensor, scales: Tensor, means: Tensor, rounding: Rounding
) -> tuple[Tensor, Tensor]:
    """Latents y [B, C, h, w] under Gaussians of `scales` and `means` -> quantised y, bits [B].

    The quantiser's grid is centred at the mean, in training as in coding.
    """
    with _full_precision(y):
        scales, means = _widened(scales), _widened(means)
        values, points = rounding(y.to(means.dtype) - means)
        return values + means, _bits(model._likelihood(points, scales), model)


def write_bottleneck(model: EntropyBottleneck, z_hat: Tensor) -> Symbols:
    """Quantised z [1, C, h, w] -> rANS string; equal to CompressAI's `compress` for the same tables."""
    values = _to_numpy(torch.round(z_hat - _medians(model)))
    return _written(values, _channel_indexes(z_hat.shape), model)


def read_bottleneck(model: EntropyBottleneck, data: bytes, height: int, width: int) -> tuple[Tensor, Symbols]:
    """rANS string -> quantised z [1, C, height, width].  Raises CorruptStream."""
    shape = torch.Size((1, model.channels, height, width))
    values = decode_symbols(data, _channel_indexes(shape), Tables.of(model))
    medians = _medians(model)
    z_hat = torch.from_numpy(values.reshape(shape)).to(medians.device, medians.dtype) + medians
    return z_hat, Symbols(data, values)


def gaussian_indexes(model: GaussianConditional, scales: Tensor) -> NDArray[np.int32]:
    """Index into the model's scale table for each scale, as CompressAI's `build_indexes`, in one search."""
    table = model.scale_table[:-1].to(scales.dtype)
    bounded = torch.clamp(scales, min=float(model.scale_bound))
    return _to_numpy(torch.searchsorted(table, bounded.contiguous(), right=False)).astype(np.int32)


def write_gaussian(model: GaussianConditional, y_hat: Tensor, scales: Tensor, means: Tensor) -> Symbols:
    """Quantised y [1, C, h, w] -> rANS string; scales and means must be the decoder's own."""
    values = _to_numpy(torch.round(y_hat.to(means.dtype) - means))
    return _written(values, gaussian_indexes(model, scales), model)


def read_gaussian(
    model: GaussianConditional, data: bytes, scales: Tensor, means: Tensor
) -> tuple[Tensor, Symbols]:
    """rANS string -> quantised y, of the shape of `means` [1, C, h, w].  Raises CorruptStream."""
    values = decode_symbols(data, gaussian_indexes(model, scales), Tables.of(model))
    y_hat = torch.from_numpy(values.reshape(means.shape)).to(means.device, means.dtype) + means
    return y_hat, Symbols(data, values)


class SlicedGaussians:
    """Reads a string of `write_gaussian` slice after slice, where a slice's scales and means depend on those before.

    count: of all symbols together, at least three.  What comes out may be nonsense until `finish` has returned.
    Raises CorruptStream.
    """

    def __init__(self, model: GaussianConditional, data: bytes, count: int) -> None:
        self._model, self._data, self._tables = model, data, Tables.of(model)
        self._decoder = SerialDecoder(data, count)
        self._fewest = self._tables.fewest_bits()
        self._room = 8.0 * len(data)
        self._found: list[NDArray[np.int32]] = []
        self._indexes: list[NDArray[np.int32]] = []

    def next(self, scales: Tensor, means: Tensor) -> Tensor:
        """The next slice of quantised y, of the shape of `means` [1, C, h, w].  Raises CorruptStream."""
        rows = gaussian_indexes(self._model, scales)
        self._room -= float(self._fewest[rows].sum())
        if self._room < 0:  # a forged size is told before all of it is decoded
            raise CorruptStream(f"{len(self._data)} bytes of entropy-coded data are fewer symbols than asked for")
        values = self._decoder.take(rows, self._tables)
        if int(np.abs(values.astype(np.int64)).max()) > MAX_SYMBOL:
            raise CorruptStream("entropy-coded data hold a symbol beyond all that is ever coded")
        self._found.append(values)
        self._indexes.append(rows)
        return torch.from_numpy(values.reshape(means.shape)).to(means.device, means.dtype) + means

    def finish(self) -> Symbols:
        """All symbols, after the last slice.  Raises CorruptStream unless their code is exactly the string."""
        values = np.concatenate(self._found)
        if encode_symbols(values, np.concatenate(self._indexes), self._tables) != self._data:
            raise CorruptStream(f"entropy-coded data of {values.size} symbols is damaged, or has other tables")
        return Symbols(self._data, values)


def _full_precision(latents: Tensor) -> torch.autocast:
    """No autocast within: likelihoods in bfloat16 would be useless."""
    return torch.autocast(latents.device.type, enabled=False)


def _widened(tensor: Tensor) -> Tensor:
    """At least float32."""
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _medians(model: EntropyBottleneck) -> Tensor:
    medians: Tensor = model.quantiles[:, 0, 1].detach()
    return medians[None, :, None, None]


def _channel_indexes(shape: torch.Size) -> NDArray[np.int32]:
    return np.repeat(np.arange(shape[1], dtype=np.int32), shape[2] * shape[3])


def _written(values: NDArray[np.int64], indexes: NDArray[np.int32], model: EntropyModel) -> Symbols:
    """Narrowed once they are coded, and so known to be no larger than MAX_SYMBOL: others would wrap unnoticed."""
    return Symbols(encode_symbols(values, indexes, Tables.of(model)), values.astype(np.int32))


def _to_numpy(integers: Tensor) -> NDArray[np.int64]:
    if integers.is_floating_point() and not bool(torch.isfinite(integers).all()):
        raise LayeredError("the latents are not finite: the weights or the picture hold NaN or infinity")
    values: NDArray[np.int64] = integers.detach().to("cpu", torch.int64).numpy().reshape(-1)
    return values
