"""The page in a browser: what its controls do, and that it complains of nothing and asks nobody for anything."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.html import write_html
from experiments.runs import Results
from experiments.tables import RULES, Tables
from tests.experiments.html_runs import (
    EVIL,
    Elements,
    changed,
    layered_shape,
    lossless,
    renamed,
    two_ladders,
    without,
)
from tests.experiments.small_run import QUALITIES

Open = Callable[..., Any]


@pytest.fixture
def opened(visit: Open, tmp_path: Path) -> Open:
    """A function that opens the page of some results."""

    def open_page(results: Results, width: int = 1200) -> Any:
        write_html(Tables(results), tmp_path / "report.html")
        return visit(tmp_path / "report.html", width)

    return open_page


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return two_ladders(tmp_path_factory.mktemp("shared"))


def until(page: Any, condition: str) -> None:
    """Wait for a condition; Playwright's own way needs eval, which the page forbids."""
    for _ in range(100):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"not in 5 s: {condition}")


def drawn(page: Any, side: str) -> list[int]:
    """Samples of what one side of the stage shows, when it is drawn; read through another canvas of the same size."""
    page.wait_for_selector(f'[data-side="{side}"][data-ready] canvas:not([hidden])')
    page.wait_for_timeout(200)
    script = """side => {
        const canvas = document.querySelector(`[data-side="${side}"] canvas`);
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, 0, 0);
        return [...copy.getImageData(0, 0, canvas.width, canvas.height).data];
    }"""
    samples: list[int] = page.evaluate(script, side)
    return samples


def test_summary_names_the_winner_and_draws_a_bar_per_codec(small_results: Results, opened: Open) -> None:
    page = opened(small_results)
    values = [Tables(small_results).bd_cell("simulcast jpeg", "single webp", layer, RULES[0]).value for layer in (0, 1)]
    assert page.locator("#rankings .card").count() == 2
    for layer, value in enumerate(values):
        card = page.locator("#rankings .card").nth(layer)
        names = card.locator(".who").all_inner_texts()
        assert value is not None
        assert names == (["single webp", "simulcast jpeg"] if value < 0 else ["simulcast jpeg", "single webp"])
        assert f"{abs(value):.1f}%" in card.inner_text()
    assert "Fewest bits at equal PSNR" in page.inner_text("#headline")
    page.select_option("#winners-controls select", label="single webp")
    assert "against single webp" in page.inner_text("#winners-note")


def test_legend_hides_a_codec_in_all_charts_and_shows_it_again(small_results: Results, opened: Open) -> None:
    page = opened(small_results)
    curve = page.locator('#charts g[data-codec="1"]')
    assert curve.count() == 2
    button = page.locator('#legend button[data-codec="1"]')
    button.click()
    assert curve.count() == 0 and button.get_attribute("aria-pressed") == "false"
    assert page.locator('#charts g[data-codec="0"]').count() == 2
    button.press("Enter")
    assert curve.count() == 2
    for name in ("simulcast jpeg", "single webp"):
        page.locator("#legend").get_by_role("button", name=name).click()
    assert page.locator("#charts g[data-codec]").count() == 0
    assert "Nothing to draw" in page.inner_text("#charts")


def test_pointing_at_a_curve_shows_codec_quality_rate_and_psnr(small_results: Results, opened: Open) -> None:
    page = opened(small_results)
    page.locator('#charts [data-layer="1"] g[data-codec="1"] polygon').nth(3).hover(force=True)
    best = Tables(small_results).points("single webp", 1)[3]
    text = page.inner_text(".tip")
    assert "single webp" in text and f"quality {QUALITIES[3]}" in text
    assert f"{best.bpp:.4f} bpp" in text and f"{best.psnr:.2f} dB" in text and "MS-SSIM not measured" in text
    page.focus('#charts [data-layer="0"] svg')
    page.keyboard.press("ArrowRight")
    assert f"quality {QUALITIES[0]}" in page.locator('#charts [data-layer="0"] .tip').inner_text()


