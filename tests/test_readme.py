"""What the README and its page of results state is what was measured."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from experiments.bdrate import Curve, bd_rate
from experiments.known import KNOWN
from experiments.page.fill import REPLACED
from experiments.page.index import Published, published
from experiments.page.kept import read_table
from experiments.page.models import earlier
from experiments.published import published_curves, published_rates
from experiments.recipe import load_recipe
from experiments.tables import RULES
from experiments.words import ladder_label
from layered.training.recipe import load_recipe as load_training
from layered.weights.card import card, catalogue
from tests.page_tables import (
    EXPERIMENTS,
    LINES,
    PAGE,
    README,
    RESULTS,
    TEXT,
    each_page,
    measured,
    measured_rate,
    rows,
    run,
)


def points_of(run: str) -> list[dict[str, str]]:
    return read_table(RESULTS / run / "points.csv")


def named(words: str) -> str:
    return words.lower().replace("single-layer", "single").replace("jpeg 2000", "jpeg2000")


@each_page
def test_the_table_of_three_layers_is_what_kodak_3layer_measured(path: Path) -> None:
    table = rows("| codec | against | BL 1/4 |", path)
    assert len(table) == 8
    for codec, anchor, *cells in table:
        assert cells == [measured("kodak_3layer", named(codec), named(anchor), layer) for layer in range(3)], codec


@each_page
def test_what_it_says_of_the_paper_is_what_was_published(path: Path) -> None:
    def told(data: str, *ratios: float) -> tuple[str, str]:
        rates = published_rates("compass")
        found = [rates.find(data, "COMPASS", name, ratios) for name in ANCHORS.values()]
        assert None not in found
        return f"{found[0]:+.1f}", f"{found[1]:+.1f}"

    text = TEXT[path]
    kodak = "{} against simulcast and {} against a single layer for EL1 on Kodak"
    assert kodak.format(*told("Kodak", 1, 2)) in text
    assert "{} and {} on Urban100".format(*told("Urban100", 1, 2, 4)) in text
    assert "{} and {} on CLIC 2021".format(*told("CLIC 2021", 1, 2, 4)) in text


ANCHORS = {"simulcast mean-scale": "Simulcast (Mean-scale)", "single mean-scale": "Single-layer (Mean-scale)"}
SCALES = {
    "4.5": ("x0.2222 x0.4444 x1", (1, 2, 4.5)), "5": ("x0.2 x0.4 x1", (1, 2, 5)),
    "5.5": ("x0.1818 x0.3636 x1", (1, 2, 5.5)), "6": ("x0.1667 x0.3333 x1", (1, 2, 6)),
}  # fmt: skip


def test_no_row_is_missing_from_the_tables_that_are_compared_row_by_row() -> None:
    for header, cells in (
        ("| EL2 / BL |", list(SCALES)),
        ("| method | vector |", ["refine", "universal", "yang", "zou", "rozendaal", "lam"]),
        ("| adapted | BL |", [codec for codec in adapted_stacks() if codec not in ("plain", "GC plain")]),
    ):
        assert sorted(row[0] for row in rows(header)) == sorted(cells), header
    assert sorted(map(what_is_timed, rows("| what | as a multiple of |"))) == sorted(SPEEDS)


def adapted_stacks() -> list[str]:
    return [spec.name for spec in load_recipe("adaptation_layers").codecs]


@pytest.mark.parametrize("row", rows("| EL2 / BL | against simulcast |"), ids=lambda row: row[0])
def test_the_table_beyond_the_trained_scales_is_what_was_measured_and_published(row: list[str]) -> None:
    label, ratios = SCALES[row[0]]
    expected = []
    for ours, theirs in ANCHORS.items():
        published = published_rates("compass").find("Kodak", "COMPASS", theirs, ratios)
        assert published is not None
        expected += [measured("out_of_distribution", "layered", ours, 2, label), f"{published:+.1f}"]
    assert row[1:] == expected


def test_beyond_the_trained_scales_a_single_layer_is_less_far_ahead_than_in_the_paper() -> None:
    assert "Against a single layer it loses less than the paper at each of them" in TEXT[PAGE]
    assert "the gain on simulcast, which is behind the paper's, shrinks" in TEXT[PAGE]
    gains = []
    for _, simulcast, of_paper, single, paper in rows("| EL2 / BL | against simulcast |"):
        gains.append(float(simulcast))
        assert float(single) < float(paper) and float(simulcast) > float(of_paper)
    assert gains == sorted(gains)


def test_the_table_of_many_layers_is_what_was_measured() -> None:
    table = {int(count): cells for count, *cells in rows("| layers | against simulcast |")}
    ladders = {len(scales): ladder_label(scales) for scales in load_recipe("many_layers").scales}
    assert table.keys() == ladders.keys() == set(range(3, 10))
    for count, cells in table.items():
        assert cells == [measured("many_layers", "layered", anchor, count - 1, ladders[count]) for anchor in ANCHORS]


METHODS_OF_THE_PAPER = {
    "SHVC (emulated, x265)": "SHVC", "Mei original": "Mei et al. (original)", "Mei enhanced": "Mei et al. (enhanced)",
    "simulcast factorized": "Simulcast (Factorized)", **ANCHORS,
}  # fmt: skip


def test_the_table_of_all_methods_is_what_was_measured_and_published() -> None:
    table = rows("| layered against | BL 1/4 | the paper |")
    assert [row[0] for row in table] == list(METHODS_OF_THE_PAPER)[:4]
    for anchor, *cells in table:
        theirs = [f"{of_the_paper(anchor, ratios):+.1f}" for ratios in ((1,), (1, 2))]
        ours = [measured("compass_table_bl_el1", "layered", anchor, layer) for layer in range(3)]
        assert cells == [ours[0], theirs[0], ours[1], theirs[1], ours[2]]
    shvc = "SHVC (emulated, x265)"
    gaps = [
        measured_rate("compass_table_bl_el1", "layered", shvc, layer) - of_the_paper(shvc, ratios)
        for layer, ratios in enumerate(((1,), (1, 2)))
    ]
    assert "it is {:.0f} points at BL and {:.0f} at EL1".format(*gaps) in TEXT[PAGE]
    means = run("compass_table_bl_el1").rate("layered", shvc, 2, rule=RULES[1])
    assert f"layered needs {means:.1f}% more bits than SHVC at EL2" in TEXT[PAGE]
    bpg, vvc = ([measured("compass_table_bl_el1", "layered", f"simulcast {of}", k) for k in range(3)]
                for of in ("BPG", "VVC"))  # fmt: skip
    assert "layered has {}, {} and {} at BL, EL1 and EL2".format(*bpg) in TEXT[PAGE]
    assert "VVC (VVenC, 4:2:0) {}, {} and {}.".format(*vvc) in TEXT[PAGE]
    assert f"layered needs {float(vvc[2]):.1f}% more bits), three by BPG less ({float(bpg[2]):.1f}%)" in TEXT[README]
    weak = measured("compass_table_bl_el1", "Mei enhanced", "simulcast mean-scale", 1)
    assert f"(EL1 {weak} for the enhanced ones" in TEXT[PAGE]


def test_the_pixels_that_layers_have_seen_are_those_of_the_recipes() -> None:
    def seen(name: str, layer: int, since: str = "") -> float:
        """Billions of pixels of an enhancement layer in the phases that train its residual module."""
        total, phases = 0.0, load_training(name).phases
        start = next((number for number, phase in enumerate(phases) if phase.name == since), 0)
        for phase in phases[start:]:
            if phase.kind in ("residual", "joint") and len(phase.scales) > layer:
                low, high = phase.scales[layer]
                share = (low**2 + low * high + high**2) / 3  # the mean square of a uniform scale
                total += phase.steps * phase.batch * phase.patch**2 * share / 1e9
        return total

    ours = sum(seen("compass_small", layer, since="residual") for layer in (1, 2))
    for name in ("mei_small", "mei_enhanced_small"):
        told = f"EL1's has seen {seen(name, 1):.1f} billion pixels of layers in training and EL2's {seen(name, 2):.1f},"
        assert f"{told} our one residual module {ours:.1f}." in TEXT[PAGE]


def of_the_paper(anchor: str, ratios: tuple[int, ...]) -> float:
    rate = published_rates("compass").find("Kodak", "COMPASS", METHODS_OF_THE_PAPER[anchor], ratios)
    assert rate is not None
    return rate


def test_the_table_of_everyday_codecs_is_what_was_measured() -> None:
    table = rows("| codec | BD-rate |")
    assert len(table) == 9
    for codec, cell in table:
        assert cell == measured("classical_kodak", codec, "mean-scale", 0)


def test_published_curves_are_met_as_nearly_as_was_measured() -> None:
    lines = (RESULTS / "classical_check.txt").read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:3]] for line in lines if line.startswith("│")]
    found = {codec: f"{float(rate.removesuffix(' %')):.1f}".replace("-0.0", "0.0") for codec, rate in cells}
    told = [row[2] for row in rows("| codec | against | BD-rate |")]
    assert told == [f"{found['webp']}, {found['jpeg2000']}", found["jpeg"], found["bpg"]]


def test_what_it_says_of_shm_itself_is_what_was_measured() -> None:
    lines = (RESULTS / "shvc_check.txt").read_text(encoding="utf-8").splitlines()
    assert lines[0].strip() == "layered against SHM, 4_2_1, 24 images"
    rates = [re.findall(r"[+-][\d.]+", line)[0] for line in lines if "mean curve" in line]
    more = [f"{float(rate):.1f}" for rate in rates]
    assert len(more) == 3 and all(float(rate) > 0 for rate in rates)
    told = "needs {}, {} and {}% more bits".format(*more)
    assert f"layered {told} in its three layers" in TEXT[README]
    assert f"{told} than SHM in its three layers" in TEXT[PAGE]


def test_the_table_of_base_layers_is_what_was_measured() -> None:
    table = rows("| base layer | BD-rate |")
    names = [row[0].split(" (")[0].lower() for row in table]
    assert names == ["factorized", "wacnn"]
    assert [row[1] for row in table] == [measured("base_layers", name, "mean-scale", 0) for name in names]


def test_the_table_of_20_pairs_of_scales_is_what_was_measured_and_published() -> None:
    table = rows("| layered against | lowest |")
    assert [row[0] for row in table] == list(METHODS_OF_THE_PAPER)
    scales = load_recipe("compass_table_el2").scales
    assert len(scales) == 20
    for anchor, *cells in table:
        ours = [measured_rate("compass_table_el2", "layered", anchor, 2, ladder_label(ladder)) for ladder in scales]
        theirs = [published_rates("compass").find("Kodak", "COMPASS", METHODS_OF_THE_PAPER[anchor], s) for s in scales]
        assert None not in theirs
        paper = sum(value for value in theirs if value is not None) / len(theirs)
        assert cells == [f"{value:+.1f}" for value in (min(ours), sum(ours) / len(ours), max(ours), paper)]
    near, far = "x0.25 x0.45 x0.6", "x0.25 x0.3 x1"
    simulcast, single = "simulcast mean-scale", "single mean-scale"
    most, least = (measured("compass_table_el2", "layered", simulcast, 2, label) for label in (near, far))
    told = f"({most} with EL1 1.8 and EL2 2.4 times as large as BL) and least where it is far ({least} with 1.2 and 4)"
    assert told in TEXT[PAGE]
    behind = measured("compass_table_el2", "layered", single, 2, near)
    assert f"furthest behind a single layer, with {behind}." in TEXT[PAGE]


def test_the_limits_it_admits_are_those_measured() -> None:
    assert f"{measured('liff_vs_liif', 'LIFF', 'LIIF', 2)}% BD-rate in the top layer on Kodak" in TEXT[PAGE]
    giga = {p["codec"]: float(p["decode_operations"]) / 1e9 for p in points_of("liff_vs_liif")}
    assert f"({giga['LIFF']:.0f} against {giga['LIIF']:.0f} Gop a picture in three layers)" in TEXT[PAGE]
    gap = base_gap()
    told = f"At full size the base layer needs {gap:.0f}% more bits than CompressAI's published mbt2018-mean"
    assert told in TEXT[README] and f"needs {gap:.0f}% more bits than CompressAI's published" in TEXT[PAGE]
    near = measured("kodak_arbitrary", "layered", "single mean-scale", 2, "x0.25 x0.45 x0.6")
    assert f"it needs {float(near):.0f}% more bits than a single layer" in TEXT[PAGE]
    labels = map(ladder_label, load_recipe("kodak_arbitrary").scales)
    rates = [measured_rate("kodak_arbitrary", "layered", "single mean-scale", 2, label) for label in labels]
    assert len(rates) == 25
    told = f"over 25 combinations of scales {min(rates):.1f} to {max(rates):.1f}% more"
    assert told in TEXT[PAGE]


def test_what_it_says_of_training_is_what_the_cards_have() -> None:
    def minutes(name: str) -> float:
        return float(sum(run["seconds"] for run in card(name).training["runs"])) / 60

    hours = f"{minutes('compass-small') / 60:.0f} hours on one or two CPU cores"
    assert f"trained for some {hours}" in TEXT[README]
    base, enhancement = (card("compass-small").parameters[part] / 1e6 for part in ("base", "enhancement"))
    told = f"`compass-small` has {base:.1f} million parameters in its base layer and {enhancement:.1f} million in its"
    assert told in TEXT[README]
    assert f"`wacnn-small` had {minutes('wacnn-small'):.0f} minutes of training on one core" in TEXT[README]
    generative = [minutes(name) for name in ("gc-small", "sc-small", "tunable-small")]
    few, many = 5 * round(min(generative) / 5), 5 * round(max(generative) / 5)
    assert f"some {few} to {many} minutes of training each" in TEXT[README]
    assert f"the bundled weights have seen {card('compass-small').training['pictures']} pictures" in TEXT[README]
    trained = " ".join((README.parent / "layered" / "training" / "README.md").read_text().split())
    assert f"`compass_small` has {len(load_training('compass_small').phases)} phases" in trained
    assert f"some {hours} in all" in trained


def test_the_pictures_of_the_training_are_counted_as_they_are_listed() -> None:
    with (README.parent / "layered" / "training" / "pictures.csv").open(newline="") as file:
        sets = Counter(row["repository and set"] for row in csv.DictReader(file))
    told = " ".join((README.parent / "layered" / "training" / "README.md").read_text().split())
    assert f"{500 + sets.total()} photographs: all 500 of BSDS500, and {sets.total()} larger ones" in told
    assert sorted(sets.values()) == [14, 27, 27, 27]
    assert "(27 each of CID22, of Sun-Hays80 and of a sample of ImageNet, 14 of the validation set of CLIC 2025" in told


def test_the_table_of_bundled_weights_names_them_all() -> None:
    named = [name for row in rows("| bundled weights |", README) for name in re.findall(r"`([^`]+)`", row[0])]
    assert sorted(named) == sorted(known.name for known in catalogue())


def test_the_table_of_data_sets_is_what_is_known() -> None:
    expected = [
        [f"`{known.name}`", str(known.count), " or ".join(f"`{pattern}`" for pattern in known.patterns)]
        for known in KNOWN.values()
    ]
    assert rows("| name | images |", EXPERIMENTS) == expected


def test_what_it_says_of_label_maps_is_what_was_measured() -> None:
    told = (RESULTS / "label_maps.txt").read_text(encoding="utf-8").splitlines()
    contours = re.findall(r"[\d.]+", told[0])
    maps = told[-1].split()[0]
    expected = f"all {maps} maps of CamVid at 480x360 take {float(contours[1]):,.0f} bytes each on average, "
    expected += f"{float(contours[2]):.2f} of what lossless JPEG XL needs"
    best = min(told[1:4], key=lambda line: int(re.findall(r"\d+", line)[0]))
    assert expected in TEXT[README] and best.startswith("JPEG XL")


def low_rate(name: str) -> list[dict[str, str]]:
    with (RESULTS / "low_rate_kodak" / name).open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_table_at_one_rate_is_what_was_measured() -> None:
    assert rows("| codec | bpp | times GC's |") == [list(row.values()) for row in low_rate("nearest.csv")]


def test_what_it_says_of_gc_without_a_discriminator_is_what_was_measured() -> None:
    with (RESULTS / "low_rate_ablation" / "nearest.csv").open(newline="") as file:
        plain = next(row for row in csv.DictReader(file) if row["codec"] == "GC without a discriminator")
    told = f"have {plain['PSNR dB']} dB and a gradient energy of {float(plain['gradient']):.3f}"
    assert told in TEXT[PAGE]


def test_what_it_says_of_other_numbers_of_channels_is_what_was_measured() -> None:
    with (RESULTS / "low_rate_channels" / "nearest.csv").open(newline="") as file:
        found = {row["codec"]: row for row in csv.DictReader(file)}
    few, many = found["GC, C = 2"], found["GC, C = 8"]
    told = "GC takes {} bpp at {} dB, with 8 channels {} bpp at {} dB"
    expected = told.format(few["bpp"], few["PSNR dB"], many["bpp"], many["PSNR dB"])
    assert expected in TEXT[PAGE]


def test_the_table_of_tunable_gc_is_what_was_measured_and_rises() -> None:
    points = [point for point in points_of("low_rate_kodak") if point["codec"] == "tunable GC"]
    expected = [
        [p["quality"], *(f"{float(p[name]):.{digits}f}" for name, digits in (("bpp", 4), ("psnr", 2), ("ms_ssim", 4)))]
        for p in points
    ]
    assert rows("| quality | bpp |") == expected and len(points) == 6
    rates, similarities = ([float(p[name]) for p in points] for name in ("bpp", "ms_ssim"))
    assert rates == sorted(rates) and rates[-1] > 3 * rates[0] and similarities == sorted(similarities)


def test_what_it_says_of_selective_compression_is_what_was_measured() -> None:
    lines = (RESULTS / "selective_camvid.txt").read_text(encoding="utf-8").splitlines()
    assert f"{lines[0].split()[0]} test pictures of 480x360" in TEXT[PAGE]
    found = {line[:27].strip(): line[27:].split() for line in lines[2:]}
    table = rows("| kept | share |")
    assert len(table) == 6
    assert all(cells == found[name] for name, *cells in table)


def test_what_it_says_of_enhancement_above_gc_is_what_was_measured() -> None:
    anchors = ("mean-scale + COMPASS", "single mean-scale")
    against = [measured("gc_compass_kodak", "GC + COMPASS", anchor, 2) for anchor in anchors]
    told = "{}% against the stack on a mean-scale base layer, {}% against single-layer mean-scale coding"
    assert told.format(*against) in TEXT[PAGE]


SPEEDS = {
    "mean-scale encode, 768x512, time": "coding: mean-scale encode",
    "mean-scale decode, 768x512, time": "coding: mean-scale decode",
    "LIFF at 2x, speed": "liff: LIFF 2x to 384x256",
    "LIFF at 4x, speed": "liff: LIFF 4x to 384x256",
    "LIFF at 2x, speed, 4,096": "liff: LIFF 2x to 384x256; x as fast as direct, 4096 pixels at once",
    "LIFF at 4x, speed, 4,096": "liff: LIFF 4x to 384x256; x as fast as direct, 4096 pixels at once",
    "LIFF at 2x, memory": "liff: LIFF 2x to 384x256, peak memory",
    "LIFF at 4x, memory": "liff: LIFF 4x to 384x256, peak memory",
    "training, images a second, float32": "training: images a second, fp32 as we train",
    "training, images a second, float32, laid out as CompressAI's": "training: images a second, fp32 as CompressAI",
    "training, images a second, bfloat16": "training: images a second, bf16 as we train",
    "three-layer encode, 768x512, time": "layers: encode, 3 layers",
    "three-layer decode, 768x512, time": "layers: decode, 3 layers",
    "a step of refinement, bfloat16, speed": "adaptation: 30 steps of refinement, 384x256, bfloat16",
    "a step of refinement, float32, speed": "adaptation: 30 steps of refinement, 384x256, float32",
    "refinement, memory": "adaptation: refinement, peak memory",
    "a step of an adapter, bfloat16, speed": "adaptation: 30 steps of adapter, 384x256, bfloat16",
    "a step of an adapter, float32, speed": "adaptation: 30 steps of adapter, 384x256, float32",
    "adapter, memory": "adaptation: adapter, peak memory",
}


def timed(start: str) -> dict[str, Any]:
    """The first row of the benchmarks that begins so."""
    files = sorted((RESULTS / "benchmark").glob("*.json"))
    found = [row for file in files for row in json.loads(file.read_text(encoding="utf-8"))["rows"]]
    return next(row for row in found if f"{row['subject']}: {row['name']}; {row['unit']}".startswith(start))


def what_is_timed(row: list[str]) -> str:
    return row[0] + ", 4,096" * ("4,096" in row[1])


@pytest.mark.parametrize("row", rows("| what | as a multiple of |"), ids=lambda row: row[0])
def test_the_table_of_speeds_is_what_the_benchmark_measured(row: list[str]) -> None:
    entry = timed(SPEEDS[what_is_timed(row)])
    told = [float(number) for number in re.findall(r"[\d.]+", row[2])]
    measured = [entry["median"], entry["min"], entry["max"]]
    digits = [len(number.partition(".")[2]) for number in re.findall(r"[\d.]+", row[2])]
    assert told == [round(value, places) for value, places in zip(measured, digits, strict=False)]


def test_the_memory_of_a_large_picture_is_what_the_benchmark_measured() -> None:
    assert f"of 3840x2160 takes {timed('memory')['median']:.1f} GB" in TEXT[PAGE]
    times = [re.findall(r"one layer: (\d+) ms", timed(f"layers: {what}")["note"])[0] for what in ("encode", "decode")]
    assert "takes {} ms to encode and {} ms to decode at 768x512".format(*times) in TEXT[PAGE]


def test_the_findings_that_stand_out_are_those_measured() -> None:
    def told_as(rate: float | None) -> str:
        assert rate is not None
        return f"{abs(rate):.1f}% {'more' if rate > 0 else 'fewer'}"

    def bits(recipe: str, codec: str, anchor: str, layer: int, scales: str | None = None, rule: str = RULES[0]) -> str:
        return told_as(run(recipe).rate(codec, anchor, layer, scales, rule))

    def paper(anchor: str) -> str:
        return told_as(published_rates("compass").find("Kodak", "COMPASS", anchor, (1, 2)))

    def fewer_bits(codec: str) -> str:
        return bits("classical_kodak", codec, "mean-scale", 0)

    simulcast, single = ANCHORS
    methods, shvc, bpg = "compass_table_bl_el1", "SHVC (emulated, x265)", "BPG (x265, 8 bits)"
    ladders = {len(scales): ladder_label(scales) for scales in load_recipe("many_layers").scales}
    three, nine = ladders[3], ladders[9]
    rates = {row["codec"]: row for row in low_rate("nearest.csv")}
    gc, vvc = rates["GC"], rates["VVC 4:2:0 (VVenC)"]
    times = [f"{timed(name)['median']:.2g}" for what, name in SPEEDS.items() if what.endswith("time")]
    text = re.sub(r"\]\([^)]*\)", "]", TEXT[README])
    for told in (
        f"layered needs {bits(methods, 'layered', shvc, 2)} bits, "
        f"{bits(methods, 'layered', shvc, 2, rule=RULES[1]).split()[0]} as the mean of the images' BD-rates; "
        f"at EL1 {bits(methods, 'layered', shvc, 1)}, in the paper {paper('SHVC')}.",
        f"layered needs {bits(methods, 'layered', 'Mei enhanced', 2)} bits; at EL1 "
        f"{bits(methods, 'layered', 'Mei enhanced', 1)}, in the paper {paper('Mei et al. (enhanced)').split()[0]}.",
        f"they need {bits(methods, 'Mei enhanced', simulcast, 1)} bits than simulcast",
        f"the gain falls to {-measured_rate('out_of_distribution', 'layered', simulcast, 2, SCALES['6'][0]):.1f}%",
        f"it rises, from {-measured_rate('many_layers', 'layered', simulcast, 2, three):.1f}% to "
        f"{-measured_rate('many_layers', 'layered', simulcast, 8, nine):.1f}%",
        f"take {bits('many_layers', 'layered', single, 8, nine)} bits than one layer",
        f"**GC** takes [{gc['bpp']} bits per pixel]",
        f"has {vvc['PSNR dB']} dB to GC's {gc['PSNR dB']}",
        f"takes {bits('gc_compass_kodak', 'GC + COMPASS', 'mean-scale + COMPASS', 2)} bits than above",
        f"at full size and equal PSNR BPG needs {fewer_bits(bpg)} bits, VVC {fewer_bits('VVC 4:2:0 (VVenC)')}.",
        "{} of CompressAI's time to encode and {} to decode; of `compass-small` three layers take {} and {} "
        "times".format(*times),
    ):
        assert told in text, told
    assert float(vvc["gradient"]) < float(gc["gradient"]) and float(vvc["times its rate"]) < 1.05
    everyday = [float(rate) for _, rate in rows("| codec | BD-rate |")]
    assert sum(rate < 0 for rate in everyday) > len(everyday) / 2


def test_what_it_says_in_short_is_what_was_measured() -> None:
    fewer, more = (measured_rate("kodak_3layer", "layered", anchor, 2) for anchor in ANCHORS)
    told = f"three sizes in one file take {-fewer:.0f}% fewer bits than three files, and {more:.0f}% more than the"
    assert told in TEXT[README]
    runs = card("compass-small").training["runs"]
    hours = sum(run["seconds"] for run in runs) / 3600
    of_the_base = sum(run["seconds"] for run in runs if all(phase.startswith("base") for phase in run["phases"]))
    shvc = measured_rate("compass_table_bl_el1", "layered", "SHVC (emulated, x265)", 2)
    told = f"trained for some {hours:.0f} hours on one or two CPU cores, two thirds of it for the enhancement layers"
    assert told in TEXT[README] and 0.6 < 1 - of_the_base / 3600 / hours < 0.73
    wacnn, above_gc = (sum(run["seconds"] for run in card(f"{name}-small").training["runs"]) / 60
                       for name in ("wacnn", "gc-compass"))  # fmt: skip
    told = f"had {wacnn:.0f} minutes of training to mean-scale's {of_the_base / 3600:.1f} hours"
    assert told in TEXT[PAGE]
    assert f"Its enhancement had {above_gc:.0f} minutes of training" in TEXT[PAGE]
    assert "that of `compass-small` had six hours" in TEXT[PAGE] and round(hours - of_the_base / 3600) == 6
    vvc = measured_rate("compass_table_bl_el1", "layered", "simulcast VVC", 2)
    told = f"Layered coding needs {shvc:.0f}% more bits than SHVC and {vvc:.0f}% more than three files by VVC, and the "
    told += f"base layer {base_gap():.0f}% more than"
    assert told in TEXT[README]
    points = run("kodak_3layer").points()
    pixels = 192 * 128
    longer = {
        round((float(point["bpp"]) - float(points["simulcast mean-scale", quality, 0]["bpp"])) * pixels / 8)
        for (codec, quality, layer), point in points.items()
        if codec == "layered" and layer == 0
    }
    assert len(longer) == 1 and f"a layered file has {longer.pop()} bytes more around it" in TEXT[README]


def base_gap() -> float:
    """BD-rate of the base layer at full size on Kodak against CompressAI's published mbt2018-mean."""
    points = [p for p in points_of("kodak_3layer") if (p["codec"], p["layer"]) == ("single mean-scale", "2")]
    ours = Curve(tuple(float(p["bpp"]) for p in points), tuple(float(p["psnr"]) for p in points))
    return bd_rate(published_curves()["compressai-mbt2018-mean_mse_cpu"], ours)


