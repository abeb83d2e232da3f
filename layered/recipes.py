"""Recipes as files: reading, `--set a.b=c` overrides, checking; every fault is named in one line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Sequence
from importlib import resources
from itertools import count, takewhile
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from layered.errors import OptionError, RecipeError

__all__ = ["Strict", "bundled", "check", "faults", "hint", "introduction", "read"]

Model = TypeVar("Model", bound=BaseModel)
_ENTRIES = 100_000
"""Values that a recipe may hold, each alias counted with all that it stands for."""


def hint(name: str, valid: Iterable[str]) -> str:
    """What follows an unknown name, before the valid ones are listed: the nearest of them, or a semicolon."""
    close = difflib.get_close_matches(name, valid, 1)
    return f", did you mean {close[0]!r}?" if close else ";"


class Strict(BaseModel):
    """A part of a recipe: immutable, and a key that does not exist is an error that names those that do.

    Made by its constructor, what is wrong raises OptionError; made by `model_validate`, as `check` does, pydantic's own
    error, which knows at which key of the whole it was.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise OptionError(faults(error)) from None

    # As pydantic marks its own: or else the parts of a whole would be made by this one, and faults would lose keys.
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @model_validator(mode="before")
    @classmethod
    def _known_keys(cls, values: Any) -> Any:
        valid = list(cls.model_fields)
        for key in values if isinstance(values, dict) else ():
            if key not in valid:
                raise ValueError(f"unknown key {str(key)!r}{hint(str(key), valid)} valid keys are {', '.join(valid)}")
        return values


class _Loader(yaml.SafeLoader):
    """YAML's plain values; a key given twice in one mapping is an error, not the last one's victory."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"the key {twice!r} is given twice")
        return super().construct_mapping(node, deep)


def bundled(package: str) -> tuple[str, ...]:
    """Names of the recipes that come in the folder `recipes` of a package."""
    folder = resources.files(package) / "recipes"
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def introduction(name: str, package: str) -> str:
    """The first sentence of the comment that a bundled recipe begins with."""
    lines = (resources.files(package) / "recipes" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    words = " ".join(line[1:].strip() for line in takewhile(lambda line: line.startswith("#"), lines))
    return re.split(r"(?<=\.) +(?=[A-Z])", words)[0]


def read(source: str | Path, package: str) -> dict[str, Any]:
    """The values in the YAML file `source`, or in the bundled recipe of that name.  Raises RecipeError."""
    path = Path(source)
    if path.is_file():
        data = path.read_bytes()
    elif str(source) in bundled(package):
        data = (resources.files(package) / "recipes" / f"{source}.yaml").read_bytes()
    elif path.is_dir():
        raise RecipeError(f"{source} is a folder; a recipe is a YAML file, or one of {', '.join(bundled(package))}")
    else:
        names = bundled(package)
        raise RecipeError(f"no recipe or file {source}{hint(str(source), names)} bundled are {', '.join(names)}")
    try:
        values = yaml.load(data.decode("utf-8"), _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise RecipeError(f"{source}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise RecipeError(f"{source}: a recipe is a mapping of keys such as name and data")
    return values


def check(model: type[Model], values: dict[str, Any], overrides: Sequence[str] = (), source: str = "recipe") -> Model:
    """The recipe in plain values, which stay as they are, after overrides such as `data.limit=4`.

    Entries of a list are addressed by their `name` or by their number from 0; mappings that are left out are made.
    Raises RecipeError.
    """
    try:
        values = _own(values, count())
    except RecursionError:
        raise RecipeError(f"{source}: nested without end") from None
    for override in overrides:
        _set(values, override)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"{source}: {faults(error)}") from None


def _own(values: Any, counted: Iterator[int]) -> Any:
    """A copy in which no two places share a mapping or list, as YAML's aliases do: an override is of one of them.

    Raises RecipeError where aliases of aliases stand for more than anybody has written.
    """
    if next(counted) > _ENTRIES:
        raise RecipeError(f"a recipe of more than {_ENTRIES} entries")
    if isinstance(values, dict):
        return {key: _own(value, counted) for key, value in values.items()}
    return [_own(value, counted) for value in values] if isinstance(values, list) else values


def faults(error: ValidationError) -> str:
    """All that pydantic found wrong, in one line."""
    lines = []
    found = error.errors()
    for fault in found:
        inside = [other["loc"] for other in found if other["loc"] != fault["loc"]]
        if fault["type"] == "too_short" and any(loc[: len(fault["loc"])] == fault["loc"] for loc in inside):
            continue  # entries that are wrong are not counted
        where = ".".join(str(part) for part in fault["loc"])
        message = str(fault["msg"]).removeprefix("Value error, ")
        if fault["type"] == "too_short":  # pydantic speaks of tuples
            message = f"{fault['ctx']['min_length']} or more are needed, {fault['ctx']['actual_length']} given"
        elif fault["type"] in ("tuple_type", "list_type"):
            message = f"a list is needed, such as [{fault['input']}]"
        elif fault["type"] == "string_pattern_mismatch":  # of names, which become folders
            message = f"{fault['input']!r}: letters, digits and . _ - only, a letter or digit first"
        lines.append(f"{where}: {message}" if where else message)
    return "; ".join(lines)


def _set(values: dict[str, Any], override: str) -> None:
    path, equals, text = override.partition("=")
    keys = path.strip().split(".")
    if not equals or not all(keys):
        raise RecipeError(f"--set {override}: write it as key=value, for example data.limit=4")
    try:
        value = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise RecipeError(f"--set {override}: {text!r} is not a YAML value") from None
    node: Any = values
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        if isinstance(node, list):
            index = _position(node, key, override)
            if last:
                node[index] = value
            node = node[index]
        elif isinstance(node, dict):  # a mapping that the recipe leaves out begins empty
            if not last and node.get(key) is None:
                if _is_number(keys[depth + 1]):
                    there = ".".join(keys[: depth + 1])
                    raise RecipeError(f"--set {override}: there is no list {there!r}; lists are given whole")
                node[key] = {}
            node[key] = value if last else node[key]
            node = node[key]
        else:
            raise RecipeError(f"--set {override}: there is no {'.'.join(keys[: depth + 1])!r}")


def _is_number(key: str) -> bool:
    return key.isascii() and key.isdecimal()


def _position(entries: list[Any], key: str, override: str) -> int:
    names = [entry.get("name") if isinstance(entry, dict) else None for entry in entries]
    if key in names:
        return names.index(key)
    if _is_number(key) and int(key) < len(entries):
        return int(key)
    known = [str(name) for name in names if name is not None]
    hint = f"; names are {', '.join(known)}" if known else ""
    raise RecipeError(f"--set {override}: {key!r} is neither a name nor a number below {len(entries)}{hint}")