def test_switches_of_the_charts_redraw_them(small_results: Results, opened: Open) -> None:
    measured = replace(
        small_results,
        records=tuple(
            replace(r, layers=(r.layers[0], replace(r.layers[1], ms_ssim=0.9 + r.layers[1].psnr / 1000)))
            for r in small_results.records
        ),
    )
    page = opened(changed(measured, ms_ssim=True))
    line = '#charts [data-layer="1"] g[data-codec="0"] polyline'
    seen = [page.get_attribute(line, "points")]
    page.check("[data-control=log]")
    seen.append(page.get_attribute(line, "points"))
    assert "logarithmic" in page.inner_text("#charts")
    page.check("[data-control=short]")
    seen.append(page.get_attribute(line, "points"))
    page.get_by_role("button", name="MS-SSIM, dB").click()
    seen.append(page.get_attribute(line, "points"))
    assert len(set(seen)) == 4
    assert "side below 161" in page.inner_text('#charts [data-layer="0"]')


def test_controls_of_the_matrix_change_its_cells(shared: Results, opened: Open) -> None:
    page, tables = opened(shared), Tables(shared)
    cell = page.locator('#matrix td[data-anchor="0"][data-codec="1"]')

    def expected(layer: int, rule: int, ladder: int) -> str:
        value = tables.bd_cell("simulcast jpeg", "single jpeg", layer, RULES[rule], ladder).value
        assert value is not None
        return f"{value:+.1f}%".replace("-", "\u2212") if round(value, 1) else "0.0%"

    assert cell.inner_text().rstrip("*") == expected(1, 0, 0)
    page.locator("#matrix").get_by_role("button", name="mean of images").click()
    assert cell.inner_text().rstrip("*") == expected(1, 1, 0)
    page.locator("#matrix select").select_option(label="x0.5 x0.75")
    assert cell.inner_text().rstrip("*") == expected(1, 1, 1)
    page.locator("#matrix").get_by_role("button", name="BL x0.5").click()
    assert cell.inner_text().rstrip("*") == expected(0, 1, 1)
    assert page.locator("#charts h3").all_inner_texts() == ["BL x0.5", "EL1 x0.75"]  # one choice for the whole page
    cell.hover()
    assert "single jpeg against simulcast jpeg, BL x0.5, mean of images" in page.inner_text("#matrix-detail")


def test_of_several_sets_of_scales_one_table_shows_all_and_chooses_one(shared: Results, opened: Open) -> None:
    page, tables = opened(shared), Tables(shared)
    rows = page.locator("#ladders-table tbody tr")
    assert rows.count() == len(tables.ladders) == 2
    for index, ladder in enumerate(tables.ladders):
        cells = rows.nth(index).locator("th, td").all_inner_texts()
        value = tables.bd_cell("simulcast jpeg", "single jpeg", ladder.top, RULES[0], index).value
        assert value is not None
        assert cells[0] == ladder.label and f"{value:+.1f}%".replace("-", "\u2212") in cells[1].rstrip("*")
    rows.nth(1).get_by_role("button").click()
    assert page.locator("#charts h3").all_inner_texts() == ["BL x0.5", "EL1 x0.75"]


def test_codecs_that_need_the_same_bits_are_called_level(shared: Results, opened: Open) -> None:
    page = opened(shared)  # the base layers of simulcast and single-layer coding are the same files
    assert "simulcast jpeg and single jpeg in BL x0.5 (level)" in page.inner_text("#headline")


def test_a_cell_without_value_says_why_where_it_is_pointed_at(small_results: Results, opened: Open) -> None:
    page = opened(without(small_results, *(("single webp", QUALITIES[k], f"p{k}") for k in range(2))))
    cell = page.locator('#matrix td[data-anchor="0"][data-codec="1"]')
    assert cell.inner_text() == "none"
    cell.hover()
    assert "no image was measured at all qualities" in page.inner_text("#matrix-detail")
    assert "2 records missing" in page.inner_text("#incomplete")
    assert "out of luck" in page.inner_text("#failures")


