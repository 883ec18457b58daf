"""What a benchmark found, and how it is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One measured value, in `unit`, with its limit and what the bare work took."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    bare: float | None = None
    """The same rows by bare statements, in the same run and unit."""

    @property
    def holds(self) -> bool:
        return self.limit is None or self.value <= self.limit


def show(figures: Sequence[Figure]) -> bool:
    """Print a table; True when every limit holds."""
    print(f"  {'':52} {'measured':>12} {'limit':>10} {'bare':>10} {'ratio':>7}")
    for f in figures:
        limit = f"{f.limit:.3g} {f.unit}" if f.limit is not None else ""
        bare = f"{f.bare:.3g} {f.unit}" if f.bare is not None else ""
        ratio = f"{f.value / f.bare:.1f}" if f.bare else ""
        mark = "" if f.holds else "  OVER THE LIMIT"
        print(f"  {f.name:52} {f.value:>8.3f} {f.unit:3} {limit:>10} {bare:>10} {ratio:>7}{mark}")
    return all(f.holds for f in figures)
