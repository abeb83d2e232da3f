"""What others published: rate-distortion curves of Kodak, and BD-rates of layered codecs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from experiments.bdrate import Curve
from layered.errors import RecipeError

__all__ = ["Rates", "published_curves", "published_rates"]

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

    def check(self, data: str, names: Iterable[str]) -> None:
        """Raise RecipeError unless this paper has BD-rates on `data` of, or against, each of the methods `names`."""
        sets = sorted({entry[0] for entry in self.entries})
        if data not in sets:
            raise RecipeError(f"the paper has no BD-rates on {data!r}; there are {', '.join(sets)}")
        methods = sorted({name for entry in self.entries if entry[0] == data for name in entry[1:3]})
        for name in names:
            if name not in methods:
                raise RecipeError(f"the paper has no method {name!r} on {data}; there are {', '.join(methods)}")

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


def _read(path: Any) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values
