"""SHVC by a recipe's words."""

from __future__ import annotations

import re
from typing import Any

import pytest

from baselines.classes import option_pairs
from baselines.registry import METHODS, PICTURES, build
from baselines.shvc.emulated import EmulatedShvc
from baselines.shvc.reference import ReferenceShvc
from experiments.method import Method
from layered.errors import OptionError


@pytest.mark.parametrize(
    ("options", "codec"),
    [
        ({}, EmulatedShvc("420")),
        ({"chroma": "444"}, EmulatedShvc("444")),
        ({"engine": "emulated", "chroma": 420}, EmulatedShvc("420")),
        ({"engine": "reference"}, ReferenceShvc()),
        ({"engine": "reference", "timeout": 60, "shm": "~/SHM"}, ReferenceShvc("~/SHM", 60.0)),
    ],
)
def test_options_make_what_they_say(options: dict[str, Any], codec: object) -> None:
    assert build("shvc", options=option_pairs(options)) == codec


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ({}, {"engine": "shm"}, "shvc has no engine 'shm'; there are emulated, reference"),
        ({}, {"shm": "x"}, "shvc with engine emulated has no option 'shm'; there are engine, chroma"),
        ({}, {"chroma": "422"}, "shvc has no chroma '422'; there are 420, 444"),
        ({}, {"engine": "reference", "chroma": "444"}, "has no option 'chroma'; there are engine, shm, timeout"),
        ({}, {"engine": "reference", "timeout": 0}, "number of seconds above 0"),
        ({}, {"engine": "reference", "shm": 3}, "shm is a folder, got 3"),
        ({"of": "jpeg"}, {}, "`of: jpeg` has no meaning for shvc"),
        ({"weights": "w"}, {}, "shvc takes no weights"),
    ],
)
def test_other_words_are_refused(arguments: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        build("shvc", **arguments, options=option_pairs(options))


def test_recipes_know_the_names() -> None:
    assert "shvc" in METHODS and {"hevc", "hevc-420", "bpg"} <= {*PICTURES}
    method = Method.model_validate({"codec": "shvc", "options": {"engine": "reference"}})
    assert method.label == "shvc engine=reference"
    assert Method(codec="simulcast", of="hevc-420").label == "simulcast hevc-420"