def test_the_slider_moves_the_edge_between_two_pictures(small_results: Results, opened: Open) -> None:
    page = opened(small_results)
    assert any(drawn(page, "left")) and drawn(page, "left") != drawn(page, "right")
    clip = "document.querySelector('[data-side=right]').style.clipPath"
    assert page.evaluate(clip) == "inset(0px 0px 0px 50%)"
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("End")
    assert page.evaluate(clip) == "inset(0px 0px 0px 100%)"
    page.locator(".stage").scroll_into_view_if_needed()
    box = page.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 20)
    page.mouse.up()
    assert float(page.evaluate(clip).split()[-1].rstrip("%)")) == pytest.approx(25, abs=0.5)
    assert float(slider.input_value()) == pytest.approx(25, abs=0.5)


def test_zoom_enlarges_both_pictures_alike_and_the_page_scrolls_until_the_stage_is_chosen(
    small_results: Results, opened: Open
) -> None:
    page = opened(small_results)
    drawn(page, "right")
    zooms = "[...document.querySelectorAll('.side canvas')].map(c => c.style.transform)"
    page.locator(".stage").scroll_into_view_if_needed()
    box = page.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.wheel(0, -300)
    assert "scale(1)" in page.evaluate(zooms)[0]
    page.focus(".stage")
    box = page.locator(".stage").bounding_box()
    page.mouse.move(box["x"] + 50, box["y"] + 50)
    page.mouse.wheel(0, -300)
    until(page, f"!{zooms}[0].includes('scale(1)')")
    left, right = page.evaluate(zooms)
    assert left == right
    page.get_by_role("button", name="Fit").click()
    assert "scale(1)" in page.evaluate(zooms)[0]
    page.get_by_role("button", name="Zoom in").click()
    assert "scale(1.5)" in page.evaluate(zooms)[1]
    page.check("[data-control=pixels]")
    assert page.evaluate("getComputedStyle(document.querySelector('.side canvas')).imageRendering") == "pixelated"


def test_the_error_map_is_eight_times_the_difference_of_the_copies(small_results: Results, opened: Open) -> None:
    page = opened(small_results)
    original, decoded = drawn(page, "left"), drawn(page, "right")
    page.check("[data-control=errors]")
    errors = drawn(page, "right")
    assert len(errors) == len(decoded) and any(sample for k, sample in enumerate(errors) if k % 4 != 3)
    pairs = zip(original, decoded, strict=True)
    assert errors == [255 if k % 4 == 3 else min(255, 8 * abs(a - b)) for k, (a, b) in enumerate(pairs)]
    assert drawn(page, "left") == original  # an original has no errors, and stays what it is
    assert "errors \u00d78 of simulcast jpeg" in page.inner_text(".tag.right")


def test_codec_layer_and_image_of_the_comparison_can_be_chosen(small_results: Results, opened: Open) -> None:
    page = opened(small_results)
    gallery = Elements((Path(page.url.removeprefix("file://"))).read_text(encoding="utf-8")).values["gallery"]
    size = "(() => { const c = document.querySelector('[data-side=right] canvas'); return [c.width, c.height]; })()"
    drawn(page, "right")
    assert page.evaluate(size) == [48, 32]
    page.locator(".viewer").get_by_role("button", name="BL x0.5").click()
    drawn(page, "right")
    assert page.evaluate(size) == [24, 16]
    page.locator("select[data-control=right]").select_option(label="single webp")
    page.locator(".strip button").nth(1).click()
    second = gallery["images"][1]
    facts = page.inner_text('[data-facts="right"]')
    assert f"{second['layers'][1][0][2]:,}" in facts and f"{second['layers'][1][0][3]:.2f} dB" in facts
    assert second["name"] in page.inner_text("#pictures .part >> nth=0")
    before = page.locator(".strip button").first.inner_text()
    page.get_by_role("button", name="best first").click()
    assert page.locator(".strip button").first.inner_text() != before


