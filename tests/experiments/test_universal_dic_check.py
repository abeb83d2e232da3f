"""Our BD-rate on the published averages of universal adaptation and VVC, and the command that reads the tables."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.bdrate import Curve, bd_rate
from experiments.universal_dic_check import DOMAINS, REFERENCE, compared, main
from layered.errors import LayeredError

# Averages over images of the results in the paper's repository: bpp and dB by increasing rate.
OURS = {
    "natural": (
        (0.12873, 0.19498, 0.32006, 0.46733, 0.63531, 0.86924),
        (29.3162, 30.8435, 32.4803, 34.2911, 36.1903, 37.9921),
    ),
    "comic": (
        (0.17993, 0.2382, 0.3346, 0.44523, 0.5912, 0.77852),
        (30.637, 32.4553, 34.1489, 36.0408, 37.8934, 39.6837),
    ),
    "line": (
        (0.23749, 0.32142, 0.45221, 0.5778, 0.76559, 0.95208),
        (29.9274, 32.1819, 34.3714, 36.7824, 39.3568, 41.6747),
    ),
    "vector": (
        (0.10076, 0.12832, 0.18146, 0.24475, 0.32266, 0.41613),
        (35.0849, 36.8856, 38.5236, 40.3269, 42.043, 43.9009),
    ),
}
VVC = {
    "natural": (
        (0.11238, 0.18145, 0.28607, 0.43154, 0.62591, 0.8746, 1.18493),
        (28.4733, 30.0509, 31.7728, 33.5679, 35.4174, 37.2329, 38.9656),
    ),
    "comic": (
        (0.18103, 0.2452, 0.32865, 0.43407, 0.56718, 0.73088, 0.93805),
        (29.62, 31.7133, 33.8186, 35.8815, 37.8789, 39.7906, 41.6207),
    ),
    "line": (
        (0.26243, 0.35593, 0.46775, 0.59411, 0.7368, 0.89348, 1.06923),
        (29.9525, 32.3471, 34.8133, 37.2003, 39.4655, 41.5281, 43.4132),
    ),
    "vector": (
        (0.08593, 0.11553, 0.15393, 0.20353, 0.26765, 0.35105, 0.45567),
        (33.6779, 35.7655, 37.7601, 39.6218, 41.3771, 42.9457, 44.3104),
    ),
}


@pytest.mark.parametrize("domain", DOMAINS)
def test_bd_rate_of_universal_adaptation_against_vvc_is_the_published_one(domain: str) -> None:
    found = {name: bd_rate(Curve(*VVC[domain]), Curve(*OURS[domain]), name) for name in REFERENCE[domain]}
    assert found == pytest.approx(REFERENCE[domain], abs=0.05)


def results(folder: Path) -> None:
    """Tables of two images around each average."""
    for name, points, ending in (("ours/wacnn/q", OURS, "_2nd"), ("VVC/q", VVC, "")):
        for domain, (rates, qualities) in points.items():
            for k, (rate, quality) in enumerate(zip(rates, qualities, strict=True)):
                path = folder / f"{name}{k}/{domain}{ending}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                rows = (f"{n},{rate * (1 + s)},{quality + s}" for n, s in (("a", 0.1), ("b", -0.1)))
                path.write_text("\n".join((",bpp,psnr", *rows)))


def test_tables_are_averaged_over_images(tmp_path: Path) -> None:
    results(tmp_path)
    assert compared(tmp_path, "natural", "pchip") == pytest.approx(-10.20, abs=0.05)


def test_published_numbers_stand_beside_ours_with_the_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results(tmp_path)
    path = tmp_path / "ours/wacnn/q0/line_2nd.csv"
    path.write_text(path.read_text().replace("0.26", "0.36"))  # so that something differs
    main([str(tmp_path)])
    lines = [[word for word in line.split() if word not in "│┃"] for line in capsys.readouterr().out.splitlines()]
    rows = {(line[0], line[1]): list(map(float, line[2:])) for line in lines if len(line) == 5 and line[0] in REFERENCE}
    assert len(rows) == 3 * (len(DOMAINS) + 1)
    for (domain, method), (ours, published, difference) in rows.items():
        assert published == REFERENCE[domain][method] and difference == pytest.approx(ours - published, abs=0.011)
        assert (abs(difference) > 0.05) == (domain in ("line", "average"))


def test_missing_results_and_other_tables_are_told(tmp_path: Path) -> None:
    with pytest.raises(LayeredError, match="no results of line"):
        compared(tmp_path, "line", "pchip")
    results(tmp_path)
    (tmp_path / "VVC/q0/line.csv").write_text("a,b\n1,2\n")
    with pytest.raises(LayeredError, match="not a table with bpp and psnr"):
        compared(tmp_path, "line", "pchip")