def test_every_result_has_its_recipe_commit_and_time() -> None:
    told = {row[0].strip("`"): row[1:] for row in rows("| recipe | commit |")}
    assert told.keys() == {path.name for path in RESULTS.iterdir()} - {PAGE.name, "index.yaml"}
    commits = r"[0-9a-f]{7}\+?(, [0-9a-f]{7}\+?)*"
    assert all(re.fullmatch(commits, commit) and extent for commit, extent, _ in told.values())


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*/made.json")), ids=lambda path: path.parent.name)
def test_commits_and_records_of_a_run_are_those_it_was_published_with(path: Path) -> None:
    made = json.loads(path.read_text(encoding="utf-8"))
    table = rows("| recipe | commit |")
    _, commits, told, _ = next(row for row in table if row[0] == f"`{path.parent.name}`")
    clean = [commit[:7] + "+" * commit.endswith("+") for commit in made["commits"]]
    assert commits.split(", ") == clean
    start = f"{made['images']} images, {made['records']:,} records, "
    start += f"{made['coding_seconds'] / 60:.0f} minutes of coding on "
    machine = told.removeprefix(start).split()
    assert told.startswith(start) and machine and all(word in made["machines"][0] for word in machine)


@pytest.mark.parametrize("run", published(), ids=lambda run: run.name)
def test_what_was_measured_with_weights_that_were_replaced_since_says_so(
    run: Published, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAYERED_DATA", "nowhere")
    told = next(row for row in rows("| recipe | commit |") if row[0] == f"`{run.name}`")[3]
    replaced = ", ".join(f"`{name}`" for name in earlier(run))
    assert told.partition("of earlier ")[2] == replaced
    for number, line in enumerate(LINES[PAGE]):
        if line.endswith(f"]({run.name}/figure.svg)"):
            notes = [below for below in LINES[PAGE][number + 1 : number + 3] if below.startswith(REPLACED)]
            assert notes == ([f"{REPLACED}{replaced}."] if replaced else [])


MARK = "\u2020"
OF_THE_FINDINGS = {
    "kodak_3layer": "`layered bench kodak_3layer`)", "compass_table_bl_el1": "[is ahead]",
    "out_of_distribution": "[at 6 times the base layer]", "many_layers": "[with nine layers]",
    "adaptation_kodak": "% BD-rate]", "adaptation_anchors": "[All adapted alike]",
    "adaptation_layers": "[all three layers]", "gc_compass_kodak": "above GC]",
    "universal_vector_large": "on larger vector graphics", "low_rate_kodak": "bits per pixel]",
    "classical_kodak": "[Most everyday codecs beat the base layer]",
    "liff_vs_liif": "[not better than LIIF]", "kodak_arbitrary": "[behind the paper]",
}  # fmt: skip
"""Words of the README behind which a mark stands if what they tell is of earlier weights, by run."""


@pytest.mark.parametrize("name", OF_THE_FINDINGS)
def test_findings_of_weights_that_were_replaced_since_are_marked(name: str) -> None:
    (run,) = (run for run in published() if run.name == name)
    text = re.sub(r"\]\([^)]*\)", "]", TEXT[README])
    assert text.count(OF_THE_FINDINGS[name]) == 1
    assert (f"{OF_THE_FINDINGS[name]}{MARK}" in text) == bool(earlier(run))
    assert not earlier(run) or f"{MARK}: measured with weights that have been replaced since" in text


@pytest.mark.parametrize("run", published(), ids=lambda run: run.name)
def test_every_recipe_of_the_page_has_a_figure_there(run: Published) -> None:
    shown = re.findall(r"\]\((\w+)/figure\.svg\)", TEXT[PAGE])
    assert run.name in shown or any(other.recipe == run.recipe for other in published() if other.name in shown)
