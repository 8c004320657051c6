"""Limit the rows that fill the gaps between given rows.

Windows have a row for every step of the grid, so that two times far apart make millions of rows. Everything that
fills gaps asks here first: JSON and Arrow bodies of the HTTP API, and `Windows.build`.
"""

from __future__ import annotations

from foreshock_models.errors import DataError

__all__ = ["MOST_VALUES", "check_rows", "most_rows"]

MOST_VALUES = 10_000_000
"""Values in the windows of one request, a time counting as one; a body of 64 MiB has 8 million at 8 bytes each."""
FREE = 1_000_000
"""Values that a few rows may become."""
FACTOR = 100
"""Beyond that, so many times the values that were given."""


def most_rows(n_given: int, n_features: int, most: int | None = None) -> int:
    """Rows that `n_given` rows may become on the grid, over all entities; `most` bounds their values."""
    columns = n_features + 1  # with their times
    values = max(FREE, FACTOR * n_given * columns)
    return (values if most is None else min(most, values)) // columns


def check_rows(n_rows: int, n_given: int, n_features: int, step: float, most: int | None = None) -> None:
    """Refuse to fill gaps beyond `most_rows`.

    Parameters
    ----------
    n_rows
        Rows after filling: steps of the grid, summed over entities.
    step
        Seconds between two rows, for the message.

    Raises
    ------
    DataError
        There would be more rows.
    """
    allowed = most_rows(n_given, n_features, most)
    if n_rows <= allowed:
        return
    if n_rows > n_given:
        raise DataError(
            f"{n_given:,} rows span {n_rows:,} steps of {step:g} s over all entities; at most {allowed:,} are "
            "filled in: leave out times that are far from the others, or use a larger step"
        )
    raise DataError(f"{n_rows:,} rows of {n_features} features; at most {allowed:,}: send fewer at a time")
