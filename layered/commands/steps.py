"""A bar for the steps of what takes long with one file, beside the one that counts files."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["Steps"]


class Steps:
    """One bar for one stage at a time; nothing is shown before `show_in` has said where."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._shown: TaskID | None = None

    def show_in(self, progress: Progress) -> None:
        """Show the bar there from now on."""
        self._progress = progress

    def begin(self, stage: str) -> Callable[[int, int], None]:
        """The bar of a stage, in the place of the last one's; told of steps done and steps in all."""
        progress = self._progress
        if progress is None:
            return lambda done, total: None
        if self._shown is not None:
            progress.remove_task(self._shown)
        task = self._shown = progress.add_task(stage, total=None)
        return lambda done, total: progress.update(task, completed=done, total=total)
