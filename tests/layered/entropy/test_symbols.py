"""Finite alphabets: quantised as the papers do, coded for real, and at the rates that information theory gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from layered.entropy.alphabet import Centres, integer_tables
from layered.entropy.autoregressive import Autoregressive
from layered.entropy.checkerboard import Checkerboard
from layered.entropy.coder import SerialDecoder
from layered.entropy.models import MODELS, build_symbol_model
from layered.entropy.symbols import Static, SymbolModel
from layered.errors import CorruptStream, OptionError
from layered.rounding import Hard, StraightThrough

CHANNELS, SIZE = 4, 5


def symbols(height: int, width: int, seed: int = 0, size: int = SIZE) -> NDArray[np.int32]:
    """Neighbours are alike, and channels differ in what is frequent."""
    rng = np.random.default_rng(seed)
    waves = [np.sin(np.arange(height)[:, None] / (3 + c)) + np.cos(np.arange(width) / (4 + c)) for c in range(CHANNELS)]
    noisy = np.stack(waves) + rng.normal(0, 0.3, (CHANNELS, height, width))
    middle = (size - 1) / 2 + np.array([-1.0, -0.3, 0.3, 0.5])[:, None, None]
    values: NDArray[np.int32] = np.clip(np.round(noisy * (size - 1) / 6 + middle), 0, size - 1).astype(np.int32)
    return values


def one_hot_of(values: NDArray[np.int32]) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.from_numpy(values).long(), SIZE).movedim(-1, 1)[None].float()


def trained(model: SymbolModel, steps: int = 60) -> SymbolModel:
    """After a short fit to symbols of other pictures."""
    if list(model.parameters()):
        optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
        for step in range(steps):
            loss = model.bits(one_hot_of(symbols(24, 32, seed=1 + step % 5))).sum()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model.update()
    return model.requires_grad_(False)


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=12)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 9))
def test_what_is_written_is_read(name: str, height: int, width: int, seed: int) -> None:
    torch.manual_seed(0)
    model, values = build_symbol_model(name, CHANNELS, SIZE), symbols(height, width, seed)
    model.update()
    if isinstance(model, Checkerboard):
        last = model.network[-1]
        assert isinstance(last, torch.nn.Conv2d)
        torch.nn.init.normal_(last.weight, generator=torch.Generator().manual_seed(seed))
    written = model.write(values)
    found, read = model.read(written.string, height, width)
    assert np.array_equal(found, values) and np.array_equal(read.values, written.values)


@pytest.mark.parametrize("name", MODELS)
def test_strings_are_as_long_as_the_bits_say(name: str) -> None:
    model, values = trained(build_symbol_model(name, CHANNELS, SIZE)), symbols(48, 64)
    ideal = float(model.bits(one_hot_of(values)))
    assert 8 * len(model.write(values).string) == pytest.approx(ideal, rel=0.02, abs=200)


def test_the_uniform_model_spends_log2_of_the_alphabet_on_each_symbol() -> None:
    model, values = build_symbol_model("uniform", CHANNELS, SIZE), symbols(64, 96)
    assert 8 * len(model.write(values).string) / values.size == pytest.approx(math.log2(SIZE), rel=1e-3)


def test_each_model_that_knows_more_spends_less() -> None:
    values = symbols(48, 64)
    sizes = [len(trained(build_symbol_model(name, CHANNELS, SIZE)).write(values).string) for name in MODELS]
    assert sizes == sorted(sizes, reverse=True) and len(set(sizes)) == len(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_damaged_strings_raise_or_give_symbols_of_the_alphabet(name: str) -> None:
    model, values = trained(build_symbol_model(name, CHANNELS, SIZE)), symbols(9, 12)
    string = model.write(values).string
    for at in range(len(string)):
        flipped = bytearray(string)
        flipped[at] ^= 0x55
        for damaged in (string[:at], bytes(flipped)):
            try:
                found, _ = model.read(damaged, 9, 12)
            except CorruptStream:
                continue
            assert found.min() >= 0 and found.max() < SIZE


def test_tables_come_with_the_weights_and_not_from_them() -> None:
    model = trained(Static(CHANNELS, SIZE))
    again = Static(CHANNELS, SIZE)
    assert not again.has_tables()
    with pytest.raises(OptionError, match="no tables"):
        again.write(symbols(8, 8))
    again.load_state_dict(model.state_dict())
    with torch.no_grad():
        again.logits.add_(1.0)
        again.logits[:, 0] = 0
    assert again.write(symbols(8, 8)).string == model.write(symbols(8, 8)).string


def test_unknown_models_list_the_valid_ones() -> None:
    with pytest.raises(OptionError, match="use one of uniform, histogram, static, checkerboard, autoregressive"):
        build_symbol_model("magic", 1, 2)


@settings(max_examples=40)
@given(st.integers(2, 256), st.integers(1, 5), st.integers(0, 99))
def test_every_symbol_can_be_coded_whatever_its_probability(size: int, count: int, seed: int) -> None:
    weights = np.random.default_rng(seed).random((count, size)) ** 40
    weights[0] = 0
    weights[0, seed % size] = 1
    tables = integer_tables(weights / weights.sum(1, keepdims=True))
    steps = np.diff(np.array(tables.cdfs), axis=1)
    assert steps.min() >= 1 and (steps.sum(1) == 65536).all()


@pytest.mark.parametrize("bad", [[[0.5, 0.6]], [[1.0]], [[np.nan, 1.0]], [[-0.1, 1.1]]])
def test_what_is_no_distribution_is_refused(bad: list[list[float]]) -> None:
    with pytest.raises(OptionError):
        integer_tables(np.array(bad))


def test_latents_go_to_the_nearest_centre_and_gradients_to_all() -> None:
    centres = Centres([-2, -1, 0, 1, 2])
    latents = torch.tensor([-9.0, -0.4, 0.6, 1.2, 3.0]).reshape(1, 1, 1, 5).requires_grad_(True)
    values = centres.of(centres.assignments(latents, StraightThrough()))
    assert torch.allclose(values.flatten(), torch.tensor([-2.0, 0.0, 1.0, 1.0, 2.0]))
    assert torch.equal(values, centres.of(centres.assignments(latents, Hard())))
    assert torch.equal(centres.at(centres.symbols(latents)), values.detach())
    values.sum().backward()
    assert latents.grad is not None
    slopes = latents.grad.flatten().tolist()
    assert 0.8 < slopes[1] < 1.1 and abs(slopes[0]) < 0.02 < slopes[4] < 0.3


def test_slopes_of_the_soft_assignment_fall_beyond_the_last_centre() -> None:
    """At distances 0 to 4 from the middle one of five centres, as measured with another implementation."""
    centres = Centres([-2, -1, 0, 1, 2])
    latents = torch.arange(5.0).reshape(1, 1, 1, 5).requires_grad_(True)
    centres.of(centres.assignments(latents, StraightThrough())).sum().backward()
    assert latents.grad is not None
    assert latents.grad.flatten().tolist() == pytest.approx([1.0, 0.92, 0.47, 0.09, 0.01], abs=0.006)


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [1.0, 0.0], [0.0, math.nan]])
def test_an_alphabet_that_is_none_is_refused(values: list[float]) -> None:
    with pytest.raises(OptionError, match="increasing"):
        Centres(values)


@pytest.mark.parametrize("count", range(1, 400, 7))
def test_the_most_frequent_value_is_told_as_such(count: int) -> None:
    model = build_symbol_model("histogram", 1, SIZE)
    written = model.write(np.full((1, 1, count), 2, np.int32))
    assert written.string[2] == 255 and len(written.string) <= SIZE + 12


def test_bands_of_rows_give_what_the_whole_picture_gives() -> None:
    model = trained(build_symbol_model("checkerboard", CHANNELS, SIZE), steps=5)
    assert isinstance(model, Checkerboard)
    values = symbols(90, 6)
    whole = float(model.bits(one_hot_of(values)))
    assert 8 * len(model.write(values).string) == pytest.approx(whole, rel=0.02, abs=200)
    found, _ = model.read(model.write(values).string, 90, 6)
    assert np.array_equal(found, values)


def test_a_short_string_for_very_many_symbols_is_refused_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained(build_symbol_model("checkerboard", CHANNELS, SIZE), steps=1)
    assert isinstance(model, Checkerboard)
    string = model.write(symbols(4, 4)).string
    first = int.from_bytes(string[:3], "little")
    monkeypatch.setattr(model, "_second", None)
    with pytest.raises(CorruptStream, match="0 bytes of entropy-coded data cannot be 32 symbols"):
        model.read(string[: 3 + first], 4, 4)


def test_weights_without_numbers_are_refused_before_any_symbol_is_read() -> None:
    model = trained(build_symbol_model("autoregressive", CHANNELS, SIZE), steps=1)
    assert isinstance(model, Autoregressive)
    string = model.write(symbols(6, 7)).string
    torch.nn.init.constant_(model.answer.weight, float("nan"))
    with pytest.raises(OptionError, match="beyond all numbers"):
        model.read(string, 6, 7)


def test_a_size_far_beyond_the_bytes_is_refused_before_all_symbols_are_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = trained(build_symbol_model("autoregressive", CHANNELS, SIZE), steps=5)
    written = model.write(symbols(6, 7))
    decoded, inner = 0, SerialDecoder.next

    def counted(self: SerialDecoder, cdf: list[int]) -> int:
        nonlocal decoded
        decoded += 1
        return inner(self, cdf)

    monkeypatch.setattr(SerialDecoder, "next", counted)
    assert np.array_equal(model.read(written.string, 6, 7)[0], symbols(6, 7))
    decoded = 0
    with pytest.raises(CorruptStream, match="fewer symbols than asked for"):
        model.read(written.string, 300, 400)
    assert decoded < 300 * 400 * CHANNELS / 100
