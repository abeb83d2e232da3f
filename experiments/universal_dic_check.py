"""Whether our BD-rate reproduces a published comparison: universal adaptation (Tsubota et al., WACV 2023) against VVC.

    python -m experiments.universal_dic_check DIR

DIR holds the results that the paper's repository ships, with a row for each image: `ours/wacnn/q1..q6/DOMAIN_2nd.csv`
and `VVC/q24..q42/DOMAIN.csv`.  Points are averaged over the images of a domain, as the repository does it, and the
table gives BD-rates by all interpolations, beside those that were computed from the
same files elsewhere.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from experiments.bdrate import METHODS, Curve, bd_rate
from experiments.metrics import mean
from layered.errors import LayeredError
from layered.files import read_bytes

__all__ = ["DOMAINS", "REFERENCE", "averaged", "compared", "main"]

DOMAINS = ("natural", "comic", "line", "vector")

REFERENCE: dict[str, dict[str, float]] = {
    "natural": {"cubic": -9.79, "pchip": -10.20, "akima": -10.20},
    "comic": {"cubic": -2.82, "pchip": -3.09, "akima": -3.10},
    "line": {"cubic": -0.25, "pchip": -0.45, "akima": -0.45},
    "vector": {"cubic": 2.87, "pchip": 2.58, "akima": 2.57},
    "average": {"cubic": -2.50, "pchip": -2.79, "akima": -2.80},
}
"""BD-rates in percent, computed elsewhere from the tables of the paper's repository; by cubic interpolation, as its own
script has them."""


def averaged(paths: Sequence[Path]) -> Curve:
    """The curve of files of one quality each, with columns bpp and psnr.  Raises LayeredError for other files."""
    points = []
    for path in paths:
        rows = list(csv.DictReader(io.StringIO(read_bytes(path).decode(errors="replace"))))
        try:
            points.append([mean(float(row[name]) for row in rows) for name in ("bpp", "psnr")])
        except (KeyError, TypeError, ValueError) as error:
            raise LayeredError(f"{path}: not a table with bpp and psnr ({error})") from None
    return Curve(tuple(bpp for bpp, _ in points), tuple(psnr for _, psnr in points))


def compared(folder: Path, domain: str, method: str) -> float:
    """BD-rate of the paper's method against VVC in one domain.  Raises LayeredError where results are missing."""
    ours = sorted(folder.glob(f"ours/wacnn/q*/{domain}_2nd.csv"))
    vvc = sorted(folder.glob(f"VVC/q*/{domain}.csv"))
    if not ours or not vvc:
        raise LayeredError(f"{folder}: no results of {domain}; expected ours/wacnn/q*/ and VVC/q*/ below it")
    return bd_rate(averaged(vvc), averaged(ours), method)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    table = Table("domain", "interpolation", "ours", "elsewhere", "difference", title="BD-rate against VVC, percent")
    found = {domain: {method: compared(folder, domain, method) for method in METHODS} for domain in DOMAINS}
    found["average"] = {method: mean(found[domain][method] for domain in DOMAINS) for method in METHODS}
    for domain, values in found.items():
        for method, ours in values.items():
            elsewhere = REFERENCE[domain][method]
            table.add_row(domain, method, *(f"{value:+.2f}" for value in (ours, elsewhere, ours - elsewhere)))
    Console().print(table)


if __name__ == "__main__":
    try:
        main()
    except LayeredError as error:
        sys.exit(f"error: {error}")
