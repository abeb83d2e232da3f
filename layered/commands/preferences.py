"""`layered preferences`: the votes of studies as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["preferences"]


def preferences(
    votes: Annotated[list[Path], typer.Argument(metavar="CSV...", help="Files that raters have saved.")],
    failed_traps: Annotated[
        int, typer.Option(min=1, help="Leave a rater out of a study after so many failed traps.")
    ] = 2,
) -> None:
    """Which codec raters prefer, pair by pair, from the votes of `layered report --2afc` pages; in Markdown."""
    from experiments.preference.table import preferences as table

    typer.echo(table(votes, failed_traps), nl=False)
