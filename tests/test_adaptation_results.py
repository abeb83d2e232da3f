"""What the page of results says of per-image adaptation is what was measured."""

from __future__ import annotations

from dataclasses import replace
from statistics import mean

import pytest

from experiments.page.items import FILE, read_items
from experiments.page.numbers import shown
from tests.page_tables import PAGE, README, RESULTS, TEXT, measured, rows, run


def mean_of_images(recipe: str, codec: str, anchor: str, layer: int) -> str:
    return shown(run(recipe).rate(codec, anchor, layer, rule="mean of images"))


def test_the_table_of_steps_is_what_was_measured() -> None:
    table = rows("| steps | BD-rate | mean of images |")
    assert len(table) == 6
    for words, *cells in table:
        method, steps = words.split(",")[0].rsplit(" ", 1)
        codec = f"{'universal' if 'adapters' in words else 'refine'} {steps}"
        recipe = "adaptation_steps"
        found = [measured(recipe, codec, "plain", 0), mean_of_images(recipe, codec, "plain", 0)]
        assert method == "latents" and cells == [*found, f"{run(recipe).seconds(codec):.0f}"], codec


def test_what_refinement_gains_on_kodak_is_what_was_measured() -> None:
    gains = run("adaptation_kodak").each_image("refined", "mean-scale")
    assert len(gains) == 24 and max(gains.values()) < 0
    told = (
        f"{measured('adaptation_kodak', 'refined', 'mean-scale', 0)}% "
        f"({mean_of_images('adaptation_kodak', 'refined', 'mean-scale', 0)}% as the mean of the images, "
        f"{shown(min(gains.values()))} to {shown(max(gains.values()))}% on single ones)"
    )
    assert told in TEXT[PAGE]
    assert f"some {run('adaptation_kodak').seconds('refined'):.0f} seconds a picture" in TEXT[PAGE]
    assert f"[{measured('adaptation_kodak', 'refined', 'mean-scale', 0)}% BD-rate](" in TEXT[README]


DOMAINS = ("vector", "comic", "line")


@pytest.mark.parametrize("row", rows("| method | vector |"), ids=lambda row: row[0])
def test_the_table_of_domains_is_what_was_measured(row: list[str]) -> None:
    method, *cells = row
    gains = [run(f"universal_{domain}").more_db(method, "plain") for domain in DOMAINS]
    rates = [measured(f"universal_{domain}", method, "plain", 0) for domain in DOMAINS]
    assert cells == [*rates, *("-" if gain is None else f"{gain:+.2f}" for gain in gains)]


def test_what_adapters_bring_beside_refined_latents_is_what_was_measured() -> None:
    less = [measured(f"universal_{domain}", "universal", "refine", 0).removeprefix("-") for domain in DOMAINS]
    told = "`universal` needs {}% fewer bits than `refine` on vector graphics, {}% on comics and {}% on line drawings"
    assert told.format(*less) in TEXT[PAGE]
    large = [measured("universal_vector_large", *pair, 0) for pair in (("universal", "plain"), ("refine", "plain"))]
    fewer = measured("universal_vector_large", "universal", "refine", 0).removeprefix("-")
    told = f"it needs {fewer}% fewer: {large[0]}% against no adaptation, where `refine` has {large[1]}%"
    assert told in TEXT[PAGE]
    comics = measured("universal_comic_large", "universal", "refine", 0).removeprefix("-")
    assert f"of the comics {comics}%, so adapters hardly pay there" in TEXT[PAGE]
    assert f"has {large[0]}% with adapters and {large[1]}% without" in TEXT[README]
    assert abs(float(comics)) < 0.5 and "on comics adapters bring nothing" in TEXT[README]


def test_what_the_methods_of_others_send_is_what_was_measured() -> None:
    def sent(method: str, instead: str) -> float:
        """Bytes that it has more than the other at the same quality, at the mean over pictures."""
        items = read_items(RESULTS / "universal_vector" / FILE)
        sizes = {key: layers[0][0] for key, layers in items.items()}
        pairs = [(size, sizes[replace(key, codec=instead)]) for key, size in sizes.items() if key.codec == method]
        return mean(size - other for size, other in pairs)

    # Both refine as yang does; a byte more is the section's length.
    assert f"{sent('zou', 'yang') - 1:.0f} bytes for `zou`" in TEXT[PAGE]
    assert f"{sent('lam', 'yang') / 1000:.0f} kB for `lam`" in TEXT[PAGE]
    assert f"{sent('rozendaal', 'plain') / 1000:.1f} kB for `rozendaal`" in TEXT[PAGE]


