"""Runs: every item once, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from baselines.protocol import Quality
from experiments import harness, provenance
from experiments.harness import run
from experiments.item import Item, Measured, measure
from experiments.record import Record
from experiments.report import write_report
from experiments.runs import Results, load_results
from experiments.store import Store
from layered.codec import LayeredCodec
from layered.errors import LayeredError, OptionError, RecipeError
from layered.weights.store import save_codec
from tests.experiments.dask_processes import Cluster, free_port, scheduler, worker
from tests.experiments.small_run import QUALITIES, small_recipe, write_pictures

RECORDS = 2 * len(QUALITIES) * 2
ITEMS = 2 * RECORDS  # a file for each of two layers
RUN_SLOWLY = """
import sys, time
from pathlib import Path
from experiments import harness
from tests.experiments.dask_processes import Cluster, free_port, scheduler, worker
from tests.experiments.small_run import small_recipe
def slowly(item, measure=harness.measure):
    time.sleep(0.1)
    return measure(item)
harness.measure = slowly
if __name__ == "__main__":
    place = Path(sys.argv[1])
    harness.run(small_recipe(place / "pictures"), place / "out", workers=int(sys.argv[2]), progress=True)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "pictures")
    return tmp_path


def run_small(place: Path, workers: int = 0) -> Results:
    recipe = small_recipe(place / "pictures")
    return run(recipe, place / "out", workers=workers, command="tests", progress=False)


def files(place: Path) -> dict[str, int]:
    """Name and time of writing of each record."""
    folder = place / "out" / "small" / "records"
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.json")}


def timeless(results: Results) -> list[Record]:
    return [
        replace(record, encode_seconds=0, decode_seconds=0, provenance=results.provenance)
        for record in results.records
    ]


def test_processes_and_this_process_measure_the_same(place: Path, small_results: Results) -> None:
    results = run_small(place, workers=2)
    assert len(results.records) == RECORDS and not results.failures
    assert timeless(results) == [replace(r, provenance=results.provenance) for r in timeless(small_results)]


def test_a_second_run_measures_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, before = run_small(place), files(place)

    def never(item: Item) -> Measured:
        raise AssertionError("measured again")

    monkeypatch.setattr(harness, "measure", never)
    assert run_small(place) == first and files(place) == before


def test_only_what_failed_is_measured_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Quality] = []

    def failing(item: Item) -> Measured:
        if item.quality == 60:
            raise LayeredError("the codec\nbroke")
        return measure(item)

    monkeypatch.setattr(harness, "measure", failing)
    results = run_small(place)
    assert len(results.records) == RECORDS - 4 and len(results.failures) == 4
    assert {(f.codec, f.quality, f.image) for f in results.failures} == {
        (codec, 60.0, image) for codec in ("simulcast jpeg", "single webp") for image in ("p0", "p1")
    }
    assert all(f.reason == "the codec broke" and "Traceback" in f.trace for f in results.failures)
    assert load_results(place / "out").failures == results.failures

    def counting(item: Item) -> Measured:
        asked.append(item.quality)
        return measure(item)

    before = files(place)
    monkeypatch.setattr(harness, "measure", counting)
    results = run_small(place)
    assert asked == [60.0] * 8 and len(results.records) == RECORDS and not results.failures
    assert before.items() <= files(place).items()


