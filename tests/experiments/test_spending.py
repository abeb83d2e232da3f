"""What bytes are spent on: in records, in tables of recipes that adapt, and in columns of records.csv."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.harness import run
from experiments.record import Record, join
from experiments.report import write_report
from experiments.runs import Results
from experiments.spending import part_names, spending_grids
from experiments.tables import Tables
from layered.codec import LayeredCodec
from layered.weights.store import save_codec
from tests.experiments.small_run import small_recipe, write_pictures

NAMES = ("hyper-latents", "latents", "adapter", "overhead")


@pytest.fixture(scope="module")
def results(tiny_codec: LayeredCodec, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """A layered codec, the same adapted to two pictures, simulcast of its base layer, and JPEG."""
    place: Path = tmp_path_factory.mktemp("spending")
    weights = str(place / "tiny.safetensors")
    save_codec(tiny_codec, weights, "tiny", half=False)
    plain = {"name": "plain", "codec": "layered", "weights": weights, "qualities": [1]}
    zou = {"method": "zou", "steps": 1, "adapter_steps": 1, "layers": [1]}  # keeps its adapter, pay or not
    codecs = [
        plain,
        {**plain, "name": "adapted", "adaptation": zou},
        {**plain, "name": "simulcast", "codec": "simulcast", "of": "mean-scale"},
        {"name": "jpeg", "codec": "single", "of": "jpeg", "qualities": [50]},
    ]
    recipe = small_recipe(write_pictures(place / "pictures"), codecs=codecs, anchors=[], previews=False)
    return run(recipe, place / "out", workers=0, command="tests", progress=False)


def test_parts_add_up_to_each_layers_own_bytes(results: Results) -> None:
    assert not results.failures
    for record in results.records:
        total = 0
        for layer in record.layers:
            if record.codec == "jpeg":
                assert layer.parts is None
                continue
            assert layer.parts is not None and tuple(layer.parts) == NAMES
            total += sum(layer.parts.values())
            assert total == layer.bytes
            assert (layer.parts["adapter"] > 0) == (record.codec == "adapted" and layer.width == 48)


def test_a_table_for_each_layer_tells_means_of_what_is_known(results: Results) -> None:
    base, top = spending_grids(Tables(results))
    assert base.header == top.header == ("codec", "quality", *NAMES, "all") and "EL1 x1" in top.title
    assert [row[0] for row in top.rows] == ["plain", "adapted", "simulcast"]
    parts = [record.layers[1].parts or {} for record in results.records if record.codec == "adapted"]
    assert top.rows[1][2:] == (
        *(f"{(parts[0][name] + parts[1][name]) / 2:.1f}" for name in NAMES),
        f"{sum(sum(given.values()) for given in parts) / 2:.1f}",
    )
    lost = replace(results.records[0], layers=(replace(results.records[0].layers[0], parts=None),) * 2)
    older = replace(results, records=(lost, *results.records[1:]))
    assert [row[0] for row in spending_grids(Tables(older))[0].rows] == ["adapted", "simulcast"]


def test_a_recipe_without_adapted_codecs_has_no_such_table(results: Results, small_results: Results) -> None:
    plain = results.recipe.model_copy(update={"codecs": results.recipe.codecs[:1]})
    assert spending_grids(Tables(replace(results, recipe=plain))) == ()
    assert spending_grids(Tables(small_results)) == () == part_names(small_results.records)


def test_reports_and_csv_tell_of_parts(results: Results) -> None:
    write_report(results)
    title = "Where the bits went, EL1 x1: bytes of the layer alone, means over the images"
    told = (results.folder / "report.md").read_text()
    assert "## Where the bits went\n\n**Where the bits went, BL x0.5" in told and title in told
    assert title in (results.folder / "report.html").read_text()
    with (results.folder / "records.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    (row,) = [row for row in rows if (row["codec"], row["image"], row["layer"]) == ("adapted", "p1", "1")]
    (record,) = [record for record in results.records if (record.codec, record.image) == ("adapted", "p1")]
    parts = record.layers[1].parts or {}
    assert {name: int(row[f"bytes_{name.replace('-', '_')}"]) for name in NAMES} == parts
    assert {row["bytes_adapter"] for row in rows if row["codec"] == "jpeg"} == {""}


def test_records_keep_parts_and_older_ones_without_still_load(results: Results) -> None:
    record = results.records[0]
    assert Record.from_json(record.to_json()) == record
    values = json.loads(record.to_json())
    for layer in values["layers"]:
        del layer["parts"]
    older = Record.from_json(json.dumps(values))
    assert [layer.parts for layer in older.layers] == [None, None]
    assert join("x", 1, [older], True).layers[1].parts is None
    values["layers"][0]["parts"] = {"latents": -1}
    with pytest.raises(ValueError, match="fewer than no bytes"):
        Record.from_json(json.dumps(values))
