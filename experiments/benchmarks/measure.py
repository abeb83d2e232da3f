"""Two ways of doing one thing, measured side by side, and the rows that come of it."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rich.progress import track

__all__ = ["Goal", "Pairs", "Row", "Setting", "interleaved", "pairs"]


@dataclass(frozen=True)
class Setting:
    """How to measure: repeats of each pair; quick: sizes so small that only the workings are tried."""

    repeats: int
    quick: bool

    def repeat(self, what: str) -> Iterator[int]:
        """0, 1, ..., shown as progress of `what`."""
        silent = not sys.stdout.isatty()  # where it would leave an empty line
        yield from track(range(self.repeats), description=what, transient=True, disable=silent)


@dataclass(frozen=True)
class Goal:
    """What a figure was to reach: at most, or at least, `value`."""

    value: float
    at_least: bool = False

    def reached(self, figure: float) -> bool:
        """Whether `figure` is as good as the goal."""
        return figure >= self.value if self.at_least else figure <= self.value

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.value:g}"


@dataclass(frozen=True)
class Row:
    """One figure, the median of `samples`.

    subject: the benchmark that it is of.  unit: of the samples.  difference: the largest difference between what
    both sides computed, None where there is one side only.  note: on what it rests.
    """

    subject: str
    name: str
    unit: str
    samples: tuple[float, ...]
    goal: Goal | None = None
    difference: float | None = None
    note: str = ""

    @property
    def figure(self) -> float:
        """The median."""
        return statistics.median(self.samples)

    @property
    def verdict(self) -> str:
        """`reached`, `missed`, or nothing without a goal."""
        return "" if self.goal is None else "reached" if self.goal.reached(self.figure) else "missed"


@dataclass(frozen=True)
class Pairs:
    """Seconds of two sides, run in turn: wall clock and CPU time of this process, one entry a repeat."""

    ours: tuple[tuple[float, float], ...]
    theirs: tuple[tuple[float, float], ...]

    def ratios(self, clock: int = 0) -> tuple[float, ...]:
        """Our time over theirs, pair by pair; clock 0 is the wall's, 1 the CPU's."""
        return tuple(a[clock] / b[clock] for a, b in zip(self.ours, self.theirs, strict=True))

    def slowness(
        self, subject: str, name: str, reference: str, goal: Goal | None = None, difference: float | None = None
    ) -> Row:
        """How many times as long as `reference` ours takes."""
        return Row(subject, name, f"x the time of {reference}", self.ratios(), goal, difference, self._note(reference))

    def speed(
        self, subject: str, name: str, reference: str, goal: Goal, difference: float | None = None
    ) -> Row:
        """How many times as fast as `reference` ours is."""
        inverse = tuple(1 / ratio for ratio in self.ratios())
        return Row(subject, name, f"x as fast as {reference}", inverse, goal, difference, self._note(reference))

    def _note(self, reference: str) -> str:
        seconds = statistics.median(wall for wall, _ in self.theirs)
        cpu = statistics.median(self.ratios(1))
        return f"{reference}: {1e3 * seconds:.0f} ms; CPU time ours / theirs {cpu:.2f}"


def pairs(setting: Setting, what: str, ours: Callable[[], object], theirs: Callable[[], object]) -> Pairs:
    """Both sides once unmeasured, then in turn; who begins changes, so that a machine that slows favours neither."""
    times = interleaved(setting, what, (ours, theirs))
    return Pairs(tuple(times[0]), tuple(times[1]))


def interleaved(
    setting: Setting, what: str, sides: Sequence[Callable[[], object]]
) -> list[list[tuple[float, float]]]:
    """(wall, CPU) seconds of every side at every repeat; all sides run once unmeasured, then in turn."""
    for side in sides:
        side()
    times: list[list[tuple[float, float]]] = [[] for _ in sides]
    for repeat in setting.repeat(what):
        order = range(len(sides)) if repeat % 2 == 0 else reversed(range(len(sides)))
        for index in order:
            wall, cpu = time.perf_counter(), time.process_time()
            sides[index]()
            times[index].append((time.perf_counter() - wall, time.process_time() - cpu))
    return times
