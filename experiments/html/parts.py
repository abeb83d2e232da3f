"""What every page is put together from: a file of the folder `web`, styles, a script, data, pictures."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Any

__all__ = ["copy_scripts", "fill", "json_text", "static"]

_PLACE = re.compile(r"<!--([a-z]+)-->|/\*([a-z]+)\*/")


def static(name: str) -> str:
    """The text of a file in `web`."""
    return (resources.files("experiments") / "web" / name).read_text(encoding="utf-8")


def fill(page: str, parts: Mapping[str, str]) -> str:
    """The page with each part in its place, `<!--name-->` or `/*name*/`."""
    # One pass: what looks like a place in a user's text is left alone.
    return _PLACE.sub(lambda found: parts.get(found[1] or found[2], found[0]), page)


def json_text(values: Any) -> str:
    """ASCII without `<`, which inside a script element could end it or begin a comment."""
    return json.dumps(values, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def copy_scripts(copies: Iterable[bytes]) -> str:
    """Picture files in elements of their own: the browser reads past them, and decodes each when it is to be seen."""
    texts = enumerate(base64.b64encode(copy).decode() for copy in copies)
    return "\n".join(f'<script type="application/json" id="copy-{number}">"{text}"</script>' for number, text in texts)
