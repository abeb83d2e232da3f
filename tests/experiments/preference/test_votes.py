"""CSV files of votes: added up, counted once, and refused line by line."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.preference.votes import COLUMNS, ORIGINAL, read_votes
from layered.errors import OptionError
from tests.experiments.preference.ballots import VOTE, trap, vote, written

HEADER = ",".join(COLUMNS)
LINE = "f00d,ann,0,1,p0,a @ 1,b @ 2,left,900,0"


def test_votes_of_two_files_are_added_and_lines_said_twice_count_once(tmp_path: Path) -> None:
    first = [vote(trial=1), vote(trial=2, answer="not sure")]
    paths = [written(tmp_path / "a.csv", first), written(tmp_path / "b.csv", [*first, trap("right", trial=3)])]
    read = read_votes([*paths, paths[0]])
    assert read.votes == (*first, trap("right", trial=3)) and read.repeated == 4


def test_the_same_trial_of_another_rater_or_study_is_another_vote(tmp_path: Path) -> None:
    votes = [VOTE, vote(rater="bob", answer="right"), vote(study="beef", answer="right")]
    assert read_votes([written(tmp_path / "a.csv", votes)]).votes == tuple(votes)


def test_one_trial_answered_twice_and_differently_is_refused_with_both_places(tmp_path: Path) -> None:
    paths = [written(tmp_path / f"{name}.csv", [vote(answer=name)]) for name in ("left", "right")]
    told = r"right\.csv, line 2: ann has answered trial 1 otherwise in .*left\.csv, line 2"
    with pytest.raises(OptionError, match=told):
        read_votes(paths)


def test_names_with_commas_quotes_and_a_mark_of_a_spreadsheet_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f'\ufeff{HEADER}\r\nf00d,"a ""b"", c",0,1,p0,a @ 1,b @ 2,left,900,0\r\n', encoding="utf-8")
    assert [one.rater for one in read_votes([path]).votes] == ['a "b", c']


@pytest.mark.parametrize("name", ["Screenshot at 9.41\u202fAM", "a\xa0b", "a\u200bb"])
def test_names_of_files_with_odd_spaces_are_read(tmp_path: Path, name: str) -> None:
    (read,) = read_votes([written(tmp_path / "a.csv", [vote(image=name)])]).votes
    assert read.image == name


@pytest.mark.parametrize("letter", ["\t", "\x1b", "\x85", "\u2028", "\u2029"])
def test_names_with_a_control_character_or_line_break_are_refused(tmp_path: Path, letter: str) -> None:
    with pytest.raises(OptionError, match="line 2: no image, or one with a control character or line break"):
        read_votes([written(tmp_path / "a.csv", [vote(image=f"a{letter}b")])])


def test_what_was_chosen_and_which_traps_were_failed() -> None:
    assert [vote(answer=answer).chosen for answer in ("left", "right", "not sure")] == ["a @ 1", "b @ 2", None]
    assert [trap(answer).failed for answer in ("left", "right", "not sure")] == [True, False, True]
    assert not replace(VOTE, answer="not sure").failed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: the columns are not study,rater"),
        (LINE, "line 1: the columns are not"),
        (HEADER.replace(",", ";"), "line 1: the columns are not"),
        (f"{HEADER}\n{LINE}\n{LINE},more", "line 3: 11 fields instead of 10"),
        (f"{HEADER}\n{LINE.rpartition(',')[0]}", "line 2: 9 fields instead of 10"),
        (f"{HEADER}\n{LINE.replace('ann', ' ')}", "line 2: no rater"),
        (f"{HEADER}\n{LINE.replace('left', 'both')}", "line 2: answer 'both' is not one of left, right, not sure"),
        (f"{HEADER}\n{LINE.replace(',1,p0', ',0,p0')}", "line 2: trial '0' is not a whole number from 1 on"),
        (f"{HEADER}\n{LINE.replace('900', '-9')}", "line 2: milliseconds '-9'"),
        (f"{HEADER}\n{LINE.replace('900', '9.5')}", "line 2: milliseconds '9.5'"),
        (f"{HEADER}\n{LINE}".removesuffix("0") + "yes", "line 2: trap 'yes' is neither 0 nor 1"),
        (f"{HEADER}\n{LINE}".removesuffix("0") + "1", "line 2: trap 1, but original is none of its sides"),
        (f"{HEADER}\n{LINE.replace('b @ 2', ORIGINAL)}", "line 2: trap 0, but original is one of its sides"),
        (f"{HEADER}\n{LINE.replace('b @ 2', 'a @ 1')}", "line 2: a @ 1 stands on both sides"),
        (f'{HEADER}\n{LINE.replace("p0", chr(34) + "p0")}', "line 2: unexpected end of data"),
        (f"{HEADER}\n\n{LINE.replace('left', 'up')}", "line 3: answer 'up'"),
        (f"{HEADER}\n{LINE}\n{LINE.replace('ann,0', 'bob,1')}", "line 3: seed 1, but 0 elsewhere in the same study"),
    ],
)
def test_a_damaged_file_gets_one_line_with_its_name_and_the_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match=re.escape(f"{path}, {message}")) as raised:
        read_votes([path])
    assert "\n" not in str(raised.value)


def test_files_without_votes_and_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="no vote"):
        read_votes([written(tmp_path / "a.csv", [])])
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match=r"b\.csv: not UTF-8"):
        read_votes([tmp_path / "b.csv"])
    with pytest.raises(OptionError, match=r"c\.csv: no such file"):
        read_votes([tmp_path / "c.csv"])
