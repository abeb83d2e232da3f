"""`layered prior`: trained weights to a prior over their codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from layered.commands.model import check_device

__all__ = ["prior"]


def prior(
    weights: Annotated[str, typer.Argument(metavar="WEIGHTS", help="Weights with a base layer such as gc.")],
    data: Annotated[str, typer.Option(metavar="DIR", help="Pictures whose codes it learns.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Checkpoints and curves.  Default: runs/ and the weights' name.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A=B", help="Replace a setting, such as steps; repeatable.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the networks run: cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Train what draws codes as pictures have them; started again on the same folder it resumes where it was."""
    from layered.recipes import check
    from layered.training.recipe import PriorRecipe

    values = {"weights": weights, "data": {"folder": data}}
    recipe = check(PriorRecipe, values, overrides or [], "prior")  # what is wrong is told before torch is loaded
    check_device(device)
    from layered.training.prior import train_prior

    trained = train_prior(recipe, out or Path("runs") / f"{Path(weights).stem}-prior", device)
    typer.echo(trained.distances.text())
    typer.echo(trained.path)
