"""Which trials a study has, and the page's pictures: those that were measured, without loss, or none."""

from __future__ import annotations

import io
import math
import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.html.choice import mean_rates
from experiments.preference import remade
from experiments.preference.page import write_study
from experiments.preference.study import Study, StudyOptions, plan_study
from experiments.preference.votes import ORIGINAL
from experiments.record import Record
from experiments.runs import Results
from experiments.tables import Tables
from layered.cli import run
from layered.errors import LayeredError, OptionError
from layered.image import load_image, resize8
from tests.experiments.html_runs import EVIL, Elements, changed, lossless, renamed, without
from tests.experiments.small_run import QUALITIES

CODECS = ("simulcast jpeg", "single webp")


@pytest.fixture
def copied(small_results: Results, tmp_path: Path) -> Results:
    """The results in a folder of their own."""
    shutil.copytree(small_results.folder, tmp_path / "run")
    return replace(small_results, folder=tmp_path / "run")


def planned(results: Results, codecs: tuple[str, str] = CODECS, **options: Any) -> Study:
    return plan_study(Tables(results), StudyOptions(codecs, **options))


def written(results: Results, codecs: tuple[str, str] = CODECS, **options: Any) -> Elements:
    write_study(results, StudyOptions(codecs, **options), progress=False)
    return Elements((results.folder / "2afc.html").read_text(encoding="utf-8"))


# ---- The trials -------------------------------------------------------------------------------------------------


def test_without_qualities_the_two_nearest_in_rate_are_compared(small_results: Results) -> None:
    rates = mean_rates(Tables(small_results), 1)
    first, second = planned(small_results).contenders
    distance = abs(math.log(first.bpp / second.bpp))
    assert first.bpp == rates[first.codec][first.quality] and second.bpp == rates[second.codec][second.quality]
    assert all(distance <= abs(math.log(a / b)) for a, b in product(*(rates[name].values() for name in CODECS)))


def test_the_qualities_that_were_named_are_compared(small_results: Results) -> None:
    study = planned(small_results, qualities=("30.0", "60"))
    assert [each.label for each in study.contenders] == ["simulcast jpeg @ 30", "single webp @ 60"]
    trials = [trial for trial in study.trials if not trial.trap]
    assert [trial.image for trial in trials] == ["p0", "p1"]
    qualities = {tuple(side.record.quality for side in trial.sides if side.record) for trial in trials}
    assert qualities == {(30.0, 60.0)}


def test_traps_are_the_original_beside_each_codec_at_its_lowest_rate(small_results: Results) -> None:
    traps = [trial for trial in planned(small_results, traps=4).trials if trial.trap]
    assert {(trial.image, trial.sides[0].label, trial.sides[1].label) for trial in traps} == {
        (image, ORIGINAL, f"{codec} @ {QUALITIES[0]}") for image in ("p0", "p1") for codec in CODECS
    }
    first, second = (trial for trial in planned(small_results, traps=2).trials if trial.trap)
    assert first.image != second.image and first.sides[1].label != second.sides[1].label
    assert not any(trial.trap for trial in planned(small_results, traps=0).trials)


def test_the_digest_is_of_all_that_raters_see(small_results: Results) -> None:
    other = replace(small_results.records[0], image_sha256="0" * 64)
    changed_run = replace(small_results, records=(other, *small_results.records[1:]))
    digests = [
        planned(small_results, qualities=("10", "60")).digest,
        planned(small_results, qualities=("10", "90")).digest,
        planned(small_results, qualities=("10", "60"), seed=1).digest,
        planned(small_results, qualities=("10", "60"), layer=0).digest,
        planned(small_results, qualities=("10", "60"), traps=1).digest,
        planned(changed_run, qualities=("10", "60")).digest,
    ]
    assert len(set(digests)) == len(digests)
    assert planned(small_results, qualities=("10", "60")).digest == digests[0]


def test_an_image_without_a_record_is_left_out_and_named(small_results: Results) -> None:
    lost = without(small_results, (CODECS[0], 30, "p0"))
    study = planned(lost, qualities=("30", "60"))
    assert {trial.image for trial in study.trials} == {"p1"} and study.missing == ("p0",)


