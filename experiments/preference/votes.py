"""Votes as a study's page saves them, read from CSV files and checked line by line."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from layered.errors import OptionError
from layered.files import read_bytes

__all__ = ["ANSWERS", "COLUMNS", "ORIGINAL", "Vote", "Votes", "read_votes"]

COLUMNS = ("study", "rater", "seed", "trial", "image", "left", "right", "answer", "milliseconds", "trap")
ANSWERS = ("left", "right", "not sure")
ORIGINAL = "original"
"""What stands in the place of a codec on one side of a trap."""


@dataclass(frozen=True)
class Vote:
    """One answer.  trial: its number, from 1, in the rater's order.  left, right: codecs, or the original."""

    study: str
    rater: str
    seed: int
    trial: int
    image: str
    left: str
    right: str
    answer: str
    milliseconds: int
    trap: bool

    @property
    def chosen(self) -> str | None:
        """What was preferred; None where the rater was not sure."""
        return {"left": self.left, "right": self.right}.get(self.answer)

    @property
    def failed(self) -> bool:
        """Whether it is a trap in which the original was not chosen."""
        return self.trap and self.chosen != ORIGINAL


@dataclass(frozen=True)
class Votes:
    """votes: each once.  repeated: how many lines said again what another had said."""

    votes: tuple[Vote, ...]
    repeated: int


def read_votes(paths: Sequence[str | Path]) -> Votes:
    """All votes of some files; a line that repeats one of the same or another file is counted once.

    Raises OptionError, which names file and line, for what a page does not write, and where one rater has answered
    one trial twice and differently, or one study has two seeds.
    """
    found: dict[tuple[str, str, int], tuple[Vote, str]] = {}
    seeds: dict[str, int] = {}
    repeated = 0
    for path in paths:
        for line, vote in _lines(Path(path)):
            where = f"{path}, line {line}"
            if seeds.setdefault(vote.study, vote.seed) != vote.seed:
                raise OptionError(f"{where}: seed {vote.seed}, but {seeds[vote.study]} elsewhere in the same study")
            before = found.setdefault((vote.study, vote.rater, vote.trial), (vote, where))
            if before[0] != vote:
                raise OptionError(f"{where}: {vote.rater} has answered trial {vote.trial} otherwise in {before[1]}")
            repeated += before[0] is not vote
    if not found:
        raise OptionError("no vote in these files")
    return Votes(tuple(vote for vote, _ in found.values()), repeated)


def _lines(path: Path) -> list[tuple[int, Vote]]:
    try:
        text = read_bytes(path).decode("utf-8-sig")  # spreadsheets put a mark in front
    except UnicodeDecodeError:
        raise OptionError(f"{path}: not UTF-8 text, so not what a study's page saves") from None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    votes, line = [], 1
    try:
        if tuple(next(reader, ())) != COLUMNS:
            raise ValueError(f"the columns are not {','.join(COLUMNS)}")
        line = reader.line_num + 1  # where a row begins: a quoted field may go on below
        for fields in reader:
            if fields:
                votes.append((line, _vote(fields)))
            line = reader.line_num + 1
    except (ValueError, csv.Error) as error:
        raise OptionError(f"{path}, line {line}: {error}") from None
    return votes


def _vote(fields: Sequence[str]) -> Vote:
    """Raises ValueError with what is wrong."""
    if len(fields) != len(COLUMNS):
        raise ValueError(f"{len(fields)} fields instead of {len(COLUMNS)}")
    row = dict(zip(COLUMNS, fields, strict=True))
    for name in ("study", "rater", "image", "left", "right"):
        row[name] = row[name].strip()
        # Odd spaces and the like are common in names of files, but none of these belongs into one line of a table.
        if not row[name] or any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") for letter in row[name]):
            raise ValueError(f"no {name}, or one with a control character or line break")
    numbers = {name: _whole(name, row[name], least) for name, least in (("seed", 0), ("trial", 1), ("milliseconds", 0))}
    if row["answer"] not in ANSWERS:
        raise ValueError(f"answer {row['answer']!r} is not one of {', '.join(ANSWERS)}")
    if row["trap"] not in ("0", "1"):
        raise ValueError(f"trap {row['trap']!r} is neither 0 nor 1")
    sides, trap = (row["left"], row["right"]), row["trap"] == "1"
    if sides[0] == sides[1]:
        raise ValueError(f"{sides[0]} stands on both sides")
    if trap is not (ORIGINAL in sides):
        raise ValueError(f"trap {row['trap']}, but {ORIGINAL} is {'one' if ORIGINAL in sides else 'none'} of its sides")
    return Vote(
        row["study"], row["rater"], numbers["seed"], numbers["trial"], row["image"], *sides, row["answer"],
        numbers["milliseconds"], trap,
    )  # fmt: skip


def _whole(name: str, text: str, least: int) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise ValueError(f"{name} {text!r} is not a whole number from {least} on")
    return int(text)
