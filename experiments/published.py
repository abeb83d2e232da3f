"""What others published: rate-distortion curves of Kodak, and BD-rates of layered codecs.

    python -m experiments.published out/kodak_3layer --codec "single mean-scale"

prints the BD-rate of the top layer of that codec against each published Kodak curve.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from experiments.bdrate import Curve, bd_rate
from experiments.results import load_results
from experiments.tables import RULES, Tables
from layered.errors import LayeredError, RecipeError

__all__ = ["Rates", "gaps", "main", "published_curves", "published_rates"]

SAME = 0.01
"""Ratios of layer sizes that differ by less are the same."""


@dataclass(frozen=True)
class Rates:
    """BD-rates as a paper gives them.

    source, training, rule: for captions.  entries: (data, test, anchor, ratios, percent), where ratios are the
    sizes of the layers relative to the base layer, up to the layer that the percentage is about.
    """

    source: str
    training: str
    rule: str
    entries: tuple[tuple[str, str, str, tuple[float, ...], float], ...]

    def find(self, data: str, test: str, anchor: str, scales: Sequence[float]) -> float | None:
        """The BD-rate of the highest of the layers with these scales, if it was published."""
        ratios = [scale / scales[0] for scale in scales]
        for entry in self.entries:
            pairs = zip(entry[3], ratios, strict=False)
            same = len(entry[3]) == len(ratios) and all(abs(a - b) < SAME for a, b in pairs)
            if same and entry[:3] == (data, test, anchor):
                return entry[4]
        return None


def published_rates(paper: str) -> Rates:
    """The BD-rates in the bundled file of that name.  Raises RecipeError when there is none."""
    folder = resources.files("experiments") / "papers"
    found = {path.name[:-5]: _read(path) for path in folder.iterdir() if path.name.endswith(".json")}
    papers = {name: values for name, values in found.items() if "rates" in values}
    if paper not in papers:
        raise RecipeError(f"no published BD-rates {paper!r}; there are {', '.join(sorted(papers))}")
    values = papers[paper]
    entries = tuple(
        (rate["data"], rate["test"], rate["anchor"], tuple(rate["ratios"]), rate["bd_rate"])
        for rate in values["rates"]
    )
    return Rates(values["source"], values["training"], values["rule"], entries)


def published_curves() -> dict[str, Curve]:
    """RGB PSNR against bpp on Kodak, as published with CompressAI, by the names of its result files."""
    curves = _read(resources.files("experiments") / "papers" / "compressai_kodak.json")["curves"]
    return {name: Curve(tuple(curve["bpp"]), tuple(curve["psnr"])) for name, curve in curves.items()}


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


def _read(path: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--codec", default="single mean-scale")
    given = parser.parse_args(arguments)
    tables = Tables(load_results(given.results))
    data = tables.results.recipe.data
    if (data.source, data.limit, data.longest_side) != ("kodak", None, None):
        raise RecipeError(f"{given.results}: not the 24 Kodak images at full size, which the published curves are of")
    if given.codec not in tables.codecs:
        raise RecipeError(f"no codec {given.codec!r} in {given.results}; there are {', '.join(tables.codecs)}")
    print(f"BD-rate of {given.codec} at {tables.ladders[0].layers[-1]} against published Kodak curves ({RULES[0]})")
    for name, gap in gaps(tables, given.codec).items():
        print(f"  {name}: {gap:+.1f}%" if isinstance(gap, float) else f"  {name}: {gap}")


if __name__ == "__main__":
    try:
        main()
    except LayeredError as error:
        sys.exit(f"error: {error}")
