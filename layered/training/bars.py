"""Progress bars of training: steps done and to do, the time left, and what the last step has found."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

__all__ = ["bars", "short"]


def bars(console: Console, shown: bool = True) -> Progress:
    """Bars whose tasks have a field `last`, for instance of `short`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, TextColumn("{task.fields[last]}"), console=console, disable=not shown)


def short(log: Mapping[str, float]) -> str:
    """What a step has found, in one line."""
    return "  ".join(f"{name} {value:.3g}" for name, value in log.items())
