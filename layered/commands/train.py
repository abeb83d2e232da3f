"""`layered train`: a recipe to a checkpoint."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["train"]


def _show_recipes(wanted: bool) -> None:
    if wanted:
        from layered.recipes import bundled, introduction

        for name in bundled("layered.training"):
            typer.echo(f"{name}\n    {introduction(name, 'layered.training')}")
        raise typer.Exit


def train(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Bundled recipe by name, or a YAML file.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Checkpoints and curves.  Default: runs/ and its name.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="A.B=C", help="Replace a setting, as phases.base.steps=500; repeatable."),
    ] = None,
    show_recipes: Annotated[
        bool, typer.Option("--list", callback=_show_recipes, is_eager=True, help="Name the bundled recipes.")
    ] = False,
) -> None:
    """Train a codec by a recipe; started again on the same folder it resumes where it was."""
    from layered.training.recipe import load_recipe

    settings = load_recipe(recipe, overrides or [])  # a wrong recipe is told before torch is loaded
    import lightning.pytorch  # sets the level of its logger, which Fabric's remarks go to

    from layered.training.loop import train as run

    logging.getLogger(lightning.pytorch.__name__).setLevel(logging.WARNING)
    typer.echo(run(settings, out or Path("runs") / settings.name))
