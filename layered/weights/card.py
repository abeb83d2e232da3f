"""Cards: what a bundled weights file is, what it was trained on and for how long, and what it measured."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import yaml

from layered.errors import OptionError

__all__ = ["Card", "card", "catalogue", "name_of"]


@dataclass(frozen=True)
class Card:
    """One weights file: digest is the twelve hexadecimal digits that its streams carry.

    spec: what the codec is made of.  parameters: how many its base and its enhancement have.  training: recipe, data,
    steps, seconds, machine.  measured: its own rate-distortion points, with the command that gave them.
    """

    name: str
    digest: str
    description: str
    spec: dict[str, Any]
    parameters: dict[str, int] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    measured: dict[str, Any] = field(default_factory=dict)

    @property
    def budget(self) -> str:
        """What its training cost, in one line."""
        phases = self.training.get("phases", {}).values()
        steps = [
            f"{p['name']} {p['steps']} steps of {p['batch']} crop{'s' * (p['batch'] > 1)} of {p['patch']}x{p['patch']}"
            for p in phases
        ]
        seconds = sum(run["seconds"] for run in self.training.get("runs", ()))
        machine = self.training.get("machine", "unknown machine")
        return f"{self.training.get('pictures', 0)} pictures; {', '.join(steps)}; {seconds} s; {machine}"

    def text(self) -> str:
        """The card for people, several lines."""
        counts = {part: f"{count:,}" for part, count in self.parameters.items()}
        values = {"spec": self.spec, "parameters": counts, "training": self.training, "measured": self.measured}
        told = {key: value for key, value in values.items() if value}
        rest = yaml.safe_dump(told, sort_keys=False, default_flow_style=None, width=110)
        replaced = ", ".join(self.measured.get("weights", ()))
        note = f"Measured below are earlier weights of that name, {replaced}.\n" if self.is_of_earlier else ""
        return f"{self.name}  ({self.digest})\n{self.description}\n{note}\n{rest}".rstrip()

    @property
    def is_of_earlier(self) -> bool:
        """Whether what it measured was of weights that these have replaced."""
        return self.digest not in self.measured.get("weights", (self.digest,))


def catalogue() -> tuple[Card, ...]:
    """The cards of all bundled weights, by name."""
    folder = resources.files("layered.weights")
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".json")]
    return tuple(
        Card(**json.loads(entry.read_text(encoding="utf-8"))) for entry in sorted(found, key=lambda entry: entry.name)
    )


def card(name: str) -> Card:
    """The card of the bundled weights `name`.  Raises OptionError listing the valid names."""
    cards = {entry.name: entry for entry in catalogue()}
    if name not in cards:
        from layered.recipes import hint  # pydantic, which reading cards does not need

        if "/" in name or name.endswith(".safetensors"):
            raise OptionError(f"{name}: no such weights file; train it, or give another")
        bundled = ", ".join(cards) or "none"
        raise OptionError(f"unknown weights {name!r}{hint(name, cards)} bundled are {bundled}, or give a file's path")
    return cards[name]


def name_of(digest: bytes) -> str | None:
    """Name of the bundled weights whose streams carry `digest`, or None."""
    return next((entry.name for entry in catalogue() if entry.digest == digest.hex()), None)
