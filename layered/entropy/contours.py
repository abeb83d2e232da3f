"""Label maps as vector graphics: boundaries traced on the graph of pixel corners, and a class for each region.

A boundary runs along the sides of pixels whose labels differ.  Each is followed from corner to corner, every move
relative to the one before (straight on, left, right), so that what is coded is a chain of directions; where boundaries
meet all branches are followed in turn, and no side is coded twice.  The decisions are coded adaptively, in the context
of the moves before and of the sides near by that are known already.  Agustsson et al. (ICCV 2019, section 3.3) describe
the principle; the order, contexts and format are ours.  Lossless.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from layered.entropy.adaptive import BitCoder, BitDecoder, BitEncoder, Mixer, code_number
from layered.errors import CorruptStream, OptionError
from layered.guide import Labels

__all__ = ["decode_labels", "encode_labels"]

UNKNOWN, ABSENT, PRESENT = 0, 1, 2
UP, RIGHT, DOWN, LEFT = range(4)
STEP = ((-1, 0), (0, 1), (1, 0), (0, -1))
TURNS = (0, 1, 3)
"""Straight on, right, left, added to the direction of travel; the order in which sides are coded."""
MOVES = 3**11  # how much of the past is remembered


def encode_labels(labels: Labels) -> bytes:
    """Any label map of at least one pixel -> bytes.  Raises OptionError for what is none."""
    if labels.ndim != 2 or labels.dtype != np.uint8 or 0 in labels.shape:
        raise OptionError(f"a label map is [H, W] of 8-bit classes, got {labels.dtype} {list(labels.shape)}")
    encoder, highest = BitEncoder(), int(labels.max())
    sides = _Sides(*labels.shape)
    sides.trace(encoder, labels)
    _code_classes(encoder, sides.regions(), highest, labels)
    return bytes([highest]) + encoder.finish()


def decode_labels(data: bytes, height: int, width: int) -> Labels:
    """The inverse of `encode_labels`.  Raises CorruptStream."""
    if not data:
        raise CorruptStream("a label map is missing")
    decoder, highest = BitDecoder(data[1:]), data[0]
    sides = _Sides(height, width)
    sides.trace(decoder, None)
    labels = _code_classes(decoder, sides.regions(), highest, None)
    decoder.finish()
    if int(labels.max()) != highest:
        raise CorruptStream(f"a label map has classes up to {int(labels.max())}, not {highest} as it says")
    return labels


class _Sides:
    """What is known of the sides of all pixels: known[4 * corner + d] is the side from a corner in direction d.

    Corner (i, j) is number i * columns + j.  Bytes, because lists of as many numbers take a hundred times the memory.
    """

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        outer = np.zeros((height + 1, width + 1, 4), np.int8)
        outer[0, :, [UP, RIGHT, LEFT]] = outer[height, :, [DOWN, RIGHT, LEFT]] = ABSENT
        outer[:, 0, [LEFT, UP, DOWN]] = outer[:, width, [RIGHT, UP, DOWN]] = ABSENT
        self.columns = width + 1
        self.known = bytearray(outer.tobytes())
        self._visited = bytearray((height + 1) * (width + 1))
        self._moves = Mixer(5)

    def trace(self, coder: BitCoder, labels: Labels | None) -> None:
        """Code all boundaries, or find them where labels is None."""
        truth = None if labels is None else _truth(labels)
        numbers, more = Mixer(1), Mixer(1)
        last, corners = 0, len(self._visited)
        starts: Iterator[int] = iter(()) if truth is None else self._starts(truth)
        while True:
            start = next(starts, None)
            if not more.code(coder, int(start is not None), [0]):
                return
            gap = code_number(coder, numbers, 0 if start is None else start - last, "gap", corners - 1 - last)
            last += gap
            self._follow(coder, divmod(last, self.columns), truth)

    def _starts(self, truth: list[list[list[bool]]]) -> Iterator[int]:
        """The corners, numbered row by row, at which a boundary begins that none before has led to."""
        for i, row in enumerate(truth):
            for j, sides in enumerate(row):
                if not self._visited[i * self.columns + j] and any(sides):
                    yield i * self.columns + j

    def _follow(self, coder: BitCoder, corner: tuple[int, int], truth: list[list[list[bool]]] | None) -> None:
        """Everything that is connected with a corner, which is the first of it row by row."""
        i, j = corner
        if self._visited[i * self.columns + j]:
            raise CorruptStream("a boundary of a label map begins where another has been")
        for direction in (UP, LEFT):
            if self.known[4 * (i * self.columns + j) + direction] == UNKNOWN:
                self._mark(i, j, direction, ABSENT)
        stack = [(i, j, RIGHT, 0)]
        while stack:
            i, j, direction, past = stack.pop()
            if self._visited[i * self.columns + j]:
                continue
            self._visited[i * self.columns + j] = 1
            found = self._branches(coder, (i, j), direction, past, None if truth is None else truth[i][j])
            for turn in reversed(found):
                ahead = (direction + turn) % 4
                move = TURNS.index(turn) if turn in TURNS else 0  # there is no way back but at a start
                stack.append((i + STEP[ahead][0], j + STEP[ahead][1], ahead, (past * 3 + move) % MOVES))

    def _branches(
        self, coder: BitCoder, corner: tuple[int, int], direction: int, past: int, truth: list[bool] | None
    ) -> list[int]:
        """The turns that boundaries take at a corner and that were not known before."""
        i, j = corner
        start = 4 * (i * self.columns + j)
        inner = 0 < i < self.height and 0 < j < self.width
        found = []
        for turn in (*TURNS, 2):
            side = (direction + turn) % 4
            known = self.known[start : start + 4]
            if known[side] != UNKNOWN:
                continue
            present = known.count(PRESENT)
            if known.count(UNKNOWN) == 1 and (inner or present == 0) and present < 2:
                bit = int(present == 1 or not inner)  # one side alone ends nowhere; and a start has at least one
            else:
                near = tuple(known[(direction + k) % 4] for k in (*TURNS, 2))
                contexts = self._contexts(corner, direction, (turn, near), past)
                bit = self._moves.code(coder, int(truth[side]) if truth is not None else 0, contexts, (turn, near))
            self._mark(i, j, side, PRESENT if bit else ABSENT)
            if bit:
                found.append(turn)
        return found

    def _contexts(
        self, corner: tuple[int, int], direction: int, here: tuple[object, ...], past: int
    ) -> list[tuple[object, ...]]:
        """What may foretell a side: the last 2, 5, 7 and 11 moves, and the sides around."""
        i, j = corner
        (di, dj), left, right = STEP[direction], (direction + 3) % 4, (direction + 1) % 4
        (li, lj), (ri, rj) = STEP[left], STEP[right]
        around = (
            self._at(i + li, j + lj, direction), self._at(i + ri, j + rj, direction),
            self._at(i + di, j + dj, left), self._at(i + di, j + dj, right), self._at(i + di, j + dj, direction),
            self._at(i + 2 * li, j + 2 * lj, direction), self._at(i + 2 * ri, j + 2 * rj, direction),
            self._at(i + li - di, j + lj - dj, direction), self._at(i + ri - di, j + rj - dj, direction),
        )  # fmt: skip
        return [
            (here, past % 9, direction % 2), (here, past % 243), (here, past % 2187), (here, past),
            (here, around, past % 3),
        ]  # fmt: skip

    def _at(self, i: int, j: int, direction: int) -> int:
        if 0 <= i <= self.height and 0 <= j <= self.width:
            return self.known[4 * (i * self.columns + j) + direction]
        return ABSENT

    def _mark(self, i: int, j: int, direction: int, state: int) -> None:
        di, dj = STEP[direction]
        self.known[4 * (i * self.columns + j) + direction] = state
        self.known[4 * ((i + di) * self.columns + j + dj) + (direction + 2) % 4] = state

    def regions(self) -> NDArray[np.int64]:
        """[H, W]: the number of each pixel's region, in the order of their first pixels row by row."""
        state = np.frombuffer(self.known, np.int8).reshape(self.height + 1, self.columns, 4) == PRESENT
        beside, above = state[:-1, 1:-1, DOWN], state[1:-1, :-1, RIGHT]  # between columns, and between rows
        runs = np.zeros((self.height, self.width), np.int64)
        runs[:, 1:] = beside
        runs = runs.cumsum(1)
        runs += np.concatenate([[0], (runs[:-1, -1] + 1).cumsum()])[:, None]
        parent = list(range(int(runs[-1, -1]) + 1))

        def root(run: int) -> int:
            while parent[run] != run:
                parent[run] = parent[parent[run]]
                run = parent[run]
            return run

        joined = np.unique(runs[:-1][~above] * len(parent) + runs[1:][~above])
        for pair in joined.tolist():
            upper, lower = divmod(pair, len(parent))
            a, b = sorted((root(upper), root(lower)))
            parent[b] = a
        roots = np.array([root(run) for run in range(len(parent))])
        numbers: NDArray[np.int64] = np.unique(roots, return_inverse=True)[1][runs]
        return numbers


