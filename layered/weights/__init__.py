"""Weights files, the cards that describe them, and the codecs that they become.

Reading cards needs neither torch nor the weights, so that `layered info` can name the model of a stream.
"""

from __future__ import annotations

from layered.weights.card import Card, card, catalogue, name_of

__all__ = ["Card", "card", "catalogue", "export", "load", "name_of", "save_codec"]


def __getattr__(name: str) -> object:
    if name in ("export", "load", "save_codec"):
        from layered.weights import store

        return getattr(store, name)
    raise AttributeError(name)
