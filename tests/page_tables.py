"""The tables of the README and of its page of results, and the files that they come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.page.numbers import Measured

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "experiments" / "results"
README, PAGE, EXPERIMENTS = ROOT / "README.md", RESULTS / "README.md", ROOT / "experiments" / "README.md"
LINES = {path: path.read_text(encoding="utf-8").splitlines() for path in (README, PAGE, EXPERIMENTS)}
TEXT = {path: " ".join(" ".join(lines).split()) for path, lines in LINES.items()}
each_page = pytest.mark.parametrize("path", (README, PAGE), ids=("README", "results"))


def rows(first_cells: str, path: Path = PAGE) -> list[list[str]]:
    """The cells of the table whose header begins so."""
    lines = LINES[path]
    start = next(number for number, line in enumerate(lines) if line.startswith(first_cells)) + 2
    table = []
    for line in lines[start:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split("|")])
    return table


def run(recipe: str) -> Measured:
    return Measured(RESULTS / recipe)


def measured(recipe: str, codec: str, anchor: str, layer: int, scales: str | None = None) -> str:
    """The BD-rate as a table shows it, a dash where the curves have too little in common."""
    return run(recipe).told(codec, anchor, layer, scales)


def measured_rate(recipe: str, codec: str, anchor: str, layer: int, scales: str | None = None) -> float:
    rate = run(recipe).rate(codec, anchor, layer, scales)
    assert rate is not None
    return rate