def test_all_layers_are_shown_at_one_size_for_the_chosen_codecs(small_results: Results, opened: Open) -> None:
    page = opened(small_results)
    assert page.locator(".layers figure").count() == 3 * 2
    page.locator(".layers").scroll_into_view_if_needed()
    until(page, "[...document.querySelectorAll('.layers img')].every(i => i.complete && i.naturalWidth > 0)")
    sizes = page.evaluate("[...document.querySelectorAll('.layers img')].map(i => [i.width, i.height].join())")
    assert len(set(sizes)) == 1
    page.uncheck('[data-pick="1"]')
    assert page.locator(".layers figure").count() == 2 * 2


def test_bits_per_layer_add_up_to_the_bytes_of_the_codec(small_results: Results, opened: Open) -> None:
    page = opened(small_results)
    rows = page.locator(".bits tbody tr")
    for row, parts in ((rows.nth(0), 2), (rows.nth(1), 1)):  # simulcast adds up, a single file stands alone
        titles = row.locator(".stack i").evaluate_all("parts => parts.map(part => part.title)")
        total = sum(int(re.sub(r"\D", "", title.split(":")[1])) for title in titles)
        assert len(titles) == parts and f"{total:,}" == row.locator("td").nth(3).inner_text()


@pytest.mark.parametrize("width", [400, 1600])
def test_the_page_is_never_wider_than_its_window(small_results: Results, opened: Open, width: int) -> None:
    page = opened(renamed(small_results, "single webp", "a name that goes on " * 4 + "x" * 80), width)
    drawn(page, "right")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_unusual_runs_open_without_a_complaint(small_results: Results, tmp_path: Path, opened: Open) -> None:
    single = replace(
        small_results, records=small_results.records[:8], keys=small_results.keys[:8],
        recipe=small_results.recipe.model_copy(update={"codecs": small_results.recipe.codecs[:1], "anchors": ()}),
    )  # fmt: skip
    page = opened(single)
    assert "nothing to compare" in page.inner_text("#headline") and page.locator("#matrix").is_hidden()
    page = opened(layered_shape(small_results, 1))
    assert page.locator("#charts .card").count() == 1 and any(drawn(page, "right"))
    page = opened(lossless(small_results))
    assert "lossless" in page.inner_text("#curves-note")
    page = opened(changed(small_results, anchors=()))
    assert "names no anchor" in page.inner_text("#winners-note")
    page = opened(without(small_results, *((r.codec, float(str(r.quality)), r.image) for r in small_results.records)))
    assert "No image was measured" in page.inner_text("#pictures-note")
    page = opened(replace(small_results, folder=tmp_path / "none"))
    assert "no pictures in this file: the run kept none" in page.inner_text("#pictures-note")
    assert page.locator(".bits tbody tr").count() == 2 and page.locator(".stage").count() == 0
    page = opened(without(small_results, *(("simulcast jpeg", quality, "p0") for quality in QUALITIES)))
    page.locator('.strip button:has-text("p0")').click()
    assert "simulcast jpeg has no record here: out of luck" in page.inner_text(".bits")
    assert "out of luck" in page.inner_text('[data-side="right"]')


def test_names_that_look_like_markup_are_shown_as_they_are(small_results: Results, opened: Open) -> None:
    evil = '<img src=x onerror="document.title=1">' + EVIL
    page = opened(changed(renamed(small_results, "single webp", evil), description=evil))
    assert page.locator("#legend button").nth(1).inner_text() == evil
    assert page.inner_text("#description") == evil and page.title() == "small"
    assert page.locator("img[src=x]").count() == 0
    assert page.locator("b").count() == page.locator("#headline > b").count()
