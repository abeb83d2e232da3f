"""Results of the small recipe, measured once, and a browser for pages."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from experiments.harness import run
from experiments.runs import Results
from tests.experiments.dask_processes import Cluster, dask_processes
from tests.experiments.small_run import small_recipe, write_pictures

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def small_results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    place: Path = tmp_path_factory.mktemp("small")
    recipe = small_recipe(write_pictures(place / "pictures"))
    return run(recipe, place / "out", workers=0, command="tests", progress=False)


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Cluster]:
    """Starts `dask scheduler ...` and `dask worker ...`, which end with the test."""
    yield from dask_processes(tmp_path)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Any:
    reason = "the page is tried in Chromium through Playwright: pip install playwright, apt install chromium"
    api = pytest.importorskip("playwright.sync_api", reason=reason)
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip(reason)
    with api.sync_playwright() as playwright:
        profile = tmp_path_factory.mktemp("profile")
        context = playwright.chromium.launch_persistent_context(profile, executable_path=program, args=FLAGS)
        yield context
        context.close()


@pytest.fixture
def visit(browser: Any) -> Any:
    """A function that opens a file as a page; no page may complain or ask the network for anything."""
    complaints: list[str] = []
    pages = []

    def open_page(path: Path, width: int = 1200) -> Any:
        page = browser.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": 900})
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: asked(request.url))
        page.goto(path.as_uri())
        return page

    def asked(address: str) -> None:
        if not address.startswith(("file:", "blob:", "data:")):
            complaints.append(address)

    yield open_page
    for page in pages:
        page.wait_for_timeout(100)
        page.close()
    assert complaints == []
