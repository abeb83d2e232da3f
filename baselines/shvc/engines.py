"""The two ways to measure SHVC, by the words of a recipe.

    codec: shvc
    options: {engine: emulated, chroma: "420"}    # as they are by default; or "444"
    options: {engine: reference, shm: ~/SHM}      # SHM_HOME by default; timeout: seconds for a program; always 4:2:0
"""

from __future__ import annotations

from baselines.classes import Options
from baselines.protocol import Codec
from baselines.shvc.emulated import EmulatedShvc
from baselines.shvc.reference import ReferenceShvc
from baselines.yuv import CHROMAS
from layered.errors import OptionError

__all__ = ["ENGINES", "shvc"]

ENGINES: dict[str, tuple[str, ...]] = {"emulated": ("chroma",), "reference": ("shm", "timeout")}
"""Options of each, besides `engine`."""


def shvc(options: Options = ()) -> Codec:
    """SHVC by a recipe's options; nothing is looked for yet.  Raises OptionError for unknown ones."""
    given = dict(options)
    engine = given.pop("engine", "emulated")
    if engine not in ENGINES:
        raise OptionError(f"shvc has no engine {engine!r}; there are {', '.join(ENGINES)}")
    if unknown := [name for name in given if name not in ENGINES[engine]]:
        known = ", ".join(("engine", *ENGINES[engine]))
        raise OptionError(f"shvc with engine {engine} has no option {unknown[0]!r}; there are {known}")
    if engine == "emulated":
        wanted = str(given.get("chroma", "420"))  # a recipe may have it as a number
        chroma = next((chroma for chroma in CHROMAS if chroma == wanted), None)
        if chroma is None:
            raise OptionError(f"shvc has no chroma {wanted!r}; there are {', '.join(CHROMAS)}")
        return EmulatedShvc(chroma)
    shm, timeout = given.get("shm"), given.get("timeout", 3600)
    if not isinstance(shm, str | None):
        raise OptionError(f"shvc: shm is a folder, got {shm!r}")
    if isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0:
        raise OptionError(f"shvc: timeout is a number of seconds above 0, got {timeout!r}")
    return ReferenceShvc(shm, float(timeout))
