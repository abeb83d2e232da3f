"""Tables of the results page: what is written is read, small as CSV and large compressed, and damage is told."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.page import kept
from experiments.page.kept import read_table, write_table
from layered.errors import RecipeError

HEADER = ["anchor", "notes"]
WORDS = st.text(st.characters(codec="utf-8", min_codepoint=32), max_size=8)


@given(rows=st.lists(st.tuples(WORDS, WORDS), max_size=4), largest=st.sampled_from([0, 2**16]))
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], largest: int
) -> None:  # fmt: skip
    path = tmp_path_factory.mktemp("kept") / "table.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept, "LARGEST", largest)
        write_table(path, HEADER, rows)
    assert read_table(path) == [dict(zip(HEADER, row, strict=True)) for row in rows]


def test_a_table_has_one_file_small_or_large(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    for count, name in ((1, "table.csv"), (19999, "table.csv.xz"), (2, "table.csv")):
        write_table(path, HEADER, [("jpeg", "")] * count)
        assert [file.name for file in tmp_path.iterdir()] == [name]
        assert len(read_table(path)) == count


@pytest.mark.parametrize("data", [b"", b"no xz", lzma.compress(b"a,b\n1,2\n")[:-9], lzma.compress(b"\xff")])
def test_what_is_no_table_is_refused_in_one_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "table.csv.xz").write_bytes(data)
    with pytest.raises(RecipeError, match=r"table\.csv: "):
        read_table(tmp_path / "table.csv")
    with pytest.raises(RecipeError, match=r"other\.csv: No such file"):
        read_table(tmp_path / "other.csv")
