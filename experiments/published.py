"""A measured curve beside curves that others published for the same images at full size.

    python -m experiments.published out/kodak_3layer --codec "single mean-scale"

prints the BD-rate of the top layer of that codec against each published Kodak curve.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from experiments.bdrate import Curve, bd_rate
from experiments.results import load_results
from experiments.tables import RULES, Tables
from layered.errors import LayeredError

__all__ = ["gaps", "main", "published_curves"]


def published_curves() -> dict[str, Curve]:
    """RGB PSNR against bpp on Kodak, as published with CompressAI, by the names of its result files."""
    text = (resources.files("experiments") / "papers" / "compressai_kodak.json").read_text(encoding="utf-8")
    curves = json.loads(text)["curves"]
    return {name: Curve(tuple(curve["bpp"]), tuple(curve["psnr"])) for name, curve in curves.items()}


def gaps(tables: Tables, codec: str) -> dict[str, float | str]:
    """BD-rate in percent of the codec's top layer against each published curve, or why there is none."""
    points = tables.points(codec, len(tables.layers) - 1)
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
    print(f"BD-rate of {given.codec} at {tables.layers[-1]} against published Kodak curves ({RULES[0]})")
    for name, gap in gaps(tables, given.codec).items():
        print(f"  {name}: {gap:+.1f}%" if isinstance(gap, float) else f"  {name}: {gap}")


if __name__ == "__main__":
    main()
