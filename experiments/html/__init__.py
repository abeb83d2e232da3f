"""The report of a run as one page that needs nothing else: curves, BD-rates and pictures, to be looked at."""

from experiments.html.page import LIMIT, write_html

__all__ = ["LIMIT", "write_html"]
