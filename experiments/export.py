"""Results for other tools: CSV, Parquet, and the JSON that CompressAI's plotting tool reads."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

from experiments.runs import Results
from experiments.spending import part_names
from experiments.tables import RULES, Tables
from experiments.words import ladder_label, quality_text, quantity
from layered.errors import LayeredError, OptionError, install
from layered.files import write_bytes_atomic

__all__ = [
    "csv_bytes", "write_bd_csv", "write_compressai", "write_csv", "write_points_csv", "write_records_csv",
    "write_records_parquet",
]  # fmt: skip

_RECORD_COLUMNS = (
    "codec quality image scales layer width height bytes bpp psnr ms_ssim encode_seconds decode_seconds "
    "decode_operations files_sha256 fingerprint image_sha256 command commit machine threads"
).split()


def write_records_csv(results: Results, path: Path) -> None:
    """One row per codec, quality, image and layer, everything as measured."""
    write_csv(path, _record_columns(results), _record_rows(results))


def write_records_parquet(results: Results, path: Path) -> None:
    """The same rows with their types.  Raises OptionError without polars."""
    try:
        import polars
    except ImportError:
        raise OptionError(f"Parquet needs polars: {install('parquet')}") from None
    buffer = io.BytesIO()
    columns, rows = _record_columns(results), _record_rows(results)
    frame = polars.DataFrame(rows, schema=columns, orient="row", infer_schema_length=None)
    frame.write_parquet(buffer)
    write_bytes_atomic(path, buffer.getvalue())


def write_points_csv(tables: Tables, path: Path) -> None:
    """One row per ladder, layer, codec and quality with the averages over the images; none where there are none."""
    rows: list[list[Any]] = []
    for index, ladder in enumerate(tables.ladders):
        for layer, codec in product(range(len(ladder.scales)), tables.codecs):
            with suppress(LayeredError):
                for p in tables.points(codec, layer, index):
                    values = [p.images, p.bpp, p.psnr, p.ms_ssim, p.encode_seconds, p.decode_seconds]
                    rows.append(
                        [ladder_label(ladder.scales), layer, codec, quality_text(p.quality), *values,
                         p.decode_operations, *p.scores.values()]
                    )  # fmt: skip
    header = "scales layer codec quality images bpp psnr ms_ssim encode_seconds decode_seconds decode_operations"
    write_csv(path, [*header.split(), *_score_columns(tables.results)], rows)


def _score_columns(results: Results) -> list[str]:
    return [f"score_{score.label}" for score in results.recipe.scores]


def _record_columns(results: Results) -> list[str]:
    parts = (f"bytes_{name.replace(' ', '_').replace('-', '_')}" for name in part_names(results.records))
    return [*_RECORD_COLUMNS, *_score_columns(results), *parts]


def _record_rows(results: Results) -> list[list[Any]]:
    rows: list[list[Any]] = []
    parts = part_names(results.records)
    for record in results.records:
        fingerprint = " ".join(f"{key}={value}" for key, value in record.fingerprint.items())
        for index, layer in enumerate(record.layers):
            rows.append(
                [
                    record.codec, quality_text(record.quality), record.image, ladder_label(record.scales), index,
                    layer.width, layer.height, layer.bytes, layer.bpp, layer.psnr, layer.ms_ssim,
                    record.encode_seconds, record.decode_seconds, record.decode_operations,
                    " ".join(record.files_sha256), fingerprint, record.image_sha256,
                    record.provenance.command, record.provenance.commit, record.provenance.machine,
                    record.provenance.threads, *(layer.scores.get(score.label) for score in results.recipe.scores),
                    *((layer.parts or {}).get(name) for name in parts),
                ]
            )  # fmt: skip
    return rows


def write_bd_csv(tables: Tables, path: Path) -> None:
    """One row per anchor, codec, ladder, layer and aggregation rule; an empty value always has a note."""
    rows: list[list[Any]] = []
    for anchor in tables.results.recipe.anchors:
        for codec, (index, ladder) in product(tables.codecs, enumerate(tables.ladders)):
            for layer, rule in product(range(len(ladder.scales)), RULES if codec != anchor else ()):
                cell = tables.bd_cell(anchor, codec, layer, rule, index)
                method = tables.results.recipe.bd_rate
                what = [anchor, codec, ladder.label, layer, rule, method]
                rows.append([*what, cell.value, "; ".join(cell.notes)])
    write_csv(path, ["anchor", "codec", "scales", "layer", "rule", "method", "bd_rate_percent", "notes"], rows)


def write_compressai(tables: Tables, folder: Path) -> tuple[Path, ...]:
    """`<codec>-layer<k>.json` with averages over the images; a codec without finite averages has no file.

    Where there are several ladders, a folder `ladder<j>` each.
    """
    results, written = tables.results, []
    several = len(tables.ladders) > 1
    for (number, spec), (index, ladder) in product(enumerate(results.recipe.codecs), enumerate(tables.ladders)):
        place = folder / f"ladder{index}" if several else folder
        place.mkdir(parents=True, exist_ok=True)
        for layer, label in enumerate(ladder.layers):
            try:
                points = sorted(tables.points(spec.name, layer, index), key=lambda point: point.bpp)
            except LayeredError:
                continue
            values: dict[str, list[Any]] = {
                "psnr-rgb": [point.psnr for point in points],
                "ms-ssim-rgb": [point.ms_ssim for point in points],
                "bpp": [point.bpp for point in points],
                "encoding_time": [point.encode_seconds for point in points],
                "decoding_time": [point.decode_seconds for point in points],
            }
            content = {
                "name": spec.name,
                "description": f"{results.recipe.name}, {ladder.label}, {label}",
                "schema": "compressai",
                "aggregation": f"mean of {quantity(points[0].images, 'image')} at each quality",
                "qualities": [quality_text(point.quality) for point in points],
                "command": results.provenance.command,
                "commit": ", ".join(results.commits()),
                "results": {key: list_ for key, list_ in values.items() if None not in list_},
            }
            slug = re.sub(r"[^a-z0-9]+", "-", spec.name.lower()).strip("-")[:80] or str(number)
            path = place / f"{slug}-layer{layer}.json"
            while path in written:
                slug = f"{slug}-{number}"
                path = place / f"{slug}-layer{layer}.json"
            write_bytes_atomic(path, (json.dumps(content, indent=2) + "\n").encode())
            written.append(path)
    for left in set(folder.rglob("*-layer*.json")) - set(written):
        left.unlink()  # of codecs that were renamed since
    return tuple(written)


def write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """A file of these rows, whole or not at all."""
    write_bytes_atomic(path, csv_bytes(header, rows))


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """The file of these rows."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode()
