"""Freed memory is kept where the C library can be told so, and nothing fails where it cannot."""

from __future__ import annotations

import ctypes
import os
import sys

import pytest

from adapters.allocator import keep_memory


class Library:
    """A C library whose `mallopt` takes thresholds up to `largest`."""

    def __init__(self, largest: int) -> None:
        self.largest, self.told = largest, []  # type: ignore[var-annotated]

    def mallopt(self, option: int, value: int) -> int:
        self.told.append((option, value))
        return int(option == -1 or value <= self.largest)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc is Linux's")
def test_glibc_is_told() -> None:
    if "glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""):
        pytest.skip("another C library")
    assert keep_memory() and keep_memory()


def test_an_older_library_that_refuses_large_thresholds_is_told_a_smaller_one(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(2**25)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert keep_memory() and library.told == [(-3, 2**30), (-3, 2**25), (-1, 2**31 - 1)]


def test_a_library_that_refuses_all_keeps_its_own_thresholds(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(0)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    assert not keep_memory() and all(option == -3 for option, _ in library.told)


@pytest.mark.parametrize("error", [OSError, TypeError, None])
def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch, error: type[Exception] | None) -> None:
    def library(name: object) -> object:
        if error is None:
            return object()  # without mallopt
        raise error

    monkeypatch.setattr(ctypes, "CDLL", library)
    assert not keep_memory()
