"""The table of preferences."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments.preference.table import inattentive, preferences
from layered.cli import run
from layered.errors import OptionError
from tests.experiments.preference.ballots import VOTE, trap, vote, written


def cells(text: str, first: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_has_counts_share_interval_and_verdict(tmp_path: Path) -> None:
    answers = ["left"] * 12 + ["right"] * 2 + ["not sure"] * 6
    text = preferences([written(tmp_path / "a.csv", [vote(trial=k + 1, answer=a) for k, a in enumerate(answers)])])
    assert cells(text, "a @ 1") == [
        "a @ 1", "b @ 2", "1", "1", "12", "2", "6", "75.0%", "53.1 to 88.8", "0.013", "a @ 1"
    ]  # fmt: skip
    assert "20 votes and 0 traps of 1 rater and 1 study." in text and "Ranking" not in text


def test_a_rater_who_fails_that_many_traps_of_a_study_is_left_out_and_named(tmp_path: Path) -> None:
    failing = [trap("left", rater="bob", trial=8), trap("not sure", rater="bob", trial=9), vote(rater="bob")]
    once = [trap("left", rater="cy", trial=8), trap("right", rater="cy", trial=9), vote(rater="cy", answer="right")]
    elsewhere = vote(rater="bob", study="beef", answer="right")
    path = written(tmp_path / "a.csv", [VOTE, *failing, *once, elsewhere])
    text = preferences([path])
    assert cells(text, "a @ 1")[4:7] == ["1", "2", "0"]
    assert "Left out, for failing 2 traps or more: bob (2 of 2, study f00df00d)." in text and "cy (" not in text
    strict = preferences([path], failed_traps=1)
    assert "bob (2 of 2, study f00df00d), cy (1 of 2, study f00df00d)" in strict
    assert cells(strict, "a @ 1")[4:7] == ["1", "1", "0"]
    assert inattentive([*failing, *once], 3) == {}
    with pytest.raises(OptionError, match="at least 1"):
        preferences([path], failed_traps=0)


def test_three_codecs_of_two_studies_are_ranked(tmp_path: Path) -> None:
    raters = [f"r{k}" for k in range(4)]
    one = [vote(rater=rater, trial=k, answer="right" if k == 1 else "left") for rater in raters for k in range(1, 5)]
    two = [vote(rater=v.rater, trial=v.trial, study="beef", left="b @ 2", right="c @ 3") for v in one]
    text = preferences([written(tmp_path / "a.csv", one), written(tmp_path / "b.csv", two)])
    ranked = text[text.index("**Ranking**") :]
    names = [line.split(" | ")[0].removeprefix("| ") for line in ranked.splitlines() if " @ " in line]
    assert names == ["a @ 1", "b @ 2", "c @ 3"]
    apart = preferences([written(tmp_path / "a.csv", [VOTE, vote(study="beef", left="c @ 3", right="d @ 4")])])
    assert "compared among themselves only: a @ 1, b @ 2; c @ 3, d @ 4." in apart


def test_nobody_left_and_repeated_lines_are_said_and_names_stay_text(tmp_path: Path) -> None:
    failing = [trap("left", rater="<b>", trial=k) for k in (1, 2)]
    text = preferences([written(tmp_path / "a.csv", [*failing, failing[0]])])
    assert "0 votes and 0 traps of 0 raters" in text and "&lt;b> (2 of 2" in text and "<" not in text
    assert "1 line said again what another had said, and counted once." in text


def test_the_command_prints_markdown_and_names_file_and_line_of_a_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "a.csv", [VOTE, vote(trial=2)])
    assert run(["preferences", str(path), str(path)]) == 0
    assert capsys.readouterr().out == preferences([path, path])
    path.write_text(path.read_text().replace("left,900", "maybe,900"))
    assert run(["preferences", str(path)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {path}, line 2: answer 'maybe'") and told.count("\n") == 1
    assert run(["preferences", str(path), "--failed-traps", "0"]) == 2
