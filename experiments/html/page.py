"""Puts page, styles, script and data together into one file."""

from __future__ import annotations

import base64
import json
import re
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from experiments.html.gallery import make_gallery
from experiments.html.values import page_values
from experiments.tables import Tables
from layered.files import write_bytes_atomic

__all__ = ["LIMIT", "write_html"]

LIMIT = 28_000_000
"""Bytes that the page stays below: what a browser opens at once, and a mail server may still accept."""

ROOM_FOR_THE_REST = 20_000
"""Bytes of the page's own frame, and of what else the page says of its pictures."""

_PLACE = re.compile(r"<!--([a-z]+)-->|/\*([a-z]+)\*/")


def write_html(tables: Tables, path: Path, limit: int = LIMIT) -> None:
    """Write the run as one HTML file that loads nothing, from a disk or any server.

    It holds no date and no folder, so that the same results give the same bytes.  Pictures are copies for the
    eye, made smaller until the file has fewer than `limit` bytes; fewer images have some where even that does
    not do.  Raises OSError when the disk refuses.
    """
    values = page_values(tables)
    parts = {name: _static(f"report.{name}") for name in ("css", "js")}
    room = limit - len(_json(values)) - sum(map(len, parts.values())) - ROOM_FOR_THE_REST
    gallery = make_gallery(tables, room)
    values["gallery"] = gallery.values
    parts |= {
        "title": escape(tables.results.recipe.name),
        "values": _json(values),
        "copies": "\n".join(_script(number, copy) for number, copy in enumerate(gallery.copies)),
    }
    # One pass: what looks like a place in a user's text is left alone.
    page = _PLACE.sub(lambda found: parts.get(found[1] or found[2], found[0]), _static("report.html"))
    write_bytes_atomic(path, page.encode())


def _static(name: str) -> str:
    return (resources.files("experiments") / "web" / name).read_text(encoding="utf-8")


def _json(values: Any) -> str:
    """ASCII without `<`, which inside a script element could end it or begin a comment."""
    return json.dumps(values, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _script(number: int, copy: bytes) -> str:
    """A picture in an element of its own: the browser reads past it, and decodes it when it is to be seen."""
    text = base64.b64encode(copy).decode()
    return f'<script type="application/json" id="copy-{number}">"{text}"</script>'