@pytest.mark.parametrize("row", rows("| adapted | BL |"), ids=lambda row: row[0])
def test_the_table_of_adapted_stacks_is_what_was_measured(row: list[str]) -> None:
    codec, *cells = row
    found = [measured("adaptation_layers", codec, "GC plain" if codec[:2] == "GC" else "plain", k) for k in range(3)]
    assert cells == [*found, f"{run('adaptation_layers').seconds(codec):.0f}"]


@pytest.mark.parametrize("row", rows("| adapted or not |"), ids=lambda row: f"{row[0]} against {row[1]}")
def test_the_table_of_codecs_that_are_adapted_alike_is_what_was_measured(row: list[str]) -> None:
    assert row[2:] == [measured("adaptation_anchors", row[0], row[1], layer) for layer in range(3)]


def test_what_it_says_of_codecs_that_are_adapted_alike_is_what_was_measured() -> None:
    table = [(row[0], row[1]) for row in rows("| adapted or not |")]
    shvc = "SHVC (emulated, x265)"
    pairs = [("layered adapted", "layered")]
    for anchor in ("simulcast", "single"):
        pairs += [("layered", anchor), ("layered adapted", f"{anchor} adapted")]
    assert table == [*pairs, ("layered", shvc), ("layered adapted", shvc)]
    rates = {pair: run("adaptation_anchors").rate(*pair, 2) for pair in table}
    gains = {of: run("adaptation_anchors").rate(f"{of} adapted", of, 2) for of in ("layered", "simulcast", "single")}
    assert None not in (*rates.values(), *gains.values())
    found = {pair: rate for pair, rate in rates.items() if rate is not None}
    less = {of: -rate for of, rate in gains.items() if rate is not None}
    assert found["layered", shvc] > 0 > found["layered adapted", shvc]
    assert f"the top layer takes {less['layered']:.1f}% fewer bits, and goes from behind SHVC to ahead" in TEXT[PAGE]
    assert f"gain a little more, {less['simulcast']:.1f}% and {less['single']:.1f}% at full size" in TEXT[PAGE]
    assert less["layered"] < less["simulcast"] and less["layered"] < less["single"]
    told = "layered coding needs {:.1f}% fewer bits than simulcast and {:.1f}% more than a single layer, and {:.1f}% "
    adapted = [found["layered adapted", other] for other in ("simulcast adapted", "single adapted", shvc)]
    assert f"{told.format(*map(abs, adapted))}fewer than SHVC" in TEXT[README]
    before, after = (mean_of_images("adaptation_anchors", of, shvc, 2) for of in ("layered", "layered adapted"))
    assert f"as the mean of the images it comes from {before} to {after}." in TEXT[PAGE]
    assert f"(as the mean of the images {float(after):.1f}% more)" in TEXT[README]
    large = float(measured("compass_table_bl_el1", "layered", shvc, 2))
    assert f"of full-size Kodak it is {large:.1f}% ahead" in TEXT[PAGE]


def test_what_it_says_of_adapting_all_layers_is_what_was_measured() -> None:
    whole = ("layer after layer", "joint", "joint for the top", "universal")
    gains = [run("adaptation_layers").rate(codec, "plain", 2) for codec in whole]
    assert None not in gains
    least, most = max(filter(None, gains)), min(filter(None, gains))
    assert f"adapted save {-least:.1f} to {-most:.1f}% at the top of small pictures" in TEXT[README]


@pytest.mark.parametrize(
    ("codec", "better", "words"),
    [("joint", [True] * 5 + [False], "on five of six images"), ("joint for the top", [True] * 6, "on all six images")],
)
def test_what_a_joint_search_gains_beside_layer_after_layer_is_what_was_measured(
    codec: str, better: list[bool], words: str
) -> None:
    gains = sorted(run("adaptation_layers").each_image(codec, "layer after layer", 2).values())
    assert [gain < 0 for gain in gains] == better
    less = measured("adaptation_layers", codec, "layer after layer", 2).removeprefix("-")
    assert f"the top layer has {less}% fewer bits than layer after layer" in TEXT[PAGE]
    assert f"{words} ({shown(gains[0])} to {shown(gains[-1])}%)" in TEXT[PAGE]
