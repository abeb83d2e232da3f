"""BD-rate of the top layer of a codec against the published Kodak curves.

    python -m experiments.gaps out/kodak_3layer --codec "single mean-scale"
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from experiments.bdrate import Curve, bd_rate
from experiments.known import KODAK
from experiments.published import published_curves
from experiments.runs import load_results
from experiments.tables import RULES, Tables
from layered.errors import LayeredError, RecipeError

__all__ = ["gaps", "main"]


def gaps(tables: Tables, codec: str) -> dict[str, float | str]:
    """BD-rate in percent of the codec's top layer against each published curve, or why there is none."""
    points = tables.points(codec, tables.ladders[0].top)
    measured = Curve(tuple(p.bpp for p in points), tuple(p.psnr for p in points))
    found: dict[str, float | str] = {}
    for name, curve in published_curves().items():
        try:
            found[name] = bd_rate(curve, measured, tables.results.recipe.bd_rate)
        except LayeredError as error:
            found[name] = str(error)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--codec", default="single mean-scale")
    given = parser.parse_args(arguments)
    tables = Tables(load_results(given.results))
    if given.codec not in tables.codecs:
        raise RecipeError(f"no codec {given.codec!r} in {given.results}; there are {', '.join(tables.codecs)}")
    data, count = tables.results.recipe.data, len(tables.complete(given.codec))
    full = data.longest_side is None and tables.ladders[0].scales[-1] == 1
    if data.source != "kodak" or count != len(KODAK) or not full:
        raise RecipeError(
            f"{given.results}: not the 24 Kodak images at full size, which the published curves are of "
            f"({count} of {data.source}, top layer {tables.ladders[0].layers[-1]})"
        )
    print(f"BD-rate of {given.codec} at {tables.ladders[0].layers[-1]} against published Kodak curves ({RULES[0]})")
    for name, gap in gaps(tables, given.codec).items():
        print(f"  {name}: {gap:+.1f}%" if isinstance(gap, float) else f"  {name}: {gap}")


if __name__ == "__main__":
    try:
        main()
    except LayeredError as error:
        sys.exit(f"error: {error}")