@pytest.mark.parametrize(
    ("codecs", "options", "message"),
    [
        (("jpeg", "single webp"), {}, "no codec 'jpeg' in this run; there are simulcast jpeg, single webp"),
        (("single webp", "single webp"), {}, "two codecs"),
        (CODECS, {"qualities": ("30", "31")}, "not measured at quality 31; there are 10, 30, 60, 90"),
        (CODECS, {"qualities": ("30", "best")}, "quality best"),
        (CODECS, {"layer": 2}, "layers 0 to 1"),
        (CODECS, {"layer": -1}, "layers 0 to 1"),
        (CODECS, {"traps": 5}, "pictures for 0 to 4"),
    ],
)
def test_what_a_run_does_not_have_is_refused(
    small_results: Results, codecs: tuple[str, str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(OptionError, match=re.escape(message)):
        planned(small_results, codecs, **options)


def test_a_lossless_picture_is_no_trap_and_a_codec_is_not_called_original(small_results: Results) -> None:
    alone = without(small_results, *(("single webp", quality, f"p{k}") for quality in QUALITIES[:3] for k in range(2)))
    with pytest.raises(OptionError, match="pictures for 0 to 2"):
        planned(lossless(alone), traps=3)
    with pytest.raises(OptionError, match="cannot be told from the original"):
        planned(renamed(small_results, "single webp", ORIGINAL), ("simulcast jpeg", ORIGINAL))


# ---- The page ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [0, 1])
def test_pictures_are_those_that_were_decoded_without_any_loss(copied: Results, layer: int) -> None:
    elements = written(copied, layer=layer, qualities=("30", "60"), traps=2)
    values, copies = elements.values, [load_image(io.BytesIO(copy)) for copy in elements.copies]
    records = {(r.image, f"{r.codec} @ {r.quality:g}"): r for r in copied.records}
    size = copied.records[0].layers[layer]
    for trial in values["trials"]:
        image = load_image(Path(copied.recipe.data.source) / f"{trial['image']}.png")
        reference, first, second = trial["pictures"]
        assert np.array_equal(copies[reference], resize8(image, size.width, size.height))
        assert (first == reference) is trial["trap"] is (trial["labels"][0] == ORIGINAL)
        for label, number in zip(trial["labels"][trial["trap"] :], (first, second)[trial["trap"] :], strict=True):
            difference = copies[number].astype(float) - copies[reference]
            psnr = 10 * math.log10(255**2 / np.mean(difference**2))
            assert psnr == pytest.approx(records[trial["image"], label].layers[layer].psnr)


def test_the_page_is_one_file_that_points_at_nothing_outside_and_names_stay_text(copied: Results) -> None:
    evil = changed(renamed(copied, "single webp", EVIL), name="a-b")
    plain, elements = written(copied), written(evil, ("simulcast jpeg", EVIL))
    assert [tag for tag, _ in elements.tags] == [tag for tag, _ in plain.tags]
    assert {trial["labels"][1].rpartition(" @ ")[0] for trial in elements.values["trials"]} >= {EVIL}
    targets = [value for _, attributes in elements.tags for key, value in attributes.items() if key in ("src", "href")]
    assert targets == ["data:,"]
    policy = next(a["content"] for _, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'") and "http" not in policy
    text = (copied.folder / "2afc.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|\b(eval|fetch|import|XMLHttpRequest|sendBeacon|WebSocket|innerHTML)\s*[(=]", text)


def test_files_that_come_out_otherwise_are_refused(copied: Results) -> None:
    def tampered(record: Record) -> Record:
        return replace(record, files_sha256=(record.files_sha256[0], "0" * 64))

    others = replace(copied, records=tuple(map(tampered, copied.records[:1])) + copied.records[1:])
    with pytest.raises(LayeredError, match="simulcast jpeg now codes p0 in other bytes than when it was measured"):
        written(others, qualities=("10", "60"))
    assert not (copied.folder / "2afc.html").exists()


def test_equal_files_that_decode_otherwise_are_refused(copied: Results) -> None:
    records = tuple(
        replace(r, layers=(r.layers[0], replace(r.layers[1], psnr=r.layers[1].psnr + 0.1))) for r in copied.records
    )
    with pytest.raises(LayeredError, match="now decodes equal files of p0"):
        written(replace(copied, records=records))


def test_an_image_that_has_changed_or_gone_is_refused(copied: Results, tmp_path: Path) -> None:
    pictures = shutil.copytree(copied.recipe.data.source, tmp_path / "pictures")
    moved = changed(copied, data=copied.recipe.data.model_copy(update={"source": str(pictures)}))
    (pictures / "p0.png").write_bytes((pictures / "p1.png").read_bytes())
    for _ in range(2):
        with pytest.raises(LayeredError, match="p0 is not there any more, or another picture"):
            written(moved)
        (pictures / "p0.png").unlink(missing_ok=True)


def test_what_was_made_before_an_interruption_is_not_made_again(
    copied: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(copied)
    page = (copied.folder / "2afc.html").read_bytes()
    monkeypatch.setattr(remade, "redecoded", lambda *_: pytest.fail("coded again"))
    written(copied)
    assert (copied.folder / "2afc.html").read_bytes() == page


def test_the_command_writes_the_study_and_says_what_it_compares(
    copied: Results, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = str(copied.folder)
    assert run(["report", folder, "--2afc", *CODECS, "--qualities", "30", "60", "--layer", "0", "--traps", "1"]) == 0
    told = capsys.readouterr().out
    rates = mean_rates(Tables(copied), 0)
    more = f"{100 * (rates['single webp'][60] / rates['simulcast jpeg'][30] - 1):+.0f}%"
    assert "simulcast jpeg @ 30 (" in told and f" bpp, {more}), BL x0.5: 2 images, 1 trap" in told
    assert not (copied.folder / "report.html").exists()
