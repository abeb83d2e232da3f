"""Digests of source code."""

from __future__ import annotations

from pathlib import Path

import pytest

from baselines import fingerprint, learned
from baselines.fingerprint import source_digest
from experiments import item


@pytest.fixture
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(fingerprint, "_ROOT", tmp_path)
    source_digest.cache_clear()
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("a = 1\n")
    (tmp_path / "b.py").write_text("b = 1\n")
    return tmp_path


def digest(*sources: str) -> str:
    source_digest.cache_clear()
    return source_digest(*sources)


def test_a_change_or_a_new_file_changes_the_digest_and_a_change_elsewhere_does_not(sources: Path) -> None:
    before = digest("room")
    (sources / "b.py").write_text("b = 2\n")
    (sources / "room" / "notes.txt").write_text("not code")
    assert digest("room") == before
    (sources / "room" / "c.py").write_text("")
    with_new = digest("room")
    (sources / "room" / "a.py").write_text("a = 2\n")
    assert len({before, with_new, digest("room"), digest("room", "b.py")}) == 4


def test_a_missing_source_raises(sources: Path) -> None:
    with pytest.raises(FileNotFoundError):
        digest("nonesuch.py")


def test_all_sources_that_results_depend_on_exist() -> None:
    source_digest.cache_clear()
    assert source_digest(*learned._SOURCES) != source_digest(*item._SOURCES)
