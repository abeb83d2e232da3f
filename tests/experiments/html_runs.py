"""Runs of every kind for the tests of the page, and a reader of what was written."""

from __future__ import annotations

import base64
import json
import math
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from experiments.harness import run
from experiments.html import LIMIT, write_html
from experiments.record import Record
from experiments.runs import Failure, Results
from experiments.tables import Tables
from tests.experiments.small_run import QUALITIES, small_recipe, write_pictures

EVIL = "</script><b>\"bold' & <!-- /*js*/"


class Elements(HTMLParser):
    """Tags with their attributes, and the text of each script by its id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = (dict(attrs).get("id") or "") if tag == "script" else ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[self._inside] = self.scripts.get(self._inside, "") + data

    @property
    def values(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.scripts["values"], parse_constant=_no_constant)
        return found

    @property
    def copies(self) -> list[bytes]:
        names = [name for name in self.scripts if name.startswith("copy-")]
        assert names == [f"copy-{number}" for number in range(len(names))]
        return [base64.b64decode(json.loads(self.scripts[name])) for name in names]


def written(results: Results, path: Path, limit: int = LIMIT) -> Elements:
    write_html(Tables(results), path, limit)
    assert path.stat().st_size < limit
    return Elements(path.read_text(encoding="utf-8"))


def changed(results: Results, **changes: Any) -> Results:
    return replace(results, recipe=results.recipe.model_copy(update=changes))


def without(results: Results, *lost: tuple[str, float, str]) -> Results:
    """The results as if these items had failed."""
    pairs = zip(results.records, results.keys, strict=True)
    kept = [(r, k) for r, k in pairs if (r.codec, r.quality, r.image) not in lost]
    failures = tuple(Failure(codec, quality, image, (0.5, 1.0), "out of luck") for codec, quality, image in lost)
    records, keys = zip(*kept, strict=True) if kept else ((), ())
    return replace(results, records=records, keys=keys, failures=failures)


def renamed(results: Results, old: str, new: str) -> Results:
    """The results with another name for a codec."""
    specs = results.recipe.codecs
    codecs = [spec.model_copy(update={"name": new}) if spec.name == old else spec for spec in specs]
    records = tuple(replace(record, codec=new) if record.codec == old else record for record in results.records)
    return changed(replace(results, records=records), codecs=tuple(codecs))


def lossless(results: Results) -> Results:
    """The results as if the top layers of one codec's best quality were exact."""

    def exact(record: Record) -> Record:
        if (record.codec, record.quality) != ("single webp", QUALITIES[-1]):
            return record
        return replace(record, layers=(record.layers[0], replace(record.layers[1], psnr=math.inf)))

    return replace(results, records=tuple(map(exact, results.records)))


def layered_shape(results: Results, count: int) -> Results:
    """The results with only the highest `count` layers, each from its own file as before."""
    records = [replace(r, scales=r.scales[-count:], layers=r.layers[-count:]) for r in results.records]
    scales = tuple(ladder[-count:] for ladder in results.recipe.scales)
    keys = tuple(k[-count:] for k in results.keys)
    return changed(replace(results, records=tuple(records), keys=keys), scales=scales)


def two_ladders(place: Path) -> Results:
    """Two methods with one picture codec, two sets of scales with one layer in common."""
    codecs = [
        {"name": f"{kind} jpeg", "codec": kind, "of": "jpeg", "qualities": [20, 80]} for kind in ("simulcast", "single")
    ]
    recipe = small_recipe(write_pictures(place / "pictures"), scales=[[0.5, 1], [0.5, 0.75]], codecs=codecs)
    return run(recipe, place / "out", workers=0, command="tests", progress=False)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
