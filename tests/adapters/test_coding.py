"""Codings of adapter weights: exact inverses, the papers' priors, and a rate that is what the bytes take."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from adapters.coding import MOST, Group, Lattice, Quantiser
from adapters.plain import CODINGS, coding_of
from adapters.priors import CODES, PRIORS, code_of, table_of, value_of
from layered.entropy.coder import TOTAL
from layered.errors import CorruptStream, LayeredError, OptionError

LATTICES = [name for name, coding in CODINGS.items() if isinstance(coding, Lattice)]
groups_of_values = st.lists(
    st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=40).map(torch.tensor), min_size=1, max_size=3
)


def lattice(name: str) -> Lattice:
    coding = CODINGS[name]
    assert isinstance(coding, Lattice)
    return coding


def grouped(name: str, parts: list[Tensor], scale: float | None = None) -> tuple[Group, ...]:
    coding = coding_of(name)
    return tuple(coding.group(part, coding.fit(part, scale=scale)) for part in parts)


@settings(max_examples=25)
@given(st.sampled_from(sorted(CODINGS)), groups_of_values)
def test_reading_is_the_inverse_of_writing(name: str, parts: list[Tensor]) -> None:
    coding, groups = coding_of(name), grouped(name, parts)
    data = coding.write(groups)
    back = coding.read(data, [part.numel() for part in parts])
    assert coding.write(back) == data
    for ours, theirs, part in zip(groups, back, parts, strict=True):
        assert ours.quantiser == theirs.quantiser and np.array_equal(ours.numbers, theirs.numbers)
        seen = coding.quantise(part, ours.quantiser)
        assert torch.allclose(seen, coding.values(theirs), rtol=0, atol=2.5e-7)


@settings(max_examples=25)
@given(st.sampled_from(sorted(CODINGS)), groups_of_values, st.data())
def test_damage_is_told_or_is_what_other_numbers_give(name: str, parts: list[Tensor], data: st.DataObject) -> None:
    coding, counts = coding_of(name), [part.numel() for part in parts]
    good = coding.write(grouped(name, parts))
    at = data.draw(st.integers(0, len(good) - 1))
    bit = data.draw(st.integers(0, 7))
    flipped = good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
    for bad in (flipped, good[:at], good + b"\0"):
        try:
            back = coding.read(bad, counts)
        except CorruptStream:
            continue
        assert all(bool(coding.values(group).isfinite().all()) for group in back)
        assert name == "float64-lzma" or coding.write(back) == bad


@pytest.mark.parametrize("name", LATTICES)
def test_values_seen_are_the_nearest_on_the_grid_and_gradients_pass(name: str) -> None:
    coding = lattice(name)
    quantiser = coding.fit(torch.zeros(1), step=0.1)
    values = torch.linspace(-1, 1, 41, requires_grad=True)
    seen = coding.quantise(values, quantiser)
    assert float((seen - values).detach().abs().max()) <= quantiser.step * 0.5001
    assert torch.allclose(seen, coding.values(coding.group(values, quantiser)), rtol=0, atol=1e-7)
    seen.sum().backward()
    assert values.grad is not None and bool((values.grad == 1).all())


@pytest.mark.parametrize("name", LATTICES)
def test_the_rate_is_that_of_the_table_and_its_bytes(name: str) -> None:
    coding, generator = lattice(name), torch.Generator().manual_seed(1)
    values = 0.1 * torch.randn(4000, generator=generator) * (torch.rand(4000, generator=generator) < 0.3)
    quantiser = coding.fit(values, step=0.02)
    group = coding.group(values, quantiser)
    ideal = float(coding.rate(coding.quantise(values, quantiser), quantiser))
    assert ideal == pytest.approx(coding.bits(group), rel=0.02)
    assert 8 * len(coding.write((group,))) == pytest.approx(coding.bits(group), abs=16 + 96)


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize("spread", [0.0, 0.02, 0.5])
def test_the_scale_that_is_chosen_is_the_cheapest_of_all(name: str, spread: float) -> None:
    coding = lattice(name)
    values = spread * torch.randn(300, generator=torch.Generator().manual_seed(2))
    values[0] = 2.0  # an escape may be cheaper than a wide table
    best = coding.bits(coding.group(values, coding.fit(values, step=0.06)))
    step, scales = value_of(code_of(0.06)), map(value_of, range(0, CODES, 3))
    every = [coding.bits(coding.group(values, Quantiser(step, scale))) for scale in scales]
    assert best <= min(every) * 1.005


def test_priors_give_zero_the_probability_of_the_papers() -> None:
    logistic = lattice("logistic").rate(torch.zeros(1), Quantiser(0.06, 0.05))
    assert 2 ** -float(logistic) == pytest.approx(0.291, abs=5e-4)
    spike = lattice("spike-and-slab").rate(torch.zeros(1), Quantiser(0.005, 0.05))
    assert 2 ** -float(spike) == pytest.approx(0.99634, abs=1e-5)


@settings(max_examples=30)
@given(st.sampled_from(sorted(PRIORS)), st.integers(0, CODES - 1), st.integers(0, CODES - 1))
def test_tables_rise_and_are_symmetric_for_all_codes(name: str, step: int, scale: int) -> None:
    table = table_of(name, step, scale)
    counts = np.diff(table.cdfs[0])
    reach = -table.offsets[0]
    assert counts.sum() == TOTAL and counts.min() >= 1 and len(counts) == 2 * reach + 2
    assert np.array_equal(counts[:-1], counts[-2::-1]) and (np.diff(counts[reach + 1 : -1]) <= 0).all()


@pytest.mark.parametrize("name", PRIORS)
def test_tables_hold_the_probabilities_of_training(name: str) -> None:
    step, scale = code_of(0.02), code_of(0.1)
    counts, reach = np.diff(table_of(name, step, scale).cdfs[0]), -table_of(name, step, scale).offsets[0]
    width, spread = (torch.tensor(value_of(code), dtype=torch.float64) for code in (step, scale))
    values = torch.arange(-reach, reach + 1) * width
    ideal = 2 ** -PRIORS[name].bits(values, width, spread).numpy()
    assert np.abs(counts[:-1] / TOTAL - ideal).max() < 20 / TOTAL
    assert abs(counts[-1] / TOTAL - (1 - ideal.sum())) < 2 / TOTAL


def test_rates_have_gradients_everywhere_and_in_step_and_scale() -> None:
    values = torch.tensor([-1.5, -0.2, -1e-3, 0.0, 0.03, 0.4, 1.2], dtype=torch.float64, requires_grad=True)
    for name in LATTICES:
        step, scale = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.06, 0.3))
        assert torch.autograd.gradcheck(
            lambda v, a, b, name=name: lattice(name).rate_at(v, a, b), (values[[0, 1, 4, 5, 6]], step, scale)
        )
        (gradient,) = torch.autograd.grad(lattice(name).rate(values, Quantiser(0.06, 0.3)), values)
        assert bool(gradient.isfinite().all()) and float(gradient[-1]) > 0 > float(gradient[0])


def test_codes_are_within_three_percent_of_any_number_in_range() -> None:
    for value in np.geomspace(value_of(0), value_of(CODES - 1), 999):
        assert abs(value_of(code_of(value)) / value - 1) < 0.0313
    assert [code_of(value_of(code)) for code in range(CODES)] == list(range(CODES))
    assert abs(value_of(code_of(0.06)) / 0.06 - 1) < 0.03
    for wrong in (0.0, 1e-6, 3.0, math.nan, math.inf, -0.1):
        with pytest.raises(OptionError, match="steps and scales"):
            code_of(wrong)


@pytest.mark.parametrize("name", CODINGS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_none_are_refused(name: str, value: float) -> None:
    with pytest.raises(LayeredError, match="finite"):
        grouped(name, [torch.tensor([0.0, value])])


def test_numbers_far_off_the_grid_are_refused_at_both_ends() -> None:
    coding = lattice("laplace")
    quantiser = coding.fit(torch.zeros(1), step=0.01, scale=0.01)
    with pytest.raises(LayeredError, match="beyond"):
        coding.group(torch.tensor([2e4]), quantiser)
    wild = coding.write((Group(quantiser, np.array([0, MOST + 1], np.int32)),))
    with pytest.raises(CorruptStream, match="beyond"):
        coding.read(wild, [2])


def test_linear8_takes_1600_bits_for_192_numbers_and_errs_by_half_a_step() -> None:
    coding, values = CODINGS["linear8"], torch.randn(192, generator=torch.Generator().manual_seed(0))
    quantiser = coding.fit(values)
    assert 8 * len(coding.write((coding.group(values, quantiser),))) == 1600 == float(coding.rate(values, quantiser))
    seen = coding.quantise(values, quantiser)
    assert float((seen - values).abs().max()) <= 0.501 * float(values.max() - values.min()) / 255
    assert torch.equal(coding.quantise(torch.full((3,), 0.7), coding.fit(torch.full((3,), 0.7))), torch.full((3,), 0.7))


def test_float64_lzma_keeps_all_digits() -> None:
    coding, values = CODINGS["float64-lzma"], torch.randn(500, generator=torch.Generator().manual_seed(0))
    assert torch.equal(coding.quantise(values, coding.fit(values)), values)
    zeros = coding.write(grouped("float64-lzma", [torch.zeros(5000)]))
    assert len(zeros) < 100


def test_a_count_that_the_bytes_cannot_hold_is_refused_before_memory_is_taken() -> None:
    for name, coding in CODINGS.items():
        data = coding.write(grouped(name, [torch.full((8,), 0.5)], 0.5 if name in LATTICES else None))
        with pytest.raises(CorruptStream):
            coding.read(data, [10**12])


def test_options_of_codings_are_checked() -> None:
    with pytest.raises(OptionError, match="logistic, laplace, spike-and-slab, float64-lzma, linear8"):
        coding_of("huffman")
    for name in ("linear8", "float64-lzma"):
        with pytest.raises(OptionError, match="give none"):
            CODINGS[name].fit(torch.ones(1), step=0.1)
