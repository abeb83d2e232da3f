"""The report: complete, with the rules named and no cell left blank."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from experiments.export import write_records_parquet
from experiments.grids import bd_grids, rd_grids
from experiments.report import terminal_text, write_report
from experiments.runs import Failure, Results, load_results
from experiments.store import Store
from experiments.tables import RULES, Tables
from layered.errors import OptionError
from tests.experiments.small_run import QUALITIES

CURVES = {f"rd_layer{layer}.{ending}" for layer in (0, 1) for ending in ("svg", "png")}


@pytest.fixture
def copied(small_results: Results, tmp_path: Path) -> Results:
    folder = tmp_path / "small"
    shutil.copytree(small_results.folder, folder)
    return load_results(folder)


@pytest.fixture(scope="module")
def written(small_results: Results, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Results in a folder of their own that holds the report."""
    folder = tmp_path_factory.mktemp("written") / "small"
    shutil.copytree(small_results.folder, folder)
    results = load_results(folder)
    (folder / "terminal.txt").write_text(write_report(results))
    return results


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_report_holds_tables_curves_csv_and_json(written: Results) -> None:
    text = (written.folder / "terminal.txt").read_text()
    assert {"report.md", "records.csv", "bd_rate.csv", *CURVES} <= {p.name for p in written.folder.iterdir()}
    assert {path.name for path in (written.folder / "compressai").iterdir()} == {
        f"{codec}-layer{layer}.json" for codec in ("simulcast-jpeg", "single-webp") for layer in (0, 1)
    }
    report = (written.folder / "report.md").read_text()
    for words in ("rd_layer0.svg", "rd_layer1.svg", "BL x0.5", "EL1 x1", "optimize=True", *RULES):
        assert words in report
    assert "single webp" in text and str(written.folder / "report.html") in text


def test_a_report_from_the_folder_is_the_same_to_the_byte(written: Results, copied: Results) -> None:
    text = write_report(copied.folder.parent)
    text = text.replace(str(copied.folder), str(written.folder))
    assert text == (written.folder / "terminal.txt").read_text()
    names = [path.name for path in copied.folder.iterdir() if path.is_file()]
    assert {"report.md", *CURVES} <= set(names)
    for name in names:
        assert (copied.folder / name).read_bytes() == (written.folder / name).read_bytes()


def test_every_table_of_bd_rates_names_anchor_method_and_both_rules(copied: Results) -> None:
    (grid,) = bd_grids(Tables(copied))
    assert grid.title.startswith("BD-rate in % of RGB PSNR (pchip) against simulcast jpeg: ")
    assert grid.title.endswith("curve of averages / mean of images")
    assert grid.header == ("codec", "BL x0.5", "EL1 x1") and [row[0] for row in grid.rows] == ["single webp"]
    assert all(float(part) for cell in grid.rows[0][1:] for part in cell.split(" / "))
    terminal = terminal_text(Tables(copied))
    assert all(cell in terminal for cell in grid.rows[0])


def test_a_cell_without_value_says_why_in_a_footnote(copied: Results) -> None:
    lost = {("single webp", QUALITIES[0], "p0"), ("single webp", QUALITIES[1], "p1")}
    kept = tuple(r for r in copied.records if (r.codec, r.quality, r.image) not in lost)
    (grid,) = bd_grids(Tables(replace(copied, records=kept)))
    assert grid.rows[0][1:] == ("none [1] / none [1]",) * 2
    assert grid.notes == ("no image was measured at all qualities with single webp",)
    assert f"[1] {grid.notes[0]}" in terminal_text(Tables(replace(copied, records=kept)))
    layer = rd_grids(Tables(replace(copied, records=kept)))[0]
    assert layer.rows[-1] == ("single webp", "-", "-", "-", "-", "-", "-", "[2]") and len(layer.notes) == 2


def test_a_quality_that_no_image_has_costs_its_point_and_not_the_curve(copied: Results) -> None:
    kept = tuple(r for r in copied.records if (r.codec, r.quality) != ("single webp", QUALITIES[0]))
    tables = Tables(replace(copied, records=kept))
    assert [point.quality for point in tables.points("single webp", 1)] == list(QUALITIES[1:])
    (grid,) = bd_grids(tables)
    assert all(float(part.removesuffix(" [1]")) for cell in grid.rows[0][1:] for part in cell.split(" / "))
    assert grid.notes == (f"single webp without quality {QUALITIES[0]:g}, measured on no image",)


def test_absent_ms_ssim_is_explained(copied: Results) -> None:
    grid = rd_grids(Tables(copied))[1]
    assert {row[5] for row in grid.rows} == {"[1]"} and "switched off" in grid.notes[0]
    measured = replace(copied, recipe=copied.recipe.model_copy(update={"ms_ssim": True}))
    assert "side below 161" in rd_grids(Tables(measured))[1].notes[0]


def test_failures_stand_in_the_terminal_and_in_the_report(copied: Results) -> None:
    unlucky = [Failure("single webp", 10.0, f"p{k}", (0.5, 1.0), "out of luck") for k in range(25)]
    others = [Failure("single webp", 10.0, "p0", (0.5, 1.0), f"fault {k}") for k in range(21)]
    text = write_report(replace(copied, failures=(*unlucky, *others)))
    for shown in (text, (copied.folder / "report.md").read_text()):
        assert "46 records missing" in shown and "and 2 reasons more" in shown
        assert "single webp, quality 10, p0, x0.5 x1 and 24 others: out of luck" in shown
        assert "single webp, quality 10, p0, x0.5 x1: fault 0" in shown


