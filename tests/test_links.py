"""Links of the READMEs and of the page of results lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README, PAGE = ROOT / "README.md", ROOT / "experiments" / "results" / "README.md"
PAGES = (README, PAGE, *(ROOT / folder / "README.md" for folder in (
    "adapters", "baselines", "experiments", "layered", "layered/training")))  # fmt: skip
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.parent.name)


def prose(path: Path) -> list[str]:
    """The lines of a page that are not in a block of code."""
    parts = path.read_text(encoding="utf-8").split("\n```")
    return "\n".join(parts[::2]).splitlines()


def anchors(path: Path) -> list[str]:
    """What the headings of a page are called in links, as GitHub names them."""
    titles = [line.lstrip("#").strip().lower() for line in prose(path) if re.match("#+ ", line)]
    return [re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles]


@each_page
def test_every_link_leads_to_a_file_and_a_heading_of_it(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]*)\)", "\n".join(prose(path)))
    relative = [link for link in links if "://" not in link]
    assert len(relative) > (10 if path in (README, PAGE) else 0)
    for link in relative:
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@each_page
def test_headings_are_told_apart_in_links(path: Path) -> None:
    assert len(set(anchors(path))) == len(anchors(path)) > (9 if path in (README, PAGE) else 1)


def test_the_contents_of_the_results_name_every_section() -> None:
    entries = [found[1] for line in prose(PAGE) if (found := re.fullmatch(r" *- \[.+\]\(#(.+)\)", line))]
    assert entries == anchors(PAGE)[1:]
