"""The benchmark measures everything it names, and both sides do the same work; how fast is no matter of tests."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from adapters.half import is_quick
from experiments.benchmark import BENCHMARKS, main
from experiments.benchmarks.measure import Goal, Pairs, Row

COUNTS = {"coding": 2, "liff": 6, "layers": 2, "training": 3, "memory": 1, "growth": 10}
COUNTS["adaptation"] = 6 if is_quick(torch.device("cpu")) else 4


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("benchmark") / "new" / "quick.json"
    main(["--quick", "--repeats", "1", "--out", str(path)])
    return path


@pytest.fixture(scope="module")
def result(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def test_every_subject_has_its_rows(result: dict[str, Any]) -> None:
    subjects = [row["subject"] for row in result["rows"]]
    assert {name: subjects.count(name) for name in BENCHMARKS} == COUNTS


def test_all_figures_are_finite_and_lie_within_their_spread(result: dict[str, Any]) -> None:
    for row in result["rows"]:
        assert math.isfinite(row["median"]) and row["min"] <= row["median"] <= row["max"], row
        assert len(row["samples"]) == 1
        assert row["median"] > 0 or row["subject"] == "growth", row


def test_both_sides_compute_the_same(result: dict[str, Any]) -> None:
    compared = [row for row in result["rows"] if row["difference"] is not None]
    assert len(compared) == 9
    assert all(0 <= row["difference"] < 1e-4 for row in compared)


def test_quick_sizes_have_goals_but_are_not_judged(result: dict[str, Any]) -> None:
    goals = {row["subject"]: row["goal"] for row in result["rows"] if row["goal"]}
    assert goals == {"coding": "<= 1", "liff": "<= 0.125", "training": ">= 1", "memory": "<= 6", "adaptation": "<= 1"}
    assert all(row["verdict"] == "" for row in result["rows"])


def test_the_conditions_are_told(result: dict[str, Any], out: Path) -> None:
    assert result["threads"] >= 1 and result["repeats"] == 1 and result["quick"]
    markdown = out.with_suffix(".md").read_text()
    for value in (result["command"], result["machine"], result["torch"], str(result["commit"])):
        assert value in markdown
    assert sum(line.startswith("| ") for line in markdown.splitlines()) == 2 + len(result["rows"])


def test_subjects_that_are_not_there_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "coding,speed"])
    assert "no 'speed'; there are coding, liff" in capsys.readouterr().err


def test_a_goal_is_a_bound_on_the_median() -> None:
    assert Row("s", "n", "u", (0.5, 3.0, 0.9), Goal(1.0)).verdict == "reached"
    assert Row("s", "n", "u", (0.5, 3.0, 0.9), Goal(1.0, at_least=True)).verdict == "missed"


def test_ratios_are_taken_pair_by_pair() -> None:
    measured = Pairs(((1.0, 2.0), (9.0, 2.0)), ((2.0, 1.0), (3.0, 1.0)))
    assert measured.ratios() == (0.5, 3.0) and measured.ratios(1) == (2.0, 2.0)
    assert measured.speed("s", "n", "theirs", Goal(1.0), 0.0).samples == (2.0, 1 / 3)
