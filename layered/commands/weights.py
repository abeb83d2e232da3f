"""`layered weights`: the bundled weights, listed, described, exported."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["weights"]

weights = typer.Typer(help="List, describe or export the bundled weights.", rich_markup_mode="rich")

Name = Annotated[str, typer.Argument(metavar="NAME", help="As listed by `layered weights`.")]
NameOrFile = Annotated[str, typer.Argument(metavar="NAME", help="As listed by `layered weights`, or a weights file.")]


@weights.callback(invoke_without_command=True)
def overview(context: typer.Context) -> None:
    """List, describe or export the bundled weights."""
    if context.invoked_subcommand is None:
        names()


@weights.command("list")
def names() -> None:
    """One line for each set of weights: name, digest, millions of parameters, description."""
    from layered.weights import catalogue

    cards = catalogue()
    if not cards:
        typer.echo("no weights are bundled here; commands take a checkpoint as --weights", err=True)
    width = max((len(card.name) for card in cards), default=0)
    for card in cards:
        millions = sum(card.parameters.values()) / 1e6
        typer.echo(f"{card.name:{width}}  {card.digest}  {millions:4.1f} M  {card.description}")


@weights.command()
def describe(
    name: NameOrFile,
    json_: Annotated[bool, typer.Option("--json", help="All of it, for programs.")] = False,
) -> None:
    """How a set of weights was trained, and what it reaches."""
    if Path(name).is_file():
        from layered.weights.store import card_of

        found = card_of(name)
    else:
        from layered.weights import card

        found = card(name)
    typer.echo(json.dumps(asdict(found), indent=1) if json_ else found.text())


@weights.command()
def export(
    name: Name,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Checkpoint file to write.")],
) -> None:
    """Write a set of weights to a file of its own."""
    from layered.weights.store import export as write

    typer.echo(f"{name} -> {write(name, path)}", err=True)
