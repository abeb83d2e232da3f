"""Results for other tools: CSV, and the JSON that CompressAI's plotting tool reads."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from baselines.protocol import Quality
from experiments.results import Results
from experiments.tables import RULES, Tables
from layered.errors import LayeredError
from layered.files import write_bytes_atomic

__all__ = ["quality_text", "write_bd_csv", "write_compressai", "write_records_csv"]


def quality_text(quality: Quality) -> str:
    """`2.5`, or `1/2/3` for one quality per layer."""
    return "/".join(f"{value:g}" for value in (quality if isinstance(quality, tuple) else (quality,)))


def write_records_csv(results: Results, path: Path) -> None:
    """One row per codec, quality, image and layer, everything as measured."""
    rows: list[list[Any]] = []
    for record in results.records:
        fingerprint = " ".join(f"{key}={value}" for key, value in record.fingerprint.items())
        for index, layer in enumerate(record.layers):
            rows.append(
                [
                    record.codec, quality_text(record.quality), record.image, index,
                    layer.width, layer.height, layer.bytes, layer.bpp, layer.psnr, layer.ms_ssim,
                    record.encode_seconds,
                    record.decode_seconds, " ".join(record.files_sha256), fingerprint, record.image_sha256,
                    record.provenance.command, record.provenance.commit, record.provenance.machine,
                    record.provenance.threads,
                ]
            )  # fmt: skip
    header = (
        "codec quality image layer width height bytes bpp psnr ms_ssim encode_seconds decode_seconds "
        "files_sha256 fingerprint image_sha256 command commit machine threads"
    )
    _write_csv(path, header.split(), rows)


def write_bd_csv(tables: Tables, path: Path) -> None:
    """One row per anchor, codec, layer and aggregation rule; an empty value always has a note."""
    rows: list[list[Any]] = []
    for anchor in tables.results.recipe.anchors:
        for codec in tables.codecs:
            for layer in range(len(tables.layers)):
                for rule in RULES if codec != anchor else ():
                    cell = tables.bd_cell(anchor, codec, layer, rule)
                    method = tables.results.recipe.bd_rate
                    rows.append([anchor, codec, layer, rule, method, cell.value, "; ".join(cell.notes)])
    _write_csv(path, ["anchor", "codec", "layer", "rule", "method", "bd_rate_percent", "notes"], rows)


def write_compressai(tables: Tables, folder: Path) -> tuple[Path, ...]:
    """`<codec>-layer<k>.json` with averages over the images; a codec without finite averages has no file."""
    folder.mkdir(parents=True, exist_ok=True)
    results, written = tables.results, []
    for number, spec in enumerate(results.recipe.codecs):
        for layer, label in enumerate(tables.layers):
            try:
                points = sorted(tables.points(spec.name, layer), key=lambda point: point.bpp)
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
                "description": f"{results.recipe.name}, {label}",
                "schema": "compressai",
                "aggregation": f"mean of {points[0].images} images at each quality",
                "qualities": [quality_text(point.quality) for point in points],
                "command": results.provenance.command,
                "commit": results.provenance.commit,
                "results": {key: list_ for key, list_ in values.items() if None not in list_},
            }
            slug = re.sub(r"[^a-z0-9]+", "-", spec.name.lower()).strip("-") or str(number)
            path = folder / f"{slug}-layer{layer}.json"
            if path in written:
                path = folder / f"{slug}-{number}-layer{layer}.json"
            write_bytes_atomic(path, (json.dumps(content, indent=2) + "\n").encode())
            written.append(path)
    return tuple(written)


def _write_csv(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_bytes_atomic(path, text.getvalue().encode())
