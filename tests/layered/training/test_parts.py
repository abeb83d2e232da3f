"""A phase that could train nothing says so before its first step."""

from __future__ import annotations

from typing import Any

import pytest

from layered.codec import LayeredCodec
from layered.errors import RecipeError
from layered.spec import CodecSpec, build
from layered.training.parts import require_fit
from layered.training.recipe import Phase
from tests.conftest import tiny_spec


def phase(kind: str, **values: Any) -> Phase:
    return Phase.model_validate({"name": "it", "kind": kind, "steps": 1, **values})


def gc(entropy: str = "static", norm: str = "instance") -> LayeredCodec:
    base = {"name": "gc", "width": 16, "channels": 2, "blocks": 1, "entropy": entropy, "norm": norm}
    return build(CodecSpec.model_validate({"base": base, "lambdas": (0.0002,)}))


@pytest.mark.parametrize("kind", ["base", "adversarial"])
def test_a_phase_whose_parts_are_all_frozen_is_refused(kind: str) -> None:
    with pytest.raises(RecipeError, match="phase 'it' has nothing to train: all that it would train is frozen; freeze"):
        require_fit(build(tiny_spec()), phase(kind, frozen=("base",)))
    require_fit(build(tiny_spec()), phase(kind, frozen=("base.g_a",)))


def test_a_phase_for_a_predictor_without_parameters_is_refused() -> None:
    values = tiny_spec().model_dump()
    values["enhancement"]["predictor"] = {"name": "bicubic"}
    with pytest.raises(RecipeError, match=r"what kind: predictor trains has no parameters; .* leave the phase out"):
        require_fit(build(CodecSpec.model_validate(values)), phase("predictor"))


@pytest.mark.parametrize("entropy", ["uniform", "histogram"])
def test_a_phase_for_an_entropy_model_without_parameters_is_refused(entropy: str) -> None:
    alone = phase("adversarial", adversarial={"trains": "entropy", "rate": 1})
    with pytest.raises(RecipeError, match="what trains: entropy trains has no parameters"):
        require_fit(gc(entropy), alone)
    require_fit(gc("static"), alone)


def test_fixed_statistics_of_what_has_no_instance_normalisation_are_refused() -> None:
    fixed = {"fixed_statistics": True, "rate": 1}
    require_fit(gc(), phase("adversarial", adversarial=fixed))
    for codec, trains in ((gc(norm="channel"), "all"), (build(tiny_spec()), "all"), (gc(), "entropy")):
        with pytest.raises(RecipeError, match="phase 'it': fixed_statistics: what it trains has no instance norm"):
            require_fit(codec, phase("adversarial", adversarial={**fixed, "trains": trains}))
