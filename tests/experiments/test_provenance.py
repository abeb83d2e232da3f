"""A record says by which command it came about, so that it can be typed again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from experiments.provenance import RESULTS, command_line, commit, without_places


@pytest.mark.parametrize(
    ("program", "told"),
    [
        ("/opt/venv/bin/layered", "layered bench 'my recipe'"),
        ("/opt/lib/layered/__main__.py", "layered bench 'my recipe'"),
        ("/opt/lib/experiments/page/__main__.py", "python -m experiments.page bench 'my recipe'"),
        ("/opt/lib/experiments/sets.py", "python -m experiments.sets bench 'my recipe'"),
    ],
)
def test_the_command_can_be_typed_again(monkeypatch: pytest.MonkeyPatch, program: str, told: str) -> None:
    monkeypatch.setattr(sys, "argv", [program, "bench", "my recipe"])
    assert command_line() == told


def test_a_command_with_bytes_that_are_no_text_can_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["layered", "bench", os.fsdecode(b"\xff.yaml")])
    assert command_line() == r"layered bench '\udcff.yaml'" and command_line().encode()


def test_a_command_is_told_without_the_places_of_its_machine() -> None:
    command = "layered bench /home/me/mine.yaml --out /tmp/o --folder=/tmp/f --set data.source=/data/kodak --workers 2"
    assert without_places(command) == "layered bench mine.yaml --set data.source=kodak --workers 2"


def test_results_that_a_run_writes_do_not_count_as_another_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []

    def git(root: Path, *arguments: str) -> str:
        asked.append(arguments)
        return {"rev-parse": str(root) if "--show-toplevel" in arguments else "abc", "status": ""}[arguments[0]]

    monkeypatch.setattr("experiments.provenance._git", git)
    assert commit.__wrapped__() == "abc"
    assert f":!{RESULTS}" in asked[1] and (Path(__file__).parents[2] / RESULTS).is_dir()
