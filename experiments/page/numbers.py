"""What a run of the results page measured, read from the tables that are kept of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean

from experiments.bdrate import Curve, CurveError, bd_psnr, bd_rate
from experiments.page.items import FILE, read_items
from experiments.page.kept import read_table
from experiments.tables import RULES, SHARED
from layered.errors import RecipeError

__all__ = ["Measured", "shown"]


def shown(rate: float | None) -> str:
    """A BD-rate in percent as the page shows it, a dash where there is none."""
    return "-" if rate is None else f"{rate:+.1f}".replace("+0.0", "0.0").replace("-0.0", "0.0")


@dataclass(frozen=True)
class Measured:
    """The tables in the folder of a run.  Layers are counted from the base layer, 0."""

    folder: Path

    def rate(
        self, codec: str, anchor: str, layer: int = 0, scales: str | None = None, rule: str = RULES[0]
    ) -> float | None:
        """BD-rate in percent of a codec against an anchor; None where the curves have too little in common.

        scales: the label of the layers' scales, where the run has several.  rule: how images are put together, one of
        `experiments.tables.RULES`.  Raises RecipeError where the run has no such row.
        """
        return self._cell(codec, anchor, layer, scales, rule)[0]

    def told(
        self, codec: str, anchor: str, layer: int = 0, scales: str | None = None, rule: str = RULES[0]
    ) -> str:
        """The same as the page shows it, with a star where the curves share less than half of a range of PSNR."""
        rate, notes = self._cell(codec, anchor, layer, scales, rule)
        return shown(rate) + "\\*" * (SHARED in notes)

    def _cell(
        self, codec: str, anchor: str, layer: int, scales: str | None, rule: str
    ) -> tuple[float | None, str]:
        """The BD-rate, and what is noted of it.  Raises RecipeError where the run has no such row."""
        wanted = {"codec": codec, "anchor": anchor, "layer": str(layer), "rule": rule}
        if scales is not None:
            wanted["scales"] = scales
        found = [row for row in self._rates if wanted.items() <= row.items()]
        if len(found) != 1:
            where = "" if scales is None else f", {scales}"
            number = len(found) or "no"
            row = f"BD-rate of {codec!r} against {anchor!r}, layer {layer}{where}"
            raise RecipeError(f"{self.folder.name}: {number} {row}")
        rate = found[0]["bd_rate_percent"]
        return (float(rate) if rate else None), found[0]["notes"]

    def points(self) -> dict[tuple[str, str, int], dict[str, str]]:
        """The averages by codec, quality and layer.  Raises RecipeError for a run of several sets of scales."""
        rows = read_table(self.folder / "points.csv")
        if len({row["scales"] for row in rows}) > 1:
            raise RecipeError(f"{self.folder.name}: its points are of several sets of scales")
        return {(row["codec"], row["quality"], int(row["layer"])): row for row in rows}

    def curve(self, codec: str, layer: int = 0) -> Curve:
        """The averages of a codec's layer as a curve.  Raises CurveError for one that is none."""
        chosen = self._points_of(codec, layer)
        return Curve(*(tuple(float(row[column]) for row in chosen) for column in ("bpp", "psnr")))

    def more_db(self, codec: str, anchor: str, layer: int = 0) -> float | None:
        """BD-PSNR in dB, of curves of averages; None where they have no rate in common."""
        try:
            return bd_psnr(self.curve(anchor, layer), self.curve(codec, layer))
        except CurveError:
            return None

    def seconds(self, codec: str) -> float:
        """Of encoding a picture, mean over qualities."""
        return mean(float(row["encode_seconds"]) for row in self._points_of(codec, 0))

    def each_image(self, codec: str, anchor: str, layer: int = 0) -> dict[str, float]:
        """BD-rates in percent of single images, from what is kept of every item."""
        curves: dict[tuple[str, str], list[tuple[int, float]]] = {}
        for key, layers in read_items(self.folder / FILE).items():
            size, psnr = layers[layer]
            curves.setdefault((key.codec, key.image), []).append((size, float(psnr)))
        made = {key: Curve(*map(tuple, zip(*points, strict=True))) for key, points in curves.items()}
        return {image: bd_rate(made[anchor, image], made[codec, image]) for name, image in made if name == codec}

    def nearest(self) -> list[dict[str, str]]:
        """The table at one rate, for a run that has it."""
        return read_table(self.folder / "nearest.csv")

    @cached_property
    def _rates(self) -> list[dict[str, str]]:
        return read_table(self.folder / "bd_rate.csv")

    def _points_of(self, codec: str, layer: int) -> list[dict[str, str]]:
        chosen = [row for (name, _, of), row in self.points().items() if (name, of) == (codec, layer)]
        if not chosen:
            raise RecipeError(f"{self.folder.name}: no points of {codec!r}, layer {layer}")
        return chosen