def _code_classes(coder: BitCoder, regions: NDArray[np.int64], highest: int, labels: Labels | None) -> Labels:
    """The class of each region, in the context of those left of it and above it."""
    width = regions.shape[1]
    first = np.unique(regions, return_index=True)[1]  # of each region's pixels
    flat = regions.reshape(-1)
    found: list[int] = []
    mixer, depth = Mixer(4), highest.bit_length()
    for at in first.tolist():
        left = found[flat[at - 1]] if at % width else -1
        above = found[flat[at - width]] if at >= width else -1
        wanted = 0 if labels is None else int(labels.reshape(-1)[at])
        value = 1
        for k in range(depth - 1, -1, -1):
            contexts = [value, (value, left), (value, above), (value, left, above)]
            value = value << 1 | mixer.code(coder, wanted >> k & 1, contexts)
        found.append(value - (1 << depth))
    return np.array(found, np.uint8)[regions]


def _truth(labels: Labels) -> list[list[list[bool]]]:
    """[H + 1][W + 1][4]: whether a boundary leaves a corner in a direction."""
    height, width = labels.shape
    truth = np.zeros((height + 1, width + 1, 4), bool)
    between_rows, between_columns = labels[:-1] != labels[1:], labels[:, :-1] != labels[:, 1:]
    truth[1:-1, :-1, RIGHT] = truth[1:-1, 1:, LEFT] = between_rows
    truth[:-1, 1:-1, DOWN] = truth[1:, 1:-1, UP] = between_columns
    listed: list[list[list[bool]]] = truth.tolist()
    return listed
