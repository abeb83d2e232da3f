"""Adaptive binary arithmetic coding with mixed contexts, in integers, so that every machine decodes the same.

A range coder takes one decision at a time.  The probability of each is mixed, in the logistic domain, from what several
contexts have seen before (Mahoney's PAQ family of models, in small).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Protocol

from layered.errors import CorruptStream

__all__ = ["BitCoder", "BitDecoder", "BitEncoder", "Mixer", "code_number"]

ONE = 1 << 16
"""Probabilities are of this many."""
_TOP, _BYTE = 1 << 32, 1 << 24
_UNIT = 256  # of the logistic domain
_REACH = 11 * _UNIT
_SQUASH = [min(max(round(ONE / (1 + math.exp(-x / _UNIT))), 32), ONE - 32) for x in range(-_REACH, _REACH + 1)]
_STRETCH = [round(_UNIT * math.log((i + 0.5) / (4096 - i - 0.5))) for i in range(4096)]
_RATES = [ONE * 2 // (2 * n + 3) for n in range(64)]  # 1 / (n + 1.5), the last one from then on
_BEYOND = 8  # bytes that a decoder may read behind the end, as an encoder cuts zeros off


class BitCoder(Protocol):
    """Either end: the encoder is given the bit and returns it, the decoder ignores what it is given."""

    def code(self, bit: int, probability: int) -> int:
        """Code one bit, which is 1 with `probability` of 65536, 1 to 65535."""
        ...


class BitEncoder:
    """Bits to bytes; `finish` ends them."""

    def __init__(self) -> None:
        self._low, self._range, self._bytes = 0, _TOP - 1, bytearray()

    def code(self, bit: int, probability: int) -> int:
        bound = (self._range >> 16) * probability
        if bit:
            self._range = bound
        else:
            self._low += bound
            self._range -= bound
        while self._range < _BYTE:
            self._range <<= 8
            self._shift()
        return bit

    def finish(self) -> bytes:
        """All that was coded; zeros at the end are left out."""
        highest = self._low + self._range - 1
        # Any value of the interval will do: the one with most zeros at its end, which need not be stored.
        self._low = next(cut for zeros in (24, 16, 8, 0) if (cut := highest >> zeros << zeros) >= self._low)
        for _ in range(4):
            self._shift()
        return bytes(self._bytes).rstrip(b"\0")

    def _shift(self) -> None:
        carry, self._low = divmod(self._low, _TOP)
        if carry:
            at = len(self._bytes) - 1
            while self._bytes[at] == 255:
                self._bytes[at] = 0
                at -= 1
            self._bytes[at] += 1
        self._bytes.append(self._low >> 24)
        self._low = self._low << 8 & (_TOP - 1)


class BitDecoder:
    """The bits that an encoder was given, as long as it is asked for the same probabilities."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._range, self._code = data, 0, _TOP - 1, 0
        for _ in range(4):
            self._next()

    def code(self, bit: int, probability: int) -> int:
        bound = (self._range >> 16) * probability
        found = int(self._code < bound)
        if found:
            self._range = bound
        else:
            self._code -= bound
            self._range -= bound
        while self._range < _BYTE:
            self._range <<= 8
            self._next()
        return found

    def finish(self) -> None:
        """Raise CorruptStream for bytes that no decision has needed, and for zeros that an encoder leaves out."""
        if len(self._data) > self._at or self._data.endswith(b"\0"):
            raise CorruptStream("arithmetic-coded data go on after their end")

    def _next(self) -> None:
        if self._at >= len(self._data) + _BEYOND:
            raise CorruptStream("arithmetic-coded data end too early")
        byte = self._data[self._at] if self._at < len(self._data) else 0
        self._code, self._at = (self._code << 8 | byte) & (_TOP - 1), self._at + 1


class Mixer:
    """The model of one kind of decision, from `count` contexts."""

    def __init__(self, count: int, rate: int = 5) -> None:
        self._seen: list[dict[Hashable, list[int]]] = [{} for _ in range(count)]
        self._weights: dict[Hashable, list[int]] = {}
        self._start = [ONE * 2 // (count + 1)] * count
        self._rate = rate

    def code(self, coder: BitCoder, bit: int, contexts: Sequence[Hashable], chosen: Hashable = 0) -> int:
        """Code one bit by the contexts' values; `chosen` names the set of weights."""
        entries = [seen.setdefault(context, [ONE // 2, 0]) for seen, context in zip(self._seen, contexts, strict=True)]
        stretched = [_STRETCH[entry[0] >> 4] for entry in entries]
        weights = self._weights.get(chosen)
        if weights is None:
            weights = self._weights[chosen] = self._start.copy()
        mixed = sum(w * s for w, s in zip(weights, stretched, strict=True)) >> 16
        probability = _SQUASH[min(max(mixed, -_REACH), _REACH) + _REACH]
        bit = coder.code(bit, probability)
        error = (ONE - probability if bit else -probability) * self._rate
        for k, s in enumerate(stretched):
            weights[k] += s * error >> 16
        for entry in entries:
            value, count = entry
            entry[0] = value + (((ONE - 1 if bit else 0) - value) * _RATES[count] >> 16)
            if count < len(_RATES) - 1:
                entry[1] = count + 1
        return bit


def code_number(coder: BitCoder, mixer: Mixer, value: int, name: Hashable, most: int) -> int:
    """A number from 0 to `most`, short for small ones: how many bits it has, then these (Elias gamma, adaptive).

    mixer: of one context.  Raises CorruptStream for one beyond `most`, which no encoder writes.
    """
    length, bits = 0, (value + 1).bit_length()
    while length < most.bit_length() and mixer.code(coder, int(length + 1 < bits), [(name, "length", length)]):
        length += 1
    found = 1
    for k in range(length - 1, -1, -1):
        bit = (value + 1) >> k & 1
        near = (name, length, found) if length - k <= 3 else (name, "low")
        found = found << 1 | mixer.code(coder, bit, [near])
    if found - 1 > most:
        raise CorruptStream(f"a number of at most {most} is stored as {found - 1}")
    return found - 1
