"""The results page: the runs behind it, how they are repeated, and whether they still come out the same."""
