"""Results of the small recipe, measured once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from experiments.harness import run
from experiments.runs import Results
from tests.experiments.dask_processes import Cluster, dask_processes
from tests.experiments.small_run import small_recipe, write_pictures


@pytest.fixture(scope="session")
def small_results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    place: Path = tmp_path_factory.mktemp("small")
    recipe = small_recipe(write_pictures(place / "pictures"))
    return run(recipe, place / "out", workers=0, command="tests", progress=False)


@pytest.fixture
def dask(tmp_path: Path) -> Iterator[Cluster]:
    """Starts `dask scheduler ...` and `dask worker ...`, which end with the test."""
    yield from dask_processes(tmp_path)