def test_an_interrupted_run_keeps_the_reasons_of_what_failed(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(item: Item) -> Measured:
        if item.quality == 60:
            raise LayeredError("the codec broke")
        if item.quality == 90:
            raise KeyboardInterrupt
        return measure(item)

    monkeypatch.setattr(harness, "measure", failing)
    with pytest.raises(KeyboardInterrupt):
        run_small(place)
    reasons = {(f.codec, f.quality, f.image): f.reason for f in load_results(place / "out").failures}
    assert reasons["simulcast jpeg", 60, "p0"] == "the codec broke"
    assert reasons["simulcast jpeg", 90, "p0"].startswith("not measured yet")


def test_codecs_take_turns_on_each_picture_so_that_their_seconds_can_be_compared(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Item] = []

    def noting(item: Item) -> Measured:
        asked.append(item)
        return measure(item)

    monkeypatch.setattr(harness, "measure", noting)
    run_small(place)
    assert [item.picture.name for item in asked] == ["p0"] * (ITEMS // 2) + ["p1"] * (ITEMS // 2)


def test_workers_that_make_no_sense_cost_no_earlier_results(place: Path) -> None:
    run_small(place)
    before = (place / "out" / "small" / "run.json").read_bytes()
    with pytest.raises(OptionError, match="-1 workers"):
        run_small(place, -1)
    assert (place / "out" / "small" / "run.json").read_bytes() == before


def test_an_interrupted_run_keeps_what_it_has_and_goes_on(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def interrupted(item: Item) -> Measured:
        if len(asked) == 5:
            raise KeyboardInterrupt
        asked.append(item.key)
        return measure(item)

    monkeypatch.setattr(harness, "measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_small(place)
    assert f"interrupted: 5 of {ITEMS} items are done" in capsys.readouterr().err
    partial = load_results(place / "out" / "small")
    assert len(files(place)) == 5 and len(partial.records) == 2 and {f.reason for f in partial.failures} == {
        "not measured yet; run the recipe again"
    }
    before = files(place)
    monkeypatch.setattr(harness, "measure", measure)
    assert len(run_small(place).records) == RECORDS and before.items() <= files(place).items()


@pytest.mark.parametrize(("workers", "how"), [(0, signal.SIGKILL), (1, signal.SIGKILL), (1, signal.SIGINT)])
def test_a_killed_run_goes_on_where_it_was(place: Path, workers: int, how: signal.Signals) -> None:
    script = place / "slow.py"
    script.write_text(RUN_SLOWLY)
    root = Path(__file__).resolve().parents[2]
    process = subprocess.Popen(
        [sys.executable, str(script), str(place), str(workers)],
        env={**os.environ, "PYTHONPATH": str(root)}, start_new_session=True,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while len(files(place)) < 3 and process.poll() is None:
        time.sleep(0.002)
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # as a terminal does
    else:
        process.kill()
    errors = process.communicate(timeout=60)[1]  # a worker that outlived its parent would hold the pipe open
    assert process.returncode != 0
    assert ("interrupted:" in errors) == (how == signal.SIGINT)

    before = files(place)
    assert 3 <= len(before) < ITEMS
    results = run_small(place)
    assert len(results.records) == RECORDS and before.items() <= files(place).items()
    assert not list((place / "out" / "small" / "records").glob(".*"))


def test_records_of_a_run_that_lost_a_worker_and_its_scheduler_are_those_of_an_undisturbed_one(
    place: Path, dask: Cluster, small_results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    address, master = scheduler(dask, port)
    processes = [worker(dask, address, "--nthreads", "1") for _ in range(2)]
    recipe = small_recipe(place / "pictures")
    saved: list[str] = []

    def save_and_kill(self: Store, record: Record, save: Callable[[Store, Record], None] = Store.save) -> None:
        save(self, record)
        saved.append(record.key)
        if len(saved) == 5:
            processes[1].kill()
        if len(saved) == 12:
            master.kill()

    monkeypatch.setattr(Store, "save", save_and_kill)
    with pytest.raises(LayeredError, match="the scheduler"):
        run(recipe, place / "out", scheduler=address, command="tests", progress=False)
    before = files(place)
    assert 12 <= len(before) < ITEMS
    processes[0].kill()

    address, _ = scheduler(dask, port)
    worker(dask, address, "--nthreads", "1")
    results = run(recipe, place / "out", scheduler=address, command="tests", progress=False)
    assert not results.failures and before.items() <= files(place).items()
    assert len(saved) == len(set(saved)) == ITEMS
    assert timeless(results) == [replace(r, provenance=results.provenance) for r in timeless(small_results)]


def test_a_damaged_record_is_measured_again(place: Path) -> None:
    first = run_small(place)
    path = place / "out" / "small" / "records" / f"{first.keys[3][1]}.json"
    path.write_bytes(path.read_bytes()[:100])
    assert len(load_results(place / "out").records) == RECORDS - 1
    assert timeless(run_small(place)) == timeless(first)


def test_an_unreadable_image_is_a_failure_of_its_own_items(place: Path) -> None:
    (place / "pictures" / "broken.png").write_bytes(b"\x89PNG no more")
    results = run_small(place)
    assert len(results.records) == RECORDS and {f.image for f in results.failures} == {"broken"}
    assert all("broken.png: not an image" in f.reason for f in results.failures)


def test_a_picture_whose_name_is_no_text_costs_its_own_items_and_not_the_report(place: Path) -> None:
    (place / "pictures" / os.fsdecode(b"\xff.png")).write_bytes(b"")
    results = run_small(place)
    assert len(results.records) == RECORDS and {f.image for f in results.failures} == {"\\xff"}
    assert "single webp, quality" in write_report(results) and (results.folder / "report.html").is_file()


def test_a_picture_that_goes_away_leaves_what_was_measured(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured_then_gone(item: Item) -> Measured:
        value = measure(item)
        if item.picture.name == "p1":
            item.picture.path.unlink(missing_ok=True)
        return value

    monkeypatch.setattr("experiments.harness.measure", measured_then_gone)
    recipe = small_recipe(place / "pictures", previews=True)
    results = run(recipe, place / "out", workers=0, command="t", progress=False)
    assert {f.image for f in results.failures} == {"p1"} and {r.image for r in results.records} >= {"p0"}
    assert all("p1.png" in f.reason for f in results.failures)


def test_a_reason_of_any_length_and_kind_is_one_short_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(item: Item) -> Measured:
        raise ValueError("\udcff\n" + "long " * 10_000)

    monkeypatch.setattr("experiments.harness.measure", fail)
    reasons = {failure.reason for failure in run_small(place).failures}
    assert len(reasons) == 1 and all(len(reason) < 500 and reason.isprintable() for reason in reasons)


def test_learned_codecs_run_from_a_weights_file(place: Path, tiny_codec: LayeredCodec) -> None:
    weights = str(place / "tiny.safetensors")
    digest = save_codec(tiny_codec, weights, "tiny", half=False)
    common = {"weights": weights, "qualities": [1, 2.5]}
    codecs = [
        {"name": "layered", "codec": "layered", **common},
        {"name": "simulcast", "codec": "simulcast", "of": "mean-scale", **common},
        {"name": "single", "codec": "single", "of": "mean-scale", **common},
    ]
    recipe = small_recipe(place / "pictures", codecs=codecs, anchors=["simulcast"])
    results = run(recipe, place / "out", workers=0, progress=False)
    assert len(results.records) == 3 * 2 * 2 and not results.failures
    found = {(r.codec, r.quality, r.image): r for r in results.records}
    layered, simulcast, single = (found[name, 2.5, "p1"] for name in ("layered", "simulcast", "single"))
    assert len(layered.files_sha256) == 1 and len(simulcast.files_sha256) == 2
    assert layered.layers[0].psnr == simulcast.layers[0].psnr
    assert simulcast.layers[1].bytes == single.layers[0].bytes + single.layers[1].bytes
    assert {record.fingerprint["model"] for record in results.records} == {digest.hex()}


def test_what_is_wrong_with_a_recipe_shows_before_any_work(place: Path) -> None:
    codec = {"name": "a", "codec": "single", "of": "jpeg", "qualities": [0]}
    with pytest.raises(OptionError, match="outside"):
        run(small_recipe(place / "pictures", codecs=[codec], anchors=[]), place / "out", progress=False)
    assert not (place / "out").exists()


def test_records_say_where_they_come_from(small_results: Results) -> None:
    made = small_results.records[0].provenance
    assert made.command == "tests" and made.threads == 1 and "CPUs" in made.machine
    assert made.commit is None or len(made.commit) in (40, 41)


def test_a_checkout_around_an_installed_copy_is_not_taken_for_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "site-packages" / "experiments" / "provenance.py"))
    assert provenance.commit.__wrapped__() is None


def test_loading_finds_the_only_run_below_and_refuses_to_guess(place: Path) -> None:
    run_small(place)
    assert load_results(place / "out").folder == place / "out" / "small"
    with pytest.raises(RecipeError, match="no run here"):
        load_results(place / "pictures")
    other = place / "out" / "other"
    other.mkdir()
    (other / "run.json").write_text("{")
    with pytest.raises(RecipeError, match="several runs"):
        load_results(place / "out")
    with pytest.raises(RecipeError, match="damaged"):
        load_results(other)
