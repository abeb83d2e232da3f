"""The tables of the page are written from what was measured, and nothing else of it changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from experiments.page.__main__ import main
from experiments.page.fill import REPLACED, TABLES, filled
from experiments.page.index import RESULTS, published
from experiments.page.models import MADE
from experiments.page.numbers import Measured
from layered.errors import RecipeError
from tests.page_tables import PAGE, README, each_page

TEXTS = {path: path.read_text(encoding="utf-8") for path in (README, PAGE)}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A copy of the page's folder."""
    return shutil.copytree(RESULTS, tmp_path / "results")


def different(before: str, after: str) -> list[tuple[str, str]]:
    return [pair for pair in zip(before.splitlines(), after.splitlines(), strict=True) if pair[0] != pair[1]]


@each_page
def test_the_tables_are_as_they_are_written_from_what_was_measured(path: Path) -> None:
    assert different(TEXTS[path], filled(TEXTS[path], RESULTS)) == []


def test_every_number_that_is_spoiled_is_mended() -> None:
    lines = TEXTS[PAGE].splitlines()
    for start in TABLES:
        number = lines.index(start) + 2
        cells = lines[number].split("|")
        cells[3 if "| against |" in start else 2] = " 77 "
        lines[number] = "|".join(cells)
    spoiled = "\n".join(lines) + "\n"
    assert len(different(TEXTS[PAGE], spoiled)) == len(TABLES)
    assert filled(spoiled, RESULTS) == TEXTS[PAGE]


def test_every_table_that_is_filled_is_there_once() -> None:
    assert [TEXTS[PAGE].splitlines().count(header) for header in TABLES] == [1] * len(TABLES)


def test_a_row_of_nothing_that_was_measured_is_told_with_its_line() -> None:
    for header, row in (
        ("| codec | bpp | times GC's | PSNR | MS-SSIM | gradient energy |", "| nobody | 1 | 2 | 3 | 4 | 5 |"),
        ("| quality | bpp | PSNR | MS-SSIM |", "| 99 | 1 | 2 | 3 |"),
        ("| layers | against simulcast | against single-layer |", "| four | 1 | 2 |"),
        ("| steps | BD-rate | mean of images | seconds |", "| latents | 1 | 2 | 3 |"),
    ):
        lines = TEXTS[PAGE].splitlines()
        number = lines.index(header) + 3
        lines[number] = row
        with pytest.raises(RecipeError, match=f"line {number + 1}, '{row.split()[1]}': not a row of this table"):
            filled("\n".join(lines), RESULTS)


def test_a_number_that_was_measured_anew_is_the_only_change(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = results / "base_layers" / "bd_rate.csv"
    old = Measured(results / "base_layers").rate("factorized", "mean-scale")
    lines = table.read_text().splitlines()
    row = next(n for n, line in enumerate(lines) if "factorized" in line and "curve of averages" in line)
    assert old is not None and f"{old:.9g}" in lines[row]
    lines[row] = lines[row].replace(f"{old:.9g}", "-3.25")
    table.write_text("\n".join(lines) + "\n")
    assert main(["--folder", str(results), "fill", str(results / PAGE.name)]) == 0
    ((_, told),) = different(TEXTS[PAGE], (results / PAGE.name).read_text())
    assert told == "| factorized (`factorized-small`) | -3.2 |" and f"+ {told}" in capsys.readouterr().out
    assert main(["--folder", str(results), "fill"]) == 0  # of its own page alone
    assert capsys.readouterr().out == f"{results / PAGE.name}: nothing has changed\n"


def test_runs_of_replaced_weights_are_named_until_they_are_measured_again(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERED_DATA", "nowhere")
    monkeypatch.setattr("experiments.page.models.earlier", lambda run, folder: ())
    clean = filled(TEXTS[PAGE], results)
    assert REPLACED not in clean and "of earlier `" not in clean
    monkeypatch.setattr(
        "experiments.page.models.earlier", lambda run, folder: ("gc-small",) if "universal" in run.name else ()
    )
    marked = filled(clean, results)
    names = [run.name for run in published(results) if "universal" in run.name]
    for name in ("universal_vector", "universal_vector_large"):
        assert f"]({name}/figure.svg)\n\n{REPLACED}`gc-small`.\n\n" in marked
    assert marked.count(REPLACED) == 2 and marked.count("of earlier `gc-small` |") == len(names)
    monkeypatch.setattr("experiments.page.models.earlier", lambda run, folder: ())
    assert filled(marked, results) == clean


def test_commit_and_records_are_those_of_the_run(results: Path) -> None:
    path = results / "kodak_3layer" / MADE
    made = json.loads(path.read_text()) | {"commits": ["0123456789", "abcdef0123+"], "records": 98765}
    path.write_text(json.dumps(made))
    ((_, told),) = different(TEXTS[PAGE], filled(TEXTS[PAGE], results))
    assert told.startswith("| `kodak_3layer` | 0123456, abcdef0+ | 24 images, 98,765 records, ")


def test_a_run_that_the_index_lacks_is_marked_too(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAYERED_DATA", "nowhere")
    path = results / "low_rate_ablation" / MADE
    made = json.loads(path.read_text())
    path.write_text(json.dumps(made | {"weights": made["weights"] | {"gc-small": "0" * 12}}))
    marked = filled(TEXTS[PAGE], results)
    assert marked.count("of earlier `gc-small` |") == 1
    assert filled(marked, RESULTS) == TEXTS[PAGE]


def test_a_run_that_is_not_there_is_told_and_the_page_stays(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(results / "many_layers")
    with pytest.raises(SystemExit):
        main(["--folder", str(results), "fill", str(results / PAGE.name)])
    assert "many_layers" in capsys.readouterr().err
    assert (results / PAGE.name).read_text(encoding="utf-8") == TEXTS[PAGE]
    with pytest.raises(RecipeError, match="no BD-rate of 'nobody' against 'mean-scale', layer 0"):
        Measured(results / "base_layers").rate("nobody", "mean-scale")
