"""Tables in Markdown, whatever their cells are called."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.grids import Grid

__all__ = ["grid_markdown"]


def grid_markdown(grid: Grid) -> str:
    """Title, table and notes, without a line break at the end."""
    rest = ["---:" if grid.numbers else "---"] * (len(grid.header) - 1)
    lines = [f"**{_inline(grid.title)}**", "", _row(grid.header), _row(["---", *rest])]
    lines += [_row(row) for row in grid.rows]
    if grid.notes:
        lines += ["", *(f"[{number}] {_inline(note)}  " for number, note in enumerate(grid.notes, 1))]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_inline(cell).replace("|", "\\|") for cell in cells) + " |"


def _inline(text: str) -> str:
    """One line without markup, whatever a codec or an image is called."""
    return " ".join(text.split()).replace("<", "&lt;")
