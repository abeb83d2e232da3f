"""Puts page, styles, script and data together into one file."""

from __future__ import annotations

from html import escape
from pathlib import Path

from experiments.html.gallery import make_gallery
from experiments.html.parts import copy_scripts, fill, json_text, static
from experiments.html.values import page_values
from experiments.tables import Tables
from layered.files import write_bytes_atomic

__all__ = ["LIMIT", "write_html"]

LIMIT = 28_000_000
"""Bytes that the page stays below: what a browser opens at once, and a mail server may still accept."""

ROOM_FOR_THE_REST = 20_000
"""Bytes of the page's own frame, and of what else the page says of its pictures."""


def write_html(tables: Tables, path: Path, limit: int = LIMIT) -> None:
    """Write the run as one HTML file that loads nothing, from a disk or any server.

    It holds no date and no folder, so that the same results give the same bytes.  Pictures are copies for the
    eye, made smaller until the file has fewer than `limit` bytes; fewer images have some where even that does
    not do.  Raises OSError when the disk refuses.
    """
    values = page_values(tables)
    parts = {name: static(f"report.{name}") for name in ("css", "js")}
    room = limit - len(json_text(values)) - sum(map(len, parts.values())) - ROOM_FOR_THE_REST
    gallery = make_gallery(tables, room)
    values["gallery"] = gallery.values
    parts |= {
        "title": escape(tables.results.recipe.name),
        "values": json_text(values),
        "copies": copy_scripts(gallery.copies),
    }
    write_bytes_atomic(path, fill(static("report.html"), parts).encode())
