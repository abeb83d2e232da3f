"""Every failure a user can meet, each carrying a one-line message that says what was wrong and what to do."""

__all__ = [
    "CorruptStream", "ImageError", "LayeredError", "LimitExceeded", "OptionError", "RecipeError",
    "UnsupportedVersion", "WrongModel", "install", "outside",
]  # fmt: skip


class LayeredError(Exception):
    """Base of all errors this project raises on purpose; the command line prints its message and nothing else."""


class CorruptStream(LayeredError):
    """The bytes are not a whole, undamaged layered stream."""


class UnsupportedVersion(LayeredError):
    """The stream is of a format version this release does not read."""


class WrongModel(LayeredError):
    """The stream was written with other weights than those at hand."""


class LimitExceeded(LayeredError):
    """The declared size, layer count or payload is beyond the limits that the caller allows."""


class ImageError(LayeredError):
    """A file is missing, unreadable, not an image, or of a kind that is refused."""


class RecipeError(LayeredError):
    """A recipe has unknown keys, wrong values, or names something that does not exist."""


class OptionError(LayeredError):
    """An argument is out of its range; the message states the range."""


def install(extra: str) -> str:
    """What to do where an optional package is missing.  The name alone would fetch somebody else's from PyPI."""
    return f"run pip install -e '.[{extra}]' in this project's folder"


def outside(low: float, high: float) -> str:
    """What is wrong with a quality that is not in a range, which may be one number, to be followed by whose that is."""
    return f"is not {low:g}, the one quality" if low == high else f"is outside {low:g} to {high:g}"
