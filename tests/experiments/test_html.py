"""The page: one file, its numbers those of the tables, its pictures those of the run."""

from __future__ import annotations

import io
import math
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from PIL import Image

from experiments import tables as tables_module
from experiments.bdrate import Curve, bd_rate
from experiments.html.choice import chosen_qualities, image_rate, sorted_images
from experiments.html.copies import STEPS, fit
from experiments.runs import Results
from experiments.tables import RULES, Tables
from tests.experiments.html_runs import EVIL, changed, lossless, renamed, two_ladders, without, written
from tests.experiments.small_run import QUALITIES


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return two_ladders(tmp_path_factory.mktemp("shared"))


# ---- The file ---------------------------------------------------------------------------------------------------


def test_the_page_is_one_file_that_points_at_nothing_outside(small_results: Results, tmp_path: Path) -> None:
    elements = written(small_results, tmp_path / "report.html")
    targets = [value for _, attributes in elements.tags for key, value in attributes.items() if key in ("src", "href")]
    assert targets and all(target and target.startswith(("#", "data:,")) for target in targets)
    policy = next(a["content"] for _, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy and policy.startswith("default-src 'none'") and "http" not in policy
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert set(re.findall(r"https?://[^\"' ]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"\b(eval|fetch|import|XMLHttpRequest|innerHTML)\s*[(=]", text)


def test_a_users_text_stays_text(small_results: Results, tmp_path: Path) -> None:
    evil = changed(renamed(small_results, "single webp", EVIL), description="<!--css--> /*css*/ <i>" + EVIL)
    plain, elements = written(small_results, tmp_path / "a.html"), written(evil, tmp_path / "b.html")
    assert [tag for tag, _ in elements.tags] == [tag for tag, _ in plain.tags]
    assert elements.values["codecs"][1]["name"] == EVIL
    assert elements.values["description"] == "<!--css--> /*css*/ <i>" + EVIL


def test_the_same_results_give_the_same_bytes_wherever_they_lie(small_results: Results, tmp_path: Path) -> None:
    shutil.copytree(small_results.folder, tmp_path / "elsewhere")
    written(small_results, tmp_path / "a.html")
    written(replace(small_results, folder=tmp_path / "elsewhere"), tmp_path / "b.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


# ---- Numbers ----------------------------------------------------------------------------------------------------


def test_bd_rates_are_those_of_the_tables_for_every_pair(shared: Results, tmp_path: Path) -> None:
    rates, tables = written(shared, tmp_path / "report.html").values["rates"], Tables(shared)
    everything = product(range(2), range(2), range(len(RULES)), range(2), range(2))
    for ladder, layer, rule, anchor, codec in everything:
        value = rates["table"][ladder][layer][rule][anchor][codec]
        if anchor == codec:
            assert value is None
            continue
        cell = tables.bd_cell(tables.codecs[anchor], tables.codecs[codec], layer, RULES[rule], ladder)
        numbers = rates["notes"].get(f"{ladder}.{layer}.{rule}.{anchor}.{codec}", [])
        assert cell.value is not None and value == round(cell.value, 2)
        assert tuple(rates["texts"][number] for number in numbers) == cell.notes


def test_layers_that_sets_of_scales_share_are_compared_once(
    shared: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Curve] = []

    def counted(anchor: Curve, test: Curve, method: str) -> float:
        seen.append(test)
        return bd_rate(anchor, test, method)

    monkeypatch.setattr(tables_module, "bd_rate", counted)
    written(shared, tmp_path / "report.html")
    pairs, images, distinct_layers = 2, 2, 3  # 0.5, 0.5 below 1, 0.5 below 0.75
    assert len(seen) == pairs * distinct_layers * (1 + images)


def test_points_are_the_averages_in_order_of_rate(small_results: Results, tmp_path: Path) -> None:
    points = written(small_results, tmp_path / "report.html").values["points"]
    for layer, (codec, name) in product(range(2), enumerate(Tables(small_results).codecs)):
        average, expected = points[0][layer][codec], Tables(small_results).points(name, layer)
        assert [entry[1] for entry in average["at"]] == pytest.approx([p.bpp for p in expected], rel=1e-5)
        assert [entry[2] for entry in average["at"]] == pytest.approx([p.psnr for p in expected], rel=1e-5)
        assert average["images"] == 2 and {entry[3] for entry in average["at"]} == {None}


def test_what_has_no_value_says_why(small_results: Results, tmp_path: Path) -> None:
    lost = [("single webp", QUALITIES[k], f"p{k}") for k in range(2)]
    values = written(without(small_results, *lost), tmp_path / "a.html").values
    assert values["points"][0][1][1] == {"why": "no image was measured at all qualities"}
    assert values["rates"]["table"][0][1][0][0][1] is None
    (number,) = values["rates"]["notes"]["0.1.0.0.1"]
    assert values["rates"]["texts"][number] == "no image was measured at all qualities with single webp"
    assert [failure[4] for failure in values["failures"]] == ["out of luck"] * 2
    values = written(lossless(small_results), tmp_path / "b.html").values
    assert "lossless" in values["points"][0][1][1]["why"] and "at" in values["points"][0][0][1]


# ---- Pictures ---------------------------------------------------------------------------------------------------


def test_each_codec_shows_the_quality_nearest_to_a_common_rate(small_results: Results) -> None:
    tables = Tables(small_results)
    rates = {codec: {p.quality: p.bpp for p in tables.points(codec, 1)} for codec in tables.codecs}
    chosen, target = chosen_qualities(tables)
    low, high = max(min(r.values()) for r in rates.values()), min(max(r.values()) for r in rates.values())
    assert target is not None and target == pytest.approx(math.sqrt(low * high))
    for codec, (quality, rate) in chosen.items():
        assert rate == pytest.approx(rates[codec][quality])
        assert all(abs(math.log(rate / target)) <= abs(math.log(other / target)) for other in rates[codec].values())


def test_images_are_in_order_of_the_bd_rate_worst_first_and_those_without_last(small_results: Results) -> None:
    tables = Tables(small_results)
    words, order = sorted_images(tables, {})
    assert words == "BD-rate of single webp against simulcast jpeg at EL1 x1"
    rates = [image_rate(tables, "simulcast jpeg", "single webp", 1, name) for name, _ in order]
    assert [rate for _, rate in order] == rates and rates[0] is not None and rates[1] is not None
    assert rates[0] >= rates[1]
    first = order[0][0]
    lost = Tables(without(small_results, ("single webp", QUALITIES[0], first)))
    assert [name for name, _ in sorted_images(lost, {})[1]] == [order[1][0], first]


def test_a_single_codec_is_sorted_by_psnr(small_results: Results) -> None:
    records = tuple(record for record in small_results.records if record.codec == "simulcast jpeg")
    alone = replace(small_results, records=records, keys=small_results.keys[: len(records)])
    tables = Tables(changed(alone, codecs=small_results.recipe.codecs[:1], anchors=()))
    words, order = sorted_images(tables, chosen_qualities(tables)[0])
    assert words == "PSNR of simulcast jpeg at EL1 x1"
    assert order[0][1] is not None and order[1][1] is not None and order[0][1] <= order[1][1]


def test_pictures_are_those_that_the_run_kept_each_once(shared: Results, tmp_path: Path) -> None:
    elements = written(shared, tmp_path / "report.html")
    gallery, copies = elements.values["gallery"], elements.copies
    for image in gallery["images"]:
        assert len(image["copies"][0]) == len(image["originals"]) == 2
        if gallery["qualities"][0] == gallery["qualities"][1]:
            assert image["copies"][0] == image["copies"][1]
    numbers = [n for i in gallery["images"] for row in (i["originals"], *i["copies"]) for n in row] + [
        image["thumbnail"] for image in gallery["images"]]  # fmt: skip
    assert set(numbers) == set(range(len(copies)))
    kept = {path.read_bytes() for path in (shared.folder / "previews").iterdir()}
    assert set(copies[: len(copies) - 2]) <= kept
    assert len(set(copies)) == len(copies)


def test_pictures_belong_to_their_layer_and_codec(small_results: Results, tmp_path: Path) -> None:
    elements = written(small_results, tmp_path / "report.html")
    for image in elements.values["gallery"]["images"]:
        for row, layers in zip(image["copies"], image["layers"], strict=True):
            for number, (width, height, *_) in zip(row, layers, strict=True):
                with Image.open(io.BytesIO(elements.copies[number])) as picture:
                    assert picture.size == (width, height)


def test_without_kept_pictures_the_page_says_so(small_results: Results, tmp_path: Path) -> None:
    bare = replace(small_results, folder=tmp_path)
    assert written(bare, tmp_path / "a.html").values["gallery"]["why"] == "the run kept none"
    off = written(changed(bare, previews=False), tmp_path / "b.html")
    assert off.values["gallery"]["why"] == "the recipe says previews: false" and not off.copies
    assert off.values["gallery"]["images"][0]["layers"][0][1][2] > 0  # bytes are there all the same


def noise(paths: Sequence[Path]) -> list[Path]:
    """Write pictures that hardly compress."""
    for number, path in enumerate(paths):
        picture = Image.effect_noise((320, 200), 90 + number).convert("RGB")
        picture.save(path, format="WEBP", quality=80, method=0)
    return list(paths)


def test_copies_are_made_smaller_until_they_fit_and_then_left_out(tmp_path: Path) -> None:
    paths = noise([tmp_path / f"{number}.webp" for number in range(6)])
    groups = [paths[:2], paths[2:4], paths[4:]]
    whole = fit(groups, 10**8)
    assert [whole.copies[path] for path in paths] == [path.read_bytes() for path in paths]
    assert "those that the run kept" in whole.how
    size = sum(path.stat().st_size for path in paths)
    some, last = fit(groups, 300_000), fit(groups, 210_000)
    assert len(some.copies) == len(last.copies) == 6 and "coded again" in some.how
    assert sum(map(len, last.copies.values())) < sum(map(len, some.copies.values())) < size
    little = fit(groups, 120_000)
    assert list(little.copies) == paths[:2]
    assert f"at most {STEPS[-1][0]} a side" in little.how
    assert not fit(groups, 100).copies and not fit([], 100).copies


def test_where_there_is_no_room_for_all_images_the_extremes_have_pictures(
    small_results: Results, tmp_path: Path
) -> None:
    shutil.copytree(small_results.folder, tmp_path / "run")
    noise(sorted((tmp_path / "run" / "previews").iterdir()))
    heavy = replace(small_results, folder=tmp_path / "run")
    sizes = {}
    for limit in (100_000, 320_000, 600_000):
        elements = written(heavy, tmp_path / "a.html", limit)
        gallery = elements.values["gallery"]
        sizes[sum(None not in image["originals"] for image in gallery["images"])] = gallery
    assert sizes.keys() == {0, 1, 2}
    assert sizes[0]["why"] == "the file would become too large" and not sizes[1]["why"]
    assert "1 of 2 images have none" in sizes[1]["how"] and "have none" not in sizes[2]["how"]
    assert None not in sizes[1]["images"][0]["originals"]  # the worst one


def test_a_damaged_copy_does_not_stop_the_report(small_results: Results, tmp_path: Path) -> None:
    shutil.copytree(small_results.folder, tmp_path / "run")
    for path in (tmp_path / "run" / "previews").iterdir():
        path.write_bytes(b"no picture")
    assert b"no picture" in written(replace(small_results, folder=tmp_path / "run"), tmp_path / "a.html").copies
