"""What qualities, layers and numbers of things are called, in every table and message."""

from __future__ import annotations

from collections.abc import Sequence

from baselines.protocol import Quality

__all__ = ["ladder_label", "layer_label", "printable", "quality_text", "quantity", "reason_text", "threads_text"]

LONGEST_REASON = 400


def quality_text(quality: Quality) -> str:
    """`2.5`, or `1/2/3` for one quality per layer."""
    return "/".join(f"{value:g}" for value in (quality if isinstance(quality, tuple) else (quality,)))


def ladder_label(scales: Sequence[float]) -> str:
    """`x0.25 x0.5 x1`."""
    return " ".join(f"x{scale:.4g}" for scale in scales)


def layer_label(layer: int, scale: float) -> str:
    """`BL x0.25`, `EL1 x0.5`, and so on."""
    return f"{'BL' if layer == 0 else f'EL{layer}'} x{scale:.4g}"


def quantity(number: int, one: str, many: str = "") -> str:
    """`1 image`, `2 images`; many: the plural, where it is not just one s more."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def threads_text(threads: Sequence[int]) -> str:
    """`1 thread per process`, or `1 and 4 threads per process` where it was not always the same."""
    several = " and ".join(map(str, threads))
    return f"{several} {'thread' if tuple(threads) == (1,) else 'threads'} per process"


def printable(text: str) -> str:
    """The same, with what no encoding holds, such as names on disk that are no text, written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def reason_text(reason: str) -> str:
    """A reason of any length and kind as one line for tables."""
    line = printable(" ".join(reason.split()))
    return line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]}..."
