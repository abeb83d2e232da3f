"""A record says by which command it came about, so that it can be typed again."""

from __future__ import annotations

import sys

import pytest

from experiments.provenance import command_line


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("/opt/venv/bin/layered", "layered bench 'my recipe'"),
        ("/opt/lib/layered/__main__.py", "layered bench 'my recipe'"),
        ("/opt/lib/experiments/page/__main__.py", "python -m experiments.page bench 'my recipe'"),
    ],
)
def test_the_command_can_be_typed_again(monkeypatch: pytest.MonkeyPatch, program: str, told: str) -> None:
    monkeypatch.setattr(sys, "argv", [program, "bench", "my recipe"])
    assert command_line() == told
