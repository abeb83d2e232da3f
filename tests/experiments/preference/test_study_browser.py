"""A study in a browser: by keyboard from the first trial to the table."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.preference.page import write_study
from experiments.preference.study import StudyOptions
from experiments.preference.table import preferences
from experiments.preference.votes import ORIGINAL, Vote, read_votes
from experiments.runs import Results
from tests.experiments.html_runs import Elements

KEYS = {"ArrowLeft": "left", "ArrowRight": "right", "ArrowDown": "not sure"}
TRIALS = 4


@pytest.fixture
def study(small_results: Results, tmp_path: Path) -> Path:
    shutil.copytree(small_results.folder, tmp_path / "run")
    results = replace(small_results, folder=tmp_path / "run")
    options = StudyOptions(("simulcast jpeg", "single webp"), ("10", "60"), traps=2)
    write_study(results, options, progress=False)
    return results.folder / "2afc.html"


@pytest.fixture
def begun(visit: Callable[..., Any], study: Path) -> Callable[[str], Any]:
    """A function that opens the study as a rater; the browser keeps what one has answered from test to test."""

    def begin(rater: str) -> Any:
        page = visit(study)
        page.keyboard.type(rater)
        page.keyboard.press("Enter")
        return page

    return begin


def answer(page: Any, first: int, keys: Sequence[str]) -> None:
    for number, key in enumerate(keys, first):
        page.wait_for_selector(f'#trial[data-ready="{number}"]')
        page.keyboard.press(key)


def saved(page: Any, path: Path) -> tuple[Vote, ...]:
    with page.expect_download() as download:
        page.keyboard.press("e")
    download.value.save_as(path)
    return read_votes([path]).votes


def listed(study: Path, rater: str) -> list[tuple[str, str, str]]:
    """Image, left and right of the trials that this rater must see."""
    values = Elements(study.read_text(encoding="utf-8")).values
    digest = 0x811C9DC5
    for byte in rater.encode():
        digest = (digest ^ byte) * 0x01000193 % 2**32
    found = []
    for number, exchanged in values["orders"][(digest ^ digest >> 16) % len(values["orders"])]:
        first, second = values["trials"][number]["labels"]
        image = values["trials"][number]["image"]
        found.append((image, second, first) if exchanged else (image, first, second))
    return found


def test_a_study_is_voted_through_by_keyboard_and_its_file_gives_the_table(
    begun: Callable[[str], Any], study: Path, tmp_path: Path
) -> None:
    rater, keys = 'ann "é", x', ["ArrowLeft", "ArrowDown", "ArrowRight", "ArrowLeft"]
    page = begun(rater)
    assert page.inner_text("#count") == f"1 of {TRIALS}"
    answer(page, 1, keys)
    page.wait_for_selector("#end:visible")
    votes = saved(page, tmp_path / "a.csv")
    assert [(vote.image, vote.left, vote.right) for vote in votes] == listed(study, rater)
    assert [vote.answer for vote in votes] == [KEYS[key] for key in keys]
    assert [vote.trial for vote in votes] == [1, 2, 3, 4] and {vote.rater for vote in votes} == {rater}
    assert [vote.trap for vote in votes] == [ORIGINAL in (vote.left, vote.right) for vote in votes]
    assert all(0 < vote.milliseconds < 60_000 for vote in votes)
    text = preferences([tmp_path / "a.csv"], failed_traps=3)
    assert "| simulcast jpeg @ 10 | single webp @ 60 | 1 | 2 |" in text


def test_another_rater_has_another_order_and_the_same_one_goes_on_where_he_stopped(
    begun: Callable[[str], Any], study: Path, tmp_path: Path
) -> None:
    others = [name for name in "bcdefgh" if listed(study, name) != listed(study, "a")]
    answer(begun("a"), 1, ["ArrowLeft", "ArrowRight"])
    page = begun(others[0])
    assert page.inner_text("#count") == f"1 of {TRIALS}"
    page = begun("a")
    assert page.inner_text("#count") == f"3 of {TRIALS}"
    answer(page, 3, ["Backspace"])
    answer(page, 2, ["ArrowDown"])
    votes = saved(page, tmp_path / "a.csv")
    assert [vote.answer for vote in votes] == ["left", "not sure"]
    assert [(vote.image, vote.left, vote.right) for vote in votes] == listed(study, "a")[:2]


def test_space_shows_the_original_in_place_of_both_while_it_is_held(begun: Callable[[str], Any]) -> None:
    page = begun("space")
    page.wait_for_selector('#trial[data-ready="1"]')
    shown = "[...document.querySelectorAll('.reference')].map(p => getComputedStyle(p).visibility)"
    original = "document.querySelector('[data-panel=original] img').src"
    assert page.evaluate(shown) == ["hidden", "hidden"]
    page.keyboard.down(" ")
    assert page.evaluate(shown) == ["visible", "visible"]
    assert page.evaluate(f"[...document.querySelectorAll('.reference')].every(p => p.src === {original})")
    page.keyboard.up(" ")
    assert page.evaluate(shown) == ["hidden", "hidden"]
    assert page.inner_text("#count") == f"1 of {TRIALS}"


def test_pixel_for_pixel_all_three_move_together(begun: Callable[[str], Any]) -> None:
    page = begun("pixels")
    page.set_viewport_size({"width": 140, "height": 400})
    page.wait_for_selector('#trial[data-ready="1"]')
    places = "[...document.querySelectorAll('.window img')].map(p => [p.offsetLeft, p.clientWidth].join())"
    assert page.evaluate(places) == ["0,40"] * 5 and "83%" in page.inner_text("#size")
    page.keyboard.press("z")
    assert page.evaluate(places) == ["0,48"] * 5 and "pixel for pixel" in page.inner_text("#size")
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate(places) == ["-8,48"] * 5
    assert page.inner_text("#count") == f"1 of {TRIALS}"


def test_a_key_held_down_is_one_answer(begun: Callable[[str], Any]) -> None:
    page = begun("held")
    page.wait_for_selector('#trial[data-ready="1"]')
    page.keyboard.down("ArrowLeft")
    page.wait_for_selector('#trial[data-ready="2"]')
    page.keyboard.down("ArrowLeft")  # held, so that it repeats
    page.keyboard.up("ArrowLeft")
    page.wait_for_timeout(100)
    assert page.inner_text("#count") == f"2 of {TRIALS}"


def test_a_key_before_the_pictures_are_there_is_no_answer(visit: Callable[..., Any], study: Path) -> None:
    page = visit(study)
    page.fill("#rater", "early")
    key = "dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowLeft' }))"
    page.evaluate(f"(() => {{ document.getElementById('start').click(); {key}; }})()")
    page.wait_for_selector('#trial[data-ready="1"]')
    page.evaluate(key)
    page.wait_for_selector('#trial[data-ready="2"]')


def test_a_rater_needs_a_name(visit: Callable[..., Any], study: Path) -> None:
    page = visit(study)
    page.click("#start")
    assert "name or number is missing" in page.inner_text("#notice") and page.is_visible("#welcome")
