"""`layered sample`: pictures of random codes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from layered.commands.decode import size_of
from layered.commands.model import named_codec

__all__ = ["sample"]


def sample(
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Picture of all samples.")],
    weights: Annotated[str, typer.Option("--weights", "--model", help="Weights with a base layer such as gc.")],
    count: Annotated[int, typer.Option(min=1, max=256, help="How many.")] = 6,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of each.")] = "256x256",
    prior: Annotated[
        str | None, typer.Option(metavar="FILE", help="What draws the codes, of `layered prior`.  Default: uniformly.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Another gives others.")] = 0,
    device: Annotated[str, typer.Option(help="Where the networks run: cpu, cuda, cuda:1, ...")] = "cpu",
) -> None:
    """Draw codes at random and write what the generator makes of them."""
    from layered.adversarial.prior import load_prior
    from layered.image import format_of, save_image
    from layered.sampling import sample as draw
    from layered.sampling import sheet

    format_of(target)  # a wrong ending is told before any work
    width, height = size_of(size)
    codec = named_codec(weights, device)
    learned = None if prior is None else load_prior(prior, codec.digest, codec.name, device)
    pictures = draw(codec, count, height, width, seed, learned)
    save_image(sheet(pictures, math.ceil(math.sqrt(count))), target)
    typer.echo(f"{target}: {count} pictures of {width}x{height}")
