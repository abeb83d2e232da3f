"""Votes and CSV files of them for tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

from experiments.preference.votes import COLUMNS, ORIGINAL, Vote

VOTE = Vote("f00d" * 8, "ann", 0, 1, "p0", "a @ 1", "b @ 2", "left", 900, False)


def vote(**changes: Any) -> Vote:
    return replace(VOTE, **changes)


def trap(answer: str, **changes: Any) -> Vote:
    return vote(right=ORIGINAL, answer=answer, trap=True, **changes)


def written(path: Path, votes: Iterable[Vote]) -> Path:
    """A file as the page saves it."""
    rows = [",".join(COLUMNS), *(",".join(str(int(f) if f in (True, False) else f) for f in astuple(v)) for v in votes)]
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return path