def test_a_report_names_every_commit_and_number_of_threads_of_its_items(copied: Results) -> None:
    path = next((copied.folder / "records").glob("*.json"))
    record = Store(path.parent).load(path.stem)
    assert record is not None
    made = replace(record.provenance, commit="0123abc", threads=4)
    Store(path.parent).save(replace(record, provenance=made))
    write_report(load_results(copied.folder))
    first = copied.provenance.commit or "unknown"
    for name in ("report.md", "report.html"):
        text = (copied.folder / name).read_text()
        assert ", ".join(sorted(("0123abc", first))) in text and "1 and 4 threads per process" in text


def test_names_cannot_break_the_reports_markup(copied: Results) -> None:
    evil = "<b>x</b>\n```\n# heading"
    failures = (Failure("single webp", 10.0, evil, (0.5, 1.0), "out of luck"),)
    codecs = copied.recipe.codecs
    named = [codec.model_copy(update={"name": "<i>"}) if codec.name == "simulcast jpeg" else codec for codec in codecs]
    recipe = copied.recipe.model_copy(update={"codecs": tuple(named), "anchors": ("<i>",)})
    records = tuple(replace(r, codec="<i>") if r.codec == "simulcast jpeg" else r for r in copied.records)
    write_report(replace(copied, recipe=recipe, records=records, failures=failures))
    text = (copied.folder / "report.md").read_text()
    assert "against <i>" not in text and "against &lt;i>" in text
    assert "\n# heading" not in text and "\n```\n# " not in text


def test_without_anchors_the_terminal_shows_rates_and_distortions(copied: Results) -> None:
    tables = Tables(replace(copied, recipe=copied.recipe.model_copy(update={"anchors": ()})))
    text = terminal_text(tables, width=120)
    assert "BL x0.5: means over the images" in text
    assert f"{tables.points('single webp', 1)[0].psnr:.2f}" in text


def test_csv_holds_every_layer_of_every_record_and_every_bd_rate(written: Results) -> None:
    records = rows(written.folder / "records.csv")
    assert len(records) == 2 * len(written.records)
    assert float(records[1]["psnr"]) == written.records[0].layers[1].psnr
    tables = Tables(written)
    for row in rows(written.folder / "bd_rate.csv"):
        value = tables.bd_cell(row["anchor"], row["codec"], int(row["layer"]), row["rule"]).value
        assert value is not None and float(row["bd_rate_percent"]) == value
    assert len(rows(written.folder / "bd_rate.csv")) == 1 * 2 * len(RULES)


def test_json_follows_compressais_schema(written: Results) -> None:
    values = json.loads((written.folder / "compressai" / "single-webp-layer1.json").read_text())
    assert values["name"] == "single webp" and "mean of 2 images" in values["aggregation"]
    assert set(values["results"]) == {"psnr-rgb", "bpp", "encoding_time", "decoding_time"}  # MS-SSIM is off
    assert values["results"]["bpp"] == [point.bpp for point in Tables(written).points("single webp", 1)]


def test_curves_are_drawn_and_what_is_missing_is_named(copied: Results) -> None:
    lost = {("single webp", QUALITIES[0], "p0"), ("single webp", QUALITIES[1], "p1")}
    kept = [r for r in copied.records if (r.codec, r.quality, r.image) not in lost]
    keys = [copied.keys[copied.records.index(record)] for record in kept]
    write_report(replace(copied, records=tuple(kept), keys=tuple(keys)))
    with Image.open(copied.folder / "rd_layer0.png") as picture:
        assert picture.width > 600 and len(picture.convert("RGB").getcolors(2**24) or ()) > 20
    drawn = (copied.folder / "rd_layer0.svg").read_text()
    assert "<svg" in drawn[:1000] and "without single webp" in drawn


def test_tables_are_plain_where_the_terminal_lacks_lines(
    small_results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="latin-1"))
    text = terminal_text(Tables(small_results))
    assert "-----" in text and text.encode("latin-1")


def test_parquet_holds_the_rows_of_the_csv_with_their_types(written: Results, tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    write_records_parquet(written, tmp_path / "records.parquet")
    frame = polars.read_parquet(tmp_path / "records.parquet")
    records = rows(written.folder / "records.csv")
    assert frame.columns == list(records[0]) and frame.height == len(records)
    assert frame["psnr"].to_list() == [float(row["psnr"]) for row in records]
    assert frame["bytes"].dtype.is_integer()


def test_parquet_without_polars_names_the_extra(
    written: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(OptionError, match=r"pip install -e .*parquet"):
        write_records_parquet(written, tmp_path / "records.parquet")


def test_json_of_a_codec_that_was_renamed_goes(copied: Results) -> None:
    left = copied.folder / "compressai" / "ladder0" / "old-name-layer0.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    write_report(copied)
    assert not left.exists() and (copied.folder / "compressai" / "single-webp-layer0.json").exists()


def test_no_text_of_others_breaks_a_table(copied: Results) -> None:
    name = "a|b <i>\nc"
    codecs = tuple(spec.model_copy(update={"name": name}) if k else spec for k, spec in enumerate(copied.recipe.codecs))
    records = tuple(
        replace(record, codec=name) if record.codec == copied.recipe.codecs[1].name else record
        for record in copied.records
    )
    recipe = copied.recipe.model_copy(update={"codecs": codecs})
    write_report(replace(copied, recipe=recipe, records=records))
    rows = [line for line in (copied.folder / "report.md").read_text().splitlines() if "a\\|b" in line]
    assert rows and all(row.startswith("| a\\|b &lt;i> c | ") and row.endswith(" |") for row in rows)
