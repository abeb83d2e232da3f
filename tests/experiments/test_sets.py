"""Measures of sets: over pictures decoded from real files, and always beside the originals."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from experiments import decoded
from experiments.decoded import decode_all
from experiments.distances import fid, kid
from experiments.overlap import Hook
from experiments.redecode import redecoded
from experiments.runs import Results, load_results
from experiments.sets import OFF, Measures, main, measure_sets
from layered.errors import OptionError
from layered.guide import Labels
from layered.image import Image8, load_image
from tests.experiments.small_run import QUALITIES, values

CLASSES = ("dark", "middle", "bright")
OWN = """
import numpy as np

class Segment:
    def __call__(self, image):
        return (image.mean(2) // 86).astype(np.uint8)

class Extract:
    def __call__(self, images):
        return np.concatenate([images.mean((1, 2)), images.std((1, 2))[:, :2]], 1)
"""


def segment(image: Image8) -> Labels:
    return np.asarray(image.mean(2) // 86).astype(np.uint8)


def extract(images: Image8) -> np.ndarray:  # type: ignore[type-arg]
    return np.concatenate([images.mean((1, 2)), images.std((1, 2))[:, :2]], 1)


@pytest.fixture
def results(small_results: Results, tmp_path: Path) -> Results:
    """A run in a folder of its own, and label maps that `segment` gives the originals."""
    shutil.copytree(small_results.folder, tmp_path / "out" / "small")
    (tmp_path / "labels").mkdir()
    for path in Path(small_results.recipe.data.source).iterdir():
        Image.fromarray(segment(load_image(path))).save(tmp_path / "labels" / path.name)
    (tmp_path / "own.py").write_text(OWN)
    return load_results(tmp_path / "out")


def test_decoded_pictures_are_those_of_the_records_files_and_are_decoded_once(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    coded = decode_all(results, progress=False)
    assert [(one.codec, one.quality) for one in coded] == [
        (name, float(quality)) for name in ("simulcast jpeg", "single webp") for quality in QUALITIES
    ]
    for one in coded:
        for number, (picture, original) in enumerate(zip(one.decoded(), one.originals(), strict=True)):
            record = next(r for r in results.records if (r.codec, r.quality) == (one.codec, one.quality)
                          and r.image == one.pictures[number].name)  # fmt: skip
            assert np.array_equal(picture, redecoded(results, record)[-1])
            assert np.array_equal(original, load_image(one.pictures[number].path))
    top = [record.layers[-1].bpp for record in results.records]
    assert [one.bpp for one in coded] == pytest.approx([(a + b) / 2 for a, b in zip(top[::2], top[1::2], strict=True)])
    monkeypatch.setattr(decoded, "redecoded", lambda *arguments: pytest.fail("decoded twice"))
    assert decode_all(results, progress=False) == coded


def test_miou_of_the_oracle_is_1_with_the_codec_off_and_less_with_it_on(results: Results, tmp_path: Path) -> None:
    measures = Measures(Hook(segment, CLASSES), tmp_path / "labels")
    rows = measure_sets(decode_all(results, progress=False), measures, progress=False)
    assert [row.codec for row in rows] == [OFF, *["simulcast jpeg"] * 4, *["single webp"] * 4]
    off, *on = rows
    assert off.values["mIoU"] == 1 and off.bpp is None and set(off.values) == {"mIoU", *(f"IoU {n}" for n in CLASSES)}
    jpeg = [row.values["mIoU"] or 0 for row in on[:4]]
    assert jpeg == sorted(jpeg) and 0 < jpeg[0] < jpeg[-1] < 1


def test_distances_are_those_of_all_patches_from_the_originals(results: Results) -> None:
    coded = decode_all(results, progress=False)
    rows = measure_sets(coded, Measures(extractor=extract, patch=8, seed=3), progress=False)
    assert rows[0].values == {}

    def features(images: list[Image8]) -> np.ndarray:  # type: ignore[type-arg]
        cut = [(k, s) for k in range(2) for s in (0, 4)]
        return extract(np.stack([
            images[k][top : top + 8, left : left + 8] for k, start in cut
            for top in range(start, 25, 8) for left in range(start, 41, 8)
        ]))  # fmt: skip

    for one, row in zip(coded, rows[1:], strict=True):
        reference, made = features(list(one.originals())), features(list(one.decoded()))
        wanted = kid(reference, made, np.random.default_rng(3))
        assert row.values["FID/8"] == pytest.approx(fid(reference, made))
        assert row.values["KID/8"] == pytest.approx(wanted.value)
        assert row.values["KID/8 deviation"] == pytest.approx(wanted.deviation)
    distances = [row.values["FID/8"] or 0 for row in rows[1:5]]
    assert distances == sorted(distances, reverse=True) and distances[-1] > 0


def test_too_few_patches_cost_fid_alone_and_say_so(results: Results) -> None:
    coded = decode_all(results, progress=False)[:1]
    row = measure_sets(coded, Measures(extractor=extract, patch=32), progress=False)[1]
    assert row.values["FID/32"] is None and row.values["KID/32"] is not None
    assert row.notes == (
        "FID of 5 features needs more patches than that, there are 2; take more or larger pictures, smaller patches, "
        "or KID",
    )


def test_maps_of_another_size_than_the_layer_are_refused(results: Results, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((16, 24), np.uint8)).save(tmp_path / "labels" / "p1.png")
    with pytest.raises(OptionError, match=r"p1\.png is 24x16, the layer 48x32"):
        measures = Measures(Hook(segment, CLASSES), tmp_path / "labels")
        measure_sets(decode_all(results, progress=False), measures, progress=False)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_command_measures_a_run_with_classes_of_ones_own(
    results: Results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.py"
    main([str(tmp_path / "out"), "--segmenter", f"{own}:Segment", "--classes", ",".join(CLASSES), "--labels",
          str(tmp_path / "labels"), "--features", f"{own}:Extract", "--patch", "8"])  # fmt: skip
    told = capsys.readouterr().out
    assert "codec off" in told and "mIoU" in told and "FID/8" in told and "IoU dark" not in told
    found = rows(results.folder / "sets.csv")
    assert {row["measure"] for row in found} == {
        "mIoU", *(f"IoU {name}" for name in CLASSES), "FID/8", "KID/8", "KID/8 deviation",
    }  # fmt: skip
    off = [row for row in found if row["codec"] == OFF]
    assert {row["value"] for row in off} == {"1.0"} and {row["bpp"] for row in off} == {""} and len(off) == 4
    assert len(found) == 4 + 8 * 7


def test_the_command_measures_what_a_recipe_lacks_first(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = values(Path(results.recipe.data.source), scales=[1], anchors=[])
    given["codecs"] = [{"name": "jpeg", "codec": "single", "of": "jpeg", "qualities": [50]}]
    Path("mine.yaml").write_text(str(given))  # YAML has Python's lists and mappings of plain values
    main(["mine.yaml", "--set", "name=other", "--workers", "0", "--features", "own.py:Extract", "--patch", "8"])
    assert {row["codec"] for row in rows(Path("out") / "other" / "sets.csv")} == {"jpeg"}
    assert len(list((Path("out") / "other" / "decoded").iterdir())) == 2
    assert len(load_results(Path("out") / "other").records) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--features", "own.py:Extract"], "name a recipe, the folder of a run, or --weights"),
        (["out"], "ask for one or both"),
        (["out", "--segmenter", "own.py:Segment"], "ask for one or both"),
        (["out", "--features", "own.py:Extract", "--set", "name=b"], "for what is measured now, not for the folder"),
        (["out", "--features", "own.py:Extract", "--workers", "0"], "for what is measured now, not for the folder"),
        (["out", "--features", "own.py:Extract", "--out", "b"], "for what is measured now, not for the folder"),
        (["demo", "--features", "own.py:Extract", "--pictures", "b"], "--qualities and --pictures go with --weights"),
        (["demo", "--features", "own.py:Extract", "--device", "cpu"], "--device go with --segmenter"),
        (["demo", "--segmenter", "own.py:Segment", "--labels", "labels", "--seed", "0"], "--seed go with --features"),
        (["demo", "--segmenter", "own.py:Segment", "--labels", "labels", "--patch", "0"], "--seed go with --features"),
        (["demo", "--segmenter", "own.py:Segment", "--labels", "labels", "--device", "cpu"], "a segmenter from a file"),
        (["--weights", "compass-small", "--features", "own.py:Extract"], "--weights goes with --qualities"),
        (["out", "--segmenter", "own.py:Segment", "--labels", "labels"], "needs --classes"),
        (["out", "--features", "own.py:Extract", "--patch", "0"], "squares of 0 pixels a side"),
        (["out", "--features", "own.py:Extract", "--seed", "-1"], "a seed is 0 or more"),
        (["--weights", "a", "--pictures", "b", "--qualities", "1,x", "--features", "own.py:Extract"], "'1,x' is not"),
    ],
)
def test_what_does_not_go_together_is_told(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=message):
        main(words)


def test_missing_records_are_told_by_the_exit_status(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["out", "--features", "own.py:Extract", "--patch", "8"]
    assert main(words) == 0
    next((results.folder / "records").glob("*.json")).unlink()
    assert main(words) == 1
    assert "missing; layered report says which and why" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("weights", "name"),
    [("runs/mine/weights.safetensors", "mine"), ("mine.safetensors", "mine"), ("compass-small", "compass-small"),
     ("compressai/mbt2018-mean?quality=3", "mbt2018-mean-quality-3"), ("weights.safetensors", "weights")],
)  # fmt: skip
def test_a_run_of_weights_is_named_by_their_file_or_its_folder(
    results: Results, weights: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("experiments.sets.run", lambda recipe, out, workers: pytest.fail(f"{recipe.name} in {out}"))
    with pytest.raises(pytest.fail.Exception, match=f"^{re.escape(name)} in out$"):
        main(["--weights", weights, "--qualities", "1", "--pictures", ".", "--features", "own.py:Extract"])


def test_weights_with_a_folder_are_a_recipe(
    results: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    main(["--weights", "factorized-small", "--qualities", "1,4", "--pictures", results.recipe.data.source,
          "--set", "data.limit=1", "--workers", "0", "--features", "own.py:Extract", "--patch", "8"])  # fmt: skip
    found = [row for row in rows(Path("out") / "factorized-small" / "sets.csv") if row["measure"] == "FID/8"]
    assert [row["quality"] for row in found] == ["1", "4"]
    assert float(found[0]["value"]) > float(found[1]["value"]) and float(found[0]["bpp"]) < float(found[1]["bpp"])
